"""A Hugging Face Llama folder as a GGUF file for llama.cpp.

The weights are written as they are, save that llama.cpp rotates neighbouring numbers of a head
where transformers rotates its halves: queries and keys are reordered. No vocabulary goes along, as
the benchmark speaks in token ids. Quantising is llama.cpp's own.
"""

import ctypes
import json
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import load_file

QUANTIZED = ("q8_0", "q4_0")
ARCHITECTURE = "llama"

Tensors = dict[str, np.ndarray]


def write(source: Path, target: Path) -> None:
    """Writes the folder `source` as the f32 GGUF file `target`."""
    config = json.loads((source / "config.json").read_text())
    tensors = load_file(source / "model.safetensors")
    unfinished = target.with_suffix(".partial")
    writer = gguf.GGUFWriter(unfinished, ARCHITECTURE)
    _describe(writer, config)
    for name, tensor in _renamed(tensors, config).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    unfinished.rename(target)


def quantize(source: Path, target: Path, kind: str) -> None:
    """Writes the GGUF file `source` quantised as llama.cpp does it by default."""
    import llama_cpp

    types = {"q8_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0, "q4_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0}
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = types[kind]
    parameters.nthread = 1
    unfinished = target.with_suffix(".partial")
    failed = llama_cpp.llama_model_quantize(
        str(source).encode(), str(unfinished).encode(), ctypes.byref(parameters)
    )
    if failed:
        raise RuntimeError(f"llama.cpp could not quantise {source} as {kind}")
    unfinished.rename(target)


def _describe(writer: gguf.GGUFWriter, config: dict) -> None:
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("no_vocab")


def _renamed(tensors: Tensors, config: dict) -> Tensors:
    """Each tensor under llama.cpp's name and in its order."""
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    heads = {
        "q_proj.weight": config["num_attention_heads"],
        "k_proj.weight": config["num_key_value_heads"],
    }
    renamed = {}
    for name, tensor in tensors.items():
        for ending, count in heads.items():
            if name.endswith(ending):
                tensor = _interleaved(tensor, count)
        renamed[names.get_name(name, try_suffixes=(".weight",))] = tensor
    return renamed


def _interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of [heads * 2 * half, inputs] such that a rotated pair's rows stand side by side."""
    halves = weight.reshape(heads, 2, -1, weight.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weight.shape))
