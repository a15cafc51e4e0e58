"""TRL's DPO loss on our pairs is that of Rafailov et al. 2023, equation 7."""

from pathlib import Path

import pytest
import torch
from datasets import load_from_disk
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from usermirror_training import checkpoint, data, stages
from usermirror_training.config import Dpo, Settings

BETA = 0.3


def log_probability(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, row: data.Row, side: str
) -> torch.Tensor:
    """Log p(answer | prompt): the answer's tokens alone, up to the mark that ends the turn."""
    prompt = tokenizer.apply_chat_template(
        row["prompt"], add_generation_prompt=True, return_dict=False
    )
    whole = tokenizer.apply_chat_template(row["prompt"] + row[side], return_dict=False)
    assert whole[: len(prompt)] == prompt
    assert whole[-1] == tokenizer.eos_token_id
    logits = model(torch.tensor([whole])).logits[0, len(prompt) - 1 : -1]
    logs = logits.log_softmax(-1)
    return logs.gather(1, torch.tensor(whole[len(prompt) :])[:, None]).sum()


@torch.no_grad()
def test_loss_of_a_batch_equals_the_formula(llama: Path, pairs: Path, tmp_path: Path) -> None:
    settings = Settings(max_length=256, dpo=Dpo(beta=BETA, batch_size=12))
    rows, tokenizer = data.pairs(pairs), checkpoint.tokenizer(llama)
    policy, reference = checkpoint.model(llama), checkpoint.model(llama)
    data.store(rows, tmp_path / "rows")
    stored = load_from_disk(tmp_path / "rows")
    trainer = stages.build("dpo", policy, tokenizer, stored, settings, tmp_path)
    for weight in policy.parameters():
        weight.add_(torch.randn(weight.shape) * 0.05)
    policy.eval()
    batch = next(iter(trainer.get_train_dataloader()))
    loss = trainer.compute_loss(policy, batch)

    def gain(row: data.Row, side: str) -> torch.Tensor:
        own, given = (log_probability(m, tokenizer, row, side) for m in (policy, reference))
        return own - given

    margins = torch.stack([gain(row, "chosen") - gain(row, "rejected") for row in rows])
    expected = -functional.logsigmoid(BETA * margins).mean()
    assert expected.item() != pytest.approx(0.6931, abs=1e-3)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
