"""Rows of Parquet files that the engine wrote."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .errors import TrainingError

Row = dict[str, Any]


def files(source: Path, command: str) -> list[Path]:
    """The Parquet files of a file, a folder or an exported dataset folder."""
    found = [source] if source.is_file() else sorted(source.rglob("*.parquet"))
    if not found:
        raise TrainingError(f"{source} holds no Parquet file: `{command}` writes one")
    return found


def read(source: Path, columns: tuple[str, ...], command: str) -> list[Row]:
    """These columns of `source`, a Parquet file or folder as `command` writes it.

    Raises when a file lacks one of them or is no Parquet, and when there are no rows.
    """
    rows: list[Row] = []
    for path in files(source, command):
        try:
            names = pq.read_schema(path).names
            missing = [column for column in columns if column not in names]
            if missing:
                raise TrainingError(
                    f"{path} has no column {', '.join(missing)} (it has {', '.join(names)}): "
                    f"`{command}` writes the form that is read here"
                )
            rows += pq.read_table(path, columns=list(columns)).to_pylist()
        except (pa.ArrowInvalid, OSError) as error:
            raise TrainingError(f"{path} cannot be read as Parquet: {error}") from error
    if not rows:
        raise TrainingError(f"{source} holds no rows: has `{command}` found any?")
    return rows
