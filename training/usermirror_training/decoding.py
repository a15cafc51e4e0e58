"""Running a slot graph from numpy, in both of its ways (`slot_graph` and `shared_prefix`)."""

from pathlib import Path

import numpy as np
import onnxruntime

from .errors import TrainingError

PROVIDERS = ["CPUExecutionProvider"]
TYPES = {
    "tensor(float)": np.float32, "tensor(float16)": np.float16,
    "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(bool)": np.bool_,
}  # fmt: skip
LENGTH_STEP = 64
"""Lengths of keys and values are multiples of this."""
MASKED = -3e4
"""Added to a score, takes its token out; fp16 holds it."""

Arrays = dict[str, np.ndarray]


def padded(length: int) -> int:
    """A length of keys and values with room for `length` tokens."""
    return max(1, -(-length // LENGTH_STEP)) * LENGTH_STEP


class SlotGraph:
    """A session on a graph file, on the CPU."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(path, options, PROVIDERS)
        self._inputs = {value.name: value for value in self._session.get_inputs()}
        self._outputs = [value.name for value in self._session.get_outputs()]
        self.layers = sum(name.startswith("present.") for name in self._outputs) // 2
        if (value := self._inputs.get("prefix.0.value")) is None:
            raise TrainingError(f"{path} lacks shared-prefix decoding: export the checkpoint anew")
        self.type = TYPES[value.type]
        _, self.heads, _, self.width = value.shape

    def run(self, inputs: Arrays) -> tuple[np.ndarray, Arrays]:
        """Logits f32, and the outputs `present.*`; inputs not given are zeros of size 1."""
        rest = {
            name: np.zeros([d if isinstance(d, int) else 1 for d in value.shape], TYPES[value.type])
            for name, value in self._inputs.items()
            if name not in inputs
        }
        results = self._session.run(None, inputs | rest)
        values = dict(zip(self._outputs, results, strict=True))
        return values.pop("logits").astype(np.float32), values

    def cache(self, rows: int, length: int) -> Arrays:
        """Keys and values of no tokens yet, with room for `length` in each of `rows`."""
        shape = (rows, self.heads, length, self.width)
        return {
            f"past_key_values.{layer}.{part}": np.zeros(shape, self.type)
            for layer in range(self.layers)
            for part in ("key", "value")
        }


def read(graph: SlotGraph, steps: list[list[list[int]]]) -> tuple[np.ndarray, Arrays]:
    """Reads token ids [step][row] the slot way.

    Gives the logits after each step, f32[step,B,V], and the cache, where each row begins at 0.
    """
    done = np.zeros(len(steps[0]), np.int32)
    length = padded(max(sum(len(ids) for ids in row) for row in zip(*steps, strict=True)))
    cache = graph.cache(len(done), length)
    logits = []
    for step in steps:
        added = np.array([len(ids) for ids in step], np.int32)
        tokens = np.zeros((len(step), added.max()), np.int64)
        for row, ids in enumerate(step):
            tokens[row, : len(ids)] = ids
        done = done + added
        inputs = {
            "input_ids": tokens,
            "seqlens_k": done - 1,
            "total_sequence_length": np.array(length, np.int32),
            "query_seqlens": added,
            "logits_indices": np.arange(len(step)) * added.max() + added - 1,
        }
        asked, present = graph.run(inputs | cache)
        logits.append(asked)
        cache = {name.replace("present", "past_key_values"): v for name, v in present.items()}
    return np.array(logits), cache


class Draws:
    """Draws of prompts that were read the slot way, written by shared-prefix decoding.

    Prompt r is the first `lengths[r]` tokens in row r of `cache`, and has `counts[r]` draws. At
    least so many `places` a prompt and tokens of a `prefix` (one more than the prompt's) are laid
    out; a `suffix` holds what a draw may write.
    """

    def __init__(
        self,
        graph: SlotGraph,
        cache: Arrays,
        lengths: list[int],
        counts: list[int],
        *,
        places: int = 0,
        prefix: int = 0,
        suffix: int = LENGTH_STEP,
    ) -> None:
        self._graph = graph
        width = max(places, *counts)
        at = [(row, row * width + n) for row, count in enumerate(counts) for n in range(count)]
        self._places = np.array([place for _, place in at])
        self._draws = np.zeros(len(counts) * width, np.int64)
        self._draws[self._places] = np.arange(len(at))
        self._start = np.zeros(len(self._draws), np.int64)
        self._start[self._places] = [lengths[row] for row, _ in at]
        self._prefix = _prefix(graph, cache, lengths, max(prefix, padded(max(lengths) + 1)))
        self._written = graph.cache(len(self._draws), suffix)
        self._bias = np.full((len(self._draws), 1, 1, suffix), MASKED, graph.type)
        self._step = 0

    def write(self, tokens: list[int]) -> np.ndarray:
        """Adds a token to each draw: logits f32[B,V]."""
        inputs = {
            "shared": np.array(True),
            "input_ids": np.array(tokens, np.int64)[:, None],
            "logits_indices": np.arange(len(tokens)),
            "draws": self._draws,
            "places": self._places,
            "position_ids": (self._start + self._step)[:, None],
            "suffix_bias": self._bias,
        }
        logits, present = self._graph.run(inputs | self._prefix | self._written)
        for name, new in present.items():
            kept = self._written[name.replace("present", "past_key_values")]
            kept[:, :, self._step] = new[:, :, 0]
        self._bias[..., self._step] = 0
        self._step += 1
        return logits


def _prefix(graph: SlotGraph, cache: Arrays, lengths: list[int], length: int) -> Arrays:
    """The prompts' keys and values, after the token that stands for what a draw has written."""
    prefix = {
        name.replace("past_key_values", "prefix"): array
        for name, array in graph.cache(len(lengths), length).items()
    }
    for name, array in cache.items():
        target = prefix[name.replace("past_key_values", "prefix")]
        for row, count in enumerate(lengths):
            target[row, :, 1 : count + 1] = array[row, :, :count]
    marks = np.zeros((len(lengths), graph.heads, length, 2), graph.type)
    marks[:, :, 0, 1] = 1
    for row, count in enumerate(lengths):
        marks[row, :, count + 1 :, 0] = MASKED
    keys = (name for name in prefix if name.endswith(".key"))
    return prefix | {name: np.concatenate([prefix[name], marks], axis=-1) for name in keys}
