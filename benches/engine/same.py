"""Whether our engine answers the same, to the last token, however it is run.

    python same.py MODELS --binary FILE --runtime FILE [--shapes t20 s135] ...

1. At temperature 1 with one seed: with 1, 8 and 64 slots, with 1 and 4 partitions, and with its
   prompt cache off. Texts, letters and their probabilities must be identical, bit by bit.
2. At a temperature next to zero beside Hugging Face transformers' greedy search, fp32. Where a text
   differs, the gap between the two likeliest tokens at the first difference is shown.
3. llama.cpp's greedy tokens, fp32 throughout, beside transformers': its file holds the same model.

Exits with 1 when a text of the first kind differs.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

import peer_llama
import texts
import worker
from ours import Ours

PROMPTS = 100
SHORTEST, LONGEST = 50, 400
GREEDY_STEPS = 64
LLAMA_PROMPTS = 10
MATRIX_PROMPTS = 12
MATRIX_DRAWS = 4
MATRIX_STEPS = 48
SETTINGS = {
    "64 slots": ("", ""),
    "8 slots": ("'slots' '8'", ""),
    "1 slot": ("'slots' '1'", ""),
    "1 partition": ("", "SET datafusion.execution.target_partitions = 1;"),
    "4 partitions": ("", "SET datafusion.execution.target_partitions = 4;"),
    "4 partitions, 8 slots": ("'slots' '8'", "SET datafusion.execution.target_partitions = 4;"),
    "no prompt cache": ("'prompt_cache_mib' '0'", ""),
    "no prompt cache, 1 slot": ("'prompt_cache_mib' '0', 'slots' '1'", ""),
}
"""Options of the model, and statements before the query."""
QUERY = """
CREATE TABLE decisions AS SELECT id, unnest(decide('m', messages, {draws})) AS d FROM chats;
SELECT id, d['draw'] AS draw, d['text'] AS text, d['tokens'] AS tokens, d['letter'] AS letter,
       d['error'] AS error,
       choose('m', messages, d['text'], 10)['probs'] AS probs
FROM decisions JOIN chats USING (id) ORDER BY id, draw;
"""
GREEDY = """
SELECT id, d['text'] AS text, d['tokens'] AS tokens, d['error'] AS error
FROM (SELECT id, unnest(decide('m', messages, 1)) AS d FROM chats) ORDER BY id;
"""

Rows = list[dict[str, Any]]


def main() -> None:
    """Compares both ways for each model."""
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    words.add_argument("models", type=Path, help="folder of models.py")
    words.add_argument("--binary", required=True, help="the usermirror binary")
    words.add_argument("--runtime", required=True, help="the ONNX Runtime library")
    words.add_argument("--threads", type=int, default=1)
    words.add_argument("--shapes", nargs="*", default=["t20", "s135"])
    words.add_argument("--precisions", nargs="*", default=["fp32", "int8", "int4"])
    arguments = words.parse_args()
    torch.set_num_threads(arguments.threads)
    differs = False
    for shape in arguments.shapes:
        model = arguments.models / shape
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            chats = write(model, folder)
            for precision in arguments.precisions:
                differs |= matrix(arguments, model / f"ours-{precision}", folder)
            greedy(arguments, model, folder, chats)
            llama(arguments, model, chats[:: PROMPTS // LLAMA_PROMPTS])
    sys.exit(int(differs))


def write(model: Path, folder: Path) -> list[list[texts.Message]]:
    """Writes chats of 50 to 400 tokens; those of the matrix share a system message by fours."""
    tokenizer = AutoTokenizer.from_pretrained(model / "hf", local_files_only=True)
    lengths = [SHORTEST + (LONGEST - SHORTEST) * n // (PROMPTS - 1) for n in range(PROMPTS)]
    chats = [chat(tokenizer, number, length) for number, length in enumerate(lengths)]
    rows = [{"id": number, "messages": chat} for number, chat in enumerate(chats)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "greedy.parquet")
    # One file a chat: each can be a partition of its own.
    (folder / "matrix.parquet").mkdir()
    for number in range(MATRIX_PROMPTS):
        system = [0, 100, 200][number % 3]
        messages = texts.chat(tokenizer, number, 350 + 37 * number, system)
        table = pa.Table.from_pylist([{"id": number, "messages": messages}])
        pq.write_table(table, folder / f"matrix.parquet/{number}.parquet")
    (folder / "jobs.json").write_text("{}")
    return chats


def chat(tokenizer: PreTrainedTokenizerBase, number: int, tokens: int) -> list[texts.Message]:
    """A chat of `tokens` tokens or a few less, without options: they alone may be longer."""
    whole = texts.thought(tokenizer, number, tokens)
    messages = [{"role": "user", "content": whole}]
    while len(texts.prompt_ids(tokenizer, messages)) > tokens:
        whole = whole.rpartition(" ")[0]
        messages = [{"role": "user", "content": whole}]
    return messages


def matrix(arguments: argparse.Namespace, model: Path, folder: Path) -> bool:
    """Compares all ways to run; returns whether any differs from the first."""
    sql = QUERY.format(draws=MATRIX_DRAWS)
    expected: Rows = []
    differs = False
    for name, (options, statements) in SETTINGS.items():
        engine = Ours(
            model, folder, arguments.threads, arguments.binary, arguments.runtime, options
        )
        try:
            _, rows = engine.run("matrix", statements + sql, MATRIX_STEPS)
        except RuntimeError as error:
            if "no option" not in str(error):
                raise
            print(f"{model.parent.name}/{model.name}: {name}: this binary has no such option")
            continue
        expected = expected or rows
        same = sum(a == b for a, b in zip(rows, expected, strict=True))
        failed = [row["error"] for row in rows if row.get("error")]
        whole = len(rows) == MATRIX_PROMPTS * MATRIX_DRAWS and not failed
        differs |= same < len(expected) or not whole
        tokens = sum(row["tokens"] for row in rows)
        print(
            f"{model.parent.name}/{model.name}: {name}: {same} of {len(expected)} decisions "
            f"identical ({tokens} tokens)",
            flush=True,
        )
    return differs


@torch.no_grad()
def greedy(
    arguments: argparse.Namespace, model: Path, folder: Path, chats: list[list[texts.Message]]
) -> None:
    """Compares with transformers' greedy search."""
    engine = Ours(
        model / "ours-fp32", folder, arguments.threads, arguments.binary, arguments.runtime
    )
    _, rows = engine.run("greedy", GREEDY, GREEDY_STEPS, temperature=worker.COLD)
    tokenizer = AutoTokenizer.from_pretrained(model / "hf", local_files_only=True)
    peer = AutoModelForCausalLM.from_pretrained(model / "hf", local_files_only=True).eval()
    equal, gaps = 0, []
    for row, messages in zip(rows, chats, strict=True):
        prompt = texts.prompt_ids(tokenizer, messages)
        written = peer.generate(
            torch.tensor([prompt]), max_new_tokens=GREEDY_STEPS, do_sample=False
        )[0, len(prompt) :]
        if tokenizer.decode(written, skip_special_tokens=True).strip() == row["text"]:
            equal += 1
        else:
            gaps.append(json.dumps(difference(tokenizer, peer, prompt, written, row)))
    print(
        f"{model.name}: {equal} of {len(rows)} greedy texts equal transformers' to the last token",
        *gaps, sep="\n  ", flush=True,
    )  # fmt: skip


@torch.no_grad()
def llama(arguments: argparse.Namespace, model: Path, chats: list[list[texts.Message]]) -> None:
    """Compares the GGUF file with the checkpoint."""
    tokenizer = AutoTokenizer.from_pretrained(model / "hf", local_files_only=True)
    peer = AutoModelForCausalLM.from_pretrained(model / "hf", local_files_only=True).eval()
    settings = peer_llama.Settings(flash=False, cache="f32", unified=True)
    loaded = peer_llama.load(model / "f32.gguf")
    equal = 0
    for messages in chats:
        prompt = texts.prompt_ids(tokenizer, messages)
        expected = peer.generate(
            torch.tensor([prompt]), max_new_tokens=GREEDY_STEPS, do_sample=False
        )[0, len(prompt) :].tolist()
        room = [len(prompt) + GREEDY_STEPS]
        context = peer_llama.Context(loaded, settings, arguments.threads, room)
        written = [context.likeliest(context.read(0, 0, prompt))]
        while len(written) < len(expected):
            at = context.read(0, len(prompt) + len(written) - 1, written[-1:])
            written.append(context.likeliest(at))
        context.close()
        equal += written == expected
    print(f"{model.name}: {equal} of {len(chats)} greedy draws of llama.cpp equal transformers'")


def difference(
    tokenizer: PreTrainedTokenizerBase,
    peer: torch.nn.Module,
    prompt: list[int],
    written: torch.Tensor,
    row: dict[str, Any],
) -> dict[str, Any]:
    """Where a text leaves transformers', and how close the two likeliest tokens were there."""
    shared = 0
    while shared < len(written):
        begun = tokenizer.decode(written[: shared + 1], skip_special_tokens=True).strip()
        if not row["text"].startswith(begun):
            break
        shared += 1
    ids = torch.tensor([prompt + written[:shared].tolist()])
    two = peer(ids, logits_to_keep=1).logits[0, -1].topk(2).values
    gap = float(two[0] - two[1])
    return {"prompt": row["id"], "tokens": len(prompt), "token": shared, "gap": gap,
            "error": row.get("error")}  # fmt: skip


if __name__ == "__main__":
    main()
