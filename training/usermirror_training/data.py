"""Preference pairs as the engine exports them, read and checked before anything is trained.

`usermirror export --format trl` writes a row a pair: `prompt`, `chosen` and `rejected`, each a list
of messages `{role, content}`. `--format sft` writes the chosen conversation as `messages`.
"""

import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset
from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from . import tables
from .errors import TrainingError
from .tables import Row

EXPORT = "usermirror export --format trl --to DIR"
LETTER = re.compile(r"Behavior: \[([A-Z])\]")
PAIR_COLUMNS = ("prompt", "chosen", "rejected")
CONVERSATION_COLUMN = "messages"
CONTROL = ("<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|eot_id|>", "[INST]")
"""Marks of chat templates. In a text they mean that a template was applied to it already."""


def pairs(source: Path) -> list[Row]:
    """The pairs in `source`, each `{prompt, chosen, rejected}`; raises when one cannot be used."""
    rows = tables.read(source, PAIR_COLUMNS, EXPORT)
    for number, row in enumerate(rows):
        where = f"{source}, pair {number}"
        chosen, rejected = (_answer(row[side], where) for side in ("chosen", "rejected"))
        if letter(chosen) == letter(rejected):
            raise TrainingError(f"{where}: chosen and rejected end in the same letter")
        _check_prompt(row["prompt"], letter(chosen), where)
    _check_roles([row["prompt"] for row in rows], source)
    return rows


def demonstrations(source: Path) -> list[Row]:
    """What supervised fine-tuning learns: `{prompt, completion}` of pairs or of conversations."""
    if CONVERSATION_COLUMN not in pq.read_schema(tables.files(source, EXPORT)[0]).names:
        return [{"prompt": r["prompt"], "completion": r["chosen"]} for r in pairs(source)]
    read = tables.read(source, (CONVERSATION_COLUMN,), EXPORT)
    talks = [row[CONVERSATION_COLUMN] for row in read]
    rows = [{"prompt": talk[:-1], "completion": talk[-1:]} for talk in talks]
    for number, row in enumerate(rows):
        where = f"{source}, row {number}"
        _check_prompt(row["prompt"], letter(_answer(row["completion"], where)), where)
    _check_roles([row["prompt"] for row in rows], source)
    return rows


def questions(source: Path) -> list[Row]:
    """What GRPO asks: `{prompt, truth}`. An accepted decision ends in the true letter."""
    return [
        {"prompt": row["prompt"], "truth": letter(row["chosen"][-1]["content"])}
        for row in pairs(source)
    ]


def letter(answer: str) -> str | None:
    """The letter after the last `Behavior: [` of a decision."""
    found = LETTER.findall(answer)
    return found[-1] if found else None


def check_lengths(rows: list[Row], tokenizer: PreTrainedTokenizerBase, longest: int) -> None:
    """Raises when a prompt with an answer exceeds `longest` tokens, or the template refuses it."""
    for number, row in enumerate(rows):
        for side in ("chosen", "rejected", "completion"):
            if side not in row:
                continue
            try:
                ids = tokenizer.apply_chat_template(row["prompt"] + row[side], return_dict=False)
            except TemplateError as error:
                raise TrainingError(f"row {number} does not fit the template: {error}") from error
            if len(ids) > longest:
                raise TrainingError(
                    f"row {number} has {len(ids)} tokens, more than max_length = {longest}: "
                    "raise it, or build scenarios with shorter histories"
                )


def store(rows: list[Row], folder: Path) -> None:
    """Writes the rows as a folder that `datasets.load_from_disk` reads.

    What a trainer computes from rows on disk is kept beside them, where all its processes find it.
    """
    shutil.rmtree(folder, ignore_errors=True)
    Dataset(pa.Table.from_pylist(rows)).save_to_disk(folder)


def _answer(messages: list[dict[str, str]], where: str) -> str:
    """The text of an answer: one message of the assistant that ends in a choice."""
    if [message["role"] for message in messages or []] != ["assistant"]:
        raise TrainingError(f"{where}: an answer is one message of the assistant")
    text = messages[0]["content"]
    if letter(text) is None:
        raise TrainingError(f"{where}: an answer has no `Behavior: [letter]`")
    _check_text(text, where)
    return text


def _check_prompt(prompt: list[dict[str, str]], truth: str | None, where: str) -> None:
    """Refuses a prompt that gives the answer away or was templated before."""
    for message in prompt:
        _check_text(message["content"], where)
        if message["role"] == "assistant" or f"Behavior: [{truth}]" in message["content"]:
            raise TrainingError(f"{where}: the prompt tells the answer")


def _check_text(text: str, where: str) -> None:
    for mark in CONTROL:
        if mark in text:
            raise TrainingError(
                f"{where}: the text holds {mark!r}: a chat template was applied to it already"
            )


def _check_roles(prompts: list[list[dict[str, str]]], source: Path) -> None:
    """Refuses prompts of more than one shape: half of them would be off the tuned one."""
    shapes = {tuple(message["role"] for message in prompt) for prompt in prompts}
    if len(shapes) > 1:
        listed = "; ".join(" + ".join(shape) for shape in sorted(shapes))
        raise TrainingError(f"{source} mixes prompts of different chat templates: {listed}")
