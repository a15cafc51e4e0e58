"""The demo models' shape and starting point."""

from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from . import circuit, sentences
from .tokenizer import END, LETTERS, PAD, START

CONTEXT = 1024


@dataclass(frozen=True)
class Shape:
    """What differs between the two models; every head has keys and values of its own."""

    width: int
    layers: int
    heads: int
    feed_forward: int


STRONG = Shape(width=96, layers=4, heads=6, feed_forward=256)
WEAK = Shape(width=96, layers=3, heads=6, feed_forward=192)


def create(shape: Shape, tokenizer: Tokenizer, seed: int) -> LlamaForCausalLM:
    """An untrained model, wired to look things up."""
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=shape.width,
            intermediate_size=shape.feed_forward,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.heads,
            max_position_embeddings=CONTEXT,
            rms_norm_eps=1e-6,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.token_to_id(PAD),
            eos_token_id=tokenizer.token_to_id(END),
            pad_token_id=tokenizer.token_to_id(PAD),
        )
    )
    kinds = circuit.Kinds(
        letters=[tokenizer.token_to_id(letter) for letter in LETTERS],
        features=[tokenizer.token_to_id(feature) for feature in sentences.FEATURES],
        stops=[*tokenizer.encode("\n").ids, tokenizer.token_to_id(START)],
    )
    circuit.wire(model, kinds, torch.Generator().manual_seed(seed))
    return model
