"""A small pack, made here, and what is said about its bad rows."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.pack import Pack, read_pack
from adapters.tables import FileFormatError
from engine.demo.pack import pack_scenario
from engine.demo.pack_columns import PackError
from engine.demo.places import regions
from engine.demo.scenario import Order, Receipt, Return
from tests.greedy import check_rules

pa = pytest.importorskip("pyarrow", reason="packs need the extra stockpool[files]")
parquet = pytest.importorskip("pyarrow.parquet")

AREAS = frozenset(regions().keys)
MORNING = datetime(2011, 3, 1, 9, 0)  # noqa: DTZ001 - a pack's times have no offset
ZONES = "usps_zones_zip3_sample_2018.parquet"
RATES = "usps_retail_rates_2025-10-05.csv"
Rows = list[dict[str, Any]]


def _place(number: int, kind: str, postal_code: str, latitude: float, longitude: float) -> dict[str, Any]:
    where = {"zip": postal_code, "city": "Springfield", "state": "XX", "lat": latitude, "lon": longitude}
    return {"node_id": f"N{number}", "kind": kind, "name": f"Node {number}", **where}


def _order(number: int, channel: str, node_id: str | None = None, dest_zip: str | None = None) -> dict[str, Any]:
    when = MORNING + timedelta(hours=5 * number)
    target = {"node_id": node_id, "dest_zip": dest_zip}
    return {"order_no": number, "invoice": f"I{number}", "ts": when, "channel": channel, **target}


def _line(number: int, sku: str, quantity: int) -> dict[str, Any]:
    return {"order_no": number, "StockCode": sku, "quantity": quantity, "unit_price_cents": 250}


def _good() -> dict[str, Rows]:
    """Twelve stores and a warehouse, three SKUs, eight orders on two days."""
    stores = [_place(number, "store", "10001", 40.0 + number / 10, -74.0) for number in range(12)]
    channels = ("pos", "pickup", "ship", "marketplace") * 2
    return {
        "nodes": [*stores, _place(12, "warehouse", "60601", 41.9, -87.6)],
        "catalog": [{"StockCode": code, "description": f"Thing {code}", "price": 2.5} for code in "ABC"],
        "orders": [
            _order(number, channel, *((f"N{number}", None) if channel in {"pos", "pickup"} else (None, "94105")))
            for number, channel in enumerate(channels)
        ],
        "order_lines": [_line(number, sku, 1 + number) for number in range(8) for sku in "AB"],
        "returns": [
            {
                "InvoiceNo": "C1",
                "InvoiceDate": MORNING + timedelta(hours=30),
                "StockCode": "A",
                "quantity": 1,
                "CustomerID": 77,
            },
            {"InvoiceNo": "C2", "InvoiceDate": MORNING, "StockCode": "POST", "quantity": 1, "CustomerID": None},
        ],
        "uci_lines_raw": [{"InvoiceNo": f"I{number}", "CustomerID": 77 if number < 2 else None} for number in range(8)],
        "zones": [{"origin_zip3": "100", "dest_zip3": "941", "zone": 8}],
        "rates": [
            {
                "service": f"{name}_retail",
                "max_weight_oz": ounces,
                "zone": zone,
                "price_usd": first + zone + ounces / 16,
            }
            for first, name in enumerate(("ground", "priority", "express"))
            for ounces in (4, 16, 160)
            for zone in range(1, 10)
        ],
    }


def _write(tables: dict[str, Rows], root: Path) -> Path:
    folder = root / "small"
    for path in (folder, root / "carrier"):
        path.mkdir(exist_ok=True)
    for name, rows in tables.items():
        if name == "rates":
            lines = [",".join(rows[0]), *(",".join(str(value) for value in row.values()) for row in rows)]
            (root / "carrier" / RATES).write_text("\n".join(lines) + "\n", encoding="utf-8")
        else:
            path = root / "carrier" / ZONES if name == "zones" else folder / f"{name}.parquet"
            parquet.write_table(pa.Table.from_pylist(rows), path)
    return folder


def _said(pack: Pack) -> list[str]:
    return [f"{Path(error.file).name}:{error.row}: {error.field}: {error.message}" for error in pack.errors]


def test_a_good_pack_becomes_a_scenario(tmp_path: Path) -> None:
    pack = read_pack(_write(_good(), tmp_path), AREAS)
    assert pack.errors == ()
    scenario = pack_scenario(pack)
    check_rules(scenario, scenario.calls())
    assert (scenario.name, scenario.order_count(), len(scenario.order_counts)) == ("small, seed 1", 8, 2)
    returns = [call for call in scenario.calls() if isinstance(call, Return)]
    # Orders 0 and 1 are the customer's: the latest purchase comes back first.
    assert [(one.order_key, one.lines[0].sku_key) for one in returns] == [("1", "A")]


def test_bad_rows_are_reported_and_left_out(tmp_path: Path) -> None:
    tables = _good()
    tables["nodes"] += [
        _place(13, "mill", "60601", 41.9, -87.6),
        _place(2, "store", "10001", 40.0, -74.0),
        _place(14, "store", "60601", 91.0, -87.6),
    ]
    tables["catalog"] += [{"StockCode": "D ", "description": None, "price": -1.0}]
    tables["orders"] += [
        _order(3, "pos", "N1"),
        _order(9, "ship", "N1"),
        _order(10, "pos", "N14"),
        _order(11, "ship", None, "00001"),
        _order(12, "barter", "N1"),
        _order(13, "pos", "N1") | {"ts": MORNING + timedelta(days=100_000)},
        _order(14, "pos", "N1"),
        _order(15, "ship", None, "94105"),
    ]
    tables["order_lines"] += [
        *(_line(number, "A", 1) for number in (9, 10, 11, 12, 13)),
        _line(15, "A", 1),
        _line(15, "B", 0),
        _line(16, "A", 1),
        _line(7, "Z", 1),
    ]
    tables["returns"] += [tables["returns"][0] | {"quantity": 0, "InvoiceDate": None}]
    tables["zones"] += [{"origin_zip3": "100", "dest_zip3": "942", "zone": 12}]
    tables["rates"] += [tables["rates"][0] | {"price_usd": "dear"}]
    pack = read_pack(_write(tables, tmp_path), AREAS)
    assert _said(pack) == [
        "nodes.parquet:14: kind: is not one of store, kiosk, locker, warehouse: 'mill'",
        "nodes.parquet:15: node_id: occurs in row 3 already: 'N2'",
        "nodes.parquet:16: lat: is not within -90 and 90 degrees: 91.0",
        "catalog.parquet:4: StockCode: has spaces around it: 'D '",
        "catalog.parquet:4: price: is below 0: -1.0",
        "orders.parquet:8: order_no: row 25 of order_lines.parquet is bad",
        "orders.parquet:9: order_no: occurs in row 4 already: 3",
        "orders.parquet:10: : needs a dest_zip and no node_id, because channel is ship",
        "orders.parquet:11: node_id: no node has this key: 'N14'",
        "orders.parquet:12: dest_zip: is in no area that is known: '00001'",
        "orders.parquet:13: channel: is not one of pos, pickup, ship, marketplace: 'barter'",
        "orders.parquet:14: ts: is 99,998 days from the others",
        "orders.parquet:15: order_no: has no line in order_lines.parquet",
        "orders.parquet:16: order_no: row 23 of order_lines.parquet is bad",
        "order_lines.parquet:23: quantity: is below 1 units: 0",
        "order_lines.parquet:24: order_no: no order has this number: 16",
        "order_lines.parquet:25: StockCode: no SKU of the catalog has this key: 'Z'",
        "returns.parquet:3: InvoiceDate: is empty",
        "returns.parquet:3: quantity: is below 1 units: 0",
        "usps_zones_zip3_sample_2018.parquet:2: zone: is not within 1 and 9: 12",
        f"{RATES}:83: price_usd: is not a number: 'dear'",
    ]
    scenario = pack_scenario(pack)
    check_rules(scenario, scenario.calls())
    orders = {call.order_key for call in scenario.calls() if isinstance(call, Order) and not call.abandons}
    assert orders == {str(number) for number in range(7)}
    assert any(isinstance(call, Receipt) for call in scenario.calls()) or scenario.cell_count


def test_a_folder_that_is_no_pack_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="is no folder"):
        read_pack(tmp_path / "none", AREAS)
    with pytest.raises(FileFormatError, match=r"nodes\.parquet is no file"):
        read_pack(tmp_path, AREAS)
    (tmp_path / "nodes.parquet").write_bytes(b"no parquet")
    with pytest.raises(FileFormatError, match=r"nodes\.parquet is not Parquet"):
        read_pack(tmp_path, AREAS)


def test_a_pack_that_cannot_be_played_says_what_it_lacks(tmp_path: Path) -> None:
    tables = _good()
    tables["order_lines"] = [_line(0, "Z", 1)]
    with pytest.raises(FileFormatError, match=r"orders\.parquet has no good row.*: row 1 of order_lines"):
        read_pack(_write(tables, tmp_path), AREAS)
    tables = _good()
    tables["nodes"].pop()
    with pytest.raises(PackError, match="no warehouse that ships"):
        pack_scenario(read_pack(_write(tables, tmp_path), AREAS))
