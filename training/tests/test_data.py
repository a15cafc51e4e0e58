"""What is read from exported files, and what is refused."""

from pathlib import Path

import pytest
from conftest import Writer, message, pair

from usermirror_training import checkpoint, data
from usermirror_training.errors import TrainingError


def test_pairs_are_read_as_they_were_exported(pairs: Path) -> None:
    assert data.pairs(pairs) == [pair(number) for number in range(12)]


def test_pairs_give_what_the_other_stages_learn(pairs: Path) -> None:
    assert data.demonstrations(pairs)[1] == {
        "prompt": pair(1)["prompt"],
        "completion": pair(1)["chosen"],
    }
    assert [row["truth"] for row in data.questions(pairs)[:3]] == ["B", "A", "B"]


def test_the_sft_form_gives_the_same_demonstrations(write_pairs: Writer) -> None:
    talks = [{"messages": pair(n)["prompt"] + pair(n)["chosen"]} for n in range(3)]
    expected = [{"prompt": pair(n)["prompt"], "completion": pair(n)["chosen"]} for n in range(3)]
    assert data.demonstrations(write_pairs(talks)) == expected


def changed(**columns: list[dict[str, str]]) -> list[dict]:
    """A good pair and one with other columns."""
    return [pair(0), pair(1) | columns]


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([], "holds no rows"),
        (
            changed(prompt=[message("system", "Hi"), *pair(1)["prompt"]]),
            r"mixes prompts of different chat templates: system \+ user; user",
        ),
        (changed(prompt=[message("user", "[A] One\nBehavior: [A]")]), "tells the answer"),
        (
            changed(prompt=[*pair(1)["prompt"], message("assistant", "It is A")]),
            "tells the answer",
        ),
        (changed(prompt=[message("user", "<|im_start|>user\n[A] One")]), "template was applied"),
        (changed(rejected=pair(1)["chosen"]), "end in the same letter"),
        (changed(chosen=[message("assistant", "Thought: none")]), r"no `Behavior: \[letter\]`"),
        (changed(chosen=[]), "one message of the assistant"),
        ([{"messages_chosen": [], "messages_rejected": []}], "has no column prompt, chosen"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(
    write_pairs: Writer, rows: list[dict], complaint: str
) -> None:
    with pytest.raises(TrainingError, match=complaint):
        data.pairs(write_pairs(rows))


def test_a_folder_without_parquet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="usermirror export --format trl"):
        data.pairs(tmp_path)


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pairs.parquet").write_text("prompt,chosen,rejected\n")
    with pytest.raises(TrainingError, match="cannot be read as Parquet"):
        data.pairs(tmp_path)


def test_a_long_row_is_refused_rather_than_cut(pairs: Path, llama: Path) -> None:
    tokenizer = checkpoint.tokenizer(llama)
    with pytest.raises(TrainingError, match="row 0 has .* more than max_length = 20"):
        data.check_lengths(data.pairs(pairs), tokenizer, 20)
