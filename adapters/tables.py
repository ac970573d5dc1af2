"""Files with rows and named columns, read in chunks: CSV by the standard library, Parquet by pyarrow when it is there."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from adapters.fields import Field, FieldError, Raw
from adapters.port import RowError

CHUNK_ROWS = 20_000
SUFFIXES = (".csv", ".parquet")


class FileFormatError(Exception):
    """The file as a whole cannot be read; the message says why and what to do."""


@dataclass(slots=True)
class Chunk:
    """Rows of a file as columns: ``columns`` by name, ``rows`` their numbers (see ``RowError``).

    ``broken`` says, by position, which rows are no CSV, or have too many or too few columns: their values are guesses, good only for
    telling what they belong to. ``errors`` are about what could not be read at all.
    """

    file: str
    columns: dict[str, list[Raw]]
    rows: list[int]
    broken: dict[int, str] = field(default_factory=dict)
    errors: list[RowError] = field(default_factory=list)

    def read(self, position: int, wanted: Iterable[Field]) -> tuple[dict[str, Any], list[RowError]]:
        """The values of a row by field, in the order of ``wanted``, and everything that is wrong with it."""
        values: dict[str, Any] = {}
        errors: list[RowError] = []
        row = self.rows[position]
        for column in wanted:
            raw = self.columns[column.name][position] if column.name in self.columns else None
            try:
                values[column.name] = column.read(raw)
            except FieldError as error:
                errors.append(RowError(self.file, row, column.name, str(error)))
        if position in self.broken:
            errors = [RowError(self.file, row, "", self.broken[position])]
        return values, errors


def read_table(path: Path, wanted: Iterable[Field]) -> Iterator[Chunk]:
    """The wanted columns of a file, chunk by chunk; a column without values in the file is absent from the chunks.

    Raises:
        FileFormatError: at the first step, when the file or a required column is missing or its kind is unknown; later, when it ends
            within a value.
    """
    if not path.is_file():
        raise FileFormatError(f"{path} is no file")
    if path.suffix.lower() == ".csv":
        yield from _read_csv(path, tuple(wanted))
    elif path.suffix.lower() == ".parquet":
        yield from _read_parquet(path, tuple(wanted))
    else:
        raise FileFormatError(f"{path} is neither .csv nor .parquet")


def columns_of(path: Path) -> list[str]:
    """Names of a file's columns.

    Raises:
        FileFormatError: the file is missing, empty, or of an unknown kind.
    """
    if path.suffix.lower() == ".parquet":
        return _names(path, _open_parquet(path))
    if not path.is_file():
        raise FileFormatError(f"{path} is no file")
    with _open_csv(path) as lines:
        return _header(path, csv.reader(lines))


def row_count(path: Path) -> int:
    """About how many rows a file has: lines of CSV, in which a value may run over several; 0 when it cannot be told."""
    if path.suffix.lower() == ".csv":
        with path.open("rb") as file:
            return max(sum(1 for _ in file) - 1, 0)
    try:
        return int(_open_parquet(path).metadata.num_rows)
    except FileFormatError:
        return 0


def _listed(names: list[str]) -> str:
    return ", ".join(name if name.isprintable() and name else ascii(name) for name in names)


def _header(path: Path, reader: Any) -> list[str]:
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise FileFormatError(f"{path}:1: {error}") from None
    if not any(header):
        raise FileFormatError(f"{path} is empty: its first row must name the columns")
    _require_distinct(path, header)
    return header


def _require_distinct(path: Path, names: list[str]) -> None:
    double = sorted({name for name, times in Counter(names).items() if times > 1})
    if double:
        raise FileFormatError(f"{path} names a column twice: {_listed(double)}")


def _check_columns(path: Path, found: list[str], wanted: tuple[Field, ...]) -> list[str]:
    """Names of the wanted columns that are there."""
    missing = [column.name for column in wanted if column.required and column.name not in found]
    if missing:
        raise FileFormatError(f"{path} has no column {', '.join(missing)}; it has {_listed(found)}")
    return [column.name for column in wanted if column.name in found]


def _read_csv(path: Path, wanted: tuple[Field, ...]) -> Iterator[Chunk]:
    with _open_csv(path) as lines, _open_csv(path) as again:
        reader = csv.reader(lines, strict=True)
        header = _header(path, reader)
        names = _check_columns(path, header, wanted)
        places = [(name, header.index(name)) for name in names]
        width = len(header)
        bad_lines = _BadLines(again)
        more = True
        while more:
            chunk, records, more = _next_records(str(path), reader, width, bad_lines)
            by_place = list(zip(*records, strict=True)) if records else [()] * width
            chunk.columns = {name: list(by_place[place]) for name, place in places}
            if chunk.rows or chunk.errors:
                yield chunk


def _open_csv(path: Path) -> TextIO:
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


class _BadLines:
    """The file a second time, for the text of lines that are no CSV. Asked for in order, so that it is gone through once."""

    def __init__(self, lines: TextIO) -> None:
        self._lines = enumerate(lines, start=1)

    def text(self, number: int) -> str:
        """A line of the file."""
        return next((text for at, text in self._lines if at == number), "")


def _next_records(file: str, reader: Any, width: int, bad_lines: _BadLines) -> tuple[Chunk, list[list[str]], bool]:
    """A chunk without its columns, its records of ``width`` values each, and whether more follow."""
    chunk = Chunk(file, {}, [])
    records: list[list[str]] = []
    while len(records) < CHUNK_ROWS:
        line = reader.line_num + 1
        try:
            for record in reader:
                if record:
                    if len(record) != width:
                        chunk.broken[len(records)] = f"has {len(record)} columns, the first row has {width}"
                        record = (record + [""] * width)[:width]  # noqa: PLW2901 - the guess stands for the record
                    records.append(record)
                    chunk.rows.append(line)
                line = reader.line_num + 1
                if len(records) >= CHUNK_ROWS:
                    return chunk, records, True
        except csv.Error as error:
            text = bad_lines.text(line) if reader.line_num == line else '"'
            if text.count('"') % 2:
                # A quote that is open: nobody knows where the row ends.
                chunk.errors.append(RowError(file, line, "", f"is not CSV ({error}); nothing after it was read"))
                return chunk, records, False
            chunk.broken[len(records)] = f"is not CSV ({error})"
            records.append((text.rstrip("\r\n").replace('"', "").split(",") + [""] * width)[:width])
            chunk.rows.append(line)
        else:
            return chunk, records, False
    return chunk, records, True


def _open_parquet(path: Path) -> Any:
    try:
        import pyarrow as pa  # an extra of the project
        from pyarrow import parquet
    except ImportError:
        raise FileFormatError(
            f"{path}: reading Parquet needs pyarrow; install it with: pip install 'stockpool[files]'"
        ) from None
    if not path.is_file():
        raise FileFormatError(f"{path} is no file")
    try:
        return parquet.ParquetFile(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FileFormatError(f"{path} is not Parquet: {error}") from None


class _Unreadable:
    """A value that Python has no word for: a time after the year 9999, a text inside a list that is no UTF-8. No field takes it."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def __repr__(self) -> str:
        return f"a {self._kind} beyond reading"


def _values(column: Any) -> list[Raw]:
    """A column as Python values; bytes that are no UTF-8 become the marks that CSV gives them, so that their row alone is bad."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        return _values(column.dictionary_decode())
    try:
        if pa.types.is_timestamp(kind) and kind.unit == "ns":
            # datetime ends at microseconds.
            column = column.cast(pa.timestamp("us", kind.tz), safe=False)
        return list(column.to_pylist())
    except (ArithmeticError, LookupError, ValueError):
        return [_value(scalar) for scalar in column]


def _value(scalar: Any) -> Raw:
    try:
        return scalar.as_py()
    except (ArithmeticError, LookupError, ValueError):
        buffer = scalar.as_buffer() if hasattr(scalar, "as_buffer") else None
        return _Unreadable(str(scalar.type)) if buffer is None else bytes(buffer).decode("utf-8", "surrogateescape")


def _read_parquet(path: Path, wanted: tuple[Field, ...]) -> Iterator[Chunk]:
    table = _open_parquet(path)
    import pyarrow as pa

    names = _check_columns(path, _names(path, table), wanted)
    first = 1
    try:
        for batch in table.iter_batches(batch_size=CHUNK_ROWS, columns=names):
            columns = {name: _values(batch.column(name)) for name in names}
            yield Chunk(str(path), columns, list(range(first, first + batch.num_rows)))
            first += batch.num_rows
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FileFormatError(f"{path} is damaged after row {first - 1}: {error}") from None


def _names(path: Path, table: Any) -> list[str]:
    try:
        names = list(table.schema_arrow.names)
    except ValueError:
        raise FileFormatError(f"{path} has names of columns that are not UTF-8") from None
    _require_distinct(path, names)
    return names
