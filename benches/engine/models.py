"""The benchmark's models: random weights of two shapes, in every form that an engine reads.

    python models.py FOLDER [t20] [s135]

A model SHAPE becomes FOLDER/SHAPE/ with
    hf/               the Hugging Face folder, fp32
    ours-PRECISION/   our model folders: fp32, int8, int4
    genai-PRECISION/  onnxruntime-genai's own: fp32, int4
    TYPE.gguf         llama.cpp's: f32, q8_0, q4_0
What is there already is kept.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

import gguf_file
import texts

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "training"))

from usermirror_training import export, provenance, slot_graph  # noqa: E402
from usermirror_training.demo import tokenizer as marks  # noqa: E402
from usermirror_training.errors import TrainingError  # noqa: E402
from usermirror_training.verify import Difference  # noqa: E402

CONTEXT = 4096
SEED = 1
LOGIT_DEVIATION = 4.3
"""Standard deviation of the logits: so a draw's nucleus is about as wide as a trained model's."""
ATTENTION_SHARPNESS = 1.3
"""Factor on queries and on keys: attention scores get its square as standard deviation."""
OURS = ("fp32", "int8", "int4")
GENAI = ("fp32", "int4")


@dataclass(frozen=True)
class Shape:
    """What differs between the models; the embedding is the head as well."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int


SHAPES = {
    "t20": Shape(320, 896, 8, 10, 5, 32, 32_000),
    "s135": Shape(576, 1536, 30, 9, 3, 64, 49_152),
}


def main() -> None:
    """Makes what is missing."""
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    words.add_argument("folder", type=Path)
    words.add_argument("shapes", nargs="*", help="t20, s135 (default both)")
    arguments = words.parse_args()
    for name in arguments.shapes or SHAPES:
        make(arguments.folder / name, SHAPES[name])


def make(folder: Path, shape: Shape) -> None:
    """Makes all forms of one model."""
    source = folder / "hf"
    steps = {source: lambda target: checkpoint(target, shape)}
    for precision in OURS:
        steps[folder / f"ours-{precision}"] = lambda target, p=precision: ours(source, target, p)
    for precision in GENAI:
        steps[folder / f"genai-{precision}"] = lambda target, p=precision: genai(source, target, p)
    steps[folder / "f32.gguf"] = lambda target: gguf_file.write(source, target)
    for kind in gguf_file.QUANTIZED:
        steps[folder / f"{kind}.gguf"] = lambda target, k=kind: gguf_file.quantize(
            folder / "f32.gguf", target, k
        )
    for target, step in steps.items():
        if not target.exists():
            print(f"making {target}", flush=True)
            step(target)


def checkpoint(target: Path, shape: Shape) -> None:
    """A Hugging Face folder with random weights and a tokenizer of the wanted vocabulary."""
    tokenizer = train_tokenizer(shape.vocab_size)
    special = {
        "bos_token_id": tokenizer.token_to_id(marks.PAD),
        "eos_token_id": tokenizer.token_to_id(marks.END),
        "pad_token_id": tokenizer.token_to_id(marks.PAD),
    }
    config = LlamaConfig(
        **asdict(shape),
        **special,
        max_position_embeddings=CONTEXT,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config)
    randomize(model, list(special.values()))
    with tempfile.TemporaryDirectory(dir=_parent(target)) as scratch:
        made = Path(scratch) / "hf"
        model.save_pretrained(made)
        marks.save(tokenizer, made, CONTEXT)
        made.rename(target)


@torch.no_grad()
def randomize(model: LlamaForCausalLM, special: list[int]) -> None:
    """Random weights that behave like trained ones in what costs time.

    The layers speak louder than the embedding and attention is sharp, else a tied head repeats the
    last token for ever. The special tokens' logits are 0 where the likely ones' are far above:
    draws run their length.
    """
    width = model.config.hidden_size
    draw = torch.Generator().manual_seed(SEED)
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2:
            sharp = "q_proj" in name or "k_proj" in name
            deviation = (ATTENTION_SHARPNESS if sharp else 1) / math.sqrt(parameter.shape[1])
            parameter.normal_(0, deviation, generator=draw)
    embedding = model.model.embed_tokens.weight
    embedding.mul_(0.02 * math.sqrt(width))
    embedding[special] = 0
    model.model.norm.weight.fill_(LOGIT_DEVIATION / (0.02 * math.sqrt(width)))


def train_tokenizer(size: int) -> Tokenizer:
    """A byte-level BPE of `size` tokens, the chat marks among them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[marks.PAD, marks.START, marks.END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    vocabulary = texts.words()
    lines = texts.corpus(vocabulary, 60_000)
    tokenizer.train_from_iterator(lines, trainer)
    if tokenizer.get_vocab_size() != size:
        raise ValueError(f"the tokenizer has {tokenizer.get_vocab_size()} tokens, not {size}")
    opening = tokenizer.encode("Behavior: [").ids
    for letter in marks.LETTERS:
        if tokenizer.encode(f"Behavior: [{letter}").ids[:-1] != opening:
            raise ValueError(f"the letter {letter} is not one token after 'Behavior: ['")
    return tokenizer


def ours(source: Path, target: Path, precision: str) -> None:
    """Our model folder, by the training stage's export.

    Random weights may stray further when quantised than the export lets pass. Then the same export
    is done without its refusal, which has nothing to do with speed.
    """
    try:
        found = export.export(source, target, precision)
    except TrainingError as refusal:
        if precision == "fp32":
            raise
        print(f"  kept although refused: {refusal}")
        gate, export.verify = export.verify, lambda *_: Difference(math.nan, math.nan)
        try:
            found = export.export(source, target, precision)
        finally:
            export.verify = gate
    files = ", ".join(sorted(path.name for path in target.glob(f"*{slot_graph.FILE[-5:]}*")))
    print(f"  {found}; graphs {files}; {provenance.folder_fingerprint(target)[:12]}")


def genai(source: Path, target: Path, precision: str) -> None:
    """The folder that onnxruntime-genai's builder writes, for the CPU."""
    with tempfile.TemporaryDirectory(dir=_parent(target)) as scratch:
        made = Path(scratch) / "genai"
        command = [sys.executable, "-m", "onnxruntime_genai.models.builder"]
        command += ["-p", precision, "-e", "cpu", "-i", str(source), "-o", str(made)]
        command += ["-c", f"{scratch}/cache"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        json.loads((made / "genai_config.json").read_text())
        made.rename(target)


def _parent(target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.parent


if __name__ == "__main__":
    main()
