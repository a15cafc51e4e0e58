"""A retrieval circuit to start from.

To answer with the letter of the option that has some genre, a model must first bind each option's
words to its letter and then find the right words again. Gradient descent takes long to discover
that two-step circuit from nothing, since neither step pays without the other. So the model is
born with it:

* in the first layer, some heads of every token look at the nearest letter before it and carry its
  identity over (*binding*);
* in the later layers, half of the heads look at earlier copies of their own token and read which
  letter was bound to them (*matching*);
* from the third layer on, some heads look at the nearest genre or decade before them and take
  over the letter that was found there (*relaying*), so that it can be written some words later.

Everything else starts at zero or at random, and training reshapes all of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaAttention

EMBEDDING_SPREAD = 0.5
FINAL_NORM = 0.2
BINDING_HEADS = 2
RELAYING_HEADS = 2
NEAREST_GAIN = 1.15
MATCHING_GAIN = 2.2

NEAREST = (2, 3)
"""Rotary frequencies (0.1 and 0.03 a token at head size 16) whose sum falls with the distance
over the length of an option list."""
POSITION_FREE = 2
"""First of the rotary frequencies that are slow enough to compare tokens far apart."""


@dataclass(frozen=True)
class _Directions:
    """Directions of the embedding space, each of length 1 and orthogonal to the others.

    A head can look for a position or for a kind of token only along a direction that the tokens
    have in common: `shared` is in all of them, `letter` and `feature` in those of one kind.
    """

    shared: Tensor
    letter: Tensor
    feature: Tensor

    def without(self, rows: Tensor) -> Tensor:
        """`rows` made blind to these directions."""
        for direction in (self.shared, self.letter, self.feature):
            rows = rows - torch.outer(rows @ direction, direction)
        return rows


def wire(
    model: LlamaForCausalLM,
    letters: Sequence[int],
    features: Sequence[int],
    generator: torch.Generator,
) -> None:
    """Initialises all weights of `model`.

    `letters` are the ids of the letter tokens, `features` those of the genres and decades.
    """
    with torch.no_grad():
        _start_small(model, generator)
        embeddings = model.model.embed_tokens.weight
        directions = _mark_embeddings(embeddings, letters, features, generator)
        size = model.config.head_dim
        basis = _orthonormal(model.config.hidden_size, generator)
        identities = basis[: BINDING_HEADS * size].view(BINDING_HEADS, size, -1)
        identities = torch.stack([directions.without(rows) for rows in identities])
        carriers = basis[BINDING_HEADS * size : 2 * BINDING_HEADS * size].view_as(identities)
        _bind(model, identities, carriers, directions)
        _match(model, identities, carriers, directions, generator)
        _relay(model, identities, directions)


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
    embeddings: Tensor,
    letters: Sequence[int],
    features: Sequence[int],
    generator: torch.Generator,
) -> _Directions:
    """Adds one direction to all tokens, one to the letters and one to the features."""
    three = _orthonormal(embeddings.shape[1], generator)[:3]
    length = EMBEDDING_SPREAD * embeddings.shape[1] ** 0.5
    embeddings += length * three[0]
    embeddings[list(letters)] += length * three[1]
    embeddings[list(features)] += length * three[2]
    return _Directions(*three)


def _bind(
    model: LlamaForCausalLM, identities: Tensor, carriers: Tensor, directions: _Directions
) -> None:
    """First layer: every token looks at the nearest letter and carries its identity."""
    attention = model.model.layers[0].self_attn
    for head in range(BINDING_HEADS):
        rows = _look_at_nearest(attention, head, directions.letter, directions.shared)
        attention.v_proj.weight[rows] = identities[head]
        attention.o_proj.weight[:, rows] = carriers[head].T


def _match(
    model: LlamaForCausalLM,
    identities: Tensor,
    carriers: Tensor,
    directions: _Directions,
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
            own = directions.without(own * slow[:, None])
            attention.q_proj.weight[rows] = own
            attention.k_proj.weight[rows] = own
            attention.v_proj.weight[rows] = carriers[head % BINDING_HEADS]
            attention.o_proj.weight[:, rows] = identities[head % BINDING_HEADS].T


def _relay(model: LlamaForCausalLM, identities: Tensor, directions: _Directions) -> None:
    """Third layer on: the last heads take over the letter found at the nearest feature."""
    heads = model.config.num_attention_heads
    for layer in model.model.layers[2:]:
        for index in range(RELAYING_HEADS):
            head = heads - RELAYING_HEADS + index
            attention = layer.self_attn
            rows = _look_at_nearest(attention, head, directions.feature, directions.shared)
            attention.v_proj.weight[rows] = identities[index]
            attention.o_proj.weight[:, rows] = identities[index].T


def _look_at_nearest(attention: LlamaAttention, head: int, kind: Tensor, shared: Tensor) -> slice:
    """Points a head at the nearest token of one kind; returns the head's rows of the weights."""
    size = attention.head_dim
    rows = slice(head * size, (head + 1) * size)
    towards = torch.zeros(size)
    towards[list(NEAREST)] = NEAREST_GAIN * len(NEAREST) ** -0.5
    attention.q_proj.weight[rows] = torch.outer(towards, shared)
    attention.k_proj.weight[rows] = torch.outer(towards, kind)
    return rows


def _orthonormal(width: int, generator: torch.Generator) -> Tensor:
    return torch.linalg.qr(torch.randn(width, width, generator=generator))[0]
