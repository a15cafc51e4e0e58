"""The settings of a training run: one TOML file, with the paper's values as defaults.

    seed = 42
    max_length = 8192

    [sft]
    learning_rate = 2e-4

    [dpo]
    beta = 0.1

Any key may be left out; an unknown one is an error.
"""

import tomllib
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from .errors import TrainingError

PRECISIONS = ("auto", "bf16", "fp32")


@dataclass(frozen=True)
class Stage:
    """What every stage has. A step sees `batch_size * gradient_accumulation` rows a device."""

    learning_rate: float
    epochs: float = 1.0
    batch_size: int = 1
    gradient_accumulation: int = 4
    warmup_steps: int = 10
    weight_decay: float = 0.0


@dataclass(frozen=True)
class Sft(Stage):
    """Supervised fine-tuning on the chosen decisions."""

    learning_rate: float = 2e-4


@dataclass(frozen=True)
class Dpo(Stage):
    """Direct preference optimisation (Rafailov et al. 2023)."""

    learning_rate: float = 1e-5
    epochs: float = 2.0
    weight_decay: float = 0.05
    beta: float = 0.1
    sft_weight: float = 0.0
    """Weight of an added loss on the chosen decision, which holds its form where it slips."""


@dataclass(frozen=True)
class Grpo(Stage):
    """Group relative policy optimisation (Shao et al. 2024), rewarded by the true letter."""

    learning_rate: float = 1e-6
    batch_size: int = 8
    generations: int = 8
    """Decisions drawn for a prompt; a step's rows on all devices are a multiple of it."""
    max_new_tokens: int = 1024
    temperature: float = 1.0
    top_p: float = 0.9
    beta: float = 0.0
    """Weight of the divergence from the model that the run began with."""


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters in place of a full fine-tune; merged into the weights at the end."""

    rank: int = 0
    """0: all weights are trained."""
    alpha: int = 32


@dataclass(frozen=True)
class Settings:
    """Everything that a run depends on beside its model and its data."""

    seed: int = 42
    max_length: int = 8192
    """Longest prompt with its decision, in tokens. A longer row is refused, never cut."""
    precision: str = "auto"
    """bf16 or fp32; auto: bf16 on a GPU, fp32 on a CPU."""
    gradient_checkpointing: bool = False
    """Less memory for a third more computing."""
    log_steps: int = 10
    checkpoint_steps: int = 100
    sft: Sft = field(default_factory=Sft)
    dpo: Dpo = field(default_factory=Dpo)
    grpo: Grpo = field(default_factory=Grpo)
    lora: Lora = field(default_factory=Lora)


def read(path: Path | None) -> Settings:
    """The settings in a TOML file, or the defaults.

    Raises a `TrainingError` that names the key when one is unknown or of a wrong type.
    """
    if path is None:
        return Settings()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TrainingError(f"{path} cannot be read: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise TrainingError(f"{path} is not TOML: {error}") from error
    settings = _fill(Settings, table, str(path))
    if settings.precision not in PRECISIONS:
        raise TrainingError(f"{path}: precision is one of {', '.join(PRECISIONS)}")
    return settings


def _fill(kind: type, table: dict[str, Any], where: str) -> Any:  # noqa: ANN401
    """A dataclass from a table, checked key by key."""
    types = get_type_hints(kind)
    known = [entry.name for entry in fields(kind)]
    values = {}
    for key, value in table.items():
        if key not in known:
            raise TrainingError(f"{where}: unknown key '{key}'; known are {', '.join(known)}")
        wanted = types[key]
        if is_dataclass(wanted) and isinstance(value, dict):
            values[key] = _fill(wanted, value, f"{where} [{key}]")
        elif wanted is float and type(value) is int:
            values[key] = float(value)
        elif type(value) is wanted:
            values[key] = value
        else:
            raise TrainingError(f"{where}: '{key}' is {value!r}, not of type {wanted.__name__}")
    return kind(**values)
