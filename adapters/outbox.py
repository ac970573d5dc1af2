"""Files that tell another system what the engine knows."""

import csv
import os
from collections.abc import Iterable
from dataclasses import astuple, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapters.port import Confirmation, StockLevel


class FileSink:
    """Writes CSV files into a folder; fulfils ``port.Outbound``.

    ``stock_levels.csv`` and ``confirmations.csv`` are replaced whole: a reader sees the former file or the new one, never a part. Columns are
    the fields of ``StockLevel`` and ``Confirmation``; times are ISO 8601 in UTC.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put_stock_levels(self, levels: Iterable[StockLevel]) -> int:
        """Writes ``stock_levels.csv``; returns the number of rows.

        Raises:
            OSError: the folder cannot be written.
        """
        return self._write("stock_levels.csv", StockLevel, levels)

    def put_confirmations(self, confirmations: Iterable[Confirmation]) -> int:
        """Writes ``confirmations.csv``; returns the number of rows.

        Raises:
            OSError: the folder cannot be written.
        """
        return self._write("confirmations.csv", Confirmation, confirmations)

    def _write(self, name: str, kind: type[Any], rows: Iterable[Any]) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / name
        draft = path.with_suffix(f".{os.getpid()}.part")
        count = 0
        try:
            with draft.open("w", encoding="utf-8", newline="") as lines:
                writer = csv.writer(lines, lineterminator="\n")
                writer.writerow(field.name for field in fields(kind))
                for row in rows:
                    writer.writerow(map(_written, astuple(row)))
                    count += 1
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        return count


def _written(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value
