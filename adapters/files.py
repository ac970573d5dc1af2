"""Files as a system outside: CSV and Parquet in (network, catalog, counts, orders, returns), CSV out (stock levels, confirmations).

The columns are described in this folder's README.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

from adapters import fields
from adapters.counts import COUNT_FIELDS, count_columns
from adapters.fields import Field, FieldError
from adapters.port import (
    BadRowsError,
    Batch,
    CountColumns,
    Disposition,
    NodeKind,
    NodeRow,
    OrderRow,
    ReturnRow,
    RowError,
    SkuRow,
)
from adapters.purchases import read_orders
from adapters.tables import SUFFIXES, FileFormatError, read_table

ERRORS_KEPT = 1_000
"""Bad rows that ``BadRowsError`` lists; it counts them all."""

NODE_FIELDS = (
    Field("node_key", fields.key),
    Field("name", fields.text, ""),
    Field("kind", fields.one_of(NodeKind), NodeKind.STORE),
    Field("latitude", fields.latitude),
    Field("longitude", fields.longitude),
    Field("postal_code", fields.postal_code, ""),
    Field("closed", fields.truth, False),
    Field("ships", fields.truth, True),
    Field("offers_pickup", fields.truth, False),
    Field("accepts_returns", fields.truth, True),
    Field("package_cost", fields.micros, 0),
    Field("unit_cost", fields.micros, 0),
    Field("safety_stock", fields.units, 0),
)
SKU_FIELDS = (
    Field("sku_key", fields.key),
    Field("title", fields.text, ""),
    Field("weight_grams", fields.grams),
    Field("unit_value", fields.micros, 0),
    Field("currency_code", fields.currency, ""),
)
RETURN_FIELDS = (
    Field("return_key", fields.key),
    Field("channel_key", fields.key),
    Field("order_key", fields.key, ""),
    Field("sku_key", fields.key),
    Field("units", fields.units_of_line),
    Field("time", fields.time),
    Field("node_key", fields.key, ""),
    Field("postal_code", fields.postal_code, ""),
    Field("disposition", fields.one_of(Disposition), None),
)
_NAMES = {
    "nodes": ("nodes", "network"),
    "skus": ("skus", "catalog"),
    "counts": ("counts", "stock"),
    "orders": ("orders",),
    "order_lines": ("order_lines",),
    "returns": ("returns",),
}

RowT = TypeVar("RowT")


class _HasErrors(Protocol):
    @property
    def errors(self) -> tuple[RowError, ...]: ...


BatchT = TypeVar("BatchT", bound=_HasErrors)


@dataclass(frozen=True, slots=True)
class FileSource:
    """Reads files; fulfils ``port.Inbound``. A kind without a file yields nothing.

    With ``all_or_nothing`` each method reads its file twice: first to see that every row is good, and only then for the rows.

    Every method raises:
        FileFormatError: the file as a whole cannot be read: missing, no such column, neither CSV nor Parquet.
        BadRowsError: rows are bad, and ``all_or_nothing`` was asked for; nothing was yielded.
    """

    nodes_file: Path | None = None
    skus_file: Path | None = None
    counts_file: Path | None = None
    orders_file: Path | None = None
    order_lines_file: Path | None = None
    returns_file: Path | None = None
    all_or_nothing: bool = False

    @classmethod
    def from_folder(cls, folder: Path, *, all_or_nothing: bool = False) -> "FileSource":
        """The files of a folder by their names: nodes or network, skus or catalog, counts or stock, orders, order_lines, returns; .csv or
        .parquet.

        Raises:
            FileFormatError: the folder is missing, has none of them, or two for one kind.
        """
        if not folder.is_dir():
            raise FileFormatError(f"{folder} is no folder")
        found: dict[str, Path] = {}
        for what, names in _NAMES.items():
            files = [folder / (name + suffix) for name in names for suffix in SUFFIXES]
            present = [file for file in files if file.is_file()]
            if len(present) > 1:
                raise FileFormatError(f"{present[0]} and {present[1].name} both hold {what}: keep one of them")
            if present:
                found[f"{what}_file"] = present[0]
        if not found:
            names_known = ", ".join(name for names in _NAMES.values() for name in names)
            raise FileFormatError(f"{folder} has none of {names_known} (.csv or .parquet)")
        return cls(**found, all_or_nothing=all_or_nothing)

    def nodes(self) -> Iterator[Batch[NodeRow]]:
        """The network; a key occurs once."""
        return self._rows(self.nodes_file, NODE_FIELDS, NodeRow, unique="node_key")

    def skus(self) -> Iterator[Batch[SkuRow]]:
        """The catalog; a key occurs once."""
        return self._rows(self.skus_file, SKU_FIELDS, SkuRow, unique="sku_key")

    def counts(self) -> Iterator[CountColumns]:
        """Units on hand, as columns of some thousand rows."""
        path = self.counts_file
        if path is None:
            return iter(())
        return self._checked(lambda: (count_columns(chunk) for chunk in read_table(path, COUNT_FIELDS)))

    def orders(self) -> Iterator[Batch[OrderRow]]:
        """Orders that were sold elsewhere. An order with a bad line is bad as a whole."""
        path = self.orders_file
        if path is None:
            return iter(())
        return self._checked(lambda: read_orders(path, self.order_lines_file))

    def returns(self) -> Iterator[Batch[ReturnRow]]:
        """Goods announced to come back."""
        return self._rows(self.returns_file, RETURN_FIELDS, ReturnRow, unique="return_key", check=_check_return)

    def _rows(
        self,
        path: Path | None,
        columns: tuple[Field, ...],
        make: Callable[..., RowT],
        unique: str,
        check: Callable[[dict[str, Any]], None] | None = None,
    ) -> Iterator[Batch[RowT]]:
        if path is None:
            return iter(())
        return self._checked(lambda: _read_rows(path, columns, make, unique, check))

    def _checked(self, read: Callable[[], Iterator[BatchT]]) -> Iterator[BatchT]:
        if self.all_or_nothing:
            errors: list[RowError] = []
            count = 0
            for batch in read():
                count += len(batch.errors)
                errors.extend(islice(batch.errors, ERRORS_KEPT - len(errors)))
            if count:
                raise BadRowsError(tuple(errors), count)
        yield from read()


def _check_return(values: dict[str, Any]) -> None:
    if bool(values["node_key"]) == bool(values["postal_code"]):
        raise FieldError("needs one of node_key (brought there) and postal_code (sent from there)")


def _read_rows(
    path: Path,
    columns: tuple[Field, ...],
    make: Callable[..., RowT],
    unique: str,
    check: Callable[[dict[str, Any]], None] | None,
) -> Iterator[Batch[RowT]]:
    """Rows of a table, made from the values of ``columns`` in their order."""
    seen: dict[str, int] = {}
    for chunk in read_table(path, columns):
        rows: list[RowT] = []
        errors = list(chunk.errors)
        for position, number in enumerate(chunk.rows):
            values, wrong = chunk.read(position, columns)
            if not wrong and (first := seen.setdefault(values[unique], number)) != number:
                wrong = [RowError(str(path), number, unique, f"occurs in row {first} already: {values[unique]!r}")]
            if not wrong and check is not None:
                try:
                    check(values)
                except FieldError as error:
                    wrong = [RowError(str(path), number, "", str(error))]
            if wrong:
                errors.extend(wrong)
            else:
                rows.append(make(*values.values()))
        yield Batch(tuple(rows), tuple(sorted(errors, key=lambda error: error.row)))
