"""The slot graph: one ONNX graph for prefill, ragged decoding and scoring.

The onnxruntime-genai builder writes a graph whose attention mask is only a length and
which returns logits for every position. Batches of rows at different lengths need more:
each row's own length, the number of its new tokens, and logits for the positions that
matter. The operators underneath offer all of it, so the graph is rewired, not retrained.

Inputs (B rows, S new tokens right-padded, N asked positions, C cache capacity):
    input_ids i64[B,S], seqlens_k i32[B] (valid tokens after the step - 1),
    total_sequence_length i32[], query_seqlens i32[B], logits_indices i64[N] into B*S,
    past_key_values.{i}.key / .value f[B,H,C,D]
Outputs:
    logits f[N,V], present.{i}.key / .value f[B,H,C,D] (may alias the past)
f is f16 in a graph of precision fp16, and f32 in every other.

A second way through the same weights, with inputs of its own, is in `shared_prefix`: the input
`shared` chooses.
"""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from . import shared_prefix

FILE = "slot.onnx"
WEIGHTS_FILE = "slot.onnx.data"
LARGEST_SINGLE_FILE = 1 << 30
"""Bytes of weights beyond which they get a file of their own (a graph file ends at 2 GiB)."""

QUERY_SEQLENS_INPUT = 16
"""Position of the optional `query_seqlens` input of GroupQueryAttention (runtime >= 1.32)."""


def convert(source: Path, target: Path, precision: str) -> None:
    """Rewires the builder's `model.onnx` at `source` into the slot graph at `target`.

    The graph's metadata says its precision, which the engine shows.
    """
    model = onnx.load(source)
    graph = model.graph
    _drop_attention_mask(graph)
    _expose_lengths(graph)
    _gather_before_head(graph)
    _declare_interface(graph)
    shared_prefix.add(model)
    del graph.value_info[:]
    helper.set_model_props(model, {"precision": precision})
    large = model.ByteSize() > LARGEST_SINGLE_FILE
    onnx.save(model, target, save_as_external_data=large, location=WEIGHTS_FILE)


def _drop_attention_mask(graph: onnx.GraphProto) -> None:
    """Removes the nodes that derive lengths from the attention mask."""
    kept = [node for node in graph.node if "attn_mask_reformat" not in node.name]
    if len(kept) == len(graph.node):
        raise ValueError("no attention-mask nodes found: the builder's layout has changed")
    del graph.node[:]
    graph.node.extend(kept)


def _expose_lengths(graph: onnx.GraphProto) -> None:
    """Feeds every attention node from the graph's own length inputs."""
    attention = [node for node in graph.node if node.op_type == "GroupQueryAttention"]
    if not attention:
        raise ValueError("no GroupQueryAttention node: build with the CPU or CUDA provider")
    for node in attention:
        node.input[5] = "seqlens_k"
        node.input[6] = "total_sequence_length"
        padding = QUERY_SEQLENS_INPUT - len(node.input)
        node.input.extend([""] * padding + ["query_seqlens"])


def _gather_before_head(graph: onnx.GraphProto) -> None:
    """Selects the asked positions before the language-model head multiplies them."""
    nodes = list(graph.node)
    index, head = next(
        (i, node) for i, node in enumerate(nodes) if node.name.startswith("/lm_head/MatMul")
    )
    width = _hidden_size(graph)
    graph.initializer.append(helper.make_tensor("flat_shape", TensorProto.INT64, [2], [-1, width]))
    flatten = helper.make_node(
        "Reshape", [head.input[0], "flat_shape"], ["hidden_flat"], "/head/flatten"
    )
    gather = helper.make_node(
        "Gather", ["hidden_flat", "logits_indices"], ["hidden_asked"], "/head/gather", axis=0
    )
    head.input[0] = "hidden_asked"
    graph.node.insert(index, gather)
    graph.node.insert(index, flatten)


def _hidden_size(graph: onnx.GraphProto) -> int:
    """The model width, read from the first layer norm's weight."""
    norm = next(node for node in graph.node if node.op_type == "SimplifiedLayerNormalization")
    weight = next(tensor for tensor in graph.initializer if tensor.name == norm.input[1])
    return weight.dims[0]


def _declare_interface(graph: onnx.GraphProto) -> None:
    """Replaces the graph's declared inputs and outputs by the slot contract."""
    declared = {value.name: value for value in graph.input}
    cache = [value for name, value in declared.items() if name.startswith("past_key_values.")]
    lengths = [
        helper.make_tensor_value_info("seqlens_k", TensorProto.INT32, ["batch_size"]),
        helper.make_tensor_value_info("total_sequence_length", TensorProto.INT32, []),
        helper.make_tensor_value_info("query_seqlens", TensorProto.INT32, ["batch_size"]),
        helper.make_tensor_value_info("logits_indices", TensorProto.INT64, ["num_logits"]),
    ]
    logits, presents = graph.output[0], list(graph.output)[1:]
    kind = logits.type.tensor_type
    vocabulary = kind.shape.dim[-1].dim_value
    asked = helper.make_tensor_value_info("logits", kind.elem_type, ["num_logits", vocabulary])
    del graph.input[:]
    graph.input.extend([declared["input_ids"], *lengths, *cache])
    del graph.output[:]
    graph.output.extend([asked, *presents])
