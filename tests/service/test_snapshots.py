"""A server with snapshots: the follower beside it, what dies with whom, and a start from a snapshot and a cut journal."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from engine import app
from engine.cli.main import app as command_line
from engine.client import AsyncClient, StockpoolError
from engine.core.machine import Machine
from engine.follower import child
from engine.journal import Journal, open_journal
from engine.kernels import columns as c
from engine.ready import Ready
from engine.recovery import SnapshotMissing, recover
from engine.settings import Settings
from engine.snapshots import SnapshotFolder
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import network_pb2 as network
from tests.service.world import LIMITS, World, open_world


def settings(tmp_path: Path, **changes: Any) -> Settings:
    given: dict[str, Any] = {
        "journal": f"sqlite:///{tmp_path / 'journal.db'}",
        "host": "127.0.0.1",
        "port": 0,
        "limits": LIMITS,
        "snapshots": tmp_path / "snapshots",
        "snapshot_every_decisions": 5,
    }
    return Settings.load(**given | changes)


@asynccontextmanager
async def serving(given: Settings) -> AsyncIterator[AsyncClient]:
    stop = asyncio.Event()
    ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(app.serve(given, stop, on_ready=ready.set_result))
    await asyncio.wait((ready, task), return_when=asyncio.FIRST_COMPLETED)
    if not ready.done():
        await task
    async with AsyncClient(ready.result().target) as client:
        yield client
    stop.set()
    await task


async def put(client: AsyncClient, *numbers: int) -> None:
    for number in numbers:
        nodes = [network.Node(node_key=f"n{number % 5}", name=f"name {number}")]
        await client.put_nodes(network.PutNodesRequest(request_id=f"put {number}", nodes=nodes))


async def until_snapshot(folder: Path, seq: int) -> None:
    async with asyncio.timeout(100):
        while SnapshotFolder(folder).newest_seq() < seq:  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.05)


async def test_a_server_makes_snapshots_cuts_its_journal_and_starts_from_what_is_left(tmp_path: Path) -> None:
    given = settings(tmp_path, keep_decisions=0)
    assert given.snapshots is not None
    async with serving(given) as client:
        await put(client, *range(1, 6))
        await until_snapshot(given.snapshots, 5)
        await put(client, *range(6, 12))
        await until_snapshot(given.snapshots, 10)
        async with asyncio.timeout(60):
            while (status := await client.get_status(admin.GetStatusRequest())).audited_seq < 11:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert status.snapshot_seq >= 10
        await put(client, 12)
        journal = open_journal(given.journal, owner=False)
        async with asyncio.timeout(60):
            while journal.first_seq() == 1:  # noqa: ASYNC110 - the journal is cut only after the snapshot is there
                await asyncio.sleep(0.05)
    try:
        assert recover(journal, LIMITS, snapshots=SnapshotFolder(given.snapshots)).seq == 12
    finally:
        journal.close()
    async with serving(given) as client:
        status = await client.get_status(admin.GetStatusRequest())
        assert (status.journal_seq, status.node_count) == (12, 5)
        report = await client.audit_invariants(admin.AuditInvariantsRequest(replay=True))
        assert report.ok, report
        await put(client, 3, 12)  # repeated: nothing new
        assert (await client.get_status(admin.GetStatusRequest())).journal_seq == 12
    for each in SnapshotFolder(given.snapshots).snapshots():
        each.path.unlink()
    with pytest.raises(SnapshotMissing, match="is needed"):
        async with serving(given):
            pytest.fail("it must not start")


async def test_a_follower_that_ends_is_started_again_and_the_server_does_not_notice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(child, "RESTART_S", (0.01, 0.02))
    begun = tmp_path / "begun"
    program = f"import os, sys; open({str(begun)!r}, 'a').write('x'); sys.exit(5)"
    monkeypatch.setattr(child, "command", lambda: [sys.executable, "-S", "-c", program])
    async with serving(settings(tmp_path)) as client:
        async with asyncio.timeout(60):
            while not begun.exists() or len(begun.read_text()) < 3:
                await put(client, 1)
                await asyncio.sleep(0.01)
        await put(client, 2)
    assert "the follower ended (exit code 5)" in caplog.text


async def test_a_follower_whose_audit_found_something_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(child, "command", lambda: [sys.executable, "-S", "-c", "raise SystemExit(3)"])
    async with serving(settings(tmp_path)) as client, asyncio.timeout(60):
        while "found something wrong" not in caplog.text:
            await put(client, 1)
            await asyncio.sleep(0.01)
        await put(client, 2)
    assert "started again" not in caplog.text


async def test_a_follower_that_cannot_be_started_harms_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(child, "command", lambda: [str(tmp_path / "missing")])
    async with serving(settings(tmp_path)) as client, asyncio.timeout(60):
        while "cannot be started" not in caplog.text:
            await put(client, 1)
            await asyncio.sleep(0.01)


async def test_the_follower_ends_with_the_server_even_when_that_is_killed(tmp_path: Path) -> None:
    environment = child.environment(settings(tmp_path)) | {"STOCKPOOL_PORT": "0", "STOCKPOOL_HOST": "127.0.0.1"}
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "engine", "serve", "--json"),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert server.stdout is not None
    told = json.loads(await server.stdout.readline())
    async with AsyncClient(told["target"]) as client:
        await put(client, *range(1, 8))
    await until_snapshot(tmp_path / "snapshots", 5)
    follower = _follower_of(server.pid)
    server.send_signal(signal.SIGKILL)
    await server.wait()
    async with asyncio.timeout(60):
        while _runs(follower):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


def _follower_of(parent: int) -> int:
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            return int(path.parent.name)
    pytest.skip("no /proc to look into")


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_the_child_reads_the_same_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = settings(tmp_path, keep_decisions=7, snapshot_every_s=5)
    monkeypatch.setenv("STOCKPOOL_TOKEN", "secret")
    environment = child.environment(given)
    assert "secret" not in environment.values()
    assert given.journal not in " ".join(child.command()), "its password would be in the list of processes"
    for name in [name for name in os.environ if name.startswith("STOCKPOOL_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    read = Settings.load()
    for name in ("journal", "snapshots", "snapshot_every_decisions", "snapshot_every_s", "keep_decisions", "limits"):
        assert getattr(read, name) == getattr(given, name)


# What was cut off


async def test_a_reader_of_events_from_before_the_cut_is_told_where_the_journal_begins() -> None:
    async with open_world() as world:
        await world.stock("sku-1", "east", 5)
        await world.stock("sku-1", "east", 6)
        end_seq = world.journal.last_seq()
        mark = world.journal.mark(end_seq - 1)
        assert mark is not None
        world.journal.cut(mark)
        for from_seq in (0, 1, end_seq - 1):
            with pytest.raises(StockpoolError) as caught:
                await events(world, from_seq)
            assert (caught.value.code.name, caught.value.reason) == ("OUT_OF_RANGE", "SEQ_CUT")
            assert caught.value.metadata["first_seq"] == str(end_seq)
        assert await events(world, end_seq) == [end_seq]


async def events(world: World, from_seq: int) -> list[int]:
    parts = world.client.stream_events(admin.StreamEventsRequest(from_seq=from_seq))
    return [event.journal_seq async for part in parts for event in part.events]


async def test_movements_from_before_the_cut_are_told_without_their_request() -> None:
    async with open_world() as world:
        for units in (5, 6, 7):
            request = inventory.SetStockRequest(
                request_id=f"count {units}", reference="sheet", sku_key="sku-1", node_key="east", on_hand_units=units
            )
            await world.client.set_stock(request)
        mark = world.journal.mark(world.journal.last_seq() - 1)
        assert mark is not None
        world.journal.cut(mark)
        asked = inventory.ListMovementsRequest(sku_key="sku-1", node_key="east")
        told = (await world.client.list_movements(asked)).movements
        assert [(one.balance_units, one.request_id, one.reference) for one in told] == [
            (7, "count 7", "sheet"), (6, "", ""), (5, "", ""),
        ]  # fmt: skip


# The audit of a server


async def test_a_live_state_that_is_not_what_the_journal_tells_is_found_and_the_cell_is_named() -> None:
    """As a bit that flipped in memory: every derived number agrees, and yet it is not so."""
    async with open_world() as world:
        await world.stock("sku-1", "east", 5)
        await world.stock("sku-2", "west", 5)
        request = admin.AuditInvariantsRequest(replay=True)
        report = await world.client.audit_invariants(request)
        assert (report.ok, report.first_wrong_seq) == (True, 0)
        seq = report.journal_seq
        state = world.writer._groups.machine.pool.state
        for row in (c.ON_HAND, c.ATF):
            state[0][row, 0] += 2
        state[8][[c.TOTAL_FIRST + c.ON_HAND, c.AVAILABLE]] += 2
        assert (await world.client.audit_invariants(admin.AuditInvariantsRequest())).ok, "it shows in a replay alone"
        report = await world.client.audit_invariants(request)
        assert not report.ok
        assert report.first_wrong_seq == seq
        first = report.findings[0]
        assert first.invariant == "the live state is what the journal tells"
        assert first.subject.startswith("on_hand of sku-1 at east")
        assert (first.expected, first.actual) == (5, 7)


async def test_a_journal_that_is_damaged_behind_the_back_of_a_server_is_found_by_a_replay() -> None:
    async with open_world() as world:
        await world.stock("sku-1", "east", 5)
        tape = world.journal._tape  # type: ignore[attr-defined]
        frame = tape.frames[3]
        tape.frames[3] = frame._replace(body=frame.body[:-1] + bytes([frame.body[-1] ^ 1]))
        report = await world.client.audit_invariants(admin.AuditInvariantsRequest(replay=True))
        assert (report.ok, report.first_wrong_seq) == (False, frame.first_seq)
        assert "checksum" in report.findings[0].invariant


async def test_an_audit_compares_the_snapshots_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "command", lambda: [sys.executable, "-S", "-c", "input()"])
    given = settings(tmp_path)
    folder = SnapshotFolder(tmp_path / "snapshots")
    request = admin.AuditInvariantsRequest(replay=True)
    async with serving(given) as client:
        await put(client, *range(1, 8))
        with closing(open_journal(given.journal, owner=False)) as journal, folder.locked():
            write(folder, journal, recover(journal, LIMITS, to_seq=3))
            bad = recover(journal, LIMITS)
            bad.pool.network.nodes[0] = bad.pool.network.nodes[0]._replace(name="another")
            write(folder, journal, bad)
        report = await client.audit_invariants(request)
        assert (report.ok, report.first_wrong_seq, list(report.snapshot_seqs)) == (False, 7, [3])
        assert [one.subject for one in report.findings] == ["network: nodes[0] (between seq 3 and 7)"]
        folder.snapshots()[0].path.write_bytes(b"no longer a snapshot")
        report = await client.audit_invariants(request)
        assert "is damaged" in report.findings[0].invariant
        assert (await client.get_status(admin.GetStatusRequest())).snapshot_seq == 7


def write(folder: SnapshotFolder, journal: Journal, machine: Machine) -> None:
    mark = journal.mark(machine.seq)
    assert mark is not None
    folder.write(machine, mark, machine.digest())


# The commands


def run(*arguments: str, code: int = 0, **environment: str) -> Any:
    limits = {
        f"STOCKPOOL_LIMITS__{name.upper()}": str(getattr(LIMITS, name))
        for name in ("cells_max", "open_reservations_max")
    }
    result = CliRunner().invoke(command_line, [*arguments], env=limits | environment)
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


async def test_the_audit_of_a_journal_and_its_snapshots_offline(tmp_path: Path) -> None:
    given = settings(tmp_path, snapshots=None)
    url, folder = given.journal, SnapshotFolder(tmp_path / "by-hand")
    async with serving(given) as client:
        await put(client, *range(1, 8))
    words = ("audit", "--journal", url, "--snapshots", str(folder.path))
    environment: dict[str, Any] = {
        f"STOCKPOOL_LIMITS__{name.upper()}": str(value) for name, value in asdict(LIMITS).items()
    }
    journal = open_journal(url)
    with closing(journal), folder.locked():
        write(folder, journal, recover(journal, LIMITS, to_seq=3))
        write(folder, journal, recover(journal, LIMITS))
        seen = json.loads(run(*words, "--json", **environment))
        assert (seen["ok"], seen["journal_seq"], seen["first_seq"], seen["snapshot_seqs"]) == (True, 7, 1, [3, 7])
        assert "snapshots that agree: seq 3, 7" in run(*words, **environment)
        mark = journal.mark(3)
        assert mark is not None
        journal.cut(mark)
        seen = json.loads(run(*words, "--json", **environment))
        assert (seen["ok"], seen["journal_seq"], seen["first_seq"], seen["snapshot_seqs"]) == (True, 7, 4, [3, 7])
        assert "a snapshot at seq 3 or later" in run(*words[:3], code=1, **environment)
        wrong = recover(journal, LIMITS, snapshots=folder)
        wrong.pool.network.nodes[0] = wrong.pool.network.nodes[0]._replace(name="another")
        write(folder, journal, wrong)
        seen = json.loads(run(*words, "--json", code=1, **environment))
        assert (seen["ok"], seen["first_wrong_seq"]) == (False, 7)
        assert seen["findings"][0]["subject"] == "network: nodes[0] (between seq 3 and 7)"
        assert "first wrong after seq 7" in run(*words, code=1, **environment)


async def test_a_snapshot_by_hand_and_a_cut(tmp_path: Path) -> None:
    given = settings(tmp_path, snapshots=None)
    url, folder = given.journal, str(tmp_path / "by-hand")
    assert "does not exist" in run("snapshot", url, "--folder", folder, code=1)
    async with serving(given) as client:
        await put(client, *range(1, 8))
        made = json.loads(await asyncio.to_thread(run, "snapshot", url, "--folder", folder, "--json"))
        assert (made["seq"], made["snapshot_seq"], made["audited_seq"]) == (7, 7, 7)
        assert "already" in await asyncio.to_thread(run, "snapshot", url, "--folder", folder)
        assert "1 of the 2" in await asyncio.to_thread(run, "compact", url, "--folder", folder, code=1)
        await put(client, *range(8, 11))
        assert "snapshot at seq 10" in await asyncio.to_thread(run, "snapshot", url, STOCKPOOL_SNAPSHOTS=folder)
        assert "nothing to cut" in await asyncio.to_thread(
            run, "compact", url, "--folder", folder, "--keep-decisions", "99"
        )
        cut = json.loads(await asyncio.to_thread(run, "compact", url, "--folder", folder, "--json"))
        assert (cut["first_seq_before"], cut["first_seq"], cut["last_seq"]) == (1, 8, 10)
        await put(client, 11)
    assert "nothing to cut" in run("compact", url, "--folder", folder)


def test_commands_that_cannot_be_done(tmp_path: Path) -> None:
    assert "no folder for snapshots" in run("snapshot", "sqlite:///nowhere.db", code=2)
    assert "outlives the server" in run("snapshot", "memory://", "--folder", str(tmp_path), code=2)
    assert "set snapshots" in run("serve", "--keep-decisions", "5", code=2)
    (tmp_path / "no.db").write_text("no database, but long enough to be taken for one" * 100)
    assert "cannot be opened" in run("snapshot", f"sqlite:///{tmp_path / 'no.db'}", "--folder", str(tmp_path), code=1)
    journal = open_journal(f"sqlite:///{tmp_path / 'journal.db'}")
    journal.close()
    (tmp_path / "file").write_text("")
    assert "cannot be used" in run(
        "snapshot", f"sqlite:///{tmp_path / 'journal.db'}", "--folder", str(tmp_path / "file"), code=1
    )
    with SnapshotFolder(tmp_path / "busy").locked():
        assert "somebody else" in run(
            "snapshot", f"sqlite:///{tmp_path / 'journal.db'}", "--folder", str(tmp_path / "busy"), code=1
        )
    assert "empty" in run("snapshot", f"sqlite:///{tmp_path / 'journal.db'}", "--folder", str(tmp_path / "new"))
