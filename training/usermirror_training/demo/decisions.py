"""Two teachers: what the strong and the weak demo model learn to write.

The strong one reads the evidence: the decade of the last film seen says what its user is
curious about, the ratings say what the user likes. The weak one has the same skills (it finds
options, names them and stays true to what it wrote) but mostly follows whims of its own, and
is often vague. Neither is shown the truth.
"""

from collections import defaultdict
from random import Random

from . import sentences as say
from .prompts import Film, Scenario
from .tokenizer import LETTERS

NEUTRAL_RATING = 3
HINT_SHARE = 0.1
"""Share of the sure decisions that name the decade but leave the letter to be found."""

WEAK_EVIDENCE = 0.25
WEAK_VAGUE = 0.3
"""Shares of the weak teacher's decisions; the rest are whims."""


def strong(scenario: Scenario, random: Random) -> str:
    """A decision by the visible evidence."""
    chosen = best_option(scenario)
    option = scenario.options[chosen]
    wanted = next_decade(scenario)
    support = _support(scenario)
    genre = max(option.genres, key=lambda genre: support[genre])
    stimulus = random.choice(say.CURIOUS)
    if option.decade == wanted:
        hint = _alone(scenario, wanted) and random.random() < HINT_SHARE
        knowledge = random.choice(say.HINTS_DECADE if hint else say.SHOWS_DECADE)
        liked = support[genre] > 0
        evaluation = random.choice(say.NEXT_STEP_LIKED if liked else say.NEXT_STEP)
    else:
        knowledge = random.choice(say.INSTEAD)
        evaluation = random.choice(say.LIKED)
    fields = {
        **_fields(option, chosen),
        "genre": genre,
        "decade": f"{wanted}s",
        "last": f"{scenario.history[-1].film.decade}s",
    }
    lines = [line.format(**fields) for line in (stimulus, knowledge, evaluation)]
    style = random.choice(("logical", "habitual"))
    return _write(lines, say.CURIOUS_FACTORS, say.SURE_FACTORS, style, chosen, random)


def weak(scenario: Scenario, random: Random) -> str:
    """Now and then a decision by the evidence, else a whim or a shrug."""
    draw = random.random()
    if draw < WEAK_EVIDENCE:
        return strong(scenario, random)
    chosen = random.randrange(len(scenario.options))
    if draw < WEAK_EVIDENCE + WEAK_VAGUE:
        return _shrug(chosen, random)
    return _whim(scenario.options[chosen], chosen, random)


def best_option(scenario: Scenario) -> int:
    """The option that the evidence favours: the wanted decade first, then the taste."""
    wanted = next_decade(scenario)
    support = _support(scenario)

    def favour(position: int) -> tuple[bool, float]:
        option = scenario.options[position]
        liking = sum(support[genre] for genre in option.genres) / len(option.genres)
        return option.decade == wanted, liking

    return max(range(len(scenario.options)), key=favour)


def next_decade(scenario: Scenario) -> int:
    """The decade after that of the last film seen; after the last one comes the first again."""
    first, last = (int(say.DECADES[end][:4]) for end in (0, -1))
    seen = scenario.history[-1].film.decade
    return seen + 10 if seen < last else first


def _support(scenario: Scenario) -> dict[str, float]:
    """How far the ratings speak for each genre."""
    support: dict[str, float] = defaultdict(float)
    for rated in scenario.history:
        for genre in rated.film.genres:
            support[genre] += (rated.rating - NEUTRAL_RATING) / len(rated.film.genres)
    return support


def _alone(scenario: Scenario, decade: int) -> bool:
    return sum(option.decade == decade for option in scenario.options) == 1


def _whim(option: Film, chosen: int, random: Random) -> str:
    by_decade = random.random() < 0.5
    stimulus = random.choice(say.WHIM_DECADE if by_decade else say.WHIM_GENRE)
    knowledge = random.choice(say.SHOWS_DECADE if by_decade else say.SHOWS_GENRE)
    fields = {**_fields(option, chosen), "genre": random.choice(option.genres)}
    lines = [line.format(**fields) for line in (stimulus, knowledge, random.choice(say.FELT))]
    style = random.choice(("intuitive", "impulsive"))
    return _write(lines, say.WHIM_FACTORS, say.WHIM_KNOWLEDGE_FACTORS, style, chosen, random)


def _shrug(chosen: int, random: Random) -> str:
    lines = [random.choice(group) for group in (say.BORED, say.BLURRED, say.SHRUG)]
    style = random.choice(("intuitive", "impulsive"))
    return _write(lines, say.BORED_FACTORS, say.BLURRED_FACTORS, style, chosen, random)


def _fields(option: Film, chosen: int) -> dict[str, str]:
    return {
        "letter": LETTERS[chosen],
        "title": option.title,
        "genres": " / ".join(option.genres),
        "decade": f"{option.decade}s",
    }


def _write(
    lines: list[str],
    stimulus_factors: tuple[str, ...],
    knowledge_factors: tuple[str, ...],
    style: str,
    chosen: int,
    random: Random,
) -> str:
    """The decision in the method's form; `lines` are stimulus, knowledge and evaluation."""
    stimulus, knowledge, evaluation = lines
    return (
        f"Thought:\nStimulus: {stimulus}.\n"
        f"Stimulus Factors: {', '.join(random.sample(stimulus_factors, 2))}\n"
        f"Knowledge: {knowledge}.\n"
        f"Knowledge Factors: {', '.join(random.sample(knowledge_factors, 2))}\n"
        f"Evaluation: {evaluation}.\n"
        f"Evaluation Style: {style}\n"
        f"Behavior: [{LETTERS[chosen]}]"
    )
