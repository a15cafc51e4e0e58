"""The training stage's command line: `python -m usermirror_training COMMAND`."""

import argparse
import errno
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

try:
    from safetensors import SafetensorError
except ModuleNotFoundError as missing:
    sys.exit(
        f"error: the package {missing.name} is not there: `make .venv/.installed` installs what "
        "the training stage needs, as does "
        "pip install --require-hashes -r training/requirements.txt"
    )

from . import config
from .errors import TrainingError

FAILED = 1
INTERRUPTED = 130

HELP = {
    "sft": "fine-tune on the chosen decisions",
    "dpo": "fine-tune on the preference pairs",
    "grpo": "fine-tune on decisions of its own, rewarded where they choose as the user did",
    "export": "checkpoint → model folder, compared before it appears",
    "verify": "compare a model folder, or choices made with it, with its checkpoint",
    "restore": "fp32 model folder → checkpoint",
    "demo": "train the demo models from nothing",
}


def main(words: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code."""
    arguments = parser().parse_args(words)
    # TRL uses names that transformers is about to drop; no user can mend that.
    warnings.simplefilter("ignore", FutureWarning)
    try:
        arguments.run(arguments)
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from the last checkpoint", file=sys.stderr)
        return INTERRUPTED
    except (OSError, RuntimeError, SafetensorError) as error:
        if not _is_failed_write(error):
            raise
        print(f"error: cannot write: {error}; make room and run it again", file=sys.stderr)
        return FAILED
    return 0


def _is_failed_write(error: Exception) -> bool:
    """Whether the disk is full or a quota used up. PyTorch's writer keeps the cause to itself."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    text = str(error)
    return any(cause in text for cause in ("No space left", "File too large", "file write failed"))


def parser() -> argparse.ArgumentParser:
    """Every command with its options."""
    whole = argparse.ArgumentParser(prog="usermirror_training", description=__doc__)
    commands = whole.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=HELP[name], description=HELP[name])
        added.set_defaults(run=run, command=name)
        return added

    for stage in ("sft", "dpo", "grpo"):
        added = command(stage, _train)
        added.add_argument("--model", type=Path, required=True, help="checkpoint to begin with")
        added.add_argument("--data", type=Path, required=True, help="folder of `usermirror export`")
        added.add_argument("--to", type=Path, required=True, help="checkpoint folder to write")
        added.add_argument("--config", type=Path, help="TOML file of settings")
    added = command("export", _export)
    added.add_argument("--model", type=Path, required=True, help="checkpoint")
    added.add_argument("--to", type=Path, required=True, help="model folder to write")
    added.add_argument(
        "--precision",
        choices=("fp32", "fp16", "int8", "int4"),
        default="fp32",
        help="fp16 is for CUDA, the others are for the CPU (default fp32)",
    )
    added = command("verify", _verify)
    added.add_argument("--model", type=Path, required=True, help="checkpoint")
    compared = added.add_mutually_exclusive_group(required=True)
    compared.add_argument("--onnx", type=Path, help="model folder")
    compared.add_argument(
        "--choices", type=Path, help="Parquet of messages, text and the engine's probs"
    )
    added.add_argument(
        "--tolerance",
        type=float,
        default=1e-4,
        help="with --choices: how far a probability may be off (default 1e-4, for fp32; "
        "1 only measures)",
    )
    added = command("restore", _restore)
    added.add_argument("--model", type=Path, required=True, help="model folder")
    added.add_argument("--to", type=Path, required=True, help="checkpoint folder to write")
    added = command("demo", _demo)
    added.add_argument("--binary", type=Path, required=True, help="the usermirror binary")
    added.add_argument("--to", type=Path, required=True, help="folder of the model folders")
    added.add_argument("--golden", type=Path, help="folder for golden cases of the engine's tests")
    return whole


# The libraries behind a command take seconds to load: each command loads its own.


def _train(arguments: argparse.Namespace) -> None:
    from .run import train

    settings = config.read(arguments.config)
    train(arguments.command, arguments.model, arguments.data, arguments.to, settings)


def _export(arguments: argparse.Namespace) -> None:
    from .export import export

    print(f"{arguments.to}: {export(arguments.model, arguments.to, arguments.precision)}")


def _verify(arguments: argparse.Namespace) -> None:
    if arguments.choices:
        from .choices import compare

        agreement = compare(arguments.model, arguments.choices, arguments.tolerance)
        print(f"{arguments.choices}: {agreement}")
        return
    from .verify import verify

    print(f"{arguments.onnx}: {verify(arguments.model, arguments.onnx)}")


def _restore(arguments: argparse.Namespace) -> None:
    from .restore import restore

    restore(arguments.model, arguments.to)


def _demo(arguments: argparse.Namespace) -> None:
    from .demo.train import train_both

    train_both(arguments.binary, arguments.to, arguments.golden)


if __name__ == "__main__":
    sys.exit(main())
