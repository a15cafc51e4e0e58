"""onnxruntime-genai's Generator.

It cannot fork: ten draws of a prompt are a batch of ten copies of it, each read. A text is scored by
a generator of one row, which reads the prompt once and rewinds to it after each text.

    python peer_genai.py MODEL_FOLDER JOBS_FOLDER THREADS
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime_genai as genai

import jobs
import worker

LARGEST_BATCH = 32

Rows = list[list[int]]


class Genai:
    """The engine."""

    settings = "batch of copies, 40 as 2 of 20"

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
                self._generator([prompt], 1)
        return clock.spent(sum(map(len, prompts)))

    def decode(self, sequences: int) -> worker.Spent:
        """Writes to batches of at most what it allows, one after the other."""
        chats = [chat["prompt"] for chat in self.work[f"decode{sequences}"]]
        rows = [chat for chat in chats for _ in range(sequences // len(chats))]
        batches = -(-sequences // LARGEST_BATCH)
        size, steps = sequences // batches, self.work["steps"]
        wall = cpu = 0.0
        for start in range(0, sequences, size):
            generator = self._generator(rows[start : start + size], steps)
            with worker.Clock() as clock:
                self._write(generator, steps)
            wall, cpu = wall + clock.wall, cpu + clock.cpu
        return worker.Spent(wall, cpu, steps * sequences)

    def job(self) -> worker.Spent:
        """Each scenario in turn."""
        scenarios, steps = self.work["job"], self.work["steps"]
        with worker.Clock() as clock:
            for row in scenarios:
                prompt = row["prompt"]
                generator = self._generator([prompt] * jobs.DRAWS, steps)
                self._write(generator, steps)
                own = [
                    generator.get_sequence(draw)[len(prompt) :].tolist() + self.work["opening"]
                    for draw in range(jobs.DRAWS)
                ]
                del generator
                self._score(prompt, own + row["texts"])
        return clock.spent(len(scenarios) * jobs.DRAWS * steps)

    def _score(self, prompt: list[int], rows: Rows) -> list[np.ndarray]:
        """The distribution over the letters after the prompt and each row."""
        generator = self._generator([prompt], max(map(len, rows)))
        found = []
        for row in rows:
            generator.append_tokens(np.array([row], np.int32))
            logits = generator.get_logits()[0, -1, self.work["letters"]]
            found.append(np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum())
            generator.rewind_to(len(prompt))
        return found

    @staticmethod
    def _write(generator: genai.Generator, steps: int) -> None:
        for _ in range(steps):
            generator.generate_next_token()

    def _generator(self, rows: Rows, room: int) -> genai.Generator:
        """A generator that has read `rows`, padded on the left, with room for as many tokens."""
        longest = max(map(len, rows))
        parameters = genai.GeneratorParams(self.model)
        parameters.set_search_options(
            batch_size=len(rows),
            max_length=longest + room + 1,
            min_length=longest + room,
            do_sample=True,
            temperature=worker.TEMPERATURE,
            top_p=worker.TOP_P,
            top_k=0,
        )
        generator = genai.Generator(self.model, parameters)
        padded = [[self.padding] * (longest - len(row)) + row for row in rows]
        generator.append_tokens(np.array(padded, np.int32))
        return generator


if __name__ == "__main__":
    worker.serve(Genai(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
