"""Shared-prefix decoding: what the draws of a prompt write over one copy of its keys and values."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from usermirror_training import shared_prefix
from usermirror_training.decoding import Draws, SlotGraph, read
from usermirror_training.errors import TrainingError
from usermirror_training.verify import verify

PROMPTS = [list(range(7, 77)), list(range(30, 75))]
LENGTHS = [len(ids) for ids in PROMPTS]
COUNTS = [3, 2]
TEXTS = [[[40 + draw, 20, 50 + draw, 30, 21] for draw in range(count)] for count in COUNTS]


@pytest.fixture(scope="module")
def graph(exported: Path) -> SlotGraph:
    """The graph of each family: a head of queries for each of keys, and two."""
    return SlotGraph(exported / "slot.onnx")


def written(graph: SlotGraph, prompts: list[int], counts: list[int], **sizes: int) -> np.ndarray:
    """The logits [draw,step,V] that so many draws of each of `prompts` end in."""
    _, cache = read(graph, [[PROMPTS[prompt] for prompt in prompts]])
    draws = Draws(graph, cache, [LENGTHS[prompt] for prompt in prompts], counts, **sizes)
    texts = [
        text
        for prompt, count in zip(prompts, counts, strict=True)
        for text in TEXTS[prompt][:count]
    ]
    steps = [draws.write(list(tokens)) for tokens in zip(*texts, strict=True)]
    return np.stack(steps, axis=1)


def test_sharing_a_prompt_is_as_exact_as_a_copy_of_it(graph: SlotGraph) -> None:
    rows = [(prompt, text) for prompt, texts in enumerate(TEXTS) for text in texts]
    steps = [[PROMPTS[prompt] for prompt, _ in rows]]
    steps += [[text[step : step + 1] for _, text in rows] for step in range(len(TEXTS[0][0]))]
    alone, _ = read(graph, steps)
    shared = written(graph, [0, 1], COUNTS)
    assert np.abs(shared - alone[1:].transpose(1, 0, 2)).max() < 1e-5


@pytest.mark.parametrize("sizes", [{"places": 5}, {"prefix": 320}, {"suffix": 192}])
def test_room_to_spare_changes_no_bit(graph: SlotGraph, sizes: dict[str, int]) -> None:
    plain, roomy = written(graph, [0, 1], COUNTS), written(graph, [0, 1], COUNTS, **sizes)
    assert np.array_equal(plain, roomy)


def test_neighbours_change_no_bit(graph: SlotGraph) -> None:
    first, second = np.split(written(graph, [0, 1], COUNTS), COUNTS[:1])
    assert np.array_equal(written(graph, [1, 0], COUNTS[::-1]), np.concatenate([second, first]))
    assert np.array_equal(written(graph, [1], [2]), second)
    # A draw alone is a product of one row, or of two for grouped heads.
    assert np.array_equal(written(graph, [1, 0], [1, 1]), np.stack([second[0], first[0]]))


def test_a_folder_whose_second_way_strays_is_refused(
    source: Path, exported: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(exported, folder)
    model = onnx.load(folder / "slot.onnx")
    scale = next(t for t in model.graph.initializer if t.name == "shared/minus_scale")
    scale.CopyFrom(helper.make_tensor(scale.name, scale.data_type, [], [-0.2]))
    onnx.save(model, folder / "slot.onnx")
    with pytest.raises(TrainingError, match="strays from"):
        verify(source, folder)


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
        shared_prefix.add(model)
