"""Where a folder of weights comes from: its parent, its data and its settings, in one JSON file."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .config import Settings

FILE = "provenance.json"
PACKAGES = ("torch", "transformers", "trl", "onnxruntime-genai")
WEIGHTS = "*.safetensors"
MODEL_FILES = (
    "genai_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "slot.onnx",
    "slot.onnx.data",
)
"""The files of a model folder that take part in an answer, in the order of hashing."""
CHECKPOINT_FILES = (
    "config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
)  # fmt: skip


def of_training(
    stage: str, parent: Path, data: Iterable[Path], rows: int, settings: Settings
) -> dict[str, Any]:
    """What a training run is made of. Two equal ones make the same weights."""
    parameters = asdict(settings)
    stages = {name: parameters.pop(name) for name in ("sft", "dpo", "grpo")}
    return {
        "stage": stage,
        "data": {"fingerprint": fingerprint(sorted(data)), "rows": rows},
        "parameters": {**parameters, stage: stages[stage]},
        "parent": describe(parent),
        "software": software(),
    }


def of_conversion(stage: str, parent: Path, **parameters: str) -> dict[str, Any]:
    """What an export or a restoring is made of."""
    return {
        "stage": stage,
        "parameters": parameters,
        "parent": describe(parent),
        "software": software(),
    }


def of_pretraining(**parameters: str | int) -> dict[str, Any]:
    """What a model trained from nothing is made of."""
    return {"stage": "pretraining", "parameters": parameters, "software": software()}


def describe(folder: Path) -> dict[str, Any]:
    """A folder's fingerprint, with its own provenance where it has one."""
    own = folder / FILE
    return {
        "name": folder.resolve().name,
        "fingerprint": folder_fingerprint(folder),
        "provenance": json.loads(own.read_text(encoding="utf-8")) if own.is_file() else None,
    }


def folder_fingerprint(folder: Path) -> str:
    """The fingerprint of a model folder (as the engine computes it) or of a checkpoint folder."""
    if (folder / "slot.onnx").is_file():
        names = [folder / name for name in MODEL_FILES]
    else:
        names = [*(folder / name for name in CHECKPOINT_FILES), *sorted(folder.glob(WEIGHTS))]
    return fingerprint(path for path in names if path.is_file())


def fingerprint(files: Iterable[Path]) -> str:
    """Hex SHA-256 over the files, each with its name and size before its bytes."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def software() -> dict[str, str]:
    """Versions of the packages that decide what comes out."""
    return {name: version(name) for name in PACKAGES}


def write(folder: Path, content: dict[str, Any]) -> None:
    """Writes `provenance.json` into the folder."""
    (folder / FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
