from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.files import FileSource
from adapters.port import OrderKind, OrderLineRow
from adapters.tables import FileFormatError


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")


ORDERS = "channel_key,order_key,time,kind,postal_code,node_key\n"
TWO_ORDERS = ORDERS + "amazon,o1,2026-03-02T08:00:00Z,,10001,\nweb,o2,2026-03-02 09:30,pickup,,S1\n"


def read_orders(folder: Path) -> tuple[list[tuple[str, int]], list[str]]:
    orders, errors = [], []
    for batch in FileSource.from_folder(folder).orders():
        orders += [(order.order_key, len(order.lines)) for order in batch.rows]
        errors += [str(error).removeprefix(f"{folder}/") for error in batch.errors]
    return orders, errors


def test_orders_meet_their_lines(tmp_path: Path) -> None:
    write(tmp_path, "orders.csv", TWO_ORDERS)
    write(tmp_path, "order_lines.csv", "order_key,sku_key,units,unit_price\no2,B,1,2.5\no1,A,3,\no2,A,1,1\n")
    [batch] = FileSource.from_folder(tmp_path).orders()
    assert batch.errors == ()
    first, second = batch.rows
    assert (first.kind, first.postal_code, first.lines) == (OrderKind.SHIP, "10001", (OrderLineRow("A", 3, 0),))
    assert (second.kind, second.node_key) == (OrderKind.PICKUP, "S1")
    assert second.lines == (OrderLineRow("B", 1, 2_500_000), OrderLineRow("A", 1, 1_000_000))
    assert second.time == datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def test_a_bad_line_takes_its_order_with_it(tmp_path: Path) -> None:
    write(
        tmp_path,
        "orders.csv",
        TWO_ORDERS + "web,o3,yesterday,ship,10001,\nweb,o4,2026-03-02,ship,,\nweb,o5,2026-03-02,ship,10001,\n"
        "web,o2,2026-03-02,pickup,,S1\nweb,o7,2026-03-02,boat,10001,\n",
    )
    write(
        tmp_path,
        "order_lines.csv",
        "order_key,sku_key,units\no1,A,0\no1,B,1\no2,A,1\no3,A,1\no4,A,1\no7,A,1,1\no9,A,1\n",
    )
    orders, errors = read_orders(tmp_path)
    assert orders == [("o2", 1)]
    assert sorted(errors) == sorted(
        [
            "order_lines.csv:2: units: is below 1 units: '0'",
            "orders.csv:2: row 2 of order_lines.csv is bad",
            "orders.csv:4: time: is no time by ISO 8601: 'yesterday'",
            "orders.csv:5: needs a postal_code, because kind is ship",
            "orders.csv:6: has no line in order_lines.csv",
            "orders.csv:7: order_key: occurs in row 3 already: 'o2'",
            "orders.csv:8: kind: is not one of ship, pickup: 'boat'",
            "order_lines.csv:7: has 4 columns, the first row has 3",
            "order_lines.csv:8: order_key: no order has this key: 'o9'",
        ]
    )


def test_rows_may_be_lines_of_orders(tmp_path: Path) -> None:
    header = "channel_key,order_key,time,postal_code,sku_key,units\n"
    rows = [
        "a,o1,2026-03-02,10001,A,1",
        "a,o1,2026-03-02,10001,B,2",
        "a,o2,2026-03-02,10001,A,1",
        "a,o2,2026-03-02,10001,B,none",
        "a,o3,2026-03-02,10001,A,1",
        "a,o3,2026-03-02,90001,B,1",
        "a,o1,2026-03-02,10001,C,1",
        "a,o4,2026-03-02,10001,A,1",
        "a,o4,2026-03-02,10001,A",
        "b,o1,2026-03-02,10001,A,1",
    ]
    write(tmp_path, "orders.csv", header + "\n".join(rows))
    orders, errors = read_orders(tmp_path)
    assert orders == [("o1", 2), ("o1", 1)]
    assert errors == [
        "orders.csv:5: units: is not a whole number: 'none'",
        "orders.csv:7: differs from row 6 of the same order",
        "orders.csv:8: order_key: occurs in row 2 already: 'o1'",
        "orders.csv:10: has 5 columns, the first row has 6",
    ]


def test_an_order_at_the_unreadable_end_of_a_file_is_left_out(tmp_path: Path) -> None:
    header = "channel_key,order_key,time,postal_code,sku_key,units\n"
    write(tmp_path, "orders.csv", header + 'a,o1,2026-03-02,10001,A,1\na,o2,2026-03-02,10001,A,1\na,o2,"open\n')
    orders, errors = read_orders(tmp_path)
    assert orders == [("o1", 1)]
    assert len(errors) == 2
    write(tmp_path, "orders.csv", TWO_ORDERS)
    write(tmp_path, "order_lines.csv", 'order_key,sku_key,units\no1,A,1\n"o2,A,1\n')
    with pytest.raises(FileFormatError, match=r"order_lines\.csv:3"):
        read_orders(tmp_path)


def test_orders_without_lines_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "orders.csv", TWO_ORDERS)
    with pytest.raises(FileFormatError, match="no file order_lines"):
        read_orders(tmp_path)
