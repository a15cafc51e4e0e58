"""Kills a small job with SIGKILL at seeded moments, a thousand times, and counts what was lost.

    python3 benches/kills/kills.py --binary target/debug/usermirror --kills 1000

Each life of the job is one lake: it is killed and started again until it ends by itself. Its
tables must then be, row for row, those of an undisturbed run, and the model calls made twice must
stay within one commit interval a kill. Prints one line a lake and the totals; exits with 1 when a
row differs.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HOME = Path(__file__).resolve().parents[2]
TABLES = ["scenarios", "decisions", "scores", "uncertainty", "preferences"]
UNITS = 6  # of a commit interval
DRAWS = 4
JOB = f"""
[parameters]
scenarios = 24
draws = {DRAWS}
history_min = 5
history_max = 8
choices_min = 4
choices_max = 5
[commit]
units = {UNITS}
[models]
strong.location = '{HOME}/models/strong'
weak.location = '{HOME}/models/weak'
"""


class Job:
    """The job over a lake of its own."""

    def __init__(self, binary: Path, folder: Path) -> None:
        """Writes the job file to `folder`."""
        self.binary, self.folder = binary, folder
        self.file = folder / "job.toml"
        self.file.write_text(JOB)

    def command(self, *arguments: str) -> list[str]:
        """The command line."""
        return [str(self.binary), "--root", str(self.folder / "lake"), *arguments]

    def output(self, *arguments: str) -> str:
        """What a command prints."""
        run = subprocess.run(
            self.command(*arguments), cwd=HOME, check=True, capture_output=True, text=True
        )
        return run.stdout

    def rows(self) -> str:
        """Every row of every table, sorted by key."""
        queries = [f"SELECT * FROM {table} ORDER BY 1, 2, 3" for table in TABLES]
        flags = [flag for query in queries for flag in ("-c", query)]
        return self.output("sql", "--format", "ndjson", *flags)

    def start(self, seconds: float | None) -> tuple[bool, int]:
        """Runs the job for at most `seconds`; whether it ended, and the model calls answered."""
        with tempfile.TemporaryFile("w+") as log:
            process = subprocess.Popen(
                self.command("run", str(self.file)),
                cwd=HOME,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={"RUST_LOG": "usermirror=debug", "PATH": "/usr/bin:/bin"},
            )
            try:
                code = process.wait(seconds)
                ended = True
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
                ended = False
            log.seek(0)
            text = log.read()
        if ended and code != 0:
            sys.exit(f"the job failed with {code}:\n{text}")
        return ended, text.count("answered")


def main() -> None:
    """Kills until enough were killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", type=Path, default=HOME / "target/debug/usermirror")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--reach", type=float, default=2.5, help="the latest moment, in seconds")
    options = parser.parse_args()
    draws = random.Random(options.seed)

    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary) / "base"
        base.mkdir()
        job = Job(options.binary.resolve(), base)
        job.output("generate", "movielens", "--to", str(base / "raw"), "--users", "60", "--seed", "7")
        job.output("ingest", "movielens", "--from", str(base / "raw"))
        fresh = Path(temporary) / "fresh"
        shutil.copytree(base / "lake", fresh)
        _, calls = job.start(None)
        expected = job.rows()

        kills = lakes = wrong = repeated = 0
        begun = time.monotonic()
        while kills < options.kills:
            folder = Path(temporary) / "killed"
            folder.mkdir()
            job = Job(options.binary.resolve(), folder)
            shutil.copytree(fresh, folder / "lake")
            here = made = 0
            ended = False
            while not ended:
                ended, answered = job.start(draws.uniform(0.1, options.reach))
                made += answered
                here += not ended
            same = job.rows() == expected
            wrong += not same
            bound = here * UNITS * DRAWS
            repeated += made - calls
            kills, lakes = kills + here, lakes + 1
            print(f"lake {lakes}: {here} kills, {made - calls} calls repeated (bound {bound}), "
                  f"rows {'equal' if same else 'DIFFER'}", flush=True)
            if made - calls > bound:
                sys.exit("more calls were repeated than one interval a kill")
            shutil.rmtree(folder)
    minutes = (time.monotonic() - begun) / 60
    print(f"{kills} kills over {lakes} lakes in {minutes:.1f} min: {wrong} lakes differ, "
          f"{repeated / kills:.2f} calls repeated a kill of at most {UNITS * DRAWS}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
