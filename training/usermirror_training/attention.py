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

A layer's attention is a function of the graph's own, of standard operators. Any runtime expands it;
the engine has an operator for it, which computes f32 on the processor in one pass. It takes the
tokens that are there to stand before those that are not, in prefix, past and bias.

Where f is f32, P is a multiple of 64 and T too (or always 1), a text's bits depend on nothing but
its own tokens, and on how they are spread over steps: not on R, F, P, T or its place. This takes
that B*S and N are always above 1 or always 1, where the processor has another kernel for one row of
the weights' type (AVX2 has for int4); and, where the function is expanded, no more threads than H,
lest the runtime divide the products with values, whose sums then run in another order.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import onnx
from onnx import AttributeProto, TensorProto, helper

ATTENTION = "GroupQueryAttention"
KEY, PAST_KEY, COSINES, SINES = 1, 3, 7, 8
"""Positions among the inputs of GroupQueryAttention."""
CONTRIB = "com.microsoft"
DOMAIN = "usermirror"
FUNCTIONS = {TensorProto.FLOAT: "SharedAttention", TensorProto.FLOAT16: "SharedAttentionF16"}
"""The attention of a layer, by the type of keys and values. The engine's operator is the first."""
TAKES = [
    *("query", "new_key", "new_value"),
    *("past_key", "past_value", "prefix_key", "prefix_value", "bias"),
]
RESULT, SCALE = "attended", "scale"
"""What that function takes, gives, and multiplies scores with."""
BY_TOKEN, KINDS = "attention/by_token", "attention/kinds"
"""Lengths by which a layer's input is cut: [Z,S,H*(G+2),D], and heads of queries, keys, values."""
SWAP = [0, 2, 1, 3]
"""[R,F,H,…] to [R,H,F,…], and back."""
MARKS = 2
"""Numbers that a prefix key has beyond its width."""


def replace(model: onnx.ModelProto) -> Iterator[onnx.ValueInfoProto]:
    """Puts this attention in the place of every GroupQueryAttention of `model`.

    Gives the inputs that it needs beside `input_ids` and `logits_indices`. Raises a `ValueError`
    where attention is not as the builder writes it for Llama and Qwen2.
    """
    graph = model.graph
    layers = [node for node in graph.node if node.op_type == ATTENTION]
    if not layers:
        raise ValueError(f"no {ATTENTION} node: build with the CPU or CUDA provider")
    sizes = _sizes(graph, layers)
    nodes = []
    for node in graph.node:
        nodes.extend(_layer(node, sizes) if node.op_type == ATTENTION else [node])
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(_lengths(sizes))
    model.functions.append(_function(FUNCTIONS[sizes.kind], list(model.opset_import)))
    model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
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


def _lengths(sizes: _Sizes) -> Iterator[onnx.TensorProto]:
    heads, group = sizes.heads, sizes.group
    for name, lengths in {
        BY_TOKEN: [0, 0, heads * (group + 2), sizes.width],
        KINDS: [heads * group, heads, heads],
    }.items():
        yield helper.make_tensor(name, TensorProto.INT64, [len(lengths)], lengths)


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

    def constant(self, *values: int) -> str:
        """Adds integers."""
        return self.add("Constant", value_ints=values)

    def size(self, tensor: str, axis: int) -> str:
        """Adds a tensor's size along an axis, as a tensor of one."""
        return self.add("Shape", tensor, start=axis, end=axis + 1)

    def shaped(self, tensor: str, *sizes: int | str, result: str = "") -> str:
        """Adds a tensor in the shape of `sizes`: numbers, and names of what `size` gave.

        As ONNX has it, 0 stands for the size that is there, and one -1 for what is left.
        """
        named = [self.constant(size) if isinstance(size, int) else size for size in sizes]
        return self.add("Reshape", tensor, self.add("Concat", *named, axis=0), result=result)


def _layer(layer: onnx.NodeProto, sizes: _Sizes) -> _Nodes:
    """A layer's attention, of the tokens of each text, in the order of texts."""
    nodes = _Nodes(layer.name)
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
    heads = nodes.add("Transpose", nodes.add("Reshape", placed, BY_TOKEN), perm=SWAP)
    query, key, _ = nodes.split(heads, KINDS, 1, ["", "", new_value])
    rotated(key, new_key)
    taken = rotated(query), new_key, new_value, *past, *prefix, "bias"
    name = FUNCTIONS[sizes.kind]
    result = nodes.add(name, *taken, domain=DOMAIN, **{SCALE: sizes.scale})
    nodes.add("Gather", result, "places", result=attended, axis=0)
    return nodes


def _function(name: str, opsets: list[onnx.OperatorSetIdProto]) -> onnx.FunctionProto:
    """Attention of new tokens over the prompt, what their text has written, and themselves.

        query f[Z,H*G,S,D], new_key, new_value f[Z,H,S,D], and a layer's inputs of the graph
    give f[Z,S,H*G*D].
    """
    nodes = _Nodes("shared")
    # Scaled and negated once, for the three products to come.
    query = nodes.add("Mul", "query", nodes.add("Neg", _like_query(nodes, SCALE)))
    query = nodes.shaped(query, 0, nodes.size("past_key", 1), -1, 0)

    written, highest, share = _over_written(nodes, query)
    minus_read, weight = _over_prompt(nodes, query, highest)
    # Beside the prompt, only `share` of what was written was weighed.
    numerator = nodes.add("Mul", weight, written), nodes.add("Mul", share, minus_read)
    denominator = nodes.add("Add", weight, share), nodes.add("Mul", weight, share)
    result = nodes.add("Div", nodes.add("Sub", *numerator), nodes.add("Sub", *denominator))
    result = nodes.shaped(result, 0, nodes.size("query", 1), -1, 0)
    nodes.shaped(nodes.add("Transpose", result, perm=SWAP), 0, 0, -1, result=RESULT)
    return helper.make_function(DOMAIN, name, TAKES, [RESULT], nodes, opsets, [SCALE])


def _over_written(nodes: _Nodes, query: str) -> tuple[str, str, str]:
    """Attention over what each text has written, at its place.

    Gives that, the highest score, and the share of it: its exp over the sum of all.
    """
    scores = [_negative_product(nodes, query, keys, transB=1) for keys in ("past_key", "new_key")]
    scores = nodes.add("Concat", *scores, axis=-1)
    by_head = nodes.shaped(scores, 0, nodes.size("query", 1), -1, 0)
    by_head = nodes.add("Add", by_head, nodes.add("CastLike", "bias", "query"))
    scores = nodes.shaped(by_head, 0, nodes.size("past_key", 1), -1, 0)
    weights = nodes.add("Softmax", scores, axis=-1)
    lengths = nodes.add("Concat", nodes.size("past_key", 2), nodes.size("new_key", 2), axis=0)
    on_past, on_new = nodes.split(weights, lengths, -1, ["", ""])
    from_past = nodes.add("MatMul", on_past, "past_value")
    from_new = nodes.add("MatMul", on_new, "new_value")
    last = nodes.constant(-1)
    highest = [nodes.add("ReduceMax", each, last) for each in (scores, weights)]
    return nodes.add("Add", from_past, from_new), *highest


def _over_prompt(nodes: _Nodes, query: str, highest: str) -> tuple[str, str]:
    """Attention over the prompt and a token of the score `highest` whose value is 0.

    Gives that, negated, and the weight of this token.
    """
    minus_one = nodes.add("CastLike", nodes.add("Constant", value_float=-1.0), "query")
    minus_ones = nodes.add("Expand", minus_one, nodes.add("Shape", highest))
    marked = nodes.add("Concat", query, minus_ones, nodes.add("Neg", highest), axis=-1)
    rows = _by_prompt(nodes, marked, nodes.size("prefix_key", 3))
    scores = _negative_product(nodes, rows, "prefix_key", transB=1)
    weights = nodes.add("Softmax", scores, axis=-1)
    minus_read = _negative_product(nodes, weights, "prefix_value")
    weight = nodes.add("Gather", weights, nodes.constant(0), axis=-1)
    return (
        _by_place(nodes, minus_read, nodes.size("prefix_value", 3)),
        _by_place(nodes, weight, nodes.constant(1)),
    )


def _negative_product(nodes: _Nodes, left: str, right: str, **attributes: int) -> str:
    # A plain product of a single row goes through another kernel of the runtime, which rounds
    # differently: a text's bits would then tell whether it is alone.
    return nodes.add("FusedMatMul", left, right, domain=CONTRIB, alpha=-1.0, **attributes)


def _by_prompt(nodes: _Nodes, tensor: str, width: str) -> str:
    """[Z,H,G*S,width] as [R,H,F*G*S,width]."""
    grid = nodes.size("prefix_key", 0), _places(nodes), nodes.size("prefix_key", 1), -1
    nested = nodes.add("Transpose", nodes.shaped(tensor, *grid), perm=SWAP)
    return nodes.shaped(nested, 0, 0, -1, width)


def _by_place(nodes: _Nodes, tensor: str, width: str) -> str:
    """[R,H,F*G*S,width] as [Z,H,G*S,width]."""
    nested = nodes.shaped(tensor, 0, 0, _places(nodes), -1)
    nested = nodes.add("Transpose", nested, perm=SWAP)
    return nodes.shaped(nested, nodes.size("query", 0), nodes.size("prefix_key", 1), -1, width)


def _places(nodes: _Nodes) -> str:
    """F"""
    return nodes.add("Div", nodes.size("query", 0), nodes.size("prefix_key", 0))


def _like_query(nodes: _Nodes, attribute: str) -> str:
    """An attribute of the function, in the type of its queries."""
    value = nodes.add("Constant")
    nodes[-1].attribute.append(helper.make_attribute_ref("value_float", AttributeProto.FLOAT))
    nodes[-1].attribute[0].ref_attr_name = attribute
    return nodes.add("CastLike", value, "query")


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
