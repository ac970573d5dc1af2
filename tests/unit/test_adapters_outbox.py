import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.outbox import FileSink
from adapters.port import Confirmation, Outbound, StockLevel


def test_what_is_written_is_read_by_a_csv_reader(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "out")
    assert isinstance(sink, Outbound)
    levels = [StockLevel("web", 'A,"1"', "", 5, 17), StockLevel("web", "B", "S1", 0, 17)]
    assert sink.put_stock_levels(iter(levels)) == 2
    with (tmp_path / "out" / "stock_levels.csv").open(encoding="utf-8", newline="") as lines:
        assert [row["sku_key"] for row in csv.DictReader(lines)] == ['A,"1"', "B"]
    time = datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert sink.put_confirmations([Confirmation("amazon", "o1", "A", "completed", 1, "S1", "1Z9", time)]) == 1
    text = (tmp_path / "out" / "confirmations.csv").read_text(encoding="utf-8")
    assert text.splitlines()[1] == "amazon,o1,A,completed,1,S1,1Z9,2026-03-02T09:00:00Z"


def test_a_failed_write_leaves_the_former_file(tmp_path: Path) -> None:
    sink = FileSink(tmp_path)
    sink.put_stock_levels([StockLevel("web", "A", "", 5, 1)])
    former = (tmp_path / "stock_levels.csv").read_bytes()

    def broken() -> Iterator[StockLevel]:
        yield StockLevel("web", "A", "", 6, 2)
        raise RuntimeError("the server is gone")

    with pytest.raises(RuntimeError):
        sink.put_stock_levels(broken())
    assert (tmp_path / "stock_levels.csv").read_bytes() == former
    assert [path.name for path in tmp_path.iterdir()] == ["stock_levels.csv"]
