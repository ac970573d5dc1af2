"""A whole file as columns, for those who need all of it at once: each distinct value of a column is judged once, by the same fields
that judge rows one by one.
"""

from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from typing import Any

from adapters.fields import Field, FieldError
from adapters.port import RowError
from adapters.tables import Chunk, read_table

_REMEMBERED_MAX = 100_000
"""Distinct values of a column that are kept in mind."""


@dataclass(slots=True)
class Columns:
    """The good rows of a file, in its order, and its bad ones.

    ``values`` are columns of equal length by the names of their fields; ``rows`` are row numbers (see ``RowError``). ``bad`` holds what could be
    read of each bad row: its number and its good values.
    """

    file: str
    values: dict[str, list[Any]]
    rows: list[int] = field(default_factory=list)
    bad: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    errors: list[RowError] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)

    def judge(self, name: str, problem: Callable[[Any], str | None]) -> None:
        """Makes rows bad whose value of a column has a problem, which is a sentence as in ``RowError``; asked once a distinct value."""
        problems = {value: why for value in set(self.values[name]) if (why := problem(value))}
        if problems:
            column = enumerate(self.values[name])
            self.reject({position: (name, problems[value]) for position, value in column if value in problems})

    def judge_unique(self, name: str) -> None:
        """Makes every row bad that has the same value as a row before it."""
        column = self.values[name]
        if len(set(column)) == len(column):
            return
        seen: dict[Hashable, int] = {}
        wrong: dict[int, tuple[str, str]] = {}
        for position, value in enumerate(column):
            first = seen.setdefault(value, position)
            if first != position:
                wrong[position] = (name, f"occurs in row {self.rows[first]} already: {value!r}")
        self.reject(wrong)

    def reject(self, wrong: dict[int, tuple[str, str]]) -> None:
        """Makes rows bad: by position, the field (empty: the row as a whole) and what is wrong."""
        for position, (name, message) in sorted(wrong.items()):
            self.bad.append((self.rows[position], {key: column[position] for key, column in self.values.items()}))
            self.errors.append(RowError(self.file, self.rows[position], name, message))
        self.drop(wrong)

    def drop(self, positions: Collection[int]) -> None:
        """Leaves rows out without a word."""
        if positions:
            kept = [position not in positions for position in range(len(self.rows))]
            self.values = {name: list(compress(column, kept)) for name, column in self.values.items()}
            self.rows = list(compress(self.rows, kept))


def read_columns(path: Path, wanted: Iterable[Field]) -> Columns:
    """The wanted columns of a whole file; a column that the file does not have is full of its field's default.

    Raises:
        FileFormatError: the file or a required column is missing, or it cannot be read.
    """
    judges = [_Judge(column) for column in wanted]
    wanted = [judge.column for judge in judges]
    columns = Columns(str(path), {column.name: [] for column in wanted})
    for chunk in read_table(path, wanted):
        wrong = set(chunk.broken)
        read = {judge.column.name: judge.read(chunk, wrong) for judge in judges}
        kept = [position not in wrong for position in range(len(chunk.rows))] if wrong else None
        for name, values in read.items():
            columns.values[name].extend(compress(values, kept) if kept else values)
        columns.rows.extend(compress(chunk.rows, kept) if kept else chunk.rows)
        for position in sorted(wrong):
            values_of_row, errors = chunk.read(position, wanted)
            columns.bad.append((chunk.rows[position], values_of_row))
            columns.errors.extend(errors)
        columns.errors.extend(chunk.errors)
    return columns


class _Judge:
    """A column's field, and the values that it has read already: a column of one type says most things more than once."""

    def __init__(self, column: Field) -> None:
        self.column = column
        self._good: dict[Hashable, Any] = {}
        self._bad: set[Hashable] = set()

    def read(self, chunk: Chunk, wrong: set[int]) -> list[Any]:
        """The column as its field gives it; positions of what the field does not take go into ``wrong``."""
        raw = chunk.columns.get(self.column.name)
        if raw is None:
            return [self.column.default] * len(chunk.rows)
        try:
            distinct = set(raw)
        except TypeError:
            # Lists and the like, which no field takes.
            wrong.update(range(len(raw)))
            return raw
        if len(self._good) > _REMEMBERED_MAX:
            self._good.clear()
        self._learn(distinct)
        if not self._bad.isdisjoint(distinct):
            wrong.update(position for position, value in enumerate(raw) if value in self._bad)
            return list(map(self._good.get, raw))
        return list(map(self._good.__getitem__, raw))

    def _learn(self, values: set[Hashable]) -> None:
        read, good = self.column.read, self._good
        for value in values.difference(good, self._bad):
            try:
                good[value] = read(value)
            except FieldError:
                self._bad.add(value)
