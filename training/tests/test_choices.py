"""The engine's choices against the checkpoint's: the right pass, the wrong are refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from conftest import message

from usermirror_training import checkpoint
from usermirror_training.__main__ import main
from usermirror_training.choices import compare
from usermirror_training.errors import TrainingError
from usermirror_training.restore import restore

REPOSITORY = Path(__file__).parents[2]
TOLERANCE = 1e-4
Writer = Callable[[list[dict]], Path]


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    """Writes rows as one Parquet file."""

    def write(rows: list[dict]) -> Path:
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "choices.parquet")
        return tmp_path / "choices.parquet"

    return write


@torch.no_grad()
def chosen(source: Path, text: str, choices: int) -> dict:
    """A row with the probabilities that the rendered conversation gives as one string."""
    tokenizer, model = checkpoint.tokenizer(source), checkpoint.model(source).eval()
    messages = [message("system", "Choose."), message("user", "Films\n[A] One\n[B] Two\n[C] Three")]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    answer = f"{text}\nBehavior: [" if text else "Behavior: ["
    ids = tokenizer(rendered + answer, add_special_tokens=False)["input_ids"]
    letters = tokenizer.convert_tokens_to_ids(list("ABCDE"[:choices]))
    logits = model(torch.tensor([ids])).logits[0, -1, letters]
    return {"messages": messages, "text": text, "probs": logits.double().softmax(-1).tolist()}


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_the_checkpoint_s_own_choices_agree(
    family: str, request: pytest.FixtureRequest, write: Writer
) -> None:
    source = request.getfixturevalue(family)
    path = write([chosen(source, "", 3), chosen(source, "Thought: so", 5)])
    agreement = compare(source, path, TOLERANCE)
    assert (agreement.choices, agreement.same_letter) == (2, 2)
    assert agreement.distance < 1e-6


def test_the_cases_that_the_engine_is_tested_with_agree(write: Writer, tmp_path: Path) -> None:
    lines = (REPOSITORY / "tests/golden/models/weak.jsonl").read_text(encoding="utf-8")
    path = write([json.loads(line) for line in lines.splitlines()])
    restore(REPOSITORY / "models/weak", tmp_path / "weak")
    assert compare(tmp_path / "weak", path, TOLERANCE).choices == 100


def test_wrong_probabilities_are_refused_and_measured(
    llama: Path, write: Writer, capsys: pytest.CaptureFixture[str]
) -> None:
    right, wrong = chosen(llama, "", 3), chosen(llama, "Thought: so", 3)
    first, second, third = wrong["probs"]
    wrong["probs"] = [first + 0.001, second - 0.001, third]
    words = ["verify", "--model", str(llama), "--choices", str(write([right, wrong]))]
    assert main(words) == 1
    assert "strays from" in capsys.readouterr().err
    assert main([*words, "--tolerance", "0.01"]) == 0
    measured = capsys.readouterr().out
    assert "2 choices: probabilities within 1.0e-03 (row 1), 3.3e-04 on average" in measured
    assert "letter distributions within 1.0e-03; 2 most likely letters alike" in measured


def test_another_text_or_letter_strays(llama: Path, write: Writer) -> None:
    for change in ({"text": "Thought: so"}, {"probs": chosen(llama, "", 3)["probs"][::-1]}):
        with pytest.raises(TrainingError, match="strays from"):
            compare(llama, write([chosen(llama, "", 3) | change]), TOLERANCE)


GOOD = {"messages": [message("user", "[A] One\n[B] Two")], "text": "", "probs": [0.5, 0.5]}


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"messages": GOOD["messages"], "letter": "A"}, r"no column text, probs \(it has messages"),
        (GOOD | {"probs": [1.0]}, "row 1 has 1 probs: a choice has one for each letter, 2 to 26"),
        (GOOD | {"probs": [0.0] * 27}, "row 1 has 27 probs"),
        (GOOD | {"probs": None}, r"row 1 has no probs: choose\(…\)\['error'\] says why"),
        (GOOD | {"probs": {"probs": [0.5, 0.5]}}, "row 1: probs is no list of numbers"),
        (GOOD | {"probs": [0.5, float("nan")]}, "strays from"),
        (GOOD | {"text": None}, "row 1 has no messages or no text"),
        (GOOD | {"messages": [message("user", "<|im_end|> One")]}, r"holds '<\|im_end\|>'"),
    ],
)
def test_rows_that_are_no_choices_are_refused(
    llama: Path, write: Writer, row: dict, complaint: str
) -> None:
    first = GOOD if isinstance(row.get("probs", 0), list) else row
    with pytest.raises(TrainingError, match=complaint.replace("row 1", "row [01]")):
        compare(llama, write([first, row]), TOLERANCE)


def test_a_file_without_rows_is_refused(llama: Path, write: Writer) -> None:
    empty = write([GOOD])
    pq.write_table(pq.read_table(empty).slice(0, 0), empty)
    with pytest.raises(TrainingError, match="holds no rows: has `COPY"):
        compare(llama, empty, TOLERANCE)
