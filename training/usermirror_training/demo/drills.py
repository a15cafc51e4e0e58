"""Retrieval drills: the skill of looking things up, taught before the skill of choosing.

A model of this size does not soon find by itself how to go from a genre or a decade to the
letter of the option that has it. Short lists with many questions teach it; lists grow longer once
the answers are right.
"""

from random import Random

from . import sentences as say
from .prompts import Film, Scenario
from .tokenizer import LETTERS

OPENING = "Review:"
"""What precedes the questions. It is given, never learned, so that no decision begins with it."""

QUESTIONS = 8
LEVELS = (2, 3, 4, 5)
"""Options in a list, level by level."""


def quiz(films: list[Film], level: int, random: Random) -> tuple[str, str]:
    """A list of options and a block of questions with their answers."""
    options = random.sample(films, LEVELS[level])
    while not _answers(options):
        options = random.sample(films, LEVELS[level])
    return _listing(options) + OPENING, _block(options, random.random() < 0.5, random)


def review(scenario: Scenario, random: Random) -> str:
    """Questions about a scenario's own options, to follow [`OPENING`]."""
    return _block(list(scenario.options), True, random)


def _listing(options: list[Film]) -> str:
    lines = [
        f"\n[{letter}] {film.title} ({film.year}), {' / '.join(film.genres)}"
        for letter, film in zip(LETTERS, options, strict=False)
    ]
    return "".join(lines)


def _block(options: list[Film], sentences: bool, random: Random) -> str:
    answers = _answers(options)
    asked = [random.choice(answers) for _ in range(QUESTIONS)] if answers else []
    return "".join("\n" + _answer(feature, letter, sentences) for feature, letter in asked)


def _answer(feature: str, letter: str, sentence: bool) -> str:
    """The letter right after the feature, or the sentence that a decision would hold."""
    if not sentence:
        return feature + letter
    if feature in say.GENRES:
        return say.SHOWS_GENRE[0].format(genre=feature, letter=letter)
    return say.SHOWS_DECADE[0].format(decade=f"{feature}0s", letter=letter)


def _answers(options: list[Film]) -> list[tuple[str, str]]:
    """Each decade (its first three digits) or genre that exactly one option has, and its letter."""
    holders: dict[str, list[str]] = {}
    for letter, film in zip(LETTERS, options, strict=False):
        for feature in (str(film.decade)[:3], *film.genres):
            holders.setdefault(feature, []).append(letter)
    return [(feature, letters[0]) for feature, letters in holders.items() if len(letters) == 1]
