"""A retrieval circuit to start from.

To answer with the letter of the option that has some genre, a model must first bind each option's
words to its letter and then find the right words again. Gradient descent takes long to discover
that two-step circuit from nothing, since neither step pays without the other. So the model is
born with it:

* in the first layer, some heads of every token look at the nearest letter before it and carry its
  identity over (*binding*);
* in the later layers, half of the heads look at earlier copies of their own token and read which
  letter was bound to them (*matching*).

Everything else starts at zero or at random, and training reshapes all of it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

EMBEDDING_SPREAD = 0.5
FINAL_NORM = 0.2
BINDING_HEADS = 2
BINDING_GAIN = 1.15
MATCHING_GAIN = 2.2

NEAREST = (2, 3)
"""Rotary frequencies (0.1 and 0.03 a token at head size 16) whose sum falls with the distance
over the length of an option list."""
POSITION_FREE = 2
"""First of the rotary frequencies that are slow enough to compare tokens far apart."""


def wire(model: LlamaForCausalLM, letters: Sequence[int], generator: torch.Generator) -> None:
    """Initialises all weights of `model`; `letters` are the ids of the letter tokens."""
    with torch.no_grad():
        _start_small(model, generator)
        shared, letter = _mark_embeddings(model.model.embed_tokens.weight, letters, generator)
        size = model.config.head_dim
        basis = _orthonormal(model.config.hidden_size, generator)
        identities = basis[: BINDING_HEADS * size].view(BINDING_HEADS, size, -1)
        identities = torch.stack([_without(rows, shared, letter) for rows in identities])
        carriers = basis[BINDING_HEADS * size : 2 * BINDING_HEADS * size].view_as(identities)
        _bind(model, identities, carriers, shared, letter)
        _match(model, identities, carriers, shared, letter, generator)


def _start_small(model: LlamaForCausalLM, generator: torch.Generator) -> None:
    """Random inputs to each block, silent outputs, and wide embeddings under a small norm."""
    for name, weight in model.named_parameters():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            weight.zero_()
        elif weight.dim() > 1:
            weight.normal_(0, weight.shape[1] ** -0.5, generator=generator)
    model.model.embed_tokens.weight.normal_(0, EMBEDDING_SPREAD, generator=generator)
    model.model.norm.weight.fill_(FINAL_NORM)


def _mark_embeddings(
    embeddings: Tensor, letters: Sequence[int], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Adds one direction to all tokens and one to the letters; returns both, of length 1.

    A head can look at a position or at a kind of token only along a direction that the tokens
    have in common.
    """
    width = embeddings.shape[1]
    shared = EMBEDDING_SPREAD * torch.randn(width, generator=generator)
    letter = EMBEDDING_SPREAD * torch.randn(width, generator=generator)
    letter -= shared * (letter @ shared) / (shared @ shared)
    embeddings += shared
    embeddings[list(letters)] += letter
    return shared / shared.norm(), letter / letter.norm()


def _bind(
    model: LlamaForCausalLM, identities: Tensor, carriers: Tensor, shared: Tensor, letter: Tensor
) -> None:
    """First layer: every token looks at the nearest letter and carries its identity."""
    attention = model.model.layers[0].self_attn
    size = model.config.head_dim
    towards = torch.zeros(size)
    towards[list(NEAREST)] = BINDING_GAIN * len(NEAREST) ** -0.5
    for head in range(BINDING_HEADS):
        rows = slice(head * size, (head + 1) * size)
        attention.q_proj.weight[rows] = torch.outer(towards, shared)
        attention.k_proj.weight[rows] = torch.outer(towards, letter)
        attention.v_proj.weight[rows] = identities[head]
        attention.o_proj.weight[:, rows] = carriers[head].T


def _match(
    model: LlamaForCausalLM,
    identities: Tensor,
    carriers: Tensor,
    shared: Tensor,
    letter: Tensor,
    generator: torch.Generator,
) -> None:
    """Later layers: half of the heads look for their own token and read the letter bound to it."""
    size, width = model.config.head_dim, model.config.hidden_size
    slow = torch.arange(size) % (size // 2) >= POSITION_FREE
    for layer in model.model.layers[1:]:
        attention = layer.self_attn
        for head in range(model.config.num_attention_heads // 2):
            rows = slice(head * size, (head + 1) * size)
            own = MATCHING_GAIN * width**-0.5 * torch.randn(size, width, generator=generator)
            own = _without(own * slow[:, None], shared, letter)
            attention.q_proj.weight[rows] = own
            attention.k_proj.weight[rows] = own
            attention.v_proj.weight[rows] = carriers[head % BINDING_HEADS]
            attention.o_proj.weight[:, rows] = identities[head % BINDING_HEADS].T


def _orthonormal(width: int, generator: torch.Generator) -> Tensor:
    return torch.linalg.qr(torch.randn(width, width, generator=generator))[0]


def _without(rows: Tensor, *directions: Tensor) -> Tensor:
    """`rows` made blind to the given orthogonal directions."""
    for direction in directions:
        rows = rows - torch.outer(rows @ direction, direction)
    return rows
