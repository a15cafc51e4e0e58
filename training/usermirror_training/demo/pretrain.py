"""Pretraining of a demo model: drills until they are right, then scenarios."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from statistics import fmean

import torch
from torch.nn import functional
from transformers import LlamaForCausalLM

from . import drills
from .examples import Batch, Encoder, Example
from .prompts import Film, Scenario

Teacher = Callable[[Scenario, Random], str]

DRILL_GOAL = 0.93
DRILL_WINDOW = 20
REPORT_EVERY = 100


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train."""

    steps: int
    batch_size: int = 16
    learning_rate: float = 1.5e-3
    warm_up: int = 50
    drill_limit: int = 600
    """Most steps of drills; the levels usually end far earlier."""
    review_share: float = 0.3
    """Share of drills among the scenarios' examples in the first half; a tenth of it after."""
    direct_share: float = 0.05
    """Share of examples that give `Behavior: [` at once and teach the letter alone."""


class Trainer:
    """One model, its optimiser and what it has seen."""

    def __init__(self, model: LlamaForCausalLM, encoder: Encoder, plan: Plan, seed: int) -> None:
        self.model = model
        self.encoder = encoder
        self.plan = plan
        self.random = Random(seed)
        self.recent: deque[float] = deque(maxlen=REPORT_EVERY)
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=plan.learning_rate, betas=(0.9, 0.95), weight_decay=0.05
        )

    def drill(self, films: list[Film]) -> None:
        """Works through the levels of the drills, each until it is mastered."""
        level, since = 0, 0
        for step in range(self.plan.drill_limit):
            if level == len(drills.LEVELS):
                break
            self._step(self._quizzes(films, level), min(1.0, (step + 1) / self.plan.warm_up))
            since += 1
            latest = list(self.recent)[-DRILL_WINDOW:]
            if since > DRILL_WINDOW and fmean(latest) > DRILL_GOAL:
                level, since = level + 1, 0
                report(f"drill level {level} reached after {step + 1} steps")

    def learn(self, scenarios: list[Scenario], teacher: Teacher) -> None:
        """Learns to decide as the teacher does."""
        batches = self._batches(scenarios, teacher)
        for step in range(self.plan.steps):
            done = step / self.plan.steps
            rate = min(1.0, (step + 1) / self.plan.warm_up) * 0.5 * (1 + math.cos(math.pi * done))
            loss = self._step(next(batches), max(0.02, rate))
            if (step + 1) % REPORT_EVERY == 0:
                report(f"step {step + 1}: loss {loss:.3f}, letters {fmean(self.recent):.3f}")

    def _step(self, batch: Batch, rate: float) -> float:
        """One update; `rate` scales the learning rate."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * self.plan.learning_rate
        asked = batch.targets != -100
        hidden = self.model.model(input_ids=batch.ids, use_cache=False).last_hidden_state
        logits = self.model.lm_head(hidden[asked])
        targets = batch.targets[asked]
        loss = functional.cross_entropy(logits, targets, weight=self.encoder.weights)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        letters = torch.isin(targets, self.encoder.letters)
        right = logits[letters].argmax(-1) == targets[letters]
        self.recent.append(right.float().mean().item())
        return loss.item()

    def _quizzes(self, films: list[Film], level: int) -> Batch:
        pairs = [drills.quiz(films, level, self.random) for _ in range(self.plan.batch_size)]
        text = self.encoder.text
        return self.encoder.batch([Example(text(listing), text(block)) for listing, block in pairs])

    def _batches(self, scenarios: list[Scenario], teacher: Teacher) -> Iterator[Batch]:
        """Endless batches of rows of similar length."""
        size, window = self.plan.batch_size, self.plan.batch_size * 16
        prompts = [self.encoder.prompt(scenario.messages) for scenario in scenarios]
        order: list[int] = []
        step = 0
        while True:
            examples = []
            while len(examples) < window:
                order = order or self.random.sample(range(len(scenarios)), len(scenarios))
                row = order.pop()
                examples.append(self._example(prompts[row], scenarios[row], teacher, step))
            examples.sort(key=len)
            starts = list(range(0, window, size))
            self.random.shuffle(starts)
            for start in starts:
                step += 1
                yield self.encoder.batch(examples[start : start + size])

    def _example(
        self, prompt: list[int], scenario: Scenario, teacher: Teacher, step: int
    ) -> Example:
        draw = self.random.random()
        early = step < self.plan.steps / 2
        reviews = self.plan.review_share if early else self.plan.review_share / 10
        if draw < reviews:
            given, learned = drills.OPENING, drills.review(scenario, self.random)
        elif draw < reviews + self.plan.direct_share:
            _, given, learned = teacher(scenario, self.random).rpartition("Behavior: [")
        else:
            given, learned = "", teacher(scenario, self.random)
        return Example(prompt + self.encoder.text(given), self.encoder.answer(learned))


def report(message: str) -> None:
    """Says how the training goes, with the processor time used so far."""
    print(f"[{time.process_time():6.0f} s] {message}", flush=True)
