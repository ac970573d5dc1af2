"""The command: the same figures for the same seed in any process, and a broken promise told so that anyone can repeat it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from engine.cli.main import app
from engine.proof.simulation.campaign import campaign
from engine.proof.simulation.run import plans
from tests.simulation.defects import release_loses_a_unit

COMMAND = ("simulate-faults", "--seed", "5", "--commands", "150", "--seeds", "5", "--json")


def test_any_process_writes_the_same_bytes() -> None:
    told: list[int] = []
    here = campaign([plan for seed in range(5, 10) for plan in plans(seed, 150)], jobs=1, tell=told.append)
    run = subprocess.run(
        [sys.executable, "-m", "engine", *COMMAND, "--jobs", "2"],
        env=os.environ | {"PYTHONHASHSEED": "99"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    there = json.loads(run.stdout)
    assert there["broken"] is None
    assert there["journal_hash"] == here.journal_hash
    assert there["worlds"] == here.worlds == 5
    assert {name: there[name] for name in here.figures._asdict()} == here.figures._asdict()
    assert sum(told) == here.figures.commands >= 750


def test_a_broken_promise_is_told_with_its_seed_and_its_history(monkeypatch: pytest.MonkeyPatch) -> None:
    release_loses_a_unit(monkeypatch)
    run = CliRunner().invoke(app, [*COMMAND, "--jobs", "1"])
    assert run.exit_code == 1, run.output
    broken = json.loads(run.stdout)["broken"]
    assert broken["check"] in {"cells", "decision", "answer"}, "whichever sees it first"
    assert broken["commands"] <= 40
    assert "ReleaseReservation" in broken["history"]
    assert broken["rerun"] == f"stockpool simulate-faults --seed {broken['seed']} --commands 150 --world 1"
    again = CliRunner().invoke(app, [*broken["rerun"].split()[1:], "--jobs", "1"])
    assert again.exit_code == 1
    assert broken["history"] in again.stdout
    assert f"broken: {broken['check']}" in again.stdout


def test_a_world_that_there_is_not_is_a_mistake_of_the_command_line() -> None:
    run = CliRunner().invoke(app, ["simulate-faults", "--commands", "10", "--world", "2"])
    assert run.exit_code == 2
    assert "there is no world 2" in run.output
