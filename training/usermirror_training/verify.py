"""Checks that a model folder computes what its checkpoint computes: logits and choices."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from . import checkpoint, provenance, slot_graph
from .choices import OPENING, letter_ids
from .errors import TrainingError

FP32_TOLERANCE = 1e-4
"""Largest difference of a logit, and of a letter's probability, in fp32."""
FP16_LOGIT_TOLERANCE = 0.01
"""Largest difference of a logit in fp16, as a share of the checkpoint's largest logit."""
FP16_LETTERS_TOLERANCE = 0.01
"""Largest distance (half the sum of differences) of two letter distributions in fp16."""
QUANTIZED_TOLERANCE = 0.05
"""Largest distance (half the sum of differences) of two letter distributions, when quantised."""

PROVIDERS = ["CPUExecutionProvider"]
CACHE_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
CAPACITY_STEP = 64
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
    """Compares the model folder `target` with the checkpoint `source`, in ragged steps.

    Two conversations of unlike length are read in two steps each, the second step being the opening
    of a choice. All of it runs on the CPU, fp16 graphs too. Raises a `TrainingError` when the
    folder strays.
    """
    tokenizer = checkpoint.tokenizer(source)
    model = checkpoint.model(source).eval()
    if not (target / slot_graph.FILE).is_file():
        raise TrainingError(f"{target} is not a model folder: it has no {slot_graph.FILE}")
    session = onnxruntime.InferenceSession(target / slot_graph.FILE, _quiet(), PROVIDERS)
    steps, precision = _steps(tokenizer), _precision(target)
    letters = letter_ids(tokenizer)[: len(LETTERS)]
    expected, computed = _expected(model, steps), _computed(session, model, steps)
    if precision == "fp16" and not np.isfinite(_expected(model.half(), steps)).all():
        # The graph need not show it: on the CPU, ONNX Runtime computes the inside of its
        # feed-forward blocks in fp32. PyTorch rounds every result to fp16, as a GPU does.
        raise TrainingError(
            f"{source} computes numbers that fp16 cannot hold (above 65,504): export it in fp32"
        )
    chosen = [_softmax(logits[-1][:, letters]) for logits in (expected, computed)]
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


@torch.no_grad()
def _expected(model: PreTrainedModel, steps: list[list[list[int]]]) -> np.ndarray:
    """The checkpoint's logits [step,B,V], in the type of its weights."""
    rows = [[] for _ in steps[0]]
    logits = []
    for step in steps:
        rows = [seen + new for seen, new in zip(rows, step, strict=True)]
        logits.append([model(torch.tensor([ids])).logits[0, -1].numpy() for ids in rows])
    return np.array(logits)


def _computed(
    session: onnxruntime.InferenceSession, model: PreTrainedModel, steps: list[list[list[int]]]
) -> np.ndarray:
    """The slot graph's logits f32[step,B,V]."""
    done = [0] * len(steps[0])
    needed = max(sum(len(ids) for ids in row) for row in zip(*steps, strict=True))
    capacity = -(-needed // CAPACITY_STEP) * CAPACITY_STEP
    cache = _empty_cache(session, model, len(done), capacity)
    names = [output.name for output in session.get_outputs()]
    results = []
    for step in steps:
        inputs = _inputs(step, done, capacity)
        values = dict(zip(names, session.run(None, inputs | cache), strict=True))
        results.append(values.pop("logits"))
        cache = {name.replace("present", "past_key_values"): v for name, v in values.items()}
        done = [before + len(ids) for before, ids in zip(done, step, strict=True)]
    return np.array(results, np.float32)


def _inputs(step: list[list[int]], done: list[int], capacity: int) -> dict[str, np.ndarray]:
    """The slot graph's inputs that append `step` to rows of `done` tokens, right-padded."""
    added = [len(ids) for ids in step]
    longest = max(added)
    padded = np.zeros((len(step), longest), np.int64)
    for row, ids in enumerate(step):
        padded[row, : len(ids)] = ids
    return {
        "input_ids": padded,
        "seqlens_k": np.array(done, np.int32) + np.array(added, np.int32) - 1,
        "total_sequence_length": np.array(capacity, np.int32),
        "query_seqlens": np.array(added, np.int32),
        "logits_indices": np.arange(len(step)) * longest + np.array(added) - 1,
    }


def _empty_cache(
    session: onnxruntime.InferenceSession, model: PreTrainedModel, rows: int, capacity: int
) -> dict[str, np.ndarray]:
    """Keys and values of no tokens yet, in the type that the graph caches."""
    size = model.model.layers[0].self_attn.head_dim
    shape = (rows, model.config.num_key_value_heads, capacity, size)
    return {
        value.name: np.zeros(shape, CACHE_TYPES[value.type])
        for value in session.get_inputs()
        if value.name.startswith("past_key_values.")
    }


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def _quiet() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return options
