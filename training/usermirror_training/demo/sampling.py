"""Decisions sampled from a model, and how often they choose as the user did."""

import re

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from .examples import Encoder
from .prompts import Scenario
from .tokenizer import LETTERS

TOP_P = 0.9
LONGEST = 96
BATCH = 128
CHOICE = re.compile(r"Behavior: \[([A-Z])\]$")


@torch.no_grad()
def sample(
    model: LlamaForCausalLM, encoder: Encoder, scenarios: list[Scenario], draws: int, seed: int
) -> list[list[str]]:
    """`draws` decisions for each scenario at temperature 1 and top-p 0.9."""
    torch.manual_seed(seed)
    model.eval()
    prompts = [encoder.prompt(scenario.messages) for scenario in scenarios for _ in range(draws)]
    order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
    texts = [""] * len(prompts)
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        for row, text in zip(
            rows, _generate(model, encoder, [prompts[r] for r in rows]), strict=True
        ):
            texts[row] = text
    return [texts[start : start + draws] for start in range(0, len(texts), draws)]


def _generate(model: LlamaForCausalLM, encoder: Encoder, prompts: list[list[int]]) -> list[str]:
    length = max(len(prompt) for prompt in prompts)
    ids = torch.tensor([[encoder.pad] * (length - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (length - len(p)) + [1] * len(p) for p in prompts])
    written = model.generate(
        input_ids=ids,
        attention_mask=mask,
        do_sample=True,
        temperature=1.0,
        top_p=TOP_P,
        top_k=0,
        max_new_tokens=LONGEST,
    )
    return _decode(encoder.tokenizer, written[:, length:].tolist())


def _decode(tokenizer: Tokenizer, rows: list[list[int]]) -> list[str]:
    return tokenizer.decode_batch(rows, skip_special_tokens=True)


def choice(text: str, scenario: Scenario) -> int | None:
    """The position of the option that a decision chooses, if it names one that is there."""
    found = CHOICE.search(text.strip())
    position = LETTERS.index(found.group(1)) if found else len(scenario.options)
    return position if position < len(scenario.options) else None
