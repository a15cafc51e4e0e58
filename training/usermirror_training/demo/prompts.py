"""Scenarios as the product writes them, read back from the text of their prompts.

A teacher may use what the prompt shows and nothing else. Parsing the prompt, rather than
joining tables, makes that true by construction.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

HISTORY_LINE = re.compile(r"^- .+?: (.+) \((\d{4})\), (.+), rated (\d)/5$", re.MULTILINE)
OPTION_LINE = re.compile(r"^\[[A-Z]\] (?:\(new release\) )?(.+) \((\d{4})\), (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Film:
    """A film as a prompt shows it."""

    title: str
    year: int
    genres: tuple[str, ...]

    @property
    def decade(self) -> int:
        """The first year of the film's decade."""
        return self.year // 10 * 10


@dataclass(frozen=True)
class Rated:
    """A film of the history with the user's rating, 1 to 5."""

    film: Film
    rating: int


@dataclass(frozen=True)
class Scenario:
    """One simulation; `truth` is the position of the option that the user really chose."""

    id: str
    messages: list[dict[str, str]]
    history: tuple[Rated, ...]
    options: tuple[Film, ...]
    truth: int


def read(path: Path, split: str) -> list[Scenario]:
    """The scenarios of one split, in the order of their ids."""
    columns = ["scenario_id", "split", "truth", "messages"]
    rows = [
        row for row in pq.read_table(path, columns=columns).to_pylist() if row["split"] == split
    ]
    rows.sort(key=lambda row: row["scenario_id"])
    if not rows:
        raise ValueError(f"{path} holds no scenario of the split '{split}'")
    return [_scenario(row) for row in rows]


def _scenario(row: dict) -> Scenario:
    messages = [{"role": m["role"], "content": m["content"]} for m in row["messages"]]
    text = messages[-1]["content"]
    history = tuple(
        Rated(_film(title, year, genres), int(rating))
        for title, year, genres, rating in HISTORY_LINE.findall(text)
    )
    options = tuple(_film(*fields) for fields in OPTION_LINE.findall(text))
    truth = ord(row["truth"]) - ord("A")
    if not history or truth >= len(options):
        raise ValueError(f"scenario {row['scenario_id']} is not in the demo's prompt form:\n{text}")
    return Scenario(row["scenario_id"], messages, history, options, truth)


def _film(title: str, year: str, genres: str) -> Film:
    return Film(title, int(year), tuple(genres.split(" / ")))
