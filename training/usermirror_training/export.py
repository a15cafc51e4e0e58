"""Export: a Hugging Face folder becomes a model folder that the engine can load."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from . import slot_graph

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
SLOT_GRAPH = "slot.onnx"


def export(source: Path, target: Path, precision: str = "fp32", provider: str = "cpu") -> None:
    """Writes the onnxruntime-genai layout with `slot.onnx` to `target`.

    `source` is a Hugging Face folder (config, safetensors, tokenizer). The builder's own
    graph is an intermediate step and is not kept.
    """
    with tempfile.TemporaryDirectory() as scratch:
        built = Path(scratch) / "built"
        _build(source, built, Path(scratch) / "cache", precision, provider)
        target.mkdir(parents=True, exist_ok=True)
        for name in TOKENIZER_FILES:
            shutil.copyfile(source / name, target / name)
        _write_config(built / "genai_config.json", target / "genai_config.json")
        slot_graph.convert(built / "model.onnx", target / SLOT_GRAPH)


def _write_config(built: Path, target: Path) -> None:
    """Copies the builder's configuration, naming the graph that the folder really holds."""
    config = json.loads(built.read_text())
    config["model"]["decoder"]["filename"] = SLOT_GRAPH
    target.write_text(json.dumps(config, indent=2) + "\n")


def _build(source: Path, built: Path, cache: Path, precision: str, provider: str) -> None:
    """Runs the onnxruntime-genai model builder, offline, in a process of its own."""
    command = [sys.executable, "-m", "onnxruntime_genai.models.builder"]
    command += [
        "-i",
        str(source),
        "-o",
        str(built),
        "-c",
        str(cache),
        "-p",
        precision,
        "-e",
        provider,
    ]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        raise RuntimeError(f"the model builder failed on {source}:\n{finished.stderr[-2000:]}")
