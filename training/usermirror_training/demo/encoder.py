"""The demo encoder: a BERT of random weights, in the layout of published sentence encoders.

It shows the layout and holds the engine to transformers' vectors. It has learnt nothing: texts are
alike for it where they share words and letters.
"""

import json
import string
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from .. import provenance
from .sentences import GENRES

CONTEXT = 64
SEED = 1
SPREAD = 0.2
"""Standard deviation of the weights: so large that no layer of the graph is without effect."""
PAD, UNKNOWN, FIRST, LAST = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
OPSET = 17

TEXTS = (
    "",
    "a",
    "Quiet River Drama",
    "quiet river drama",
    "Étoile du Nord, Comedy Musical",
    "Café Zephyr (1975): Sci-Fi & Western!",
    "A title of words that the vocabulary lacks, spelled letter by letter",
    "東京 Story",
    "Mystery " * 100,
    "one\ttwo\nthree  four",
    *(f"{genre} of the year {1920 + 7 * place}" for place, genre in enumerate(GENRES)),
)
"""The golden texts: empty, accented, of another script, longer than the context, of all lengths."""


def make(folder: Path, golden: Path | None) -> None:
    """Writes the encoder's folder, and its vectors of `TEXTS` as lines `{text, vector}`."""
    tokenizer = _tokenizer()
    model = _model(tokenizer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "BertTokenizer", "model_max_length": CONTEXT, "pad_token": PAD}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    model.config.to_json_file(folder / "config.json")
    _export(model, folder / "model.onnx")
    provenance.write(folder, provenance.of_pretraining(role="encoder", seed=SEED, steps=0))
    if golden:
        _write_golden(model, tokenizer, golden / "encoder.jsonl")


def _tokenizer() -> Tokenizer:
    """WordPiece over single characters and the words of the demo world's genres."""
    characters = string.ascii_lowercase + string.digits
    words = sorted({word for genre in GENRES for word in genre.lower().split("-")})
    pieces = (
        PAD, UNKNOWN, FIRST, LAST, *characters, *(f"##{c}" for c in characters),
        *string.punctuation, *words,
    )  # fmt: skip
    vocabulary = {piece: place for place, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=UNKNOWN))
    tokenizer.add_special_tokens([PAD, UNKNOWN, FIRST, LAST])
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = ((LAST, vocabulary[LAST]), (FIRST, vocabulary[FIRST]))
    tokenizer.post_processor = processors.BertProcessing(*ends)
    return tokenizer


def _model(tokenizer: Tokenizer) -> BertModel:
    torch.manual_seed(SEED)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=CONTEXT,
        initializer_range=SPREAD,
        pad_token_id=tokenizer.token_to_id(PAD),
        architectures=["BertModel"],
    )
    return BertModel(config, add_pooling_layer=False).eval()


class _States(torch.nn.Module):
    """The model as a function of its three inputs, for the exporter."""

    def __init__(self, model: BertModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
    ) -> torch.Tensor:
        """The last layer's states."""
        inputs = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "token_type_ids": token_type_ids,
        }
        return self.model(**inputs).last_hidden_state


def _export(model: BertModel, path: Path) -> None:
    ids = torch.ones(2, 8, dtype=torch.long)
    mask = ids.clone()
    mask[0, 5:] = 0
    names = ["input_ids", "attention_mask", "token_type_ids"]
    torch.onnx.export(
        _States(model).eval(),
        (ids, mask, torch.zeros_like(ids)),
        str(path),
        input_names=names,
        output_names=["last_hidden_state"],
        dynamic_axes={name: {0: "batch", 1: "tokens"} for name in [*names, "last_hidden_state"]},
        opset_version=OPSET,
        dynamo=False,
    )


@torch.no_grad()
def _write_golden(model: BertModel, tokenizer: Tokenizer, path: Path) -> None:
    tokenizer.enable_truncation(CONTEXT)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as lines:
        for text in TEXTS:
            ids = torch.tensor([tokenizer.encode(text).ids])
            mean = model(ids).last_hidden_state[0].mean(0)
            vector = torch.nn.functional.normalize(mean, dim=0)
            case = {"text": text, "vector": [round(x, 7) for x in vector.tolist()]}
            lines.write(json.dumps(case, ensure_ascii=False, separators=(",", ":")) + "\n")
