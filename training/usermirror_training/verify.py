"""Checks that a model folder computes what its checkpoint computes: logits and choices."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from . import checkpoint, provenance, slot_graph
from .choices import OPENING, letter_ids
from .decoding import Draws, Grid, SlotGraph, read
from .errors import TrainingError

FP32_TOLERANCE = 1e-4
"""Largest difference of a logit, and of a letter's probability, in fp32."""
FP16_LOGIT_TOLERANCE = 0.01
"""Largest difference of a logit in fp16, as a share of the checkpoint's largest logit."""
FP16_LETTERS_TOLERANCE = 0.01
"""Largest distance (half the sum of differences) of two letter distributions in fp16."""
QUANTIZED_TOLERANCE = 0.05
"""Largest distance (half the sum of differences) of two letter distributions, when quantised."""

LETTERS = "ABCDE"
PROMPTS = tuple(
    [
        {"role": "system", "content": "Choose one option."},
        {"role": "user", "content": f"{memory}\n\n## Exposure\n" + "\n".join(
            f"[{letter}] {word} {number}" for number, letter in enumerate(LETTERS)
        )},
    ]
    for memory, word in (
        ("- 3 days ago: River", "River"),
        ("Age: 25-34\n- 2 hours ago: Harbour, rated 5/5\n- just now: Tower", "Tower"),
    )
)  # fmt: skip
DRAWS = (2, 3)
"""How many draws share each prompt."""


@dataclass(frozen=True)
class Difference:
    """How far a model folder is from its checkpoint."""

    logit: float
    """Largest difference of any logit."""
    letters: float
    """Largest distance between letter distributions, 0 to 1."""

    def __str__(self) -> str:
        return f"logits within {self.logit:.1e}, letter distributions within {self.letters:.1e}"


def verify(source: Path, target: Path) -> Difference:
    """Compares the model folder `target` with the checkpoint `source`, in reading and in writing.

    Two conversations of unlike length are read in two ragged steps each, the second step being the
    opening of a choice. Then draws that share the conversations as they were after the first step
    write up to a choice. All of it runs on the CPU, fp16 graphs too. Raises a `TrainingError` when
    the folder strays.
    """
    tokenizer = checkpoint.tokenizer(source)
    model = checkpoint.model(source).eval()
    if not (target / slot_graph.FILE).is_file():
        raise TrainingError(f"{target} is not a model folder: it has no {slot_graph.FILE}")
    graph, precision = SlotGraph(target / slot_graph.FILE), _precision(target)
    steps = _steps(tokenizer)
    texts = _texts(tokenizer)
    expected, computed = _expected(model, steps, texts), _computed(graph, steps, texts)
    if precision == "fp16" and not np.isfinite(_expected(model.half(), steps, texts)).all():
        # The graph need not show it: on the CPU, ONNX Runtime computes the inside of its
        # feed-forward blocks in fp32. PyTorch rounds every result to fp16, as a GPU does.
        raise TrainingError(
            f"{source} computes numbers that fp16 cannot hold (above 65,504): export it in fp32"
        )
    chosen = [_choices(logits, letter_ids(tokenizer)) for logits in (expected, computed)]
    difference = Difference(
        float(np.abs(expected - computed).max()),
        float(np.abs(chosen[0] - chosen[1]).sum(-1).max() / 2),
    )
    allowed = _allowed(precision, float(np.abs(expected).max()))
    # Asked this way round, a logit that is not a number strays too.
    if not (difference.logit <= allowed.logit and difference.letters <= allowed.letters):
        raise TrainingError(f"{target} strays from {source}: {difference}")
    return difference


def _allowed(precision: str, largest: float) -> Difference:
    """How far a precision may be off, where the checkpoint's largest logit is `largest`."""
    if precision == "fp32":
        return Difference(FP32_TOLERANCE, FP32_TOLERANCE)
    if precision == "fp16":
        return Difference(FP16_LOGIT_TOLERANCE * largest, FP16_LETTERS_TOLERANCE)
    return Difference(math.inf, QUANTIZED_TOLERANCE)


def _precision(target: Path) -> str:
    """The precision that a model folder was written in; one that does not say is held to fp32."""
    path = target / provenance.FILE
    if not path.is_file():
        return "fp32"
    return json.loads(path.read_text(encoding="utf-8"))["parameters"]["precision"]


def _steps(tokenizer: PreTrainedTokenizerBase) -> list[list[list[int]]]:
    """Token ids [step][row]."""
    first = [
        tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=False)
        for prompt in PROMPTS
    ]
    second = [
        tokenizer(text, add_special_tokens=False)["input_ids"]
        for text in (OPENING, f"Thought:\n{OPENING}")
    ]
    return [first, second]


def _texts(tokenizer: PreTrainedTokenizerBase) -> list[list[list[int]]]:
    """Token ids [prompt][draw], all of one length, that end in the opening of a choice."""
    opening = tokenizer(OPENING, add_special_tokens=False)["input_ids"]
    starts = iter(letter_ids(tokenizer))
    return [[[next(starts), *opening] for _ in range(count)] for count in DRAWS]


@torch.no_grad()
def _expected(
    model: PreTrainedModel, steps: list[list[list[int]]], texts: list[list[list[int]]]
) -> np.ndarray:
    """The checkpoint's logits [N,V] after each step and each written token, in its weights' type.

    In order: by step and row, then by token and draw.
    """
    seen = [[] for _ in steps[0]]
    asked = []
    for step in steps:
        seen = [before + new for before, new in zip(seen, step, strict=True)]
        asked += seen
    draws = [(prompt, text) for prompt, of in zip(steps[0], texts, strict=True) for text in of]
    for end in range(1, len(draws[0][1]) + 1):
        asked += [prompt + text[:end] for prompt, text in draws]
    return np.array([model(torch.tensor([ids])).logits[0, -1].numpy() for ids in asked])


def _computed(
    graph: SlotGraph, steps: list[list[list[int]]], texts: list[list[list[int]]]
) -> np.ndarray:
    """The graph's logits f32[N,V], in the order of `_expected`: steps read, texts written."""
    read_logits, cache = read(graph, steps)
    draws = Draws(Grid(graph, cache, [len(ids) for ids in steps[0]], [len(of) for of in texts]))
    written = np.array([text for of in texts for text in of])
    return np.concatenate([*read_logits, *(draws.write(step[:, None]) for step in written.T)])


def _choices(logits: np.ndarray, letters: list[int]) -> np.ndarray:
    """The letter distributions at every opening of a choice; logits are as of `_expected`."""
    second = logits[len(PROMPTS) : 2 * len(PROMPTS)]
    written = logits[-sum(DRAWS) :]
    return _softmax(np.concatenate([second, written])[:, letters[: len(LETTERS)]])


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)
