"""The three trainers of TRL, with the method's settings in place of TRL's defaults."""

from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer
from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

from . import data
from .config import Settings, Stage

STAGES = ("sft", "dpo", "grpo")
READERS = {"sft": data.demonstrations, "dpo": data.pairs, "grpo": data.questions}


def build(
    stage: str,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Dataset,
    settings: Settings,
    checkpoints: Path,
) -> Trainer:
    """The stage's trainer, ready to train `model` on `rows`."""
    build_stage = {"sft": _sft, "dpo": _dpo, "grpo": _grpo}[stage]
    adapters = _adapters(settings)
    return build_stage(
        settings,
        {"output_dir": str(checkpoints), **_arguments(settings, getattr(settings, stage))},
        model=model,
        processing_class=tokenizer,
        train_dataset=rows,
        peft_config=adapters,
    )


def _sft(settings: Settings, arguments: dict[str, Any], **parts: Any) -> Trainer:  # noqa: ANN401
    config = SFTConfig(max_length=settings.max_length, completion_only_loss=True, **arguments)
    return SFTTrainer(args=config, **parts)


def _dpo(settings: Settings, arguments: dict[str, Any], **parts: Any) -> Trainer:  # noqa: ANN401
    dpo = settings.dpo
    losses = {"sigmoid": 1.0, "sft": dpo.sft_weight} if dpo.sft_weight else {"sigmoid": 1.0}
    config = DPOConfig(
        max_length=settings.max_length,
        beta=dpo.beta,
        loss_type=list(losses),
        loss_weights=list(losses.values()),
        # Without adapters the reference is a second model: its answers are computed once instead.
        precompute_ref_log_probs=settings.lora.rank == 0,
        **arguments,
    )
    return DPOTrainer(args=config, **parts)


def _grpo(settings: Settings, arguments: dict[str, Any], **parts: Any) -> Trainer:  # noqa: ANN401
    grpo = settings.grpo
    config = GRPOConfig(
        num_generations=grpo.generations,
        max_completion_length=grpo.max_new_tokens,
        temperature=grpo.temperature,
        top_p=grpo.top_p,
        beta=grpo.beta,
        **arguments,
    )
    return GRPOTrainer(args=config, reward_funcs=right_letter, **parts)


def right_letter(
    completions: list[list[dict[str, str]]],
    truth: list[str],
    **_: Any,  # noqa: ANN401
) -> list[float]:
    """Reward of each decision: 1 when it chooses as the user did, else 0."""
    chosen = [data.letter(messages[-1]["content"]) for messages in completions]
    return [float(letter == right) for letter, right in zip(chosen, truth, strict=True)]


def _arguments(settings: Settings, stage: Stage) -> dict[str, Any]:
    """What all three take. Every value is set: TRL's own defaults differ from stage to stage."""
    return {
        "learning_rate": stage.learning_rate,
        "num_train_epochs": stage.epochs,
        "per_device_train_batch_size": stage.batch_size,
        "gradient_accumulation_steps": stage.gradient_accumulation,
        "lr_scheduler_type": "cosine",
        "warmup_steps": stage.warmup_steps,
        "weight_decay": stage.weight_decay,
        "gradient_checkpointing": settings.gradient_checkpointing,
        "bf16": bf16(settings),
        "seed": settings.seed,
        "logging_steps": settings.log_steps,
        "save_strategy": "steps",
        "save_steps": settings.checkpoint_steps,
        "save_total_limit": 2,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "report_to": [],
        "disable_tqdm": True,
    }


def bf16(settings: Settings) -> bool:
    """Whether to compute in bf16; the weights and the optimiser's state stay fp32."""
    if settings.precision == "auto":
        return torch.cuda.is_available()
    return settings.precision == "bf16"


def _adapters(settings: Settings) -> LoraConfig | None:
    lora = settings.lora
    if lora.rank == 0:
        return None
    return LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, target_modules="all-linear", task_type="CAUSAL_LM"
    )
