import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.files import FileSource
from adapters.port import (
    BadRowsError,
    CountRow,
    Disposition,
    Inbound,
    NodeKind,
)
from adapters.tables import CHUNK_ROWS, FileFormatError

parquet = pytest.importorskip("pyarrow.parquet", reason="Parquet needs the extra stockpool[files]")


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def skus(path: Path) -> tuple[list[str], list[str]]:
    """Keys that came through, and the errors as a person reads them, without the folder."""
    keys, errors = [], []
    for batch in FileSource(skus_file=path).skus():
        keys += [row.sku_key for row in batch.rows]
        errors += [str(error).removeprefix(f"{path.parent}/") for error in batch.errors]
    return keys, errors


def counts(path: Path) -> tuple[list[CountRow], list[str], list[int]]:
    rows: list[CountRow] = []
    errors: list[str] = []
    numbers: list[int] = []
    for columns in FileSource(counts_file=path).counts():
        rows += list(columns)
        numbers += columns.rows.tolist()
        errors += [str(error).removeprefix(f"{path.parent}/") for error in columns.errors]
    return rows, errors, numbers


def test_a_folder_of_csv_becomes_rows(tmp_path: Path) -> None:
    write(
        tmp_path,
        "network.csv",
        "\ufeffnode_key,name,kind,latitude,longitude,postal_code,ships,offers_pickup,package_cost\n"
        'S1,"Store, one",store,40.5,-74.25,07102,no,yes,1.40\n'
        "W1,Œuvre,Warehouse,33.75,-84.39,30334,,,\n",
    )
    write(tmp_path, "catalog.csv", "sku_key,weight_grams,unit_value,currency_code\nA,120,12.99,EUR\n0042,0,,\n")
    write(tmp_path, "counts.csv", "sku_key,node_key,on_hand,safety_stock\nA,S1,5,1\n0042,W1,0,\n")
    write(
        tmp_path,
        "returns.csv",
        "return_key,channel_key,order_key,sku_key,units,time,node_key,postal_code,disposition\n"
        "r1,web,o1,A,2,2026-03-02T10:00:00+01:00,S1,,restock\n",
    )
    source = FileSource.from_folder(tmp_path)
    assert isinstance(source, Inbound)

    [nodes] = source.nodes()
    assert not nodes.errors
    store, warehouse = nodes.rows
    assert (store.name, store.kind, store.ships, store.offers_pickup) == ("Store, one", NodeKind.STORE, False, True)
    assert (store.package_cost_micros, store.postal_code) == (1_400_000, "07102")
    assert (warehouse.name, warehouse.kind, warehouse.ships) == ("Œuvre", NodeKind.WAREHOUSE, True)
    [catalog] = source.skus()
    assert [(row.sku_key, row.unit_value_micros, row.currency_code) for row in catalog.rows] == [
        ("A", 12_990_000, "EUR"),
        ("0042", 0, ""),
    ]
    [columns] = source.counts()
    assert list(columns) == [CountRow("A", "S1", 5, 1), CountRow("0042", "W1", 0, None)]
    [returns] = source.returns()
    assert returns.rows[0].time == datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert returns.rows[0].disposition is Disposition.RESTOCK
    assert list(source.orders()) == []


def test_every_bad_row_is_named_and_the_good_ones_go_through(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "skus.csv",
        b"sku_key,weight_grams,unit_value\n"
        b"good,1,1\n"
        b",1,1\n" + b"k" * 65 + b",1,1\n"
        b"heavy,1000000000001,1\n"
        b"half,1.5,1\n"
        b"minus,-1,1\n"
        b"price,1,1e30\n"
        b"nan,1,nan\n"
        b"caf\xe9,1,1\n"
        b"bell\x07,1,1\n"
        b"short,1\n"
        b"long,1,1,1\n"
        b"\n"
        b"good,2,2\n"
        b"two,x,y\n"
        b"last,1,0.000001\n",
    )
    keys, errors = skus(path)
    assert keys == ["good", "last"]
    assert errors == [
        "skus.csv:3: sku_key: is empty",
        "skus.csv:4: sku_key: has 65 characters, at most 64 are allowed",
        "skus.csv:5: weight_grams: is beyond belief, at most 1000000 grams are allowed: '1000000000001'",
        "skus.csv:6: weight_grams: is not a whole number: '1.5'",
        "skus.csv:7: weight_grams: is below 0 grams: '-1'",
        "skus.csv:8: unit_value: is beyond belief, at most 1000000 is allowed: '1e30'",
        "skus.csv:9: unit_value: is not a number: 'nan'",
        "skus.csv:10: sku_key: is not UTF-8: byte 0xe9",
        "skus.csv:11: sku_key: has a control character: 'bell\\x07'",
        "skus.csv:12: has 2 columns, the first row has 3",
        "skus.csv:13: has 4 columns, the first row has 3",
        "skus.csv:15: sku_key: occurs in row 2 already: 'good'",
        "skus.csv:16: weight_grams: is not a whole number: 'x'",
        "skus.csv:16: unit_value: is not a number: 'y'",
    ]


def test_a_row_with_line_breaks_has_the_number_of_its_first_line(tmp_path: Path) -> None:
    path = write(tmp_path, "skus.csv", 'sku_key,title,weight_grams\nA,"one\ntwo",1\nB,x,oops\n')
    keys, errors = skus(path)
    assert keys == []
    assert errors == [
        "skus.csv:2: title: has a control character: 'one\\ntwo'",
        "skus.csv:4: weight_grams: is not a whole number: 'oops'",
    ]


def test_all_or_nothing_yields_nothing_when_any_row_is_bad(tmp_path: Path) -> None:
    lines = [f"S{number},N,{number}" for number in range(CHUNK_ROWS + 5)]
    write(tmp_path, "counts.csv", "sku_key,node_key,on_hand\n" + "\n".join([*lines, "S,N,-1", "T,N,1.0"]))
    source = FileSource.from_folder(tmp_path, all_or_nothing=True)
    with pytest.raises(BadRowsError) as caught:
        next(source.counts())
    assert caught.value.count == 2
    assert [error.row for error in caught.value.errors] == [CHUNK_ROWS + 7, CHUNK_ROWS + 8]
    write(tmp_path, "counts.csv", "sku_key,node_key,on_hand\n" + "\n".join(lines))
    assert sum(len(columns) for columns in source.counts()) == len(lines)


def test_counts_are_the_same_on_the_fast_road_and_row_by_row(tmp_path: Path) -> None:
    lines = [f"S{number},N{number % 7},{number}" for number in range(2_000)]
    whole, errors, numbers = counts(write(tmp_path, "a.csv", "sku_key,node_key,on_hand\n" + "\n".join(lines)))
    assert errors == []
    assert numbers == list(range(2, 2_002))
    # A bad row in each block sends all of them down the slow road.
    spoiled = [line + ("!" if number % 100 == 50 else "") for number, line in enumerate(lines)]
    some, errors, numbers = counts(write(tmp_path, "b.csv", "sku_key,node_key,on_hand\n" + "\n".join(spoiled)))
    assert some == [row for number, row in enumerate(whole) if number % 100 != 50]
    assert errors[0] == "b.csv:52: on_hand: is not a whole number: '50!'"
    assert len(errors) == 20
    assert set(numbers).isdisjoint(range(52, 2_002, 100))


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ("A,N,-4,0", "on_hand: is below 0 units: '-4'"),
        ("A,N,1000000001,0", "on_hand: is beyond belief, at most 1000000000 units are allowed: '1000000001'"),
        ("A,N,5 pcs,0", "on_hand: is not a whole number: '5 pcs'"),
        ("A,N,٣,0", "on_hand: is not a whole number: '٣'"),
        ("A,N,1_0,0", "on_hand: is not a whole number: '1_0'"),
        ("A,N,,0", "on_hand: is empty"),
        ("A,N,1,-1", "safety_stock: is below 0 units: '-1'"),
        (" A,N,1,0", "sku_key: has spaces around it: ' A'"),
        ("A,,1,0", "node_key: is empty"),
        ("A,N,1", "has 3 columns, the first row has 4"),
    ],
)
def test_a_bad_count_is_named(tmp_path: Path, row: str, error: str) -> None:
    path = write(tmp_path, "counts.csv", f"sku_key,node_key,on_hand,safety_stock\nA B,N,1,\n{row}\nC,N,2,3\n")
    rows, errors, _ = counts(path)
    assert rows == [CountRow("A B", "N", 1, None), CountRow("C", "N", 2, 3)]
    assert errors == [f"counts.csv:3: {error}"]


def test_a_million_counts_take_the_columnar_road(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a clean file must never be read row by row")

    monkeypatch.setattr("adapters.counts._row_by_row", refuse)
    lines = "".join(f"SKU-{number % 5_000:06d},N{number // 5_000:03d},{number % 97},\n" for number in range(100_000))
    path = write(tmp_path, "counts.csv", "sku_key,node_key,on_hand,safety_stock\n" + lines)
    units = sum(int(columns.on_hand_units.sum()) for columns in FileSource(counts_file=path).counts())
    assert units == sum(number % 97 for number in range(100_000))


def test_parquet_brings_natural_types_and_rows_from_one(tmp_path: Path) -> None:
    import pyarrow as pa

    table = pa.table(
        {
            "sku_key": pa.array(["A", None, "B", "C"]),
            "node_key": pa.array(["N", "N", "N", "N"]).dictionary_encode(),
            "on_hand": pa.array([3.0, 1.0, 2.5, 7.0]),
            "other": [1, 2, 3, 4],
        }
    )
    parquet.write_table(table, tmp_path / "counts.parquet")
    rows, errors, numbers = counts(tmp_path / "counts.parquet")
    assert rows == [CountRow("A", "N", 3, None), CountRow("C", "N", 7, None)]
    assert numbers == [1, 4]
    assert errors == [
        "counts.parquet:2: sku_key: is empty",
        "counts.parquet:3: on_hand: is not a whole number: 2.5",
    ]
    returns = pa.table(
        {
            "return_key": ["r"],
            "channel_key": ["web"],
            "sku_key": ["A"],
            "units": [2],
            "time": pa.array([1_767_225_600_000_000_001], pa.timestamp("ns")),
            "postal_code": ["10001"],
        }
    )
    parquet.write_table(returns, tmp_path / "returns.parquet")
    [batch] = FileSource.from_folder(tmp_path).returns()
    assert batch.errors == ()
    assert batch.rows[0].time == datetime(2026, 1, 1, tzinfo=UTC)
    assert batch.rows[0].disposition is None


def test_bytes_that_are_no_utf8_spoil_their_row_of_parquet_alone(tmp_path: Path) -> None:
    import pyarrow as pa

    keys = pa.array([b"good", b"caf\xe9"]).cast(pa.binary()).view(pa.string())
    parquet.write_table(pa.table({"sku_key": keys, "weight_grams": [1, 2]}), tmp_path / "skus.parquet")
    assert skus(tmp_path / "skus.parquet") == (["good"], ["skus.parquet:2: sku_key: is not UTF-8: byte 0xe9"])


def test_times_that_python_cannot_tell_spoil_their_row_of_parquet_alone(tmp_path: Path) -> None:
    import pyarrow as pa

    table = pa.table(
        {
            "return_key": ["r1", "r2"],
            "channel_key": ["web", "web"],
            "sku_key": ["A", "A"],
            "units": [2, 2],
            "time": pa.array([2**60, 1_767_225_600_000_000], pa.timestamp("us")),
            "postal_code": ["10001", "10001"],
        }
    )
    parquet.write_table(table, tmp_path / "returns.parquet")
    [batch] = FileSource.from_folder(tmp_path).returns()
    assert [row.return_key for row in batch.rows] == ["r2"]
    assert [(error.row, error.field) for error in batch.errors] == [(1, "time")]
    assert "beyond reading" in batch.errors[0].message


def test_a_column_that_parquet_has_twice(tmp_path: Path) -> None:
    import pyarrow as pa

    table = pa.Table.from_arrays(
        [pa.array(["A"]), pa.array([1]), pa.array([2])], ["sku_key", "weight_grams", "weight_grams"]
    )
    parquet.write_table(table, tmp_path / "skus.parquet")
    with pytest.raises(FileFormatError, match="names a column twice: weight_grams"):
        next(FileSource.from_folder(tmp_path).skus())


def test_without_pyarrow_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "skus.parquet", b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(FileFormatError, match=r"pip install 'stockpool\[files\]'"):
        next(FileSource.from_folder(tmp_path).skus())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("skus.csv", b"sku_key,grams,title\nA,1,x\n", "has no column weight_grams; it has sku_key, grams, title"),
        ("skus.csv", b"", "is empty: its first row must name the columns"),
        ("skus.csv", b"sku_key,sku_key,weight_grams\n", "names a column twice: sku_key"),
        ("skus.csv", b"sku_k\xe9y,x\n", "it has 'sku_k\\udce9y', x"),
        ("skus.txt", b"sku_key\n", "is neither .csv nor .parquet"),
        ("skus.parquet", b"sku_key,weight_grams\n", "is not Parquet"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_at_once(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = write(tmp_path, name, content)
    with pytest.raises(FileFormatError) as caught:
        next(FileSource(skus_file=path).skus())
    assert message in str(caught.value)
    str(caught.value).encode()


def test_an_open_quote_loses_no_row_before_it(tmp_path: Path) -> None:
    path = write(tmp_path, "skus.csv", 'sku_key,weight_grams\nA,1\n"B,2\nC,3\n')
    keys, errors = skus(path)
    assert keys == ["A"]
    assert errors == ["skus.csv:3: is not CSV (unexpected end of data); nothing after it was read"]


def test_a_row_that_is_no_csv_is_bad_alone_when_its_quotes_are_closed(tmp_path: Path) -> None:
    lines = ["sku_key,weight_grams", "A,1", '"B"x,2', "C,3", "y" * 200_000 + ",4", "D,5", '"E,"6"', "F,7"]
    keys, errors = skus(write(tmp_path, "skus.csv", "\n".join(lines)))
    assert keys == ["A", "C", "D"]
    assert errors == [
        "skus.csv:3: is not CSV (',' expected after '\"')",
        "skus.csv:5: is not CSV (field larger than field limit (131072))",
        "skus.csv:7: is not CSV (',' expected after '\"'); nothing after it was read",
    ]


def test_a_folder_must_be_clear(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="is no folder"):
        FileSource.from_folder(tmp_path / "none")
    with pytest.raises(FileFormatError, match="has none of nodes, network"):
        FileSource.from_folder(tmp_path)
    write(tmp_path, "stock.csv", "x\n")
    write(tmp_path, "counts.csv", "x\n")
    with pytest.raises(FileFormatError, match="both hold counts"):
        FileSource.from_folder(tmp_path)
