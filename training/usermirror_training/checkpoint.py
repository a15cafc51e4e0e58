"""Checkpoints: local Hugging Face folders of the families that can be trained and exported."""

import json
import shutil
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from .errors import TrainingError

FAMILIES = ("llama", "qwen2")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
NEEDED = ("config.json", "tokenizer.json", "tokenizer_config.json")


def check(folder: Path) -> None:
    """Raises when `folder` is not a checkpoint of a family that is known to work."""
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing or not any(folder.glob("*.safetensors")):
        lacking = ", ".join(missing) or "*.safetensors"
        raise TrainingError(f"{folder} is not a Hugging Face folder: it has no {lacking}")
    family = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    if family not in FAMILIES:
        raise TrainingError(
            f"{folder} is of the family '{family}'; known are {', '.join(FAMILIES)}"
        )
    if not tokenizer(folder).chat_template:
        raise TrainingError(f"{folder} has no chat template, so it cannot be asked")


def tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The checkpoint's tokenizer with its chat template."""
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def model(folder: Path, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """The checkpoint's weights."""
    check(folder)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True)


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copies the tokenizer's files as they are; the template gets a file of its own."""
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    template = target / "chat_template.jinja"
    if not template.is_file():
        template.write_text(tokenizer(source).chat_template, encoding="utf-8")
