"""Export: a checkpoint becomes a model folder that the engine can load.

A model folder is the onnxruntime-genai layout with our slot graph in place of the builder's graph,
the checkpoint's `config.json`, and `provenance.json`.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from . import checkpoint, outputs, provenance, slot_graph
from .errors import TrainingError
from .verify import Difference, verify

PROVIDERS = {"fp32": "cpu", "fp16": "cuda", "int8": "cpu", "int4": "cpu"}
"""For which execution provider a precision's graph is built."""
GENAI_CONFIG = "genai_config.json"
HEAD_MULTIPLE = 16


def export(source: Path, target: Path, precision: str = "fp32") -> Difference:
    """Writes the checkpoint `source` as the model folder `target`; says how closely it follows.

    The builder's own graph is an intermediate step and is not kept. A folder that strays from its
    checkpoint is refused and does not appear.
    """
    checkpoint.check(source)
    _check_heads(source)
    with tempfile.TemporaryDirectory() as scratch, outputs.whole(target) as folder:
        built = Path(scratch) / "built"
        _build(source, built, Path(scratch) / "cache", precision)
        checkpoint.copy_tokenizer(source, folder)
        shutil.copyfile(source / "config.json", folder / "config.json")
        _write_config(built / GENAI_CONFIG, folder / GENAI_CONFIG)
        slot_graph.convert(built / "model.onnx", folder / slot_graph.FILE, precision)
        origin = provenance.of_conversion("export", source, precision=precision)
        provenance.write(folder, origin)
        return verify(source, folder)


def _check_heads(source: Path) -> None:
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    size = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    if size % HEAD_MULTIPLE:
        raise TrainingError(
            f"{source} has heads of size {size}: model folders are made of checkpoints whose heads "
            f"are multiples of {HEAD_MULTIPLE}"
        )


def _write_config(built: Path, target: Path) -> None:
    """Copies the builder's configuration, naming the graph that the folder really holds."""
    config = json.loads(built.read_text())
    config["model"]["decoder"]["filename"] = slot_graph.FILE
    target.write_text(json.dumps(config, indent=2) + "\n")


def _build(source: Path, built: Path, cache: Path, precision: str) -> None:
    """Runs the onnxruntime-genai model builder, offline, in a process of its own."""
    command = [sys.executable, "-m", "onnxruntime_genai.models.builder"]
    command += ["-p", precision, "-e", PROVIDERS[precision]]
    command += ["-i", str(source), "-o", str(built), "-c", str(cache)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        raise TrainingError(f"the model builder failed on {source}:\n{finished.stderr[-2000:]}")
