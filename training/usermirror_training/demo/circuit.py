"""A retrieval circuit to start from.

To answer with the letter of the option that has some genre, a model must first bind each option's
words to its letter and then find the right words again. Gradient descent takes long to discover
that two-step circuit from nothing, since neither step pays without the other. So the model is
born with it:

* in the first layer, some heads of every token look at the nearest letter before it, unless a stop
  token lies between, and carry its identity over (*binding*);
* in the later layers, half of the heads of a genre or decade look at earlier copies of it and
  read which letter was bound to them, copies bound to none being left aside (*matching*);
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
BINDING_GAIN = 1.15
RELAYING_GAIN = 2.5
MATCHING_GAIN = 3.0
BOUND_GAIN = 2.0

NEAREST = (2, 3)
"""Rotary frequencies (0.1 and 0.03 a token at head size 16) whose sum falls with the distance
over the length of an option list."""
POSITION_FREE = 4
"""First of the rotary frequencies that are slow enough to compare tokens far apart."""


@dataclass(frozen=True)
class Kinds:
    """Ids of the tokens that the circuit treats alike."""

    letters: Sequence[int]
    features: Sequence[int]
    """Genres and decades."""
    stops: Sequence[int]
    """What ends a list of options."""


@dataclass(frozen=True)
class _Directions:
    """Directions of the embedding space, each of length 1 and orthogonal to the others.

    A head can look for a position or for a kind of token only along a direction that the tokens
    have in common: `shared` is in all of them, `feature` in genres and decades, `anchor` in
    letters and stops, `letter` in letters alone.
    """

    shared: Tensor
    feature: Tensor
    anchor: Tensor
    letter: Tensor

    def without(self, rows: Tensor) -> Tensor:
        """`rows` made blind to these directions."""
        for direction in (self.shared, self.feature, self.anchor, self.letter):
            rows = rows - torch.outer(rows @ direction, direction)
        return rows


def wire(
    model: LlamaForCausalLM,
    kinds: Kinds,
    generator: torch.Generator,
) -> None:
    """Initialises all weights of `model`, which has three layers or more."""
    with torch.no_grad():
        _start_small(model, generator)
        embeddings = model.model.embed_tokens.weight
        directions = _mark_embeddings(embeddings, kinds, generator)
        size = model.config.head_dim
        basis = _orthonormal(model.config.hidden_size, generator)
        identities = basis[: BINDING_HEADS * size].view(BINDING_HEADS, size, -1)
        # A stop has no identity to carry: what reads one must be blind to it.
        stops = torch.linalg.qr(directions.without(embeddings[list(kinds.stops)]).T)[0].T
        identities = torch.stack([directions.without(rows) for rows in identities])
        identities = identities - identities @ stops.T @ stops
        # One row reads that it is a letter at all: its carrier tells which tokens are bound.
        identities[0, 0] = directions.letter
        carriers = basis[BINDING_HEADS * size : 2 * BINDING_HEADS * size].view_as(identities)
        _bind(model, identities, carriers, directions)
        _match(model, identities, carriers, directions, kinds.features, generator)
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


def _mark_embeddings(embeddings: Tensor, kinds: Kinds, generator: torch.Generator) -> _Directions:
    """Adds to each token the directions of its kinds."""
    directions = _Directions(*_orthonormal(embeddings.shape[1], generator)[:4])
    length = EMBEDDING_SPREAD * embeddings.shape[1] ** 0.5
    embeddings += length * directions.shared
    embeddings[list(kinds.features)] += length * directions.feature
    embeddings[[*kinds.letters, *kinds.stops]] += length * directions.anchor
    embeddings[list(kinds.letters)] += length * directions.letter
    return directions


def _bind(
    model: LlamaForCausalLM, identities: Tensor, carriers: Tensor, directions: _Directions
) -> None:
    """First layer: every token looks at the nearest letter or stop and carries its identity."""
    attention = model.model.layers[0].self_attn
    for head in range(BINDING_HEADS):
        rows = _look_at_nearest(attention, head, directions.anchor, directions.shared, BINDING_GAIN)
        attention.v_proj.weight[rows] = identities[head]
        attention.o_proj.weight[:, rows] = carriers[head].T


def _match(
    model: LlamaForCausalLM,
    identities: Tensor,
    carriers: Tensor,
    directions: _Directions,
    features: Sequence[int],
    generator: torch.Generator,
) -> None:
    """Later layers: half of the heads look for a feature's copies and read the letter bound."""
    embeddings = model.model.embed_tokens.weight[list(features)]
    span = torch.linalg.qr(directions.without(embeddings).T)[0].T
    size, count = model.config.head_dim, len(features)
    slow = torch.arange(size) % (size // 2) >= POSITION_FREE
    for layer in model.model.layers[1:]:
        attention = layer.self_attn
        for head in range(model.config.num_attention_heads // 2):
            rows = slice(head * size, (head + 1) * size)
            mixed = torch.randn(size, count, generator=generator) * slow[:, None]
            own = MATCHING_GAIN * count**-0.5 * mixed @ span
            attention.q_proj.weight[rows] = own
            attention.k_proj.weight[rows] = own
            # Copies bound to no letter, such as the history's, have nothing to tell.
            attention.q_proj.weight[rows][-1] = BOUND_GAIN * directions.shared
            attention.k_proj.weight[rows][-1] = BOUND_GAIN * carriers[0, 0]
            attention.v_proj.weight[rows] = carriers[head % BINDING_HEADS]
            attention.o_proj.weight[:, rows] = identities[head % BINDING_HEADS].T


def _relay(model: LlamaForCausalLM, identities: Tensor, directions: _Directions) -> None:
    """Third layer on: the last heads take over the letter found at the nearest feature."""
    heads = model.config.num_attention_heads
    for layer in model.model.layers[2:]:
        for index in range(RELAYING_HEADS):
            head = heads - RELAYING_HEADS + index
            attention = layer.self_attn
            rows = _look_at_nearest(
                attention, head, directions.feature, directions.shared, RELAYING_GAIN
            )
            attention.v_proj.weight[rows] = identities[index]
            attention.o_proj.weight[:, rows] = identities[index].T


def _look_at_nearest(
    attention: LlamaAttention, head: int, kind: Tensor, shared: Tensor, gain: float
) -> slice:
    """Points a head at the nearest token of one kind; returns the head's rows of the weights."""
    size = attention.head_dim
    rows = slice(head * size, (head + 1) * size)
    towards = torch.zeros(size)
    towards[list(NEAREST)] = gain * len(NEAREST) ** -0.5
    attention.q_proj.weight[rows] = torch.outer(towards, shared)
    attention.k_proj.weight[rows] = torch.outer(towards, kind)
    return rows


def _orthonormal(width: int, generator: torch.Generator) -> Tensor:
    return torch.linalg.qr(torch.randn(width, width, generator=generator))[0]
