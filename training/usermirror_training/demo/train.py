"""Trains the two demo models from nothing, exports them, and makes the demo encoder.

    python -m usermirror_training demo --binary target/debug/usermirror --to target/models

The scenarios come from the product itself, over an invented world of its own: no user or film of
the demo's world is in it. The two models train side by side, one processor core each.
"""

import multiprocessing
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from .. import provenance, slot_graph
from ..export import export
from . import decisions, encoder, golden, llama, prompts, sampling, sentences
from . import tokenizer as tokenizers
from .examples import Encoder
from .pretrain import Plan, Teacher, Trainer, report
from .prompts import Scenario

WORLD_SEED = "1"
USERS = "2000"
SCENARIOS = "30000"
SETTINGS = ("history_min=5", "history_max=8", "choices_min=4", "choices_max=5")

CHECKED = 300
GOLDEN_CASES = 100


@dataclass(frozen=True)
class Role:
    """One of the two demo models."""

    shape: llama.Shape
    plan: Plan
    teacher: Teacher
    seed: int


ROLES = {
    "strong": Role(llama.STRONG, Plan(steps=700), decisions.strong, seed=1),
    "weak": Role(llama.WEAK, Plan(steps=700), decisions.weak, seed=1),
}


def train_both(binary: Path, target: Path, golden_folder: Path | None) -> None:
    """Trains both models and writes their model folders into `target`."""
    with TemporaryDirectory() as scratch:
        work = Path(scratch)
        scenarios = make_scenarios(binary, work)
        context = multiprocessing.get_context("spawn")
        with context.Pool(len(ROLES)) as pool:
            pool.starmap(train, [(role, scenarios, work / role, golden_folder) for role in ROLES])
        for role in ROLES:
            report(f"{role}: exported, {export(work / role, target / role)}")
        if golden_folder:
            export(work / "weak", work / "half", "fp16")
            shutil.copyfile(work / "half" / slot_graph.FILE, golden_folder / "weak_fp16.onnx")
    encoder.make(target / "encoder", golden_folder)


def make_scenarios(binary: Path, work: Path) -> Path:
    """Lets the product invent a world, read it and build scenarios; returns their Parquet file."""
    raw, lake, scenarios = work / "raw", work / "lake", work / "scenarios.parquet"
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    commands = (
        ["generate", "movielens", "--to", str(raw), "--users", USERS],
        ["ingest", "movielens", "--from", str(raw)],
        [
            "run",
            "--datasets",
            "movielens",
            "--scenarios",
            SCENARIOS,
            "--until",
            "scenarios",
            *settings,
        ],
        [
            "sql",
            "-c",
            f"COPY (SELECT * FROM scenarios ORDER BY scenario_id) TO '{scenarios}'",
        ],
    )
    for command in commands:
        whole = [str(binary), "--root", str(lake), *command, "--seed", WORLD_SEED]
        subprocess.run(whole, check=True)
    return scenarios


def train(name: str, scenarios: Path, folder: Path, golden_folder: Path | None) -> None:
    """Trains one model, writes its Hugging Face folder and says how well it chooses."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    role = ROLES[name]
    training = prompts.read(scenarios, "train")
    films = sorted({film for s in training for film in s.options}, key=lambda f: (f.title, f.year))
    system = training[0].messages[0]["content"]
    tokenizer = tokenizers.build(sentences.phrases(system, films))
    encoder = Encoder(tokenizer)
    model = llama.create(role.shape, tokenizer, role.seed)
    trainer = Trainer(model, encoder, role.plan, role.seed)
    trainer.drill(films)
    trainer.learn(training, role.teacher)
    model.save_pretrained(folder)
    tokenizers.save(tokenizer, folder, llama.CONTEXT)
    provenance.write(folder, origin(name))
    held_out = prompts.read(scenarios, "eval")[:CHECKED]
    decided = sampling.sample(model, encoder, held_out, draws=1, seed=role.seed)
    texts = [draws[0] for draws in decided]
    report(f"{name}: {accuracy(texts, held_out)}")
    if golden_folder:
        cases = slice(0, GOLDEN_CASES)
        golden.write(model, encoder, held_out[cases], texts[cases], golden_folder / f"{name}.jsonl")


def origin(name: str) -> dict:
    """What decides a demo model, beside this package."""
    role = ROLES[name]
    return provenance.of_pretraining(
        role=name, seed=role.seed, steps=role.plan.steps, world_seed=WORLD_SEED, users=USERS
    )


def accuracy(texts: list[str], scenarios: list[Scenario]) -> str:
    """How often decisions choose as the user did, beside guessing, and how many choose nothing."""
    choices = [sampling.choice(text, s) for text, s in zip(texts, scenarios, strict=True)]
    right = sum(choice == s.truth for choice, s in zip(choices, scenarios, strict=True))
    guessed = sum(1 / len(s.options) for s in scenarios)
    invalid = choices.count(None)
    count = len(scenarios)
    return (
        f"{right / count:.1%} right (random {guessed / count:.1%}), "
        f"{invalid / count:.1%} without a valid letter, over {count} held-out scenarios"
    )
