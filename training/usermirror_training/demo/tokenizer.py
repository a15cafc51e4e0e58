"""The demo tokenizer: whole phrases as single tokens over a byte-level base.

A model of half a million parameters has none to spare for spelling, so every phrase of the
prompt and of the decision template is one token. Any other text still encodes, byte by byte.
Brackets and the letters A-Z stay single tokens: the engine reads a choice as the one token
after `Behavior: [`.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

PAD = "<|endoftext|>"
START = "<|im_start|>"
END = "<|im_end|>"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if not loop.first %}{{ '\\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '\\n<|im_start|>assistant\\n' }}{% endif %}"
)
"""Nothing follows the mark that ends the last turn: trainers would teach it."""


def build(phrases: Iterable[str]) -> Tokenizer:
    """A tokenizer whose vocabulary is the byte alphabet, the chat marks and `phrases`."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={byte: i for i, byte in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([PAD, START, END])
    longer = dict.fromkeys(phrase for phrase in phrases if len(phrase) > 1)
    tokenizer.add_tokens([AddedToken(phrase, normalized=False) for phrase in longer])
    _assert_letters_stand_alone(tokenizer)
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path, context: int) -> None:
    """Writes the tokenizer files of a Hugging Face folder."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context,
        "pad_token": PAD,
        "eos_token": END,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)


def _assert_letters_stand_alone(tokenizer: Tokenizer) -> None:
    prefix = tokenizer.encode("Behavior: [").ids
    for letter in LETTERS:
        ids = tokenizer.encode(f"Behavior: [{letter}").ids
        if ids[:-1] != prefix:
            raise ValueError(f"the letter {letter} is not one token after 'Behavior: ['")
