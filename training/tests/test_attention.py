"""The graph's attention: prompts read in pieces, and what draws write at places of them."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from usermirror_training import attention, checkpoint
from usermirror_training.decoding import LENGTH_STEP, Arrays, Draws, Grid, SlotGraph, read
from usermirror_training.errors import TrainingError
from usermirror_training.verify import verify

PROMPTS = [list(range(7, 77)), list(range(30, 75))]
LENGTHS = [len(ids) for ids in PROMPTS]
ENDS = [(40, 45, 70), (20, 21, 45)]
"""Where each prompt's pieces end; the first prompt's are the longer ones."""
COUNTS = [3, 2]
TEXTS = [[[40 + draw, 20, 50 + draw, 30, 21] for draw in range(count)] for count in COUNTS]
BY_TOKEN = (1, 2, 3, 4, 5)
"""Where each step of writing ends."""
BY_PIECE = (2, 5)


@pytest.fixture(scope="module")
def graph(exported: Path) -> SlotGraph:
    """The graph of each family: a head of queries for each of keys, and two."""
    return SlotGraph(exported / "slot.onnx")


def in_pieces(graph: SlotGraph, prompts: list[int], prefix: int = 0) -> tuple[np.ndarray, Arrays]:
    """Reads `prompts`, which are rows of a step, piece by piece."""
    pieces = [np.split(PROMPTS[prompt], ENDS[prompt][:-1]) for prompt in prompts]
    return read(graph, list(zip(*pieces, strict=True)), prefix)


def written(
    graph: SlotGraph,
    prompts: list[int],
    counts: list[int],
    ends: tuple[int, ...] = BY_TOKEN,
    past: int = LENGTH_STEP,
    **sizes: int,
) -> np.ndarray:
    """The logits [draw,step,V] that so many draws of each of `prompts` end in."""
    _, cache = read(graph, [[PROMPTS[prompt] for prompt in prompts]])
    lengths = [LENGTHS[prompt] for prompt in prompts]
    draws = Draws(Grid(graph, cache, lengths, counts, **sizes), past)
    texts = [
        text
        for prompt, count in zip(prompts, counts, strict=True)
        for text in TEXTS[prompt][:count]
    ]
    pieces = np.split(np.array(texts), ends[:-1], axis=1)
    return np.stack([draws.write(piece) for piece in pieces], axis=1)


@torch.no_grad()
def test_a_prompt_read_in_pieces_is_as_exact_as_whole(graph: SlotGraph, source: Path) -> None:
    model = checkpoint.model(source).eval()
    logits, _ = in_pieces(graph, [0, 1])
    for prompt, ids in enumerate(PROMPTS):
        expected = model(torch.tensor([ids])).logits[0].numpy()
        last = np.array(ENDS[prompt]) - 1
        assert np.abs(logits[:, prompt] - expected[last]).max() < 1e-5


@pytest.mark.parametrize("prefix", [192, 384])
def test_a_longer_prefix_changes_no_bit_that_is_read(graph: SlotGraph, prefix: int) -> None:
    plain, cache = in_pieces(graph, [0, 1])
    roomy, same = in_pieces(graph, [0, 1], prefix)
    assert np.array_equal(plain, roomy)
    assert all(np.array_equal(cache[name], same[name]) for name in cache)


@pytest.mark.parametrize("prompts", [[0, 1], [1, 0], [1, 0, 1, 1]])
def test_neighbours_change_no_bit_that_is_read(graph: SlotGraph, prompts: list[int]) -> None:
    alone, cache = in_pieces(graph, [0])
    beside, same = in_pieces(graph, prompts)
    row = prompts.index(0)
    assert np.array_equal(alone[:, 0], beside[:, row])
    assert all(np.array_equal(cache[name][0], same[name][row]) for name in cache)


def test_sharing_a_prompt_is_as_exact_as_a_copy_of_it(graph: SlotGraph) -> None:
    rows = [(prompt, text) for prompt, texts in enumerate(TEXTS) for text in texts]
    steps = [[PROMPTS[prompt] for prompt, _ in rows]]
    steps += [[text[step : step + 1] for _, text in rows] for step in range(len(TEXTS[0][0]))]
    alone, _ = read(graph, steps)
    shared = written(graph, [0, 1], COUNTS)
    assert np.abs(shared - alone[1:].transpose(1, 0, 2)).max() < 1e-5


def test_tokens_written_at_once_are_as_exact_as_one_by_one(graph: SlotGraph) -> None:
    one_by_one, at_once = (written(graph, [0, 1], COUNTS, ends) for ends in (BY_TOKEN, BY_PIECE))
    assert np.abs(one_by_one[:, [end - 1 for end in BY_PIECE]] - at_once).max() < 1e-5


@pytest.mark.parametrize("ends", [BY_TOKEN, BY_PIECE])
@pytest.mark.parametrize("sizes", [{"places": 5}, {"prefix": 320}, {"past": 192}])
def test_room_to_spare_changes_no_bit_that_is_written(
    graph: SlotGraph, sizes: dict[str, int], ends: tuple[int, ...]
) -> None:
    plain, roomy = (written(graph, [0, 1], COUNTS, ends, **given) for given in ({}, sizes))
    assert np.array_equal(plain, roomy)


@pytest.mark.parametrize("ends", [BY_TOKEN, BY_PIECE])
def test_neighbours_change_no_bit_that_is_written(graph: SlotGraph, ends: tuple[int, ...]) -> None:
    first, second = np.split(written(graph, [0, 1], COUNTS, ends), COUNTS[:1])
    swapped = written(graph, [1, 0], COUNTS[::-1], ends)
    assert np.array_equal(swapped, np.concatenate([second, first]))
    assert np.array_equal(written(graph, [1], [2], ends), second)
    # A draw alone is a product of one row, or of two for grouped heads.
    one_each = written(graph, [1, 0], [1, 1], ends)
    assert np.array_equal(one_each, np.stack([second[0], first[0]]))


def rescale(graph: onnx.GraphProto) -> None:
    """Other weights for all that is attended to."""
    for node in graph.node:
        if node.domain == attention.DOMAIN:
            node.attribute[0].f = 0.2


def confuse_written(graph: onnx.GraphProto) -> None:
    """Keys for the values of what was written, which reading does not look at."""
    for node in graph.node:
        for position, name in enumerate(node.input):
            if name.startswith("past_key_values."):
                node.input[position] = name.replace(".value", ".key")


@pytest.mark.parametrize("change", [rescale, confuse_written])
def test_a_folder_whose_attention_strays_is_refused(
    source: Path, exported: Path, tmp_path: Path, change: Callable[[onnx.GraphProto], None]
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(exported, folder)
    model = onnx.load(folder / "slot.onnx")
    change(model.graph)
    onnx.save(model, folder / "slot.onnx")
    with pytest.raises(TrainingError, match="strays from"):
        verify(source, folder)


def test_a_graph_of_older_inputs_is_refused(tmp_path: Path) -> None:
    kind = helper.make_tensor_type_proto(TensorProto.INT32, ["rows"])
    values = [helper.make_value_info(name, kind) for name in ("seqlens_k", "logits")]
    node = helper.make_node("Identity", ["seqlens_k"], ["logits"])
    graph = helper.make_graph([node], "graph", values[:1], values[1:])
    opset = [helper.make_opsetid("", 21)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "slot.onnx")
    with pytest.raises(TrainingError, match="export the checkpoint anew"):
        SlotGraph(tmp_path / "slot.onnx")


@pytest.mark.parametrize(
    ("inputs", "attributes", "reason"),
    [
        (["q", "k", "v"], {"do_rotary": 1}, "in one tensor"),
        (["qkv", "", ""], {}, "rotate them"),
        (["qkv", "", ""], {"do_rotary": 1, "local_window_size": 64}, "window"),
    ],
)
def test_other_attention_is_refused(
    inputs: list[str], attributes: dict[str, Any], reason: str
) -> None:
    layer = helper.make_node("GroupQueryAttention", inputs, ["out"], "layer", **attributes)
    model = helper.make_model(helper.make_graph([layer], "graph", [], []))
    with pytest.raises(ValueError, match=reason):
        attention.replace(model)


def test_a_graph_without_attention_is_refused() -> None:
    with pytest.raises(ValueError, match="no GroupQueryAttention"):
        attention.replace(helper.make_model(helper.make_graph([], "graph", [], [])))
