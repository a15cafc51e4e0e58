"""Checks that the engine gives a checkpoint's letter probabilities, on choices that it wrote.

`verify.py` compares the graph alone, on prompts of its own. Here the engine has read the messages,
cut the text into tokens and run the graph; transformers does all of it anew.
"""

from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase

import numpy as np
import torch
from jinja2 import TemplateError
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from . import checkpoint, tables
from .errors import TrainingError
from .tables import Row

OPENING = "Behavior: ["
COLUMNS = ("messages", "text", "probs")
COPY = "COPY (SELECT messages, text, choose(…)['probs'] AS probs FROM …) TO 'FILE.parquet'"


@dataclass(frozen=True)
class Agreement:
    """How far the engine's choices are from a checkpoint's."""

    choices: int
    largest: float
    """Largest difference of a letter's probability."""
    row: int
    """The row of that difference, from 0."""
    mean: float
    """Mean difference of a letter's probability."""
    distance: float
    """Largest distance between letter distributions (half the sum of differences), 0 to 1."""
    same_letter: int
    """How many choices have the same most likely letter."""

    def __str__(self) -> str:
        return (
            f"{self.choices} choices: probabilities within {self.largest:.1e} (row {self.row}), "
            f"{self.mean:.1e} on average; letter distributions within {self.distance:.1e}; "
            f"{self.same_letter} most likely letters alike"
        )


def compare(source: Path, choices: Path, tolerance: float) -> Agreement:
    """Compares the engine's choices in the Parquet file or folder with the checkpoint `source`.

    A row holds `messages`, the `text` before `Behavior: [`, and `probs`, one for each of the first
    letters. Raises a `TrainingError` when a probability differs by more than `tolerance`.
    """
    checkpoint.check(source)
    rows = tables.read(choices, COLUMNS, COPY)
    tokenizer = checkpoint.tokenizer(source)
    letters = letter_ids(tokenizer)
    marks = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    for number, row in enumerate(rows):
        _check(row, marks, f"{choices}, row {number}")
    model = checkpoint.model(source).eval()
    differences, alike = [], 0
    for number, row in enumerate(rows):
        ids = _ids(tokenizer, row, f"{choices}, row {number}")
        expected = probabilities(model, ids, letters[: len(row["probs"])])
        differences.append(np.abs(expected - row["probs"]))
        alike += int(expected.argmax() == np.argmax(row["probs"]))
    agreement = _agreement(differences, alike)
    if agreement.largest <= tolerance:
        return agreement
    raise TrainingError(
        f"{choices} strays from {source}: {agreement} (--tolerance is {tolerance:g})"
    )


def opened(text: str) -> str:
    """What the engine puts before a letter: the decision's text, if any, and `Behavior: [`."""
    return f"{text}\n{OPENING}" if text else OPENING


def letter_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The token of each letter after `Behavior: [`; raises when one is not a token of its own."""
    opening = tokenizer(OPENING, add_special_tokens=False)["input_ids"]
    found = []
    for letter in ascii_uppercase:
        *before, last = tokenizer(f"{OPENING}{letter}", add_special_tokens=False)["input_ids"]
        if before != opening:
            raise TrainingError(
                f"the tokenizer does not write `{OPENING}{letter}` as `{OPENING}` and one more "
                "token, so the model cannot be asked for a letter"
            )
        found.append(last)
    return found


@torch.no_grad()
def probabilities(model: PreTrainedModel, ids: list[int], letters: list[int]) -> np.ndarray:
    """The probabilities f64[K] of the tokens `letters` after `ids`, summing to 1."""
    logits = model(torch.tensor([ids]), logits_to_keep=1).logits[0, -1, letters]
    return logits.double().softmax(-1).numpy()


def _check(row: Row, marks: list[str], where: str) -> None:
    """Refuses a row that is no choice, or that the engine reads otherwise on purpose."""
    probs = row["probs"]
    if probs is None:
        raise TrainingError(f"{where} has no probs: choose(…)['error'] says why, leave it out")
    if not isinstance(probs, list) or None in probs:
        raise TrainingError(f"{where}: probs is no list of numbers, as choose(…)['probs'] is")
    if not 2 <= len(probs) <= len(ascii_uppercase):
        raise TrainingError(
            f"{where} has {len(probs)} probs: a choice has one for each letter, "
            f"2 to {len(ascii_uppercase)}"
        )
    if not row["messages"] or row["text"] is None:
        raise TrainingError(f"{where} has no messages or no text ('' where there is no decision)")
    for text in (*(message["content"] for message in row["messages"]), row["text"]):
        for mark in marks:
            if mark in text:
                raise TrainingError(
                    f"{where} holds {mark!r}, which is text to the engine and a control token to "
                    "transformers: leave the row out"
                )


def _ids(tokenizer: PreTrainedTokenizerBase, row: Row, where: str) -> list[int]:
    """The row's tokens up to where its letter follows."""
    try:
        prompt = tokenizer.apply_chat_template(
            row["messages"], add_generation_prompt=True, return_dict=False
        )
    except TemplateError as error:
        raise TrainingError(f"{where} does not fit the template: {error}") from error
    return prompt + tokenizer(opened(row["text"]), add_special_tokens=False)["input_ids"]


def _agreement(differences: list[np.ndarray], alike: int) -> Agreement:
    largest = np.array([row.max() for row in differences])
    return Agreement(
        choices=len(differences),
        largest=float(largest.max()),
        row=int(largest.argmax()),
        mean=float(np.concatenate(differences).mean()),
        distance=float(max(row.sum() for row in differences) / 2),
        same_letter=alike,
    )
