"""The slot graph: one ONNX graph for prefill, ragged decoding and scoring.

The onnxruntime-genai builder writes a graph whose attention mask is only a length, whose rows each
hold a copy of all they follow, and which returns logits for every position. Here texts share the
prompts that they follow (`attention`), and logits come for the positions that matter. The graph is
rewired, not retrained.

Inputs and outputs are those of `attention`, and
    logits f32[N,V]: the next-token logits after the asked of the B*S new tokens
f is f16 in a graph of precision fp16, and f32 in every other. What the caller makes and takes is
f32 in all: keys and values may stay where the graph runs, whatever they are.
"""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from . import attention

FILE = "slot.onnx"
WEIGHTS_FILE = "slot.onnx.data"
LARGEST_SINGLE_FILE = 1 << 30
"""Bytes of weights beyond which they get a file of their own (a graph file ends at 2 GiB)."""


def convert(source: Path, target: Path, precision: str) -> None:
    """Rewires the builder's `model.onnx` at `source` into the slot graph at `target`.

    The graph's metadata says its precision, which the engine shows.
    """
    model = onnx.load(source)
    graph = model.graph
    _drop_attention_mask(graph)
    _gather_before_head(graph)
    _declare_interface(graph, list(attention.replace(model)))
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


def _declare_interface(graph: onnx.GraphProto, of_attention: list[onnx.ValueInfoProto]) -> None:
    """Replaces the graph's declared inputs and outputs by its contract."""
    tokens = next(value for value in graph.input if value.name == "input_ids")
    wanted = helper.make_tensor_value_info("logits_indices", TensorProto.INT64, ["num_logits"])
    del graph.input[:]
    graph.input.extend([tokens, wanted, *of_attention])
    logits, presents = graph.output[0], list(graph.output)[1:]
    vocabulary = logits.type.tensor_type.shape.dim[-1].dim_value
    asked = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["num_logits", vocabulary])
    if logits.type.tensor_type.elem_type != TensorProto.FLOAT:
        _widen_logits(graph)
    for present in presents:
        present.type.tensor_type.shape.dim[2].dim_param = "new"
        present.type.tensor_type.shape.dim[0].dim_param = "places"
    del graph.output[:]
    graph.output.extend([asked, *presents])


def _widen_logits(graph: onnx.GraphProto) -> None:
    """Has the graph end in a cast of its logits to f32."""
    last = next(node for node in graph.node if "logits" in node.output)
    last.output[list(last.output).index("logits")] = "logits_narrow"
    graph.node.append(
        helper.make_node("Cast", ["logits_narrow"], ["logits"], "/head/widen", to=TensorProto.FLOAT)
    )
