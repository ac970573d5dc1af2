"""Hostile files: bad rows are told by their number, the others come through, and no file ends in a stack."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from adapters.columns import read_columns
from adapters.counts import COUNT_FIELDS
from adapters.files import FileSource
from adapters.port import RowError
from adapters.tables import FileFormatError
from engine.cli.main import app
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import network_pb2 as network
from tests.fuzz.conftest import examples
from tests.fuzz.tables import GOOD_KEYS, Table, csv_tables, parquet_columns
from tests.service.world import LIMITS, World, open_world

parquet = pytest.importorskip("pyarrow.parquet", reason="Parquet needs the extra stockpool[files]")

COLUMNS = {
    "nodes": [
        "node_key",
        "name",
        "kind",
        "latitude",
        "longitude",
        "postal_code",
        "closed",
        "package_cost",
        "safety_stock",
    ],
    "skus": ["sku_key", "title", "weight_grams", "unit_value", "currency_code"],
    "counts": ["sku_key", "node_key", "on_hand", "safety_stock"],
    "orders": ["channel_key", "order_key", "time", "kind", "node_key", "postal_code", "sku_key", "units", "unit_price"],
    "returns": [
        "return_key",
        "channel_key",
        "order_key",
        "sku_key",
        "units",
        "time",
        "node_key",
        "postal_code",
        "disposition",
    ],
}
KINDS = sorted(COLUMNS)
VALUES = [
    "", "a", "A1", "1", "0", "-1", "1e5", "1e999999", "1e-400", "1e1000000000", "NaN", "inf", "9" * 400, "1_0", "٣", "\x00", "=1+1", "@SUM(A1)",
    "0x10", "2026-01-01", "2026-01-01T00:00:00+99:99", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-W01-1", "T", "ship", "PICKUP",
    "store", "true", "yes", "10001", "USD", "usd", "\udcff", "é", "k" * 65, "y" * 200_000, '"', '""', '"a', 'a"b', '"a\nb"', '"a"b', "\ufeff",
    "\r", " ", ".5", "5.", "0.9999999999999999999999999999999999", "1.0000001", "restock",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


def source(folder: Path, kind: str, suffix: str, content: bytes) -> FileSource:
    path = folder / f"{kind}{suffix}"
    path.write_bytes(content)
    given_file: dict[str, Any] = {f"{kind}_file": path}
    return FileSource(**given_file)


def require_told(reader: FileSource, kind: str) -> None:
    """Reads all of it: what is bad is told by its row, or the file is refused in a sentence."""
    errors: list[RowError] = []
    refusal = f"{getattr(reader, f'{kind}_file')}"
    try:
        for batch in getattr(reader, kind)():
            errors += batch.errors
    except FileFormatError as error:
        refusal = str(error)
    assert refusal.startswith(str(getattr(reader, f"{kind}_file")))
    assert all(error.row >= 1 and error.message for error in errors)
    "".join([refusal, *map(str, errors)]).encode()  # so that a terminal can show it


def outcome(reader: FileSource) -> Table:
    found = Table()
    for part in reader.counts():
        units, safety = part.on_hand_units.tolist(), part.safety_stock_units.tolist()
        found.good += zip(part.sku_keys, part.node_keys, units, safety, strict=True)
        found.bad += sorted({error.row for error in part.errors})
    return found


@given(table=csv_tables())
@examples(150)
def test_bad_rows_of_csv_are_told_and_the_others_come_through(table: Table, folder: Path) -> None:
    reader = source(folder, "counts", ".csv", table.content)
    found = outcome(reader)
    assert (found.good, found.bad) == (table.good, table.bad)
    assert reader.counts_file is not None
    columns = read_columns(reader.counts_file, COUNT_FIELDS)
    values = zip(*(columns.values[one.name] for one in COUNT_FIELDS), strict=True)
    assert list(values) == table.good
    assert sorted({error.row for error in columns.errors}) == table.bad


@given(made=parquet_columns(), data=st.data())
@examples(60)
def test_bad_rows_of_parquet_are_told_and_the_others_come_through(
    made: tuple[dict[str, Any], Table], data: st.DataObject, folder: Path
) -> None:
    """Whatever types the columns have; and when bytes of the file are others, it is refused or its rows are told."""
    import pyarrow as pa

    columns, table = made
    written = BytesIO()
    parquet.write_table(pa.table({name: pa.array(values, kind) for name, (values, kind) in columns.items()}), written)
    content = written.getvalue()
    found = outcome(source(folder, "counts", ".parquet", content))
    assert (found.good, found.bad) == (table.good, table.bad)
    for _ in range(5):
        bent = bytearray(content)
        for _ in range(data.draw(st.integers(1, 4))):
            bent[data.draw(st.integers(0, len(bent) - 1))] = data.draw(st.integers(0, 255))
        require_told(
            source(folder, "counts", ".parquet", bytes(bent[: data.draw(st.integers(1, len(bent)))])), "counts"
        )


@given(
    kind=st.sampled_from(KINDS),
    rows=st.lists(st.lists(st.sampled_from(VALUES), min_size=1, max_size=10), max_size=8),
    missing=st.none() | st.integers(0, 3),
    doubled=st.none() | st.integers(0, 3),
    encoding=st.sampled_from(["utf-8"] * 5 + ["utf-8-sig", "utf-16", "utf-32", "latin-1", "cp037"]),
    separator=st.sampled_from([",", ",", ",", ";", "\t"]),
)
@examples(120)
def test_rows_of_anything(
    kind: str,
    rows: list[list[str]],
    missing: int | None,
    doubled: int | None,
    encoding: str,
    separator: str,
    folder: Path,
) -> None:
    """Every kind of file, with columns left out or named twice, in encodings that are not UTF-8, with any values at all."""
    names = list(COLUMNS[kind])
    if doubled is not None:
        names.append(names[doubled])
    if missing is not None:
        del names[missing]
    text = "\n".join([separator.join(names), *(separator.join(row) for row in rows)])
    errors = "surrogateescape" if encoding.startswith("utf-8") else "replace"
    require_told(source(folder, kind, ".csv", text.encode(encoding, errors)), kind)


@given(kind=st.sampled_from(KINDS), content=st.binary(max_size=400), suffix=st.sampled_from([".csv", ".parquet"]))
@examples(60)
def test_bytes_that_are_no_file(kind: str, content: bytes, suffix: str, folder: Path) -> None:
    require_told(source(folder, kind, suffix, content), kind)


# All the way into a server


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as running:
        yield running


async def imported(world: World, path: Path) -> tuple[int, Any]:
    """The exit code of ``stockpool import`` and what it says as JSON."""
    words = ["import", str(path), "--server", world.target, "--json"]
    result = await asyncio.to_thread(CliRunner().invoke, app, words)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.exit_code, json.loads(result.stdout) if result.exit_code < 2 else result.output


async def on_hand(world: World) -> dict[tuple[str, str], int]:
    request = inventory.BatchGetAvailabilityRequest(channel_key="web", sku_keys=GOOD_KEYS, with_cells=True)
    response = await world.client.batch_get_availability(request)
    return {(cell.sku_key, cell.node_key): cell.on_hand_units for one in response.availabilities for cell in one.cells}


@given(table=csv_tables())
@examples(8)
def test_what_goes_into_the_server_is_what_was_good(table: Table, folder: Path, runner: asyncio.Runner) -> None:
    async def play() -> None:
        async with open_world(limits=LIMITS) as world:
            skus = [network.Sku(sku_key=key) for key in GOOD_KEYS]
            await world.client.put_skus(network.PutSkusRequest(skus=skus))
            path = folder / "counts.csv"
            path.write_bytes(table.content)
            code, said = await imported(world, path)
            assert code == (1 if table.bad else 0), said
            assert sorted({error["row"] for error in said["errors"]}) == table.bad
            assert said["applied"] == {"counts": len(table.good)}
            last = {(sku, node): units for sku, node, units, _ in table.good}
            assert await on_hand(world) == last

    runner.run(play())


@pytest.mark.parametrize("name", ["skus.csv", "skus.parquet", "orders.csv", "orders.parquet", "counts.parquet"])
@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 100, b"PAR1", b"PAR1" * 50, b"sku_key,weight_grams\nA,1", b"\xff\xfe"]
)
async def test_files_that_are_none_are_refused_in_a_sentence(
    world: World, tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    code, said = await imported(world, path)
    if content.startswith(b"sku_key") and name == "skus.csv":
        assert (code, said["applied"]) == (0, {"skus": 1})
    else:
        assert code == 2, said
        assert "the file cannot be read" in said
        assert "Traceback" not in said
