"""Outputs appear whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import TrainingError


def refuse_existing(target: Path) -> None:
    """Raises when there is something at `target` that an output would have to replace."""
    if target.exists():
        raise TrainingError(f"{target} exists: remove it, or name another folder")


def partial(target: Path) -> Path:
    """Where a folder is made before it gets its name: beside it, on the same file system."""
    return target.with_name(f"{target.name}.partial")


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A folder to fill; it becomes `target` when the block ends, and vanishes when it fails."""
    refuse_existing(target)
    unfinished = partial(target)
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        finish(unfinished, target)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def finish(unfinished: Path, target: Path) -> None:
    """Flushes every file of the folder to disk, then gives it its name."""
    for path in sorted(unfinished.rglob("*")):
        if path.is_file():
            with path.open("rb") as content:
                os.fsync(content.fileno())
    unfinished.rename(target)
