"""What the machine can do, and what follows from it for each measure.

    python limits.py THREADS       measured like an engine, by the same protocol

Reading is a sum over 256 MiB. Multiplying is [M, K] x [K, N] in fp32 with a matrix of 64 MiB,
larger than most caches, by PyTorch and by ONNX Runtime; the better one counts.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

import jobs
import worker

ROWS = (1, 10, 40, 256)
SHAPE = (2048, 8192)
BYTES = 4
SECONDS = 0.5


class Machine:
    """Measures the machine."""

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)
        self.numbers = torch.ones(1 << 26)
        self.matrix = torch.randn(SHAPE)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(
            product(self.matrix.numpy()), options, ["CPUExecutionProvider"]
        )

    def measure(self) -> dict[str, Any]:
        """Bytes read a second, and floating-point operations a second by rows: (wall, cpu)."""
        size = self.numbers.numel() * BYTES
        found = {"read": rates(self.numbers.sum, size)}
        for rows in ROWS:
            left = torch.randn(rows, SHAPE[0])
            operations = 2 * rows * SHAPE[0] * SHAPE[1]
            ways = (
                lambda left=left: left @ self.matrix,
                lambda left=left: self.session.run(None, {"left": left.numpy()}),
            )
            pairs = [rates(way, operations) for way in ways]
            found[f"multiply{rows}"] = [max(values) for values in zip(*pairs, strict=True)]
        return found


def product(matrix: np.ndarray) -> bytes:
    """A graph that multiplies by a constant matrix, which ONNX Runtime packs beforehand."""
    rows, columns = matrix.shape
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["left", "right"], ["out"])],
        "product",
        [helper.make_tensor_value_info("left", TensorProto.FLOAT, ["m", rows])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["m", columns])],
        [numpy_helper.from_array(matrix, "right")],
    )
    opset = [helper.make_opsetid("", 21)]
    return helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString()


def rates(work: Callable[[], object], amount: float) -> list[float]:
    """How much a second of wall time and one of CPU time do; the best of a few."""
    work()
    best = [0.0, 0.0]
    spent = 0.0
    while spent < SECONDS:
        with worker.Clock() as clock:
            work()
        spent += clock.wall
        best = [max(best[0], amount / clock.wall), max(best[1], amount / clock.cpu)]
    return best


@dataclass(frozen=True)
class Model:
    """What a model's steps cost, from its Hugging Face configuration."""

    config: dict[str, Any]

    @property
    def linear(self) -> int:
        """Weights that every token meets, without the head."""
        c = self.config
        heads = (c["num_attention_heads"] + c["num_key_value_heads"]) * 2 * c["head_dim"]
        per_layer = c["hidden_size"] * (heads + 3 * c["intermediate_size"])
        return c["num_hidden_layers"] * per_layer

    @property
    def head(self) -> int:
        """Weights that only a token meets whose successor is wanted."""
        return self.config["hidden_size"] * self.config["vocab_size"]

    @property
    def cached(self) -> int:
        """Bytes of one token's keys and values, fp32."""
        c = self.config
        return 2 * BYTES * c["num_hidden_layers"] * c["num_key_value_heads"] * c["head_dim"]

    @property
    def attended(self) -> int:
        """Operations for one token to attend to one other."""
        c = self.config
        return 4 * c["num_hidden_layers"] * c["num_attention_heads"] * c["head_dim"]


class Limits:
    """The shortest times that a model's work can take on a machine, in fp32.

    `read` and `multiply` are bytes and operations a second. Seconds are of the kind that these
    were measured in.
    """

    def __init__(self, model: Model, read: float, multiply: dict[int, float]) -> None:
        self.model, self.bandwidth, self.multiply = model, read, multiply

    def rate(self, rows: int) -> float:
        """Operations a second of a product with `rows` rows: between those measured, on a line."""
        return float(np.interp(rows, list(self.multiply), list(self.multiply.values())))

    def reading(self, tokens: int, after: int = 0, rows: int = 1) -> float:
        """Reading `rows` texts of `tokens` tokens after a common prompt of `after`.

        operations = 2 * linear * tokens, 2 * head for the last of each row, and attention to what
        is before: tokens * (after + tokens / 2); all at the rate of 256 rows.
        """
        model = self.model
        operations = 2 * (model.linear * tokens + model.head)
        operations += model.attended * tokens * (after + tokens / 2)
        return rows * operations / self.multiply[256]

    def writing(self, prompts: int, draws: int, context: int, steps: int) -> float:
        """Writing `steps` tokens to `draws` draws of each of `prompts` prompts of `context` tokens.

        step = weights + attention, with
        weights   = max(bytes of weights / bandwidth, 2 * weights * rows / rate(rows)),
        attention = bytes of keys and values / bandwidth, where a prompt's are read once for its
                    draws and each draw's own (half of `steps`, on average) for it alone; or its
                    operations / rate(draws), if that is longer.
        """
        model, rows = self.model, prompts * draws
        weights = model.linear + model.head
        multiplied = max(BYTES * weights / self.bandwidth, 2 * weights * rows / self.rate(rows))
        fetched = model.cached * prompts * (context + draws * steps / 2) / self.bandwidth
        attended = model.attended * rows * (context + steps / 2) / self.rate(draws)
        return steps * (multiplied + max(fetched, attended))

    def rates(self, work: dict[str, Any], shapes: dict[str, tuple[int, int]]) -> dict[str, float]:
        """The best possible tokens a second of each measure of `work`."""
        prefill = [len(row["prompt"]) for row in work["prefill"]]
        best = {"prefill": sum(prefill) / sum(self.reading(tokens) for tokens in prefill)}
        for name, (prompts, draws) in shapes.items():
            context, steps = len(work[name][0]["prompt"]), jobs.decode_steps(work, name)
            seconds = self.writing(prompts, draws, context, steps)
            best[name] = prompts * draws * steps / seconds
            best[name.replace("decode", "greedy")] = best[name]
        return best

    def job(self, work: dict[str, Any], draws: int, common: int) -> float:
        """The best possible tokens a second of the job: the first `common` tokens are read once,
        and all scenarios write at once.

        Own texts cost their opening alone, as their keys and values are still there.
        """
        steps, opening, rows = work["steps"], len(work["opening"]), work["job"]
        mean = sum(len(row["prompt"]) for row in rows) // len(rows)
        seconds = self.reading(common) + self.writing(len(rows), draws, mean, steps)
        for row in rows:
            prompt = len(row["prompt"])
            seconds += self.reading(prompt - common, common)
            seconds += self.reading(opening, prompt + steps, draws)
            seconds += sum(self.reading(len(text), prompt) for text in row["texts"])
        return len(rows) * draws * steps / seconds


if __name__ == "__main__":
    machine = Machine(int(sys.argv[1]))
    worker.answer({"settings": "the machine"})
    for _ in sys.stdin:
        worker.answer(machine.measure())
