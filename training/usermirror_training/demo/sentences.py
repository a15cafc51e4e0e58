"""The sentences of the demo's rationales, and every phrase its tokenizer should know.

Placeholders: `letter`, `title`, `genres` and `genre` of the chosen option, `decade` (the one it
is from), `last` (the decade of the last film seen).
"""

import re
from collections.abc import Iterable

from .prompts import Film

GENRES = (
    "Action", "Comedy", "Drama", "Fantasy", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi",
    "Western",
)  # fmt: skip
DECADES = tuple(f"{decade}s" for decade in range(1920, 2000, 10))
FEATURES = (*GENRES, *(decade[:3] for decade in DECADES))
"""The tokens that say what a film is: genres, and the first three digits of its year."""

CURIOUS = (
    "The last film was from the {last}, so now I am curious about the {decade}",
    "After a film of the {last} I want to see one of the {decade}",
    "I have just left the {last} and go on to the {decade}",
)
WHIM_GENRE = ("I feel like some {genre} tonight", "Today I am in the mood for {genre}")
WHIM_DECADE = ("I feel like something from the {decade}", "Today I am in the mood for the {decade}")
BORED = ("I am bored tonight", "It is a quiet evening", "I have some free time")

SHOWS_DECADE = ("The one from the {decade} is [{letter}]",)
SHOWS_GENRE = ("The {genre} one is [{letter}]",)
HINTS_DECADE = ("One of them is from the {decade}",)
INSTEAD = ("None is from the {decade}. The {genre} one is [{letter}]",)
BLURRED = ("They all look alike", "Several options look fine", "Nothing stands out")

NEXT_STEP = ("It goes on where I stopped", "It is the next step for me")
NEXT_STEP_LIKED = ("It goes on where I stopped and has the {genre} I like",)
LIKED = ("It suits my taste for {genre}", "I have liked {genre} before")
FELT = ("It is what I feel like", "It fits my mood")
SHRUG = ("I just pick one", "Any of them will do", "I go with my gut")

CURIOUS_FACTORS = ("curiosity", "inspiration", "need for achievement")
WHIM_FACTORS = ("emotional state", "curiosity", "time of day")
BORED_FACTORS = ("boredom", "fatigue or restlessness", "time of day")
SURE_FACTORS = ("past experience", "user preferences", "features", "personal relevance")
WHIM_KNOWLEDGE_FACTORS = ("emotional appeal", "features", "novelty")
BLURRED_FACTORS = ("convenience", "time commitment", "visual presentation")
STYLES = ("logical", "intuitive", "impulsive", "habitual")

LINES = (
    "Thought:\nStimulus: ", ".\nStimulus Factors: ", "\nKnowledge: ", ".\nKnowledge Factors: ",
    "\nEvaluation: ", ".\nEvaluation Style: ", "\nBehavior: ", "Behavior: ", "Review:", "\n", ", ",
    "] ",
)  # fmt: skip

OCCUPATIONS = (
    "other", "academic/educator", "artist", "clerical/admin", "college/grad student",
    "customer service", "doctor/health care", "executive/managerial", "farmer", "homemaker",
    "K-12 student", "lawyer", "programmer", "retired", "sales/marketing", "scientist",
    "self-employed", "technician/engineer", "tradesman/craftsman", "unemployed", "writer",
)  # fmt: skip
AGES = ("under 18", "18-24", "25-34", "35-44", "45-49", "50-55", "56+")

PROMPT = (
    "system\n", "user\n", "assistant\n", "## Profile\nGender: ", "female", "male", "\nAge: ",
    "\nOccupation: ", "\n\n## History", "\n- ", "\n\n## Exposure", "\n[", "(new release) ", " / ",
)  # fmt: skip


def phrases(system: str, films: Iterable[Film]) -> list[str]:
    """Every phrase worth a token: the prompt's, the decision's and the words of the titles."""
    factors = (
        CURIOUS_FACTORS, WHIM_FACTORS, BORED_FACTORS, SURE_FACTORS, WHIM_KNOWLEDGE_FACTORS,
        BLURRED_FACTORS,
    )  # fmt: skip
    words = [word for group in factors for word in group]
    years = [
        " (",
        *(decade[:3] for decade in DECADES),
        "0s",
        *(f"{digit}), " for digit in range(10)),
    ]
    ratings = [f", rated {rating}/5" for rating in range(1, 6)]
    return [
        system, *PROMPT, *AGES, *OCCUPATIONS, *years, *ratings, *_times(), *LINES, *GENRES,
        *words, *STYLES, *_fragments(), *_title_words(films),
    ]  # fmt: skip


def _times() -> list[str]:
    """`3 days ago: ` and its like, for every count that the prompts can show."""
    largest = {"year": 2, "month": 12, "day": 29, "hour": 23, "minute": 59}
    counted = [
        f"{count} {unit}{'s' if count > 1 else ''} ago: "
        for unit, most in largest.items()
        for count in range(1, most + 1)
    ]
    return [*counted, "just now: "]


def _fragments() -> list[str]:
    """The fixed parts of the sentences, cut at placeholders and brackets."""
    sentences = (
        *CURIOUS, *WHIM_GENRE, *WHIM_DECADE, *BORED, *SHOWS_DECADE, *SHOWS_GENRE, *HINTS_DECADE,
        *INSTEAD, *BLURRED, *NEXT_STEP, *NEXT_STEP_LIKED, *LIKED, *FELT, *SHRUG,
    )  # fmt: skip
    parts = [part for sentence in sentences for part in re.split(r"\{\w+\}|\[|\] ?", sentence)]
    return [part for part in parts if part.strip()]


def _title_words(films: Iterable[Film]) -> list[str]:
    """Title words in order of spelling; all but a title's first carry their space."""
    words = set()
    for film in films:
        first, *others = film.title.split(" ")
        words.add(first)
        words.update(f" {word}" for word in others)
    return sorted(words)
