"""Tables of a trial as files: Parquet, or CSV where pyarrow is not installed."""

import csv
from collections.abc import Sequence
from pathlib import Path


def write_table(folder: Path, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    """Writes a table and returns where it is. The same rows give the same bytes. Raises OSError."""
    try:
        import pyarrow as pa  # an extra of the project
        from pyarrow import parquet
    except ImportError:
        path = folder / f"{name}.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(rows)
        return path
    path = folder / f"{name}.parquet"
    by_column = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    table = pa.table({column: pa.array(list(values)) for column, values in zip(columns, by_column, strict=True)})
    parquet.write_table(table, path, compression="zstd")
    return path
