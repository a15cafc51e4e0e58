"""The settings file."""

from pathlib import Path

import pytest

from usermirror_training import config
from usermirror_training.errors import TrainingError


def test_defaults_are_those_of_the_paper() -> None:
    settings = config.read(None)
    assert settings.max_length == 8192
    assert (settings.sft.learning_rate, settings.sft.epochs) == (2e-4, 1)
    assert (settings.dpo.learning_rate, settings.dpo.epochs) == (1e-5, 2)
    assert (settings.dpo.beta, settings.dpo.weight_decay) == (0.1, 0.05)
    assert settings.sft.warmup_steps == settings.dpo.warmup_steps == 10
    assert settings.dpo.gradient_accumulation == 4


def test_a_file_changes_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "train.toml"
    path.write_text("seed = 7\n[dpo]\nepochs = 1\n[lora]\nrank = 16\n")
    settings = config.read(path)
    assert (settings.seed, settings.dpo.epochs, settings.lora.rank) == (7, 1.0, 16)
    assert settings.dpo.beta == 0.1


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[dpo]\nlearning_rat = 1.0", r"\[dpo\]: unknown key 'learning_rat'; known are .*beta"),
        ("[sft]\nepochs = 'two'", "'epochs' is 'two', not of type float"),
        ("precision = 'fp64'", "precision is one of auto, bf16, fp32"),
        ("seed = ", "is not TOML"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "train.toml"
    path.write_text(text)
    with pytest.raises(TrainingError, match=complaint):
        config.read(path)
