"""Hugging Face transformers' `generate`, fp32, with a prompt read once.

A prompt goes through the model once, its cache is repeated for the draws, and `generate` goes on
from there. Texts to score are one padded batch, with logits of their last tokens only.

    python peer_hf.py MODEL_FOLDER JOBS_FOLDER THREADS
"""

import copy
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, DynamicCache

import jobs
import worker

Rows = list[list[int]]


class HuggingFace:
    """The engine."""

    settings = "fp32, sdpa, dynamic cache"

    def __init__(self, folder: Path, work: Path, threads: int) -> None:
        torch.set_num_threads(threads)
        torch.manual_seed(1)
        self.work = jobs.read(work)
        self.model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()
        self.padding = self.model.config.pad_token_id

    @torch.no_grad()
    def prefill(self) -> worker.Spent:
        """Reads each prompt into an empty cache."""
        prompts = [row["prompt"] for row in self.work["prefill"]]
        with worker.Clock() as clock:
            for prompt in prompts:
                self.model(torch.tensor([prompt]), logits_to_keep=1, use_cache=True)
        return clock.spent(sum(map(len, prompts)))

    @torch.no_grad()
    def decode(self, sequences: int, greedy: bool) -> worker.Spent:
        """Goes on from prompts that were read before."""
        name = f"decode{sequences}"
        chats = [chat["prompt"] for chat in self.work[name]]
        ids, mask = self._padded_left(chats)
        cache = DynamicCache(config=self.model.config)
        self.model(ids[:, :-1], attention_mask=mask[:, :-1], past_key_values=cache)
        draws, steps = sequences // len(chats), jobs.decode_steps(self.work, name)
        cache.batch_repeat_interleave(draws)
        ids, mask = (tensor.repeat_interleave(draws, 0) for tensor in (ids, mask))
        with worker.Clock() as clock:
            written = self._generate(ids, mask, cache, steps, greedy)
        return clock.spent(written.numel() - ids.numel())

    @torch.no_grad()
    def job(self) -> worker.Spent:
        """Each scenario in turn; what its prompt has in common with the last one's stays."""
        before: list[int] = []
        cache, tokens = DynamicCache(config=self.model.config), 0
        letters: list[list[float]] = []
        with worker.Clock() as clock:
            for row in self.work["job"]:
                kept = jobs.common(before, row["prompt"])
                if kept < len(before):
                    cache.crop(kept - len(before))
                written, found = self._scenario(row, cache, kept)
                tokens += written
                letters += found.tolist()
                before = row["prompt"][:-1]
        return clock.spent(tokens, letters)

    def _scenario(self, row: dict, cache: DynamicCache, kept: int) -> tuple[int, torch.Tensor]:
        """Draws and scores; `cache` is left at the prompt without its last token.

        Returns how many tokens were drawn, and the letters after the other texts.
        """
        prompt, draws = row["prompt"], jobs.DRAWS
        self.model(torch.tensor([prompt[kept:-1]]), past_key_values=cache, logits_to_keep=1)
        ids = torch.tensor([prompt] * draws)
        forked = self._fork(cache)
        written = self._generate(ids, torch.ones_like(ids), forked, self.work["steps"])
        opening = torch.tensor([self.work["opening"]] * draws)
        self._letters(torch.cat([written[:, -1:], opening], 1).tolist(), forked)
        found = self._letters([prompt[-1:] + text for text in row["texts"]], self._fork(cache))
        return written.numel() - ids.numel(), found

    @staticmethod
    def _fork(cache: DynamicCache) -> DynamicCache:
        forked = copy.deepcopy(cache)
        forked.batch_repeat_interleave(jobs.DRAWS)
        return forked

    def _letters(self, rows: Rows, cache: DynamicCache) -> torch.Tensor:
        """The distribution over the letters after each row."""
        longest = max(map(len, rows))
        ids = torch.tensor([row + [self.padding] * (longest - len(row)) for row in rows])
        hidden = self.model.model(ids, past_key_values=cache).last_hidden_state
        last = torch.tensor([len(row) - 1 for row in rows])
        logits = self.model.lm_head(hidden[torch.arange(len(rows)), last])
        return logits[:, self.work["letters"]].softmax(-1)

    def _generate(
        self,
        ids: torch.Tensor,
        mask: torch.Tensor,
        cache: DynamicCache,
        steps: int,
        greedy: bool = False,
    ) -> torch.Tensor:
        """Writes exactly `steps` tokens."""
        drawn = {"temperature": worker.TEMPERATURE, "top_p": worker.TOP_P, "top_k": 0}
        return self.model.generate(
            ids,
            attention_mask=mask,
            past_key_values=cache,
            max_new_tokens=steps,
            min_new_tokens=steps,
            do_sample=not greedy,
            **({} if greedy else drawn),
        )

    def _padded_left(self, rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids and mask [R,S]; `generate` wants the last tokens in one column."""
        longest = max(map(len, rows))
        ids = [[self.padding] * (longest - len(row)) + row for row in rows]
        mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
        return torch.tensor(ids), torch.tensor(mask)


if __name__ == "__main__":
    worker.serve(HuggingFace(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
