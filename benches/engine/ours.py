"""Our engine, as its users run it: the `usermirror` binary with SQL over a Parquet file of chats.

Opening the model and starting up are no part of a measure: each is the cost of a command less that
of the same command with next to no work, after one that brings our files back into the caches, where
other engines put theirs meanwhile. Tokens are those that `decide` counted.

    python ours.py MODEL_FOLDER JOBS_FOLDER THREADS BINARY RUNTIME
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

import jobs
import texts
import worker

IDLE = "SELECT 1 FROM m"
"""Opens the model and asks it nothing."""
DRAW = """
CREATE TABLE decisions AS SELECT id, unnest(decide('m', messages, {draws})) AS d FROM chats;
SELECT count(*) AS rows, sum(d['tokens']) AS tokens, count(d['error']) AS errors FROM decisions;
"""
SCORE = """
CREATE TABLE scores AS
    SELECT id, text, choose('m', messages, text, {letters}) AS c
    FROM (SELECT id, messages, unnest(texts) AS text FROM chats) ORDER BY id;
SELECT count(*) AS rows, count(c['error']) AS errors FROM scores;
SELECT count(*) AS rows, count(*) - count(d['letter_probs']) AS errors FROM decisions;
SELECT id, text, c['probs'] AS probs FROM scores;
"""
"""The letters after the model's own decisions come with them."""


class Ours:
    """The engine."""

    settings = "usermirror sql"

    def __init__(
        self, model: Path, folder: Path, threads: int, binary: str, runtime: str, options: str = ""
    ) -> None:
        """`options` are further ones of the model, as SQL has them: "'slots' '8'"."""
        self.work, self.folder = jobs.read(folder), folder
        self.command = [binary, "--root", str(folder / "lake"), "--runtime", runtime]
        extra = f", {options}" if options else ""
        self.opening = (
            f"CREATE EXTERNAL TABLE m STORED AS MODEL LOCATION '{model}' "
            f"OPTIONS ('threads' '{threads}'{extra});"
        )

    def prefill(self) -> worker.Spent:
        """One token after each prompt."""
        chats = self.work["prefill"]
        spent, _ = self._less_idle("prefill", DRAW.format(draws=1), 1, len(chats))
        return worker.Spent(spent.wall, spent.cpu, sum(len(chat["prompt"]) for chat in chats))

    def decode(self, sequences: int, greedy: bool) -> worker.Spent:
        """The steps after the first token: a run with all of them, less a run with one."""
        name = f"decode{sequences}"
        chats, draws = jobs.DECODES[name]
        sql, steps = DRAW.format(draws=draws), jobs.decode_steps(self.work, name)
        temperature = worker.COLD if greedy else worker.TEMPERATURE
        self.run(name, IDLE, 1)
        long, written = self.run(name, sql, steps + 1, temperature)
        short, begun = self.run(name, sql, 1, temperature)
        for counted in written, begun:
            check(counted[0], chats * draws)
        tokens = written[0]["tokens"] - begun[0]["tokens"]
        return worker.Spent(long.wall - short.wall, long.cpu - short.cpu, tokens)

    def job(self) -> worker.Spent:
        """Decisions of all scenarios and their letters, then the letters after other texts."""
        scenarios = len(self.work["job"])
        sql = DRAW.format(draws=jobs.DRAWS) + SCORE.format(letters=len(texts.LETTERS))
        rows = scenarios * jobs.DRAWS
        spent, counted = self._less_idle("job", sql, self.work["steps"], rows)
        for scored in counted[1:3]:
            check(scored, rows)
        found = {(row["id"], row["text"]): row["probs"] for row in counted[3:]}
        chats = pq.read_table(self.folder / "job.parquet").to_pylist()
        letters = [found[chat["id"], text] for chat in chats for text in chat["texts"]]
        return worker.Spent(spent.wall, spent.cpu, counted[0]["tokens"], letters)

    def _less_idle(
        self, name: str, sql: str, steps: int, rows: int
    ) -> tuple[worker.Spent, list[dict[str, Any]]]:
        """The cost of a run less that of opening the model."""
        self.run(name, IDLE, steps)
        spent, counted = self.run(name, sql, steps)
        idle, _ = self.run(name, IDLE, steps)
        check(counted[0], rows)
        return worker.Spent(spent.wall - idle.wall, spent.cpu - idle.cpu, 0), counted

    def run(
        self, name: str, sql: str, steps: int, temperature: float = worker.TEMPERATURE
    ) -> tuple[worker.Spent, list[dict[str, Any]]]:
        """Runs SQL over the table `chats` of a measure; returns its cost and the rows printed."""
        settings = {"max_tokens": steps, "temperature": temperature, "top_p": worker.TOP_P}
        script = [self.opening]
        script += [f"SET model.{key} = {value};" for key, value in settings.items()]
        file = self.folder / f"{name}.parquet"
        script += [f"CREATE EXTERNAL TABLE chats STORED AS PARQUET LOCATION '{file}';", sql]
        command = [*self.command, "--quiet", "sql", "--format", "ndjson"]
        with worker.Clock(children=True) as clock:
            done = subprocess.run(
                command, input="\n".join(script), capture_output=True, text=True, check=False
            )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
        rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        return clock.spent(0), rows


def check(counted: dict[str, Any], rows: int) -> None:
    """Raises when a run did not do all of its work."""
    if counted["rows"] != rows or counted["errors"]:
        raise RuntimeError(f"not what was asked for, {rows} rows without errors: {counted}")


if __name__ == "__main__":
    model, folder, threads, binary, runtime = sys.argv[1:]
    worker.serve(Ours(Path(model), Path(folder), int(threads), binary, runtime))
