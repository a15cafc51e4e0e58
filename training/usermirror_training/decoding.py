"""Running a slot graph from numpy: reading prompts, and writing draws of them (`attention`)."""

from pathlib import Path

import numpy as np
import onnxruntime

from .errors import TrainingError

PROVIDERS = ["CPUExecutionProvider"]
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
LENGTH_STEP = 64
"""Lengths of prefixes, and of what draws have written, are multiples of this."""
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
        self._outputs = [value.name for value in self._session.get_outputs()]
        self.layers = sum(name.startswith("present.") for name in self._outputs) // 2
        inputs = {value.name: value for value in self._session.get_inputs()}
        if "texts" not in inputs:
            raise TrainingError(f"{path} is of an older export: export the checkpoint anew")
        value = inputs["prefix.0.value"]
        self.type = TYPES[value.type]
        _, self.heads, _, self.width = value.shape

    def run(self, inputs: Arrays) -> tuple[np.ndarray, Arrays]:
        """Logits f32, and the outputs `present.*` under the names of the past that they go to."""
        results = self._session.run(None, inputs)
        values = dict(zip(self._outputs, results, strict=True))
        return values.pop("logits"), {n.replace("present", "past_key_values"): v for n, v in values.items()}

    def cache(self, rows: int, length: int) -> Arrays:
        """Keys and values of no tokens yet, with room for `length` in each of `rows`."""
        shape = (rows, self.heads, length, self.width)
        return {
            f"past_key_values.{layer}.{part}": np.zeros(shape, self.type)
            for layer in range(self.layers)
            for part in ("key", "value")
        }


class Grid:
    """Texts at places of prompts.

    Prompt r is the first `lengths[r]` tokens in row r of `cache`, and has `counts[r]` texts. At
    least so many `places` a prompt and tokens of a `prefix` (one more than the prompt's) are laid
    out.
    """

    def __init__(
        self,
        graph: SlotGraph,
        cache: Arrays,
        lengths: list[int],
        counts: list[int],
        places: int = 0,
        prefix: int = 0,
    ) -> None:
        self._graph = graph
        width = max(places, *counts)
        at = [(row, row * width + n) for row, count in enumerate(counts) for n in range(count)]
        self._places = np.array([place for _, place in at])
        self._texts = np.zeros(len(counts) * width, np.int64)
        self._texts[self._places] = np.arange(len(at))
        self._start = np.repeat(lengths, width)
        self._prefix = _prefix(graph, cache, lengths, max(prefix, padded(max(lengths) + 1)))

    def past(self, length: int) -> Arrays:
        """Room for `length` tokens that each text writes."""
        return self._graph.cache(len(self._texts), length)

    def add(
        self, tokens: np.ndarray, asked: np.ndarray, past: Arrays, written: int
    ) -> tuple[np.ndarray, Arrays]:
        """A step: `tokens` i64[B,S] after the first `written` of `past` in every text.

        Gives the logits after the tokens `asked`, and the keys and values of the new ones.
        """
        new = tokens.shape[1]
        room = past["past_key_values.0.key"].shape[2]
        bias = np.triu(np.full((new, room + new), MASKED, np.float32), room + 1)
        bias[:, written:room] = MASKED
        inputs = {
            "input_ids": tokens,
            "logits_indices": asked,
            "texts": self._texts,
            "places": self._places,
            "position_ids": self._start[:, None] + written + np.arange(new),
            "bias": np.tile(bias, (len(self._texts), 1, 1, 1)),
        }
        return self._graph.run(inputs | self._prefix | past)


def read(
    graph: SlotGraph, steps: list[list[list[int]]], prefix: int = 0
) -> tuple[np.ndarray, Arrays]:
    """Reads token ids [step][row], each row a prompt, of which a step reads a piece.

    At least so many tokens of a `prefix` are laid out. Gives the logits after each step,
    f32[step,B,V], and the keys and values of each row from 0 on.
    """
    rows = len(steps[0])
    done = np.zeros(rows, np.int64)
    cache = graph.cache(rows, max(sum(map(len, row)) for row in zip(*steps, strict=True)))
    logits = []
    for step in steps:
        added = np.array([len(ids) for ids in step])
        tokens = np.zeros((rows, added.max()), np.int64)
        for row, ids in enumerate(step):
            tokens[row, : len(ids)] = ids
        last = np.arange(rows) * added.max() + added - 1
        grid = Grid(graph, cache, list(done), [1] * rows, prefix=prefix)
        asked, new = grid.add(tokens, last, grid.past(1), 0)
        logits.append(asked)
        for name, kept in cache.items():
            for row, (start, count) in enumerate(zip(done, added, strict=True)):
                kept[row, :, start : start + count] = new[name][row, :, :count]
        done += added
    return np.array(logits), cache


class Draws:
    """Draws of prompts that were read: the texts of `grid`, with room for `past` tokens in each."""

    def __init__(self, grid: Grid, past: int = LENGTH_STEP) -> None:
        self._grid = grid
        self._past = grid.past(past)
        self._written = 0

    def write(self, tokens: np.ndarray) -> np.ndarray:
        """Adds `tokens` i64[B,S] to the draws: the logits f32[B,V] after the last of each."""
        draws, added = tokens.shape
        last = np.arange(1, draws + 1) * added - 1
        logits, new = self._grid.add(tokens, last, self._past, self._written)
        end = self._written + added
        for name, kept in self._past.items():
            kept[:, :, self._written : end] = new[name]
        self._written = end
        return logits


def _prefix(graph: SlotGraph, cache: Arrays, lengths: list[int], length: int) -> Arrays:
    """The prompts' keys and values, after the token that stands for what a text has written."""
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
