"""Training examples as token ids, and batches of them with weighted targets."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from . import sentences as say
from .tokenizer import END, LETTERS, PAD, START

LETTER_WEIGHT = 8.0
FEATURE_WEIGHT = 5.0
"""Weights of a letter, and of a genre or decade, against 1 for any other token: the few tokens
that carry a decision would drown among those that carry its form."""


@dataclass(frozen=True)
class Example:
    """Token ids of what is given and of what is to be learned."""

    given: list[int]
    learned: list[int]

    def __len__(self) -> int:
        return len(self.given) + len(self.learned)


@dataclass(frozen=True)
class Batch:
    """Right-padded ids i64[B,S], targets i64[B,S] (-100 where nothing is learned)."""

    ids: Tensor
    targets: Tensor


class Encoder:
    """Turns chats and texts into ids, and examples into batches."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.pad = tokenizer.token_to_id(PAD)
        self.letters = torch.tensor([tokenizer.token_to_id(letter) for letter in LETTERS])
        self.weights = torch.ones(tokenizer.get_vocab_size())
        self.weights[self.letters] = LETTER_WEIGHT
        features = [tokenizer.token_to_id(feature) for feature in say.FEATURES]
        self.weights[features] = FEATURE_WEIGHT

    def prompt(self, messages: list[dict[str, str]]) -> list[int]:
        """A chat up to where the assistant begins, as the chat template renders it."""
        turns = [f"{START}{m['role']}\n{m['content'].strip()}{END}\n" for m in messages]
        return self.tokenizer.encode("".join(turns) + f"{START}assistant\n").ids

    def answer(self, text: str) -> list[int]:
        """What the assistant writes, with the mark that ends its turn."""
        return self.tokenizer.encode(text + END).ids

    def text(self, text: str) -> list[int]:
        """Plain text."""
        return self.tokenizer.encode(text).ids

    def batch(self, examples: Sequence[Example]) -> Batch:
        """Pads examples to the longest of them."""
        length = max(len(example) for example in examples)
        ids = torch.full((len(examples), length), self.pad)
        targets = torch.full((len(examples), length), -100)
        for row, example in enumerate(examples):
            start, end = len(example.given), len(example)
            ids[row, :end] = torch.tensor(example.given + example.learned)
            # The target of a position is the token after it.
            targets[row, start - 1 : end - 1] = torch.tensor(example.learned)
        return Batch(ids, targets)
