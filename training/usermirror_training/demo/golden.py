"""Golden cases: what transformers computes for a model, for the engine's tests to agree with."""

import json
from pathlib import Path

import torch
from transformers import LlamaForCausalLM

from ..choices import OPENING, opened, probabilities
from .examples import Encoder
from .prompts import Scenario

DIGITS = 6


@torch.no_grad()
def write(
    model: LlamaForCausalLM,
    encoder: Encoder,
    scenarios: list[Scenario],
    texts: list[str],
    path: Path,
) -> None:
    """Writes a line `{messages, text, choices, probs, perplexity}` for each decision's text.

    `text` is what stands before `Behavior: [`; `probs` are the probabilities of the first
    `choices` letters after it, `perplexity` is that of `text` as the answer to `messages`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as lines:
        for scenario, text in zip(scenarios, texts, strict=True):
            text = text.split(OPENING)[0].strip()
            prompt = encoder.prompt(scenario.messages)
            choices = len(scenario.options)
            letters = encoder.letters[:choices].tolist()
            probs = probabilities(model, prompt + encoder.text(opened(text)), letters)
            case = {
                "messages": scenario.messages,
                "text": text,
                "choices": choices,
                "probs": [round(p, DIGITS) for p in probs.tolist()],
                "perplexity": _perplexity(model, prompt, encoder.text(text)),
            }
            lines.write(json.dumps(case, ensure_ascii=False, separators=(",", ":")) + "\n")


def _perplexity(model: LlamaForCausalLM, prompt: list[int], answer: list[int]) -> float:
    logits = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
    logs = logits.double().log_softmax(-1).gather(1, torch.tensor(answer)[:, None])
    return round(logs.mean().neg().exp().item(), DIGITS)
