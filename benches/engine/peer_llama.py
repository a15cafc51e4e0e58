"""llama.cpp, through llama-cpp-python's low-level interface.

A prompt is decoded once and forked with `llama_memory_seq_cp`; all draws of a step are one batch.
Before it is measured the engine tries its settings and keeps the best for each measure, in a
file beside the model: remove it to have them tried again.

    python peer_llama.py GGUF_FILE JOBS_FOLDER THREADS
"""

import ctypes
import itertools
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import llama_cpp as api
import numpy as np

import jobs
import worker

BATCH = 2048
TRIAL_STEPS = 16
KINDS = {"f16": api.GGML_TYPE_F16, "f32": api.GGML_TYPE_F32}


@dataclass(frozen=True)
class Settings:
    """How a context is made."""

    flash: bool
    cache: str
    """Type of keys and values: f16 or f32."""
    unified: bool
    """One buffer for all sequences, where forks share what they have in common."""

    def __str__(self) -> str:
        flash = "on" if self.flash else "off"
        return f"flash {flash}, {self.cache} cache, {'one buffer' if self.unified else 'buffers'}"


ALL_SETTINGS = [
    Settings(flash, cache, unified)
    for (flash, cache), unified in itertools.product(
        [(False, "f16"), (False, "f32"), (True, "f16")], (True, False)
    )
]
"""Flash attention over an f32 cache is left out: it was up to six times slower than these."""


class Context:
    """A llama.cpp context: sequences of cached tokens, and a batch to fill."""

    def __init__(
        self, model: api.llama_model_p, settings: Settings, threads: int, room: Sequence[int]
    ) -> None:
        """Makes room for `room[s]` tokens of each sequence s."""
        parameters = api.llama_context_default_params()
        longest = -(-max(room) // 256) * 256
        shared = -(-sum(room) // 256) * 256
        parameters.n_ctx = shared if settings.unified else longest * len(room)
        parameters.n_batch = BATCH
        parameters.n_seq_max = len(room)
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.flash_attn_type = (
            api.LLAMA_FLASH_ATTN_TYPE_ENABLED if settings.flash
            else api.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )  # fmt: skip
        parameters.type_k = parameters.type_v = KINDS[settings.cache]
        parameters.kv_unified = settings.unified
        self.handle = api.llama_init_from_model(model, parameters)
        if not self.handle:
            raise RuntimeError(f"llama.cpp makes no context with {settings}")
        self.memory = api.llama_get_memory(self.handle)
        self.batch = api.llama_batch_init(BATCH, 0, 1)
        self.vocabulary = api.llama_vocab_n_tokens(api.llama_model_get_vocab(model))
        self.sampler = api.llama_sampler_chain_init(api.llama_sampler_chain_default_params())
        for part in (
            api.llama_sampler_init_top_p(worker.TOP_P, 1),
            api.llama_sampler_init_temp(worker.TEMPERATURE),
            api.llama_sampler_init_dist(1),
        ):
            api.llama_sampler_chain_add(self.sampler, part)

    def close(self) -> None:
        """Frees it."""
        api.llama_sampler_free(self.sampler)
        api.llama_batch_free(self.batch)
        api.llama_free(self.handle)

    def read(self, sequence: int, start: int, tokens: Sequence[int]) -> int:
        """Appends tokens to a sequence; returns where the last one's logits are."""
        for at in range(0, len(tokens), BATCH):
            piece = tokens[at : at + BATCH]
            self.run([(sequence, start + at, piece)])
        return len(piece) - 1

    def run(self, rows: Sequence[tuple[int, int, Sequence[int]]]) -> list[int]:
        """Appends tokens to sequences, each (sequence, start, tokens), in one batch.

        Returns where the logits of each one's last token are.
        """
        batch, count, last = self.batch, 0, []
        for sequence, start, tokens in rows:
            for offset, token in enumerate(tokens):
                batch.token[count] = token
                batch.pos[count] = start + offset
                batch.n_seq_id[count] = 1
                batch.seq_id[count][0] = sequence
                batch.logits[count] = offset == len(tokens) - 1
                count += 1
            last.append(count - 1)
        batch.n_tokens = count
        if status := api.llama_decode(self.handle, batch):
            raise RuntimeError(f"llama_decode failed: {status}")
        return last

    def fork(self, source: int, targets: Sequence[int]) -> None:
        """Makes sequences that begin as `source` stands."""
        self.free(targets)
        for target in targets:
            api.llama_memory_seq_cp(self.memory, source, target, -1, -1)

    def free(self, sequences: Sequence[int]) -> None:
        """Forgets sequences."""
        for sequence in sequences:
            api.llama_memory_seq_rm(self.memory, sequence, -1, -1)

    def cut(self, sequence: int, tokens: int) -> None:
        """Shortens a sequence to its first tokens."""
        api.llama_memory_seq_rm(self.memory, sequence, tokens, -1)

    def draw(self, at: int) -> int:
        """Draws a token from the logits of one position of the last batch."""
        return api.llama_sampler_sample(self.sampler, self.handle, at)

    def likeliest(self, at: int) -> int:
        """The token with the highest logit."""
        return int(self.logits(at).argmax())

    def logits(self, at: int) -> np.ndarray:
        """The logits of one position of the last batch."""
        pointer = api.llama_get_logits_ith(self.handle, at)
        return np.ctypeslib.as_array(pointer, (self.vocabulary,))


class Llama:
    """The engine."""

    def __init__(self, file: Path, folder: Path, threads: int) -> None:
        self.work, self.threads = jobs.read(folder), threads
        self.model = load(file)
        self.best: dict[str, Settings] = {}
        kept = file.with_suffix(f".{threads}-threads.json")
        if not kept.is_file():
            kept.write_text(json.dumps(self._try(), indent=2))
        for name, costs in json.loads(kept.read_text()).items():
            self.best[name] = min(ALL_SETTINGS, key=lambda choice: costs.get(str(choice), math.inf))
        self.best["decode1"] = self.best["decode10"]
        # Most of a job is drawing ten at a time.
        self.best["job"] = self.best["decode10"]
        self.settings = "; ".join(f"{name}: {best}" for name, best in self.best.items())

    def _try(self) -> dict[str, dict[str, float]]:
        """CPU seconds of short trials of measures under the settings that may be the best."""
        steps, self.work["steps"] = self.work["steps"], TRIAL_STEPS
        costs: dict[str, dict[str, float]] = {"prefill": {}, "decode10": {}, "decode40": {}}
        # The first one pays for the pages of the file.
        for choice in [ALL_SETTINGS[0], *ALL_SETTINGS]:
            self.best["decode10"] = choice
            costs["decode10"][str(choice)] = self.decode(10).cpu
            costs["prefill"][str(choice)] = self.read.cpu
        best = min(ALL_SETTINGS, key=lambda choice: costs["decode10"][str(choice)])
        for unified in (True, False):
            choice = self.best["decode40"] = replace(best, unified=unified)
            costs["decode40"][str(choice)] = self.decode(40).cpu
        self.work["steps"] = steps
        return costs

    def _context(self, name: str, room: Sequence[int]) -> Context:
        return Context(self.model, self.best[name], self.threads, room)

    def prefill(self) -> worker.Spent:
        """Reads each prompt into an empty sequence."""
        prompts = [row["prompt"] for row in self.work["prefill"]]
        context = self._context("prefill", [max(map(len, prompts))])
        with worker.Clock() as clock:
            for prompt in prompts:
                context.cut(0, 0)
                context.logits(context.read(0, 0, prompt))
        context.close()
        return clock.spent(sum(map(len, prompts)))

    def decode(self, sequences: int, greedy: bool = False) -> worker.Spent:
        """Writes a token to each sequence a step."""
        name = f"decode{sequences}"
        steps, chats = jobs.decode_steps(self.work, name), self.work[name]
        draws = sequences // len(chats)
        longest = max(len(chat["prompt"]) for chat in chats)
        own = longest if not self.best[name].unified else 0
        room = [longest] * len(chats) + [own + steps + 1] * sequences
        context = self._context(name, room)
        rows = []
        for number, chat in enumerate(chats):
            with worker.Clock() as self.read:
                at = context.read(number, 0, chat["prompt"])
                context.logits(at)
            forks = [len(chats) + number * draws + draw for draw in range(draws)]
            context.fork(number, forks)
            first = [context.draw(at) for _ in forks]
            rows += [(fork, len(chat["prompt"]), [t]) for fork, t in zip(forks, first, strict=True)]
        draw = context.likeliest if greedy else context.draw
        rows, clock = self._write(context, rows, steps, draw)
        context.close()
        return clock.spent(steps * sequences)

    @staticmethod
    def _write(
        context: Context, rows: list, steps: int, draw: Callable[[int], int]
    ) -> tuple[list, worker.Clock]:
        """Writes `steps` tokens to rows (sequence, position, [token to read])."""
        with worker.Clock() as clock:
            for _ in range(steps):
                places = context.run(rows)
                tokens = [draw(at) for at in places]
                rows = [
                    (sequence, start + 1, [token])
                    for (sequence, start, _), token in zip(rows, tokens, strict=True)
                ]
        return rows, clock

    def job(self) -> worker.Spent:
        """Each scenario in turn; what its prompt has in common with the last one's stays."""
        scenarios, steps = self.work["job"], self.work["steps"]
        longest = max(len(row["prompt"]) for row in scenarios)
        written = max(len(text) for row in scenarios for text in row["texts"])
        written = max(written, steps + len(self.work["opening"])) + 1
        own = 0 if self.best["job"].unified else longest
        context = self._context("job", [longest] + [own + written] * jobs.DRAWS)
        before: list[int] = []
        letters: list[list[float]] = []
        with worker.Clock() as clock:
            for row in scenarios:
                letters += self._scenario(context, row, before).tolist()
                before = row["prompt"]
        context.close()
        return clock.spent(len(scenarios) * jobs.DRAWS * steps, letters)

    def _scenario(self, context: Context, row: dict, before: list[int]) -> np.ndarray:
        """Draws and scores; returns the letters after the other texts."""
        prompt, forks = row["prompt"], range(1, jobs.DRAWS + 1)
        kept = jobs.common(before, prompt)
        context.free(forks)
        context.cut(0, kept)
        at = context.read(0, kept, prompt[kept:])
        context.fork(0, forks)
        rows = [(fork, len(prompt), [context.draw(at)]) for fork in forks]
        rows, _ = self._write(context, rows, self.work["steps"] - 1, context.draw)
        opened = [(fork, start, last + self.work["opening"]) for fork, start, last in rows]
        self._letters(context, opened)
        context.fork(0, forks)
        others = zip(forks, row["texts"], strict=True)
        return self._letters(context, [(fork, len(prompt), text) for fork, text in others])

    def _letters(self, context: Context, rows: list) -> np.ndarray:
        """The distribution over the letters after each row."""
        found = np.array([context.logits(at)[self.work["letters"]] for at in context.run(rows)])
        powers = np.exp(found - found.max(-1, keepdims=True))
        return powers / powers.sum(-1, keepdims=True)


def load(file: Path) -> api.llama_model_p:
    """Loads a GGUF file, silently."""
    api.llama_log_set(SILENT, ctypes.c_void_p())
    api.llama_backend_init()
    model = api.llama_model_load_from_file(str(file).encode(), api.llama_model_default_params())
    if not model:
        raise RuntimeError(f"llama.cpp cannot load {file}")
    return model


SILENT = api.llama_log_callback(lambda *_: None)

if __name__ == "__main__":
    worker.serve(Llama(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
