"""The attention of the slot graph: texts that share prompts.

Draws of one prompt differ only in what they have written. If each kept a copy of the prompt's keys
and values, a step would read that copy once for every draw; here the prompt's keys and values stand
once a prompt, and the draws are rows of one matrix product with them (Hydragen, arXiv:2402.05099).
The result is exact. A prompt that is read piece by piece is a text over all of it that was read
before. Every operator is one that ONNX Runtime has for the CPU and for CUDA.

A step adds S tokens to each of B texts. They stand in a grid of R prompts by F places, Z = R * F,
place z belonging to prompt z // F:

    input_ids i64[B,S], logits_indices i64[N] into B*S
    texts i64[Z] (the text at each place; any, where it is empty), places i64[B] (its inverse)
    position_ids i64[Z,S]
    bias f32[Z,1,S,T+S] for each new token, over what its text has written and the new tokens: 0, or
        what takes a token out (below -1e4)
    prefix.{i}.key f[R,H,P,D+2], prefix.{i}.value f[R,H,P,D]: token 0, and from 1 on the prompt's
    past_key_values.{i}.key / .value f[Z,H,T,D]: what the texts have written before
Outputs:
    present.{i}.key / .value f[Z,H,S,D]: the new tokens', for the caller to keep

H are heads of keys and values, each with G heads of queries; D is their width. Token 0 of a prefix
stands for the highest of the scores of what a text has written, so that one softmax weighs it
against the prompt, and the scores of the prompt, by far the most numbers, need no second pass. A
prefix key ends in two marks, which queries meet with 1 and with that score:

    token 0: 0, 1 (all else of its key and value is 0)
    of the prompt: 0, 0
    not there: what takes a token out, 0

Where f is f32, P is a multiple of 64 and T too (or always 1), a text's bits depend on nothing but
its own tokens, and on how they are spread over steps: not on R, F, P, T or its place. This takes two
things of the caller: no more threads than H, lest the runtime divide the products with values, whose
sums then run in another order; and that B*S and N are always above 1 or always 1, where the
processor has another kernel for one row of the weights' type (AVX2 has for int4).
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


def replace(graph: onnx.GraphProto) -> Iterator[onnx.ValueInfoProto]:
    """Puts this attention in the place of every GroupQueryAttention of `graph`.

    Gives the inputs that it needs beside `input_ids` and `logits_indices`. Raises a `ValueError`
    where attention is not as the builder writes it for Llama and Qwen2.
    """
    layers = [node for node in graph.node if node.op_type == ATTENTION]
    if not layers:
        raise ValueError(f"no {ATTENTION} node: build with the CPU or CUDA provider")
    sizes = _sizes(graph, layers)
    nodes = _Nodes("attention")
    shapes = _shapes(nodes, graph.initializer, sizes)
    for node in graph.node:
        if node.op_type == ATTENTION:
            layer = _Nodes(node.name)
            _attention(layer, node, shapes, sizes)
            nodes.extend(layer)
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    return _inputs(len(layers), sizes)


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
            "itself: the slot graph cannot be made of this one"
        )
    if attributes.get("local_window_size", -1) != -1 or attributes.get("softcap"):
        raise ValueError(
            f"{layer.name} has a window or caps its scores: the slot graph does neither"
        )


def _attributes(layer: onnx.NodeProto) -> dict[str, object]:
    return {entry.name: helper.get_attribute_value(entry) for entry in layer.attribute}


class _Nodes(list[onnx.NodeProto]):
    """Nodes in the order of computing, their results named within a scope."""

    def __init__(self, scope: str) -> None:
        super().__init__()
        self.scope = scope

    def add(self, operator: str, *inputs: str, result: str = "", **attributes: object) -> str:
        """Adds a node; gives its result's name, which is made up unless it is given."""
        name = f"{self.scope}/{operator}_{len(self)}"
        result = result or f"{name}.result"
        self.append(helper.make_node(operator, inputs, [result], name, **attributes))
        return result

    def split(self, tensor: str, lengths: str, axis: int, results: list[str]) -> list[str]:
        """Adds a node that cuts a tensor into `results`, of the so named lengths."""
        name = f"{self.scope}/Split_{len(self)}"
        results = [result or f"{name}.{part}" for part, result in enumerate(results)]
        self.append(helper.make_node("Split", [tensor, lengths], results, name, axis=axis))
        return results


@dataclass(frozen=True)
class _Shapes:
    """Names of tensors that say how to cut and reshape, the same in every layer."""

    by_token: str
    """[Z,S,H*(G+2),D]"""
    kinds: str
    """Heads of queries, of keys, of values."""
    queries: str
    """[Z,H,G*S,D]"""
    by_head: str
    """[Z,H*G,S,...], the last as it is."""
    by_group: str
    """[Z,H,G*S,...], the last as it is."""
    past_and_new: str
    """T, S"""
    minus_ones: str
    """-1 for every query: [Z,H,G*S,1]"""
    grid: str
    """[R,F,H,...]"""
    rows: str
    """[R,H,F*G*S,D+2]"""
    row_grid: str
    """[R,H,F,...]"""
    places: str
    """[Z,H,...,D]"""
    weights: str
    """[Z,H,...,1]"""
    tokens: str
    """[Z,S,H*G*D]"""
    bias: str
    """The input `bias`, in the type of keys and values."""
    first: str
    """0"""
    last: str
    """-1"""
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
    places = nodes.add("Shape", "position_ids", start=0, end=1)
    new = nodes.add("Shape", "position_ids", start=1)
    past = nodes.add("Shape", "past_key_values.0.key", start=2, end=3)
    places_of_prompt = nodes.add("Div", places, prompts)
    queries = nodes.add("Mul", new, constant(group))
    minus_scale = helper.make_tensor(f"{nodes.scope}/minus_scale", sizes.kind, [], [-sizes.scale])
    initializers.append(minus_scale)
    minus_one = helper.make_tensor("", sizes.kind, [1], [-1.0])
    return _Shapes(
        by_token=constant(0, 0, heads * (group + 2), width),
        kinds=constant(heads * group, heads, heads),
        queries=constant(0, heads, -1, width),
        by_head=constant(0, heads * group, -1, 0),
        by_group=constant(0, heads, -1, 0),
        past_and_new=joined(past, new),
        minus_ones=nodes.add(
            "ConstantOfShape",
            joined(places, constant(heads), queries, constant(1)),
            value=minus_one,
        ),
        grid=joined(prompts, places_of_prompt, constant(heads, -1)),
        rows=constant(0, 0, -1, width + MARKS),
        row_grid=joined(constant(0, 0), places_of_prompt, constant(-1)),
        places=joined(places, constant(heads, -1, width)),
        weights=joined(places, constant(heads, -1, 1)),
        tokens=constant(0, 0, heads * group * width),
        bias="bias"
        if sizes.kind == TensorProto.FLOAT
        else nodes.add("Cast", "bias", to=sizes.kind),
        first=constant(0),
        last=constant(-1),
        minus_scale=minus_scale.name,
    )


def _attention(nodes: _Nodes, layer: onnx.NodeProto, shapes: _Shapes, sizes: _Sizes) -> None:
    """Attention of new tokens over the prompt, what their text has written, and themselves."""
    past = layer.input[PAST_KEY], layer.input[PAST_KEY + 1]
    prefix = [name.replace("past_key_values", "prefix") for name in past]
    attended, new_key, new_value = layer.output

    def rotated(heads: str, result: str = "") -> str:
        tables = layer.input[COSINES], layer.input[SINES]
        return nodes.add(
            "RotaryEmbedding", heads, "position_ids", *tables, result=result,
            domain=CONTRIB, interleaved=sizes.interleaved,
        )  # fmt: skip

    placed = nodes.add("Gather", layer.input[0], "texts", axis=0)
    heads = nodes.add("Transpose", nodes.add("Reshape", placed, shapes.by_token), perm=SWAP)
    query, key, _ = nodes.split(heads, shapes.kinds, 1, ["", "", new_value])
    rotated(key, new_key)
    # Scaled and negated once, for the three products to come.
    query = nodes.add("Mul", rotated(query), shapes.minus_scale)
    query = nodes.add("Reshape", query, shapes.queries)

    written, highest, share = _over_written(nodes, shapes, query, past, (new_key, new_value))
    minus_read, weight = _over_prompt(nodes, shapes, query, highest, prefix)
    # Beside the prompt, only `share` of what was written was weighed.
    numerator = nodes.add("Mul", weight, written), nodes.add("Mul", share, minus_read)
    denominator = nodes.add("Add", weight, share), nodes.add("Mul", weight, share)
    result = nodes.add("Div", nodes.add("Sub", *numerator), nodes.add("Sub", *denominator))
    result = nodes.add("Transpose", nodes.add("Reshape", result, shapes.by_head), perm=SWAP)
    result = nodes.add("Reshape", result, shapes.tokens)
    nodes.add("Gather", result, "places", result=attended, axis=0)


def _over_written(
    nodes: _Nodes, shapes: _Shapes, query: str, past: tuple[str, str], new: tuple[str, str]
) -> tuple[str, str]:
    """Attention over what each text has written, at its place.

    Gives that, the highest score, and the share of it: its exp over the sum of all.
    """
    scores = [_negative_product(nodes, query, keys, transB=1) for keys in (past[0], new[0])]
    by_head = nodes.add("Reshape", nodes.add("Concat", *scores, axis=-1), shapes.by_head)
    scores = nodes.add("Reshape", nodes.add("Add", by_head, shapes.bias), shapes.by_group)
    weights = nodes.add("Softmax", scores, axis=-1)
    on_past, on_new = nodes.split(weights, shapes.past_and_new, -1, ["", ""])
    from_past, from_new = nodes.add("MatMul", on_past, past[1]), nodes.add("MatMul", on_new, new[1])
    highest = [nodes.add("ReduceMax", each, shapes.last) for each in (scores, weights)]
    return nodes.add("Add", from_past, from_new), *highest


def _over_prompt(
    nodes: _Nodes, shapes: _Shapes, query: str, highest: str, prefix: list[str]
) -> tuple[str, str]:
    """Attention over the prompt and a token of the score `highest` whose value is 0.

    Gives that, negated, and the weight of this token.
    """
    marks = shapes.minus_ones, nodes.add("Neg", highest)
    marked = nodes.add("Concat", query, *marks, axis=-1)
    rows = _swapped(nodes, marked, shapes.grid, shapes.rows)
    scores = _negative_product(nodes, rows, prefix[0], transB=1)
    weights = nodes.add("Softmax", scores, axis=-1)
    minus_read = _negative_product(nodes, weights, prefix[1])
    weight = nodes.add("Gather", weights, shapes.first, axis=-1)
    return (
        _swapped(nodes, minus_read, shapes.row_grid, shapes.places),
        _swapped(nodes, weight, shapes.row_grid, shapes.weights),
    )


def _negative_product(nodes: _Nodes, left: str, right: str, **attributes: int) -> str:
    # A plain product of a single row goes through another kernel of the runtime, which rounds
    # differently: a text's bits would then tell whether it is alone.
    return nodes.add("FusedMatMul", left, right, domain=CONTRIB, alpha=-1.0, **attributes)


def _swapped(nodes: _Nodes, tensor: str, grid: str, result: str) -> str:
    """From the order of places to that of rows, or back, by way of the shape `grid`."""
    nested = nodes.add("Reshape", tensor, grid)
    return nodes.add("Reshape", nodes.add("Transpose", nested, perm=SWAP), result)


def _inputs(layers: int, sizes: _Sizes) -> Iterator[onnx.ValueInfoProto]:
    info = helper.make_tensor_value_info
    yield info("texts", TensorProto.INT64, ["places"])
    yield info("places", TensorProto.INT64, ["texts"])
    yield info("position_ids", TensorProto.INT64, ["places", "new"])
    yield info("bias", TensorProto.FLOAT, ["places", 1, "new", "past_and_new"])
    cached = [sizes.kind, ["places", sizes.heads, "past", sizes.width]]
    for index in range(layers):
        key = ["prompts", sizes.heads, "prefix", sizes.width + MARKS]
        value = ["prompts", sizes.heads, "prefix", sizes.width]
        yield info(f"prefix.{index}.key", sizes.kind, key)
        yield info(f"prefix.{index}.value", sizes.kind, value)
        yield info(f"past_key_values.{index}.key", *cached)
        yield info(f"past_key_values.{index}.value", *cached)
