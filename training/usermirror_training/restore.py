"""Restore: an fp32 model folder becomes the checkpoint that it was exported from.

The demo models are kept as model folders alone. Their graphs hold every weight unrounded, so the
checkpoint to train on need not be kept beside them.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig

from . import checkpoint, outputs, provenance, slot_graph
from .errors import TrainingError

HEAD = "lm_head.MatMul.weight"
EMBEDDING = "model.embed_tokens.weight"
NORM = re.compile(r"(model\.layers\.\d+\.\w+_layernorm)\.weight")
LINEAR = re.compile(r"(model\.layers\.\d+)\.(attn|mlp)\.(\w+)\.(?:MatMul|Add)\.(weight|bias)")
BLOCKS = {"attn": "self_attn", "mlp": "mlp"}

Tensors = dict[str, np.ndarray]


def restore(source: Path, target: Path) -> None:
    """Writes the model folder `source`, which is fp32, as the checkpoint folder `target`."""
    missing = [name for name in ("config.json", slot_graph.FILE) if not (source / name).is_file()]
    if missing:
        raise TrainingError(f"{source} cannot be restored: it has no {' and no '.join(missing)}")
    config = AutoConfig.from_pretrained(source, local_files_only=True)
    graph = onnx.load(source / slot_graph.FILE).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    if HEAD not in tensors or tensors[HEAD].dtype != np.float32:
        raise TrainingError(f"{source} does not hold fp32 weights: they cannot be restored")
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(
        {name: torch.from_numpy(array.copy()) for name, array in _weights(tensors, config)}
    )
    with outputs.whole(target) as folder:
        model.save_pretrained(folder)
        checkpoint.copy_tokenizer(source, folder)
        provenance.write(folder, provenance.of_conversion("restore", source))


def _weights(tensors: Tensors, config: PretrainedConfig) -> Iterator[tuple[str, np.ndarray]]:
    """Each weight under its name in transformers, as [outputs, inputs]."""
    head = tensors[HEAD].T
    yield "lm_head.weight", head
    yield EMBEDDING, tensors.get(EMBEDDING, head)
    yield "model.norm.weight", tensors[_final_norm(config)]
    for name, tensor in tensors.items():
        if (found := NORM.fullmatch(name)) and name != _final_norm(config):
            yield name, tensor
        elif found := LINEAR.fullmatch(name):
            layer, block, part, kind = found.groups()
            prefix = f"{layer}.{BLOCKS[block]}"
            for own, piece in _unpacked(part, tensor, config):
                yield f"{prefix}.{own}.{kind}", piece.T


def _final_norm(config: PretrainedConfig) -> str:
    return f"model.layers.{config.num_hidden_layers}.final_norm_layernorm.weight"


def _unpacked(
    part: str, tensor: np.ndarray, config: PretrainedConfig
) -> Iterator[tuple[str, np.ndarray]]:
    """The parts of a projection: the builder packs queries, keys and values into one."""
    if part != "qkv_proj":
        yield part, tensor
        return
    size = tensor.shape[-1] // (config.num_attention_heads + 2 * config.num_key_value_heads)
    queries = config.num_attention_heads * size
    keys = queries + config.num_key_value_heads * size
    for letter, piece in zip("qkv", np.split(tensor, [queries, keys], axis=-1), strict=True):
        yield f"{letter}_proj", piece
