"""Shared-prefix decoding: the slot graph's second way through attention.

Draws of one prompt differ only in what they have written. When each keeps a copy of the prompt's
keys and values, a step reads that copy once for every draw; here the prompt's keys and values stand
once a prompt, and the draws are rows of one matrix product with them (Hydragen, arXiv:2402.05099).
The result is exact.

Every attention node becomes an `If`: weights, norms and feed-forward blocks exist once, whichever
way is taken. With the input `shared` true, a step adds one token to each of B draws. Draws stand in
a grid of R prompts by F places, Z = R * F, place z belonging to prompt z // F:

    shared bool[], input_ids i64[B,1], logits_indices i64[N] into B
    draws i64[Z] (the draw at each place; any, where it is empty), places i64[B] (its inverse)
    position_ids i64[Z,1]
    suffix_bias f[Z,1,1,T] (0, or what takes a token out: below -1e4)
    prefix.{i}.key f[R,H,P,D+2], prefix.{i}.value f[R,H,P,D]: token 0, and from 1 on the prompt's
    past_key_values.{i}.key / .value f[Z,H,T,D]: what the draws have written, all but the new token
Outputs:
    present.{i}.key / .value f[Z,H,1,D]: the new token's, for the caller to keep
Inputs of the other way must be given, and are not looked at: `seqlens_k`, `total_sequence_length`
and `query_seqlens` here, all of the above but `shared` and `input_ids` there.

H are heads of keys and values, each with G heads of queries; D is their width. Token 0 of a prefix
stands for all that a draw has written, so that one softmax weighs it against the prompt, and the
scores of the prompt, by far the most numbers, need no second pass. A prefix key ends in two marks,
which queries meet with 1 and with the score of what was written:

    token 0: 0, 1 (all else of its key and value is 0)
    of the prompt: 0, 0
    not there: what takes a token out, 0

Where f is f32, and P and T are multiples of 64, a draw's bits depend on nothing but its own tokens:
not on R, F, P, T or its place.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

ATTENTION = "GroupQueryAttention"
KEY, PAST_KEY, COSINES, SINES = 1, 3, 7, 8
"""Positions among the inputs of GroupQueryAttention."""
CONTRIB = "com.microsoft"
SWAP = [0, 2, 1, 3]
"""[R,F,H,…] to [R,H,F,…], and back."""
MARKS = 2
"""Numbers that a prefix key has beyond its width."""


def add(model: onnx.ModelProto) -> None:
    """Gives the slot graph `model` its second way.

    Raises a `ValueError` where attention is not as the builder writes it for Llama and Qwen2.
    """
    graph = model.graph
    layers = [node for node in graph.node if node.op_type == ATTENTION]
    sizes = _sizes(graph, layers)
    before = _Nodes("shared")
    shapes = _shapes(before, graph.initializer, sizes)
    nodes = [_either(n, shapes, sizes) if n.op_type == ATTENTION else n for n in graph.node]
    del graph.node[:]
    graph.node.extend([*before, *nodes])
    graph.input.extend(_inputs(len(layers), sizes))


@dataclass(frozen=True)
class _Sizes:
    """What the attention layers have in common."""

    heads: int
    """H"""
    group: int
    """G"""
    width: int
    """D"""
    kind: int
    """The type of keys and values."""
    scale: float
    interleaved: int


def _sizes(graph: onnx.GraphProto, layers: list[onnx.NodeProto]) -> _Sizes:
    for layer in layers:
        _check(layer)
    cache = next(value for value in graph.input if value.name == layers[0].input[PAST_KEY])
    kind = cache.type.tensor_type
    heads = kind.shape.dim[1].dim_value
    cosines = next(
        tensor for tensor in graph.initializer if tensor.name == layers[0].input[COSINES]
    )
    width = 2 * cosines.dims[1]
    attributes = _attributes(layers[0])
    return _Sizes(
        heads=heads,
        group=attributes["num_heads"] // heads,
        width=width,
        kind=kind.elem_type,
        scale=attributes.get("scale") or width**-0.5,
        interleaved=attributes.get("rotary_interleaved", 0),
    )


def _check(layer: onnx.NodeProto) -> None:
    attributes = _attributes(layer)
    if layer.input[KEY] or not attributes.get("do_rotary"):
        raise ValueError(
            f"{layer.name} does not take queries, keys and values in one tensor and rotate them "
            "itself: shared-prefix decoding cannot be added to this graph"
        )
    if attributes.get("local_window_size", -1) != -1 or attributes.get("softcap"):
        raise ValueError(
            f"{layer.name} has a window or caps its scores: shared-prefix decoding does neither"
        )


def _attributes(layer: onnx.NodeProto) -> dict[str, object]:
    return {entry.name: helper.get_attribute_value(entry) for entry in layer.attribute}


class _Nodes(list[onnx.NodeProto]):
    """Nodes in the order of computing, their results named within a scope."""

    def __init__(self, scope: str) -> None:
        super().__init__()
        self.scope = scope

    def add(self, operator: str, *inputs: str, **attributes: object) -> str:
        """Adds a node; gives its result's name."""
        return self.add_parts(operator, *inputs, parts=1, **attributes)[0]

    def add_parts(self, operator: str, *inputs: str, parts: int, **attributes: object) -> list[str]:
        """Adds a node of several results; gives their names."""
        name = f"{self.scope}/{operator}_{len(self)}"
        results = [f"{name}.{part}" for part in range(parts)]
        self.append(helper.make_node(operator, inputs, results, name, **attributes))
        return results


@dataclass(frozen=True)
class _Shapes:
    """Names of tensors that say how to cut and reshape, the same in every layer."""

    heads: str
    """[Z,H*(G+2),1,D]"""
    kinds: str
    """Heads of queries, of keys, of values."""
    queries: str
    """[Z,H,G,D]"""
    grid: str
    """[R,F,H,G*(D+2)]"""
    rows: str
    """[R,H,F*G,D+2]"""
    row_grid: str
    """[R,H,F,G*D]"""
    share_grid: str
    """[R,H,F,G]"""
    shares: str
    """[Z,H,G,1]"""
    tokens: str
    """[Z,1,H*G*D]"""
    past_and_new: str
    """T, 1"""
    first: str
    """0"""
    last: str
    """-1"""
    minus_ones: str
    """-1 for every query: [Z,H,G,1]"""
    minus_scale: str


def _shapes(nodes: _Nodes, initializers: list[onnx.TensorProto], sizes: _Sizes) -> _Shapes:
    """Adds what every layer needs: the graph's initializers, and nodes before its first layer."""

    def constant(*values: int) -> str:
        name = f"{nodes.scope}/{'_'.join(map(str, values))}"
        if all(tensor.name != name for tensor in initializers):
            initializers.append(helper.make_tensor(name, TensorProto.INT64, [len(values)], values))
        return name

    def joined(*lengths: str) -> str:
        return nodes.add("Concat", *lengths, axis=0)

    heads, group, width = sizes.heads, sizes.group, sizes.width
    prompts = nodes.add("Shape", "prefix.0.key", start=0, end=1)
    places = nodes.add("Shape", "draws")
    past = nodes.add("Shape", "suffix_bias", start=3)
    minus_scale = helper.make_tensor(f"{nodes.scope}/minus_scale", sizes.kind, [], [-sizes.scale])
    initializers.append(minus_scale)
    minus_one = helper.make_tensor("", sizes.kind, [1], [-1.0])
    return _Shapes(
        heads=constant(-1, heads * (group + 2), 1, width),
        kinds=constant(heads * group, heads, heads),
        queries=constant(-1, heads, group, width),
        grid=joined(prompts, constant(-1, heads, group * (width + MARKS))),
        rows=constant(0, 0, -1, width + MARKS),
        row_grid=constant(0, 0, -1, group * width),
        share_grid=constant(0, 0, -1, group),
        shares=constant(-1, heads, group, 1),
        tokens=constant(-1, 1, heads * group * width),
        past_and_new=joined(past, constant(1)),
        first=constant(0),
        last=constant(-1),
        minus_ones=nodes.add(
            "ConstantOfShape", joined(places, constant(heads, group, 1)), value=minus_one
        ),
        minus_scale=minus_scale.name,
    )


def _either(layer: onnx.NodeProto, shapes: _Shapes, sizes: _Sizes) -> onnx.NodeProto:
    """The two ways through one attention layer."""
    slot = onnx.NodeProto()
    slot.CopyFrom(layer)
    slot.output[:] = [f"slot/{name}" for name in layer.output]
    shared = _Nodes(f"shared{layer.name}")
    results = _attention(shared, layer, shapes, sizes)
    return helper.make_node(
        "If",
        ["shared"],
        layer.output,
        layer.name,
        then_branch=_branch(shared, results, sizes),
        else_branch=_branch([slot], slot.output, sizes),
    )


def _branch(nodes: list[onnx.NodeProto], results: list[str], sizes: _Sizes) -> onnx.GraphProto:
    attended, key, value = (
        helper.make_tensor_value_info(name, sizes.kind, [None] * rank)
        for name, rank in zip(results, (3, 4, 4), strict=True)
    )
    return helper.make_graph(nodes, nodes[-1].name, [], [attended, key, value])


def _attention(
    nodes: _Nodes, layer: onnx.NodeProto, shapes: _Shapes, sizes: _Sizes
) -> tuple[str, str, str]:
    """Attention of a new token a draw, over its prompt, what it has written, and itself.

    Gives the names of its result, and of the new token's key and value.
    """
    past = layer.input[PAST_KEY], layer.input[PAST_KEY + 1]
    prefix = [name.replace("past_key_values", "prefix") for name in past]

    def rotated(heads: str) -> str:
        tables = layer.input[COSINES], layer.input[SINES]
        return nodes.add(
            "RotaryEmbedding", heads, "position_ids", *tables,
            domain=CONTRIB, interleaved=sizes.interleaved,
        )  # fmt: skip

    placed = nodes.add("Gather", layer.input[0], "draws", axis=0)
    heads = nodes.add("Reshape", placed, shapes.heads)
    query, key, value = nodes.add_parts("Split", heads, shapes.kinds, parts=3, axis=1)
    # Scaled and negated once, for the three products to come.
    query, key = nodes.add("Mul", rotated(query), shapes.minus_scale), rotated(key)
    query = nodes.add("Reshape", query, shapes.queries)

    written, minus_score = _over_written(nodes, shapes, query, past, (key, value))
    minus_read, share = _over_prompt(nodes, shapes, query, minus_score, prefix)
    attended = nodes.add("Sub", nodes.add("Mul", share, written), minus_read)
    attended = nodes.add("Reshape", attended, shapes.tokens)
    return nodes.add("Gather", attended, "places", axis=0), key, value


def _over_written(
    nodes: _Nodes, shapes: _Shapes, query: str, past: tuple[str, str], new: tuple[str, str]
) -> tuple[str, str]:
    """Attention over what each draw has written, at its place, and -log(sum(exp(scores)))."""
    past_scores = _negative_product(nodes, query, past[0], transB=1)
    past_scores = nodes.add("Add", past_scores, "suffix_bias")
    new_score = _negative_product(nodes, query, new[0], transB=1)
    scores = nodes.add("Concat", past_scores, new_score, axis=-1)
    weights = nodes.add("Softmax", scores, axis=-1)
    on_past, on_new = nodes.add_parts("Split", weights, shapes.past_and_new, parts=2, axis=-1)
    from_past = nodes.add("MatMul", on_past, past[1])
    attended = nodes.add("Add", from_past, nodes.add("Mul", on_new, new[1]))
    # The highest score less the log of its weight is log(sum(exp(scores))). A `Log` of weights
    # rounds a number by where in the tensor it stands; `LogSoftmax` takes each row alone.
    log_weights = nodes.add("LogSoftmax", scores, axis=-1)
    highest = [nodes.add("ReduceMax", each, shapes.last) for each in (log_weights, scores)]
    return attended, nodes.add("Sub", *highest)


def _over_prompt(
    nodes: _Nodes, shapes: _Shapes, query: str, minus_score: str, prefix: list[str]
) -> tuple[str, str]:
    """Attention over the prompt, negated, and the share of what was written: of that score."""
    marked = nodes.add("Concat", query, shapes.minus_ones, minus_score, axis=-1)
    rows = _swapped(nodes, marked, shapes.grid, shapes.rows)
    scores = _negative_product(nodes, rows, prefix[0], transB=1)
    weights = nodes.add("Softmax", scores, axis=-1)
    minus_read = _negative_product(nodes, weights, prefix[1])
    share = nodes.add("Gather", weights, shapes.first, axis=-1)
    return (
        _swapped(nodes, minus_read, shapes.row_grid, shapes.queries),
        _swapped(nodes, share, shapes.share_grid, shapes.shares),
    )


def _negative_product(nodes: _Nodes, left: str, right: str, **attributes: int) -> str:
    # A plain product of a single row goes through another kernel of the runtime, which rounds
    # differently: a draw's bits would then tell whether it is alone.
    return nodes.add("FusedMatMul", left, right, domain=CONTRIB, alpha=-1.0, **attributes)


def _swapped(nodes: _Nodes, tensor: str, grid: str, result: str) -> str:
    """From the order of places to that of rows, or back, by way of the shape `grid`."""
    nested = nodes.add("Reshape", tensor, grid)
    return nodes.add("Reshape", nodes.add("Transpose", nested, perm=SWAP), result)


def _inputs(layers: int, sizes: _Sizes) -> Iterator[onnx.ValueInfoProto]:
    info = helper.make_tensor_value_info
    yield info("shared", TensorProto.BOOL, [])
    yield info("draws", TensorProto.INT64, ["places"])
    yield info("places", TensorProto.INT64, ["draws"])
    yield info("position_ids", TensorProto.INT64, ["places", 1])
    yield info("suffix_bias", sizes.kind, ["places", 1, 1, "suffix"])
    for index in range(layers):
        key = ["prompts", sizes.heads, "prefix", sizes.width + MARKS]
        value = ["prompts", sizes.heads, "prefix", sizes.width]
        yield info(f"prefix.{index}.key", sizes.kind, key)
        yield info(f"prefix.{index}.value", sizes.kind, value)
