"""A demo model's folder as a GGUF file, which llama.cpp loads.

The weights come out of the folder's own graph, in fp32, so that a server of the file must answer
as the engine does with the folder. llama.cpp rotates neighbouring numbers of a head where the graph
rotates its halves: queries and keys are reordered.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import onnx
from onnx import numpy_helper

GRAPH_PARTS = {
    "attn.o_proj.MatMul": "attn_output",
    "mlp.gate_proj.MatMul": "ffn_gate",
    "mlp.up_proj.MatMul": "ffn_up",
    "mlp.down_proj.MatMul": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
"""What a layer's parts are called in the graph and in the file."""

UNPRINTED = [*range(33), *range(127, 161), 173]
"""The bytes that a byte-level vocabulary writes as the characters from 256 on."""

Tensors = Iterator[tuple[str, np.ndarray]]


def write(folder: Path, target: Path) -> None:
    """Writes the model in `folder`, of the Llama family and in fp32, as the file `target`."""
    config = json.loads((folder / "config.json").read_text())
    writer = gguf.GGUFWriter(target, "llama")
    _describe(writer, config)
    _add_tokenizer(writer, folder, config)
    for name, tensor in _tensors(folder / "slot.onnx", config):
        writer.add_tensor(name, np.ascontiguousarray(tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: gguf.GGUFWriter, config: dict) -> None:
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)


def _add_tokenizer(writer: gguf.GGUFWriter, folder: Path, config: dict) -> None:
    """Bytes, and phrases that are a token each: wherever several begin the longest is taken.

    Of llama.cpp's tokenizers RWKV's does that; the others look for one phrase after another.
    """
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokens = {
        number: (_escaped(bytes([_byte(character)])), gguf.TokenType.NORMAL)
        for character, number in tokenizer["model"]["vocab"].items()
    }
    for added in tokenizer["added_tokens"]:
        text = added["content"]
        tokens[added["id"]] = (
            (text, gguf.TokenType.CONTROL)
            if added["special"]
            else (_escaped(text.encode()), gguf.TokenType.NORMAL)
        )
    texts, types = zip(*(token for _, token in sorted(tokens.items())), strict=True)
    writer.add_tokenizer_model("rwkv")
    writer.add_token_list(texts)
    writer.add_token_types(types)
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])
    writer.add_add_bos_token(False)
    writer.add_chat_template((folder / "chat_template.jinja").read_text())


def _byte(character: str) -> int:
    """The byte that a byte-level vocabulary writes as `character`."""
    return ord(character) if ord(character) < 256 else UNPRINTED[ord(character) - 256]


def _escaped(token: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in token)


def _tensors(graph: Path, config: dict) -> Tensors:
    """The weights under llama.cpp's names, each [outputs, inputs] where it is a matrix."""
    initializers = onnx.load(graph).graph.initializer
    weights = {part.name: numpy_helper.to_array(part) for part in initializers}
    # The graph reads embeddings out of the head: they are tied.
    yield "token_embd.weight", weights["lm_head.MatMul.weight"].T
    layers = config["num_hidden_layers"]
    yield "output_norm.weight", weights[f"model.layers.{layers}.final_norm_layernorm.weight"]
    for layer in range(layers):
        theirs, ours = f"blk.{layer}", f"model.layers.{layer}"
        queries, keys, values = _attention(weights[f"{ours}.attn.qkv_proj.MatMul.weight"].T, config)
        yield f"{theirs}.attn_q.weight", _interleaved(queries, config["num_attention_heads"])
        yield f"{theirs}.attn_k.weight", _interleaved(keys, config["num_key_value_heads"])
        yield f"{theirs}.attn_v.weight", values
        for part, name in GRAPH_PARTS.items():
            yield f"{theirs}.{name}.weight", weights[f"{ours}.{part}.weight"].T


def _attention(packed: np.ndarray, config: dict) -> list[np.ndarray]:
    """Queries, keys and values, which the graph holds one below the other."""
    size = config["head_dim"]
    queries, keys = config["num_attention_heads"] * size, config["num_key_value_heads"] * size
    return np.split(packed, [queries, queries + keys])


def _interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of [heads * 2 * half, inputs] such that a rotated pair's rows stand side by side."""
    halves = weight.reshape(heads, 2, -1, weight.shape[1])
    return halves.swapaxes(1, 2).reshape(weight.shape)
