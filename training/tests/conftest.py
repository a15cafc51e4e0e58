"""Tiny checkpoints of both families, and preference files, made anew for each run of the tests."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, Qwen2Config
from transformers import Qwen2ForCausalLM as Qwen2

from usermirror_training.demo import tokenizer as demo_tokenizer
from usermirror_training.export import export

CONTEXT = 512
SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": CONTEXT,
}

torch.set_num_threads(1)


def create(family: str, folder: Path) -> Path:
    """A small checkpoint with random weights, biases included, in a folder of the family's name."""
    tokenizer = demo_tokenizer.build(["Behavior: ", "Thought:", "user\n", "assistant\n", "\n"])
    ids = {
        "vocab_size": tokenizer.get_vocab_size(),
        "pad_token_id": tokenizer.token_to_id(demo_tokenizer.PAD),
        "eos_token_id": tokenizer.token_to_id(demo_tokenizer.END),
        "bos_token_id": None,
    }
    torch.manual_seed(1)
    model: PreTrainedModel
    if family == "llama":
        model = LlamaForCausalLM(
            LlamaConfig(num_key_value_heads=2, tie_word_embeddings=True, **SHAPE, **ids)
        )
    else:
        model = Qwen2(Qwen2Config(num_key_value_heads=1, tie_word_embeddings=False, **SHAPE, **ids))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("bias"):
                weight.normal_()
    model.save_pretrained(folder)
    demo_tokenizer.save(tokenizer, folder, CONTEXT)
    return folder


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama with grouped heads of size 16 and tied embeddings."""
    return create("llama", tmp_path_factory.mktemp("checkpoints") / "llama")


@pytest.fixture(scope="session")
def qwen2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen2 with grouped keys, biases and an untied head."""
    return create("qwen2", tmp_path_factory.mktemp("checkpoints") / "qwen2")


@pytest.fixture(scope="session", params=["llama", "qwen2"])
def source(request: pytest.FixtureRequest) -> Path:
    """A checkpoint of each family."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def exported(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint's fp32 model folder."""
    target = tmp_path_factory.mktemp("models") / source.name
    assert export(source, target).logit < 1e-4
    return target


def message(role: str, content: str) -> dict[str, str]:
    """One message."""
    return {"role": role, "content": content}


def pair(number: int) -> dict[str, list[dict[str, str]]]:
    """A good pair; the true letter and the lengths differ from one to the next."""
    right, wrong = "AB" if number % 2 else "BA"
    return {
        "prompt": [message("user", f"Film {'x' * (number % 5)}{number}\n[A] One\n[B] Two")],
        "chosen": [message("assistant", f"Thought: so\nBehavior: [{right}]")],
        "rejected": [message("assistant", f"Thought: else\nBehavior: [{wrong}]")],
    }


Writer = Callable[[list[dict]], Path]


@pytest.fixture
def write_pairs(tmp_path: Path) -> Writer:
    """Writes rows as an exported dataset folder."""

    def write(rows: list[dict]) -> Path:
        folder = tmp_path / "pairs"
        (folder / "data").mkdir(parents=True)
        kinds = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
        schema = pa.schema([(name, kinds) for name in (rows[0] if rows else pair(0))])
        table = pa.Table.from_pylist(rows, schema)
        pq.write_table(table, folder / "data" / "train-00000-of-00001.parquet")
        return folder

    return write


@pytest.fixture
def pairs(write_pairs: Writer) -> Path:
    """Twelve good pairs."""
    return write_pairs([pair(number) for number in range(12)])


@pytest.fixture
def quick(tmp_path: Path) -> Path:
    """Settings of a run of six steps with a checkpoint every second one."""
    path = tmp_path / "quick.toml"
    stage = "batch_size = 2\ngradient_accumulation = 1\nepochs = 1\nlearning_rate = 1e-2\n"
    grpo = "batch_size = 4\ngenerations = 2\nmax_new_tokens = 4\nepochs = 0.25\n"
    path.write_text(
        "max_length = 256\nlog_steps = 1\ncheckpoint_steps = 2\n"
        f"[sft]\n{stage}[dpo]\n{stage}[grpo]\n{grpo}"
    )
    return path
