"""The whole demo, small: the real server as its own process, the real client, the audit and the recount."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from rich.console import Console

from engine.demo.page import render_page
from engine.demo.player import Player
from engine.demo.report import Report
from engine.demo.run import JournalNotEmptyError, RunOptions, run_demo
from engine.demo.sample import sample_scenario
from engine.demo.scenario import Call, Scenario
from engine.demo.screen import LineScreen
from engine.demo.server import ServerFailedError, ServerProcess

SEED = 7
ORDERS = 250

pytestmark = pytest.mark.timeout(300)


def scenario() -> Scenario:
    return sample_scenario(SEED, day_count=2, orders_a_day=ORDERS // 2)


async def run(folder: Path, journal_url: str | None = None) -> Report:
    server = ServerProcess(journal_url or f"sqlite:///{folder / 'journal.db'}", folder / "server.log")
    with (folder / "screen.txt").open("w") as output:
        screen = LineScreen(Console(file=output), "test")
        return await run_demo(scenario, RunOptions(days=9, in_flight=16), server, screen)


async def test_two_days_leave_nothing_oversold_and_are_not_played_twice(tmp_path: Path) -> None:
    report = await run(tmp_path)
    assert report.is_ok, (report.audit.findings, report.recount.findings, report.errors)
    assert report.recount.units_oversold == 0
    assert not report.surprises
    assert report.days == 2, "no more than the scenario has"
    assert report.total.orders == scenario().order_count()
    assert {one.channel for one in report.channels} == {"pos", "pickup", "ship", "marketplace"}
    assert 0.8 < (report.promised.fill_rate or 0) <= 1
    assert report.recount.event_count == report.journal_seq
    assert report.recount.promise_count > 0
    assert report.recount.compared_cell_count > 1_000
    calls = {one.call for one in report.calls}
    assert calls >= {"RecordSale", "Reserve", "PlaceOrder", "IngestOrder", "Accept", "Ship", "MarkReady", "HandOver"}
    assert report.footprint.journal_bytes
    assert "Oversold: 0 units." in render_page(report)
    assert "recount:" in (tmp_path / "screen.txt").read_text()
    with pytest.raises(JournalNotEmptyError, match="decisions"):
        await run(tmp_path)


async def test_the_first_interrupt_ends_the_play_and_the_rest_is_proven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Player._play

    async def interrupted(self: Player, call: Call) -> None:
        await begin(self, call)
        if self.order_count == 40 and not self.is_stopped:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0.05)

    monkeypatch.setattr(Player, "_play", interrupted)
    report = await run(tmp_path)
    assert report.interrupted
    assert report.is_ok, (report.audit.findings, report.recount.findings)
    assert 40 <= report.total.orders < scenario().order_count()


async def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(ServerFailedError, match="does not exist"):
        await run(tmp_path, f"sqlite:///{tmp_path / 'nowhere' / 'journal.db'}")
