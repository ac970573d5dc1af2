"""A folder of files as a scenario of the demo."""

from pathlib import Path

import pytest

from adapters.files import FileSource
from adapters.port import RowError
from engine.cli.folder import FolderError, folder_scenario
from engine.demo.scenario import NS_PER_DAY, NS_PER_SECOND, Disposition, Kind, Order, Return, Scenario
from tests.greedy import check_rules
from tests.house.sources import ROOT

EXAMPLE = ROOT / "adapters" / "example"
ORDERS = """\
channel_key,order_key,time,kind,node_key,postal_code,currency_code,service_key,sku_key,units,unit_price
market,77,2026-03-03T11:30:00,ship,,60614,EUR,express,tray,3,34.50
web,1001,2026-03-02T09:15:00,ship,,10001,EUR,,mug,2,12.90
web,1001,2026-03-02T09:15:00,ship,,10001,EUR,,teapot,1,49.00
web,1001,2026-03-02T09:15:00,ship,,10001,EUR,,mug,1,12.00
web,1002,2026-03-02T10:00:00,pickup,store-brooklyn,,EUR,,mug,1,12.90
"""
RETURNS = """\
return_key,channel_key,order_key,sku_key,units,time,node_key,postal_code,disposition
r1,web,1001,teapot,1,2026-03-05T09:00:00,store-brooklyn,,scrap
r2,web,,mug,1,2026-03-04T09:00:00,,10001,
"""


def _folder(root: Path, **files: str) -> Path:
    for name in ("nodes", "skus", "counts"):
        text = (EXAMPLE / f"{name}.csv").read_text(encoding="utf-8")
        (root / f"{name}.csv").write_text(text + files.get(name, ""), encoding="utf-8")
    (root / "orders.csv").write_text(ORDERS + files.get("orders", ""), encoding="utf-8")
    (root / "returns.csv").write_text(RETURNS + files.get("returns", ""), encoding="utf-8")
    return root


def _read(folder: Path) -> tuple[Scenario, list[str]]:
    errors: list[RowError] = []
    scenario = folder_scenario(FileSource.from_folder(folder), "own", 1, errors.append)
    return scenario, [str(error).removeprefix(f"{folder}/") for error in errors]


def test_orders_and_returns_become_calls(tmp_path: Path) -> None:
    scenario, errors = _read(_folder(tmp_path))
    assert errors == []
    check_rules(scenario, scenario.calls())
    assert (scenario.first_day.isoformat(), scenario.order_counts) == ("2026-03-02", (2, 1, 0, 0))
    assert (scenario.currency_code, scenario.cell_count) == ("EUR", 6)
    assert [channel.channel_key for channel in scenario.channels] == ["market", "web"]
    calls = list(scenario.calls())
    first, pickup, market = (call for call in calls if isinstance(call, Order))
    assert first.at_ns == (9 * 3_600 + 15 * 60) * NS_PER_SECOND
    # A SKU once in an order; the first price stands.
    assert [(line.sku_key, line.units, line.unit_price_micros) for line in first.lines] == [
        ("mug", 3, 12_900_000),
        ("teapot", 1, 49_000_000),
    ]
    assert (first.kind, first.service_key, first.returns) == (Kind.SHIP, "ground", True)
    assert (pickup.kind, pickup.node_key, pickup.service_key) == (Kind.PICKUP, "store-brooklyn", "")
    assert (market.channel_key, market.service_key, market.at_ns // NS_PER_DAY) == ("market", "express", 1)
    receipt, tied = (call for call in calls if isinstance(call, Return))
    assert (receipt.order_key, receipt.postal_code, receipt.lines[0].disposition) == ("", "10001", Disposition.RESTOCK)
    assert (tied.order_key, tied.lines[0].line_index, tied.lines[0].disposition) == ("1001", 1, Disposition.SCRAP)


def test_opening_stock_is_the_last_count_of_each_cell(tmp_path: Path) -> None:
    folder = _folder(tmp_path, counts="mug,dc-newark,7,\nmug,dc-newark,9,2\n")
    scenario, errors = _read(folder)
    assert errors == []
    parts = list(scenario.opening(4))
    assert [len(part) for part in parts] == [4, 2]
    assert (parts[0].sku_keys[0], parts[0].on_hand_units[0], parts[0].safety_stock_units[0]) == ("mug", 9, 2)


def test_long_orders_come_in_parts(tmp_path: Path) -> None:
    folder = _folder(
        tmp_path,
        skus="".join(f"s{number},,100,1\n" for number in range(12)),
        orders="".join(f"web,long,2026-03-02T12:00:00,ship,,10001,EUR,,s{number},1,1\n" for number in range(12)),
        returns="r3,web,long,s11,1,2026-03-02T13:00:00,store-chicago,,\n",
    )
    scenario, errors = _read(folder)
    assert errors == []
    check_rules(scenario, scenario.calls())
    parts = [call for call in scenario.calls() if isinstance(call, Order) and call.order_key.startswith("long")]
    assert [(part.order_key, part.part, len(part.lines)) for part in parts] == [("long", 0, 10), ("long.1", 1, 2)]
    back = next(call for call in scenario.calls() if isinstance(call, Return) and call.return_key == "r3")
    assert (back.order_key, back.lines[0].line_index) == ("long.1", 1)


def test_rows_that_fit_nothing_are_told_and_left_out(tmp_path: Path) -> None:
    folder = _folder(
        tmp_path,
        counts="kettle,dc-newark,1,0\nmug,dc-mars,1,0\nmug,dc-newark,-1,0\n",
        orders=(
            "web,1003,2026-03-02T12:00:00,ship,,94105,EUR,,kettle,1,30\n"
            "web,1004,2026-03-03T12:00:00,ship,,00001,EUR,,mug,1,30\n"
            "web,1005,2026-03-03T12:00:00,pickup,dc-mars,,EUR,,mug,1,30\n"
        ),
        returns=(
            "r3,web,1009,mug,1,2026-03-05T09:00:00,store-brooklyn,,\n"
            "r4,web,1001,tray,1,2026-03-05T09:00:00,store-brooklyn,,\n"
            "r5,web,1001,mug,1,2026-03-01T09:00:00,store-brooklyn,,\n"
            "r6,web,,kettle,1,2026-03-05T09:00:00,store-brooklyn,,\n"
            "r7,web,1001,mug,1,2026-03-05T09:00:00,dc-mars,,\n"
        ),
    )
    scenario, errors = _read(folder)
    assert errors == [
        "counts.csv:10: on_hand: is below 0 units: '-1'",
        "counts.csv:8: sku_key: is no SKU: 'kettle'",
        "counts.csv:9: node_key: is no node: 'dc-mars'",
        "orders.csv: 1003: 'kettle' is no SKU",
        "orders.csv: 1004: '00001' is in no three-digit ZIP area",
        "orders.csv: 1005: 'dc-mars' is no node",
        "returns.csv: r3: order '1009' is not among the orders",
        "returns.csv: r4: order '1001' has no 'tray'",
        "returns.csv: r5: comes before its order '1001'",
        "returns.csv: r6: 'kettle' is no SKU",
        "returns.csv: r7: 'dc-mars' is no node",
    ]
    check_rules(scenario, scenario.calls())
    assert scenario.order_count() == 3


def test_a_folder_without_orders_cannot_be_played() -> None:
    with pytest.raises(FolderError, match="no orders to play"):
        folder_scenario(FileSource.from_folder(EXAMPLE), "example", 1, lambda error: pytest.fail(str(error)))
