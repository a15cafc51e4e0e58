"""The work that every engine is given: chats and texts as Parquet, and the same as token ids.

- prefill: PREFILLS chats of 2,000 tokens that have nothing in common
- decodeN: chats of 1,000 tokens, 10 draws each (decode1: one)
- job: scenarios of 2,000 tokens, the first 600 common to all; 10 draws each, and 10 texts of
  another model to score
"""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from transformers import AutoTokenizer, PreTrainedTokenizerBase

import texts

DRAWS = 10
PROMPT = 2000
CONTEXT = 1000
"""Tokens that a decoded draw follows; 128 more and its memory are still a round number."""
PREFILLS = 2
DECODES = {"decode1": (1, 1), "decode10": (1, DRAWS), "decode40": (4, DRAWS)}
"""How many chats, and how many draws of each."""
SHARES = {"decode1": 1, "decode10": 2, "decode40": 4}
"""Many sequences write a fraction of a draw's tokens: they take long enough."""


def write(model: Path, folder: Path, steps: int, scenarios: int) -> None:
    """Writes `jobs.json` and a Parquet file a measure into `folder`."""
    tokenizer = AutoTokenizer.from_pretrained(model / "hf", local_files_only=True)
    work = {"prefill": _plain(tokenizer, PREFILLS, PROMPT)}
    for name, (chats, _) in DECODES.items():
        work[name] = _plain(tokenizer, chats, CONTEXT)
    work["job"] = [_scenario(tokenizer, number, steps) for number in range(scenarios)]
    ids: dict[str, Any] = {"steps": steps, "opening": texts.text_ids(tokenizer, texts.OPENING)}
    ids["letters"] = [texts.text_ids(tokenizer, letter)[0] for letter in texts.LETTERS]
    for name, rows in work.items():
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet")
        ids[name] = [_ids(tokenizer, row) for row in rows]
    (folder / "jobs.json").write_text(json.dumps(ids))


def read(folder: Path) -> dict[str, Any]:
    """The work as token ids."""
    return json.loads((folder / "jobs.json").read_text())


def decode_steps(work: dict[str, Any], name: str) -> int:
    """How many tokens each sequence of a decoding writes."""
    return work["steps"] // SHARES[name]


def common(first: list[int], second: list[int]) -> int:
    """How many tokens two prompts begin with alike."""
    pairs = zip(first, second, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))


def _plain(tokenizer: PreTrainedTokenizerBase, count: int, tokens: int) -> list[dict]:
    chats = (texts.chat(tokenizer, number, tokens, 0) for number in range(count))
    return [{"id": number, "messages": chat} for number, chat in enumerate(chats)]


def _scenario(tokenizer: PreTrainedTokenizerBase, number: int, steps: int) -> dict:
    others = [texts.thought(tokenizer, number * DRAWS + draw, steps) for draw in range(DRAWS)]
    return {"id": number, "messages": texts.chat(tokenizer, number, PROMPT), "texts": others}


def _ids(tokenizer: PreTrainedTokenizerBase, row: dict) -> dict:
    others = row.get("texts", [])
    opened = [texts.text_ids(tokenizer, text + texts.OPENING) for text in others]
    return {"prompt": texts.prompt_ids(tokenizer, row["messages"]), "texts": opened}
