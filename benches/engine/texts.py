"""Invented text: a language of random words, chats of a given length, and texts to score.

Nothing here means anything. What matters is that words are what a tokenizer makes of words: mostly
one token each, with the punctuation, numbers and lines of a real prompt between them.
"""

import random
from collections.abc import Iterator

from transformers import PreTrainedTokenizerBase

Message = dict[str, str]

WORDS = 60_000
SYLLABLES = [first + second for first in "bcdfghjklmnprstvwz" for second in "aeiou"]
LETTERS = "ABCDEFGHIJ"
"""The options of every prompt."""
OPENING = "\nBehavior: ["
"""What stands between a decision's text and its letter."""


def words(count: int = WORDS) -> list[str]:
    """The language's words, all different, each of two to four syllables."""
    draw = random.Random(1)
    found: dict[str, None] = {}
    while len(found) < count:
        found["".join(draw.choices(SYLLABLES, k=draw.choice([2, 3, 3, 4])))] = None
    return list(found)


def corpus(vocabulary: list[str], lines: int) -> Iterator[str]:
    """Lines for a tokenizer to be trained on; every word occurs a few times."""
    draw = random.Random(2)
    for _ in range(lines):
        yield f"Thought:\n{_line(draw, vocabulary)}{OPENING}{draw.choice(LETTERS)}]"


def chat(
    tokenizer: PreTrainedTokenizerBase, number: int, tokens: int, system_tokens: int = 600
) -> list[Message]:
    """A chat of about `tokens` tokens; the system message is the same for all that have one.

    Without `system_tokens` chat `number` begins like no other. It is never longer than `tokens`,
    and a few tokens shorter at most.
    """
    vocabulary = words()
    system = _text(tokenizer, random.Random(3), vocabulary, system_tokens)
    draw = random.Random(1000 + number)
    options = "\n".join(f"[{letter}] {_title(draw, vocabulary)}" for letter in LETTERS)
    messages = [{"role": "system", "content": system}] if system_tokens else []
    empty = [*messages, {"role": "user", "content": f"\n\n{options}"}]
    room = tokens - len(prompt_ids(tokenizer, empty)) - 1
    history = _text(tokenizer, draw, vocabulary, room)
    return [*messages, {"role": "user", "content": f"{history}\n\n{options}"}]


def thought(tokenizer: PreTrainedTokenizerBase, number: int, tokens: int) -> str:
    """A text of `tokens` tokens or a few less, as another model may have written it."""
    return _text(tokenizer, random.Random(5000 + number), words(), tokens).strip()


def prompt_ids(tokenizer: PreTrainedTokenizerBase, messages: list[Message]) -> list[int]:
    """Tokens of a chat up to where the answer begins."""
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)


def text_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Tokens of a text alone."""
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def _text(
    tokenizer: PreTrainedTokenizerBase, draw: random.Random, vocabulary: list[str], tokens: int
) -> str:
    """Lines of `tokens` tokens together, or a few less."""
    lines: list[str] = []
    left = tokens
    while left > 0:
        lines.append(_line(draw, vocabulary))
        left = tokens - len(text_ids(tokenizer, "\n".join(lines)))
    text = "\n".join(lines)
    while len(text_ids(tokenizer, text)) > tokens and " " in text:
        text = text.rpartition(" ")[0]
    return text if tokens > 0 else ""


def _line(draw: random.Random, vocabulary: list[str]) -> str:
    return f"- {draw.randint(1, 99)} days ago: {_title(draw, vocabulary)}"


def _title(draw: random.Random, vocabulary: list[str]) -> str:
    chosen = draw.choices(vocabulary, k=draw.randint(4, 9))
    return f"{' '.join(chosen)} ({draw.randint(1930, 2025)}), rated {draw.randint(1, 5)}/5"
