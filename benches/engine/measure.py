"""Our engine beside llama.cpp, Hugging Face transformers and onnxruntime-genai.

    python measure.py MODELS --binary FILE --runtime FILE [--threads N] [--rounds N] ...

Each engine has a process of its own, and the same number of threads. A round asks every engine for
a measure before the next measure is asked for, so that whatever else the machine does, it does to
all. What is said of a measure is a median over the rounds; a ratio is taken within each round.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import jobs
import report
import worker

HERE = Path(__file__).parent


class Process:
    """An engine's process."""

    def __init__(self, name: str, script: str, *words: object) -> None:
        self.name = name
        command = [sys.executable, str(HERE / script), *map(str, words)]
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            environment.pop(variable, None)
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.settings = self._answer()["settings"]

    def ask(self, name: str) -> dict[str, Any]:
        """Does one measure."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{name}\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """Ends it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _answer(self) -> dict[str, Any]:
        """The next answer; what libraries print meanwhile is not one."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("@"):
                return json.loads(line[1:])
        code = self.process.wait()
        raise RuntimeError(f"{self.name} ended without an answer, exit code {code}")


def main() -> None:
    """Measures, prints the tables and writes the JSON."""
    words = arguments()
    found: dict[str, Any] = {}
    for name in words.shapes:
        with tempfile.TemporaryDirectory() as folder:
            jobs.write(words.models / name, Path(folder), words.steps, words.scenarios)
            measure(words, words.models / name, Path(folder), found)
        print(report.tables(name, found[name]), flush=True)


def arguments() -> argparse.Namespace:
    """The command line."""
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    words.add_argument("models", type=Path, help="folder of models.py")
    words.add_argument("--binary", required=True, help="the usermirror binary")
    words.add_argument("--runtime", required=True, help="the ONNX Runtime library")
    words.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--steps", type=int, default=128, help="tokens of a draw")
    words.add_argument("--scenarios", type=int, default=4, help="of a job")
    words.add_argument("--shapes", nargs="*", default=["t20", "s135"])
    words.add_argument("--engines", nargs="*", help="those whose names begin so (default all)")
    words.add_argument("--measures", nargs="*", default=worker.MEASURES)
    words.add_argument("--to", type=Path, default=Path("engine.json"))
    return words.parse_args()


def processes(words: argparse.Namespace, model: Path, folder: Path) -> list[Process]:
    """Starts the engines."""
    threads = words.threads
    scripts = {}
    for precision in ("fp32", "int8", "int4"):
        scripts[f"ours {precision}"] = (
            "ours.py", model / f"ours-{precision}", folder, threads, words.binary, words.runtime
        )  # fmt: skip
    for kind in ("f32", "q8_0", "q4_0"):
        scripts[f"llama.cpp {kind}"] = ("peer_llama.py", model / f"{kind}.gguf", folder, threads)
    scripts["transformers fp32"] = ("peer_hf.py", model / "hf", folder, threads)
    for precision in ("fp32", "int4"):
        scripts[f"genai {precision}"] = (
            "peer_genai.py", model / f"genai-{precision}", folder, threads
        )  # fmt: skip
    wanted = tuple(words.engines or [""])
    chosen = {name: script for name, script in scripts.items() if name.startswith(wanted)}
    return [Process(name, *script) for name, script in chosen.items()]


def measure(words: argparse.Namespace, model: Path, folder: Path, all_found: dict) -> None:
    """All rounds of one model; what is found is written as it comes."""
    machine = Process("machine", "limits.py", words.threads)
    engines = processes(words, model, folder)
    found = all_found[model.name] = {
        "threads": words.threads,
        "settings": {engine.name: engine.settings for engine in engines},
        "work": jobs.read(folder),
        "config": json.loads((model / "hf/config.json").read_text()),
        "machine": [],
        "rounds": [],
    }
    for number in range(words.rounds):
        found["machine"].append(machine.ask("limits"))
        found["rounds"].append({name: {} for name in words.measures})
        for name in words.measures:
            for engine in engines:
                spent = engine.ask(name)
                found["rounds"][-1][name][engine.name] = spent
                rate = spent["tokens"] / max(spent["cpu"], 1e-9)
                print(f"{model.name} {number} {name} {engine.name} {rate:.0f}", file=sys.stderr)
            words.to.write_text(json.dumps(all_found, indent=1))
    for process in [*engines, machine]:
        process.close()


if __name__ == "__main__":
    main()
