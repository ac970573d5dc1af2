"""Whole files as columns: the same good rows and the same complaints as row by row."""

from pathlib import Path
from random import Random
from typing import Any

import pytest

from adapters import fields
from adapters.columns import read_columns
from adapters.fields import Field
from adapters.port import RowError
from adapters.tables import CHUNK_ROWS, FileFormatError, read_table

FIELDS = (
    Field("sku_key", fields.key),
    Field("units", fields.units_of_line),
    Field("price", fields.micros, 0),
    Field("time", fields.time),
    Field("note", fields.text, "none"),
)
AWKWARD = {
    "sku_key": ("A", "B", " C", "", "x" * 65, "\x07", "\x85"),
    "units": ("1", "12", "0", "-3", "1.5", "", "many", "9" * 40),
    "price": ("1.25", "", "1e30", "0.0000001", "nan"),
    "time": ("2011-03-01T09:00", "2011-03-01", "soon", ""),
}


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_as_row_by_row(tmp_path: Path, seed: int) -> None:
    chance = Random(seed)
    path = tmp_path / "lines.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("sku_key,units,price,time\n")
        for _ in range(CHUNK_ROWS + 500):
            good = chance.random() < 0.9
            values = [words[0] if good else chance.choice(words) for words in AWKWARD.values()]
            file.write(",".join(values[: 3 if chance.random() < 0.01 else 4]) + "\n")
    found = read_columns(path, FIELDS)
    rows: list[tuple[int, dict[str, Any]]] = []
    bad: list[tuple[int, dict[str, Any]]] = []
    errors: list[RowError] = []
    for chunk in read_table(path, FIELDS):
        for position, row in enumerate(chunk.rows):
            values_of_row, wrong = chunk.read(position, FIELDS)
            errors.extend(wrong)
            (bad if wrong else rows).append((row, values_of_row))
    names = [field.name for field in FIELDS]
    columns = zip(*found.values.values(), strict=True)
    assert [(row, dict(zip(names, one, strict=True))) for row, one in zip(found.rows, columns, strict=True)] == rows
    assert found.bad == bad
    assert found.errors == errors
    assert bad


def test_rows_may_be_judged_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "lines.csv"
    path.write_text("sku_key\nA\nB\nA\nC\n", encoding="utf-8")
    columns = read_columns(path, FIELDS[:1])
    columns.judge_unique("sku_key")
    columns.judge("sku_key", lambda key: "is out of print" if key == "B" else None)
    assert (columns.values, columns.rows) == ({"sku_key": ["A", "C"]}, [2, 5])
    assert [str(error) for error in columns.errors] == [
        f"{path}:4: sku_key: occurs in row 2 already: 'A'",
        f"{path}:3: sku_key: is out of print",
    ]
    assert columns.bad == [(4, {"sku_key": "A"}), (3, {"sku_key": "B"})]
    columns.drop({0})
    assert len(columns) == 1


def test_values_that_are_lists_are_bad_rows(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "lines.parquet"
    parquet.write_table(pa.table({"sku_key": [["A"], ["B", "C"]]}), path)
    columns = read_columns(path, FIELDS[:1])
    assert len(columns) == 0
    assert [error.message for error in columns.errors] == ["is not text: ['A']", "is not text: ['B', 'C']"]


def test_what_cannot_be_read_at_all_is_an_error_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "lines.csv"
    path.write_text('sku_key\nA\n"B\n', encoding="utf-8")
    columns = read_columns(path, FIELDS[:1])
    assert columns.values["sku_key"] == ["A"]
    assert [error.row for error in columns.errors] == [3]
    with pytest.raises(FileFormatError, match="no column units"):
        read_columns(path, FIELDS[:2])
