"""One training run: checks, checkpoints to go on from, and a folder that appears at the end."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from datasets import load_from_disk
from transformers import PrinterCallback, Trainer

from . import checkpoint, curves, data, outputs, progress, provenance, stages, tables
from .config import Settings
from .errors import TrainingError

KEY = "run.json"
LOG = "log.jsonl"
CHECKPOINTS = "checkpoints"
ROWS = "rows"
CURVES = "curves.svg"
COPIES = 8
"""Disk space a run needs, in sizes of its weights: two checkpoints with their optimiser's state
of twice that size, and the outcome, with the trainer's bookkeeping."""


def train(stage: str, source: Path, examples: Path, target: Path, settings: Settings) -> None:
    """Trains the checkpoint `source` on the pairs in `examples` and writes the folder `target`.

    Started again after a kill, it goes on from its last checkpoint. Raises a `TrainingError` for
    what the user can mend; nothing is at `target` before all of it is there.
    """
    outputs.refuse_existing(target)
    checkpoint.check(source)
    rows = stages.READERS[stage](examples)
    tokenizer = checkpoint.tokenizer(source)
    data.check_lengths(rows, tokenizer, settings.max_length)
    folder = outputs.partial(target)
    files = tables.files(examples, data.EXPORT)
    origin = provenance.of_training(stage, source, files, len(rows), settings)
    state = processes()
    with state.main_process_first():
        resumed = _begin(folder, origin, source)
        if state.is_main_process:
            data.store(rows, folder / ROWS)
    torch.set_flush_denormal(True)
    model = checkpoint.model(source)
    stored = load_from_disk(folder / ROWS)
    trainer = stages.build(stage, model, tokenizer, stored, settings, folder / CHECKPOINTS)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(progress.Progress(stage, folder / LOG))
    trainer.train(resume_from_checkpoint=resumed)
    _save(trainer, folder, source, origin)
    if trainer.is_world_process_zero():
        outputs.finish(folder, target)


def processes() -> PartialState:
    """The processes of this run, as the trainer will find them: without being told, not on a CPU."""
    return PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))


def _begin(folder: Path, origin: dict[str, Any], source: Path) -> str | None:
    """Makes the run's folder, or finds the last checkpoint of the same run in it."""
    key = folder / KEY
    if key.is_file():
        if json.loads(key.read_text(encoding="utf-8")) != origin:
            raise TrainingError(
                f"{folder} is an unfinished run with another model, data or settings: remove it"
            )
        return _last_checkpoint(folder / CHECKPOINTS)
    _check_space(folder.parent, source)
    (folder / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
    key.write_text(json.dumps(origin, indent=2) + "\n", encoding="utf-8")
    return None


def _last_checkpoint(folder: Path) -> str | None:
    """The latest complete checkpoint: the trainer writes its state last."""
    complete = [
        path.parent for path in folder.glob("checkpoint-*/trainer_state.json") if _is_json(path)
    ]
    latest = max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
    return str(latest) if latest else None


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return True


def _check_space(parent: Path, source: Path) -> None:
    parent.mkdir(parents=True, exist_ok=True)
    needed = COPIES * sum(path.stat().st_size for path in source.glob(provenance.WEIGHTS))
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise TrainingError(
            f"{parent} has {free / 2**20:.0f} MiB free and the run needs {needed / 2**20:.0f} MiB"
        )


def _save(trainer: Trainer, folder: Path, source: Path, origin: dict[str, Any]) -> None:
    """Writes weights, tokenizer, curves and provenance; the checkpoints go."""
    state = trainer.accelerator.get_state_dict(trainer.model)
    model = trainer.accelerator.unwrap_model(trainer.model)
    trainer.accelerator.wait_for_everyone()
    if not trainer.is_world_process_zero():
        return
    if hasattr(model, "merge_and_unload"):
        model, state = model.merge_and_unload(), None
    model.save_pretrained(folder, state_dict=state)
    checkpoint.copy_tokenizer(source, folder)
    lines = progress.read(folder / LOG)
    (folder / CURVES).write_text(curves.draw(lines), encoding="utf-8")
    provenance.write(folder, origin)
    (folder / KEY).unlink()
    for name in (CHECKPOINTS, ROWS):
        shutil.rmtree(folder / name)
