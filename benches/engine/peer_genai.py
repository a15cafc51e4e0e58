"""onnxruntime-genai's Generator.

It cannot fork. Draws that are decoded together are a batch of copies of the prompt. In the job that
would read it ten times over; there one row draws and scores after the other, and rewinds to the
prompt: a fifth of the time.

    python peer_genai.py MODEL_FOLDER JOBS_FOLDER THREADS
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime_genai as genai

import jobs
import worker

LARGEST_BATCH = 10
"""It takes up to 32, but reads a batch with logits of all tokens: gigabytes, and no faster."""

Rows = list[list[int]]


class Genai:
    """The engine."""

    settings = "batches of copies, 40 as 4 of 10; job: one row that rewinds"

    def __init__(self, folder: Path, work: Path, threads: int) -> None:
        self.work = jobs.read(work)
        config = genai.Config(str(folder))
        session = {"intra_op_num_threads": threads}
        config.overlay(json.dumps({"model": {"decoder": {"session_options": session}}}))
        self.model = genai.Model(config)
        self.padding = json.loads((folder / "genai_config.json").read_text())["model"][
            "pad_token_id"
        ]

    def prefill(self) -> worker.Spent:
        """Reads each prompt with a generator of its own."""
        prompts = [row["prompt"] for row in self.work["prefill"]]
        with worker.Clock() as clock:
            for prompt in prompts:
                self._read([prompt], 1)
        return clock.spent(sum(map(len, prompts)))

    def decode(self, sequences: int, greedy: bool) -> worker.Spent:
        """Writes to batches of at most what it allows, one after the other."""
        name = f"decode{sequences}"
        chats = [chat["prompt"] for chat in self.work[name]]
        rows = [chat for chat in chats for _ in range(sequences // len(chats))]
        batches = -(-sequences // LARGEST_BATCH)
        size, steps = sequences // batches, jobs.decode_steps(self.work, name)
        wall = cpu = 0.0
        for start in range(0, sequences, size):
            generator = self._read(rows[start : start + size], steps, greedy)
            with worker.Clock() as clock:
                self._write(generator, steps)
            wall, cpu = wall + clock.wall, cpu + clock.cpu
        return worker.Spent(wall, cpu, steps * sequences)

    def job(self) -> worker.Spent:
        """Each scenario in turn, one row throughout."""
        scenarios, steps = self.work["job"], self.work["steps"]
        longest = max(len(row["prompt"]) for row in scenarios)
        written = max(len(text) for row in scenarios for text in row["texts"])
        room = max(written, steps + len(self.work["opening"]))
        letters: list[list[float]] = []
        before: list[int] = []
        with worker.Clock() as clock:
            generator = self._generator(longest + room)
            for row in scenarios:
                kept = jobs.common(before, row["prompt"])
                if before:
                    generator.rewind_to(kept)
                letters += self._scenario(generator, row, kept)
                before = row["prompt"][:-1]
        return clock.spent(len(scenarios) * jobs.DRAWS * steps, letters)

    def _scenario(self, generator: genai.Generator, row: dict, kept: int) -> list[list[float]]:
        """Draws and scores, going back to the prompt each time; it is left without its last token.

        Returns the letters after the other texts.
        """
        prompt = row["prompt"]
        self._append(generator, prompt[kept:-1])
        for _ in range(jobs.DRAWS):
            self._append(generator, prompt[-1:])
            self._write(generator, self.work["steps"])
            self._letters(generator, self.work["opening"])
            generator.rewind_to(len(prompt) - 1)
        found = []
        for text in row["texts"]:
            found.append(self._letters(generator, prompt[-1:] + text))
            generator.rewind_to(len(prompt) - 1)
        return found

    def _letters(self, generator: genai.Generator, tokens: list[int]) -> list[float]:
        """Appends tokens; returns the distribution over the letters after them."""
        self._append(generator, tokens)
        logits = generator.get_logits()[0, -1, self.work["letters"]]
        powers = np.exp(logits - logits.max())
        return (powers / powers.sum()).tolist()

    @staticmethod
    def _write(generator: genai.Generator, steps: int) -> None:
        for _ in range(steps):
            generator.generate_next_token()

    @staticmethod
    def _append(generator: genai.Generator, tokens: list[int]) -> None:
        generator.append_tokens(np.array([tokens], np.int32))

    def _read(self, rows: Rows, room: int, greedy: bool = False) -> genai.Generator:
        """A generator that has read `rows`, padded on the left, with room for as many tokens."""
        longest = max(map(len, rows))
        generator = self._generator(longest + room + 1, len(rows), greedy)
        padded = [[self.padding] * (longest - len(row)) + row for row in rows]
        generator.append_tokens(np.array(padded, np.int32))
        return generator

    def _generator(self, room: int, rows: int = 1, greedy: bool = False) -> genai.Generator:
        parameters = genai.GeneratorParams(self.model)
        parameters.set_search_options(
            batch_size=rows,
            max_length=room,
            min_length=room,
            do_sample=not greedy,
            temperature=worker.TEMPERATURE,
            top_p=worker.TOP_P,
            top_k=0,
        )
        return genai.Generator(self.model, parameters)


if __name__ == "__main__":
    worker.serve(Genai(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
