"""Checks that an exported slot graph computes what the Hugging Face model computes."""

from pathlib import Path

import numpy as np
import onnxruntime
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from .export import SLOT_GRAPH

TOLERANCE = 1e-3
"""Largest difference of a logit; fp32 rounding stays near 1e-5."""

CAPACITY = 64
LENGTHS = (20, 13)
APPENDED = (5, 9)


def verify(source: Path, target: Path) -> float:
    """Compares prefill and append of two rows of unlike length; returns the largest difference."""
    model = AutoModelForCausalLM.from_pretrained(source).eval()
    session = onnxruntime.InferenceSession(target / SLOT_GRAPH)
    generator = torch.Generator().manual_seed(0)
    whole = [
        torch.randint(model.config.vocab_size, (first + second,), generator=generator)
        for first, second in zip(LENGTHS, APPENDED, strict=True)
    ]
    cache = _empty_cache(model)
    largest = 0.0
    for done, new in (((0, 0), LENGTHS), (LENGTHS, APPENDED)):
        logits, cache = _step(session, whole, done, new, cache)
        for row, (ids, before, added) in enumerate(zip(whole, done, new, strict=True)):
            with torch.no_grad():
                expected = model(ids[None, : before + added]).logits[0, -1].numpy()
            largest = max(largest, float(np.abs(logits[row] - expected).max()))
    if largest > TOLERANCE:
        raise RuntimeError(
            f"the graph in {target} differs from {source} by {largest:.2g} in a logit"
        )
    return largest


def _empty_cache(model: PreTrainedModel) -> dict[str, np.ndarray]:
    config = model.config
    shape = (len(LENGTHS), config.num_key_value_heads, CAPACITY, config.head_dim)
    return {
        f"past_key_values.{layer}.{part}": np.zeros(shape, np.float32)
        for layer in range(config.num_hidden_layers)
        for part in ("key", "value")
    }


def _step(
    session: onnxruntime.InferenceSession,
    whole: list[torch.Tensor],
    done: tuple[int, ...],
    new: tuple[int, ...],
    cache: dict[str, np.ndarray],
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Appends `new` tokens to each row; returns the last token's logits f32[B,V] and the cache."""
    longest = max(new)
    ids = np.zeros((len(whole), longest), np.int64)
    for row, tokens in enumerate(whole):
        ids[row, : new[row]] = tokens[done[row] : done[row] + new[row]].numpy()
    inputs = {
        "input_ids": ids,
        "seqlens_k": np.array([a + b - 1 for a, b in zip(done, new, strict=True)], np.int32),
        "total_sequence_length": np.array(CAPACITY, np.int32),
        "query_seqlens": np.array(new, np.int32),
        "logits_indices": np.array([row * longest + n - 1 for row, n in enumerate(new)], np.int64),
        **cache,
    }
    names = [output.name for output in session.get_outputs()]
    values = dict(zip(names, session.run(None, inputs), strict=True))
    logits = values.pop("logits")
    return logits, {name.replace("present", "past_key_values"): v for name, v in values.items()}
