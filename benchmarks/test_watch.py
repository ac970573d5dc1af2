"""What availability costs, asked and watched: 100 SKUs over 1,573 nodes in the server; a thousand watchers beside 5,000 changes a second.

The changes are reservations of two lines in batches of 50, at a steady pace whatever the answers take. By turns with watchers and
without, what is compared is the processor time of the writer's thread, which a busy machine does not lengthen, and what the batches take.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median, quantiles
from time import monotonic
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from benchmarks.caller import BATCH, PATHS, reservation
from benchmarks.history import Note
from benchmarks.load import cpu_s, hear, piped, tell
from benchmarks.stocking import BEGIN_NS, UNITS, make_machine
from benchmarks.watchers import Watch
from benchmarks.world import CHANNEL, World
from engine.model.limits import Limits
from engine.service.convert.inventory import BATCH_GET_AVAILABILITY
from engine.service.fields import Rules
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import reservations_pb2 as pb

ASKED = 100
NODES = 1_573
WATCHERS, PROCESSES, SKUS_EACH = 1_000, 2, 100
PROBES = 20
CHANGES_PER_S = 5_000
ITEMS = 50
ROUNDS = 3


def test_availability(benchmark: Any, scale: float, note: Note) -> None:
    """From the bytes of the request to the bytes of the response, every SKU at every node."""
    benchmark.group = "availability of 100 SKUs over 1,573 nodes"
    world = World(skus=NODES, nodes=NODES, cells_per_sku=NODES) if scale == 1 else World(200, 200, 200)
    machine = make_machine(world)
    rules = Rules(Limits(), machine.pool.names)
    keys = [f"S{sku:06}" for sku in range(0, world.skus, max(1, world.skus // ASKED))][:ASKED]
    request = inventory.BatchGetAvailabilityRequest(channel_key=CHANNEL, sku_keys=keys).SerializeToString()

    def answer() -> bytes:
        query: Any = BATCH_GET_AVAILABILITY.work(inventory.BatchGetAvailabilityRequest.FromString(request), rules)
        reply = machine.answer(query, BEGIN_NS)
        return BATCH_GET_AVAILABILITY.answer(machine.seq, reply, machine.pool.names).SerializeToString()

    benchmark.pedantic(answer, rounds=300, warmup_rounds=20)
    told = inventory.BatchGetAvailabilityResponse.FromString(answer())
    assert len(told.availabilities) == ASKED
    assert all(each.ats_units == UNITS * world.cells_per_sku for each in told.availabilities)
    note(f"availability_{ASKED}_skus_{NODES}_nodes_ms", benchmark.stats.stats.median * 1e3, "ms")


@dataclass(frozen=True, slots=True)
class Change:
    """A batch: its sequence, when it was answered and how long that took (seconds), its SKUs."""

    seq: int
    answered_s: float
    took_s: float
    skus: frozenset[int]


@dataclass(frozen=True, slots=True)
class Beside:
    """A round: processor seconds of the writer and of the whole server, how long it was, and the changes."""

    writer_s: float
    server_s: float
    elapsed_s: float
    changes: list[Change]


class Server:
    """A server, and the messages that change its stock, each used once."""

    def __init__(self, process: Any, world: World, batches: int) -> None:
        self.process = process
        told = json.loads(hear(process))
        self.target = told["target"]
        self._schedule = Path(f"/proc/{process.pid}/task/{told['writer']}/schedstat")
        self._batches = self._make(world, batches)

    def _make(self, world: World, batches: int) -> Iterator[tuple[bytes, frozenset[int]]]:
        asks = world.asks(batches * ITEMS, pickup=False, seed=7)
        for number in range(batches):
            chosen = [next(asks) for _ in range(ITEMS)]
            items = [reservation(ask) for ask in chosen]
            for item in items:
                item.ttl.CopyFrom(Duration(seconds=3_600))
            skus = frozenset(int(key[1:]) for ask in chosen for key, _ in ask.lines)
            yield pb.BatchReserveRequest(request_id=f"watch-{number}", reservations=items).SerializeToString(), skus

    def writer_s(self) -> float:
        """Processor seconds of the writer's thread."""
        return int(self._schedule.read_text().split()[0]) / 1e9

    def change(self, for_s: float) -> Beside:
        """Change stock at the steady pace."""
        per_s = CHANGES_PER_S / (2 * ITEMS)
        ready = [next(self._batches) for _ in range(round(for_s * per_s))]
        before = self.writer_s(), cpu_s(self.process), monotonic()
        changes = asyncio.run(self._paced(ready, per_s))
        after = self.writer_s(), cpu_s(self.process), monotonic()
        spent = [late - early for early, late in zip(before, after, strict=True)]
        return Beside(spent[0], spent[1], spent[2], changes)

    async def _paced(self, ready: list[tuple[bytes, frozenset[int]]], per_s: float) -> list[Change]:
        async with grpc.aio.insecure_channel(self.target) as channel:
            call: Any = channel.unary_unary(PATHS[BATCH])
            begun_s = monotonic() + 0.1

            async def one(number: int, request: bytes, skus: frozenset[int]) -> Change:
                due_s = begun_s + number / per_s
                await asyncio.sleep(max(0.0, due_s - monotonic()))
                response = pb.BatchReserveResponse.FromString(await call(request))
                assert all(result.reservation_id for result in response.results)
                now_s = monotonic()
                return Change(response.result.journal_seq, now_s, now_s - due_s, skus)

            return await asyncio.gather(*(one(n, *each) for n, each in enumerate(ready)))


def latencies_s(changes: list[Change], probes: list[list[tuple[float, int, list[int]]]]) -> list[float]:
    """From the answer to the oldest change that a watcher had not been told yet until it was told, for each SKU in each message."""
    by_sku: dict[int, list[Change]] = {}
    for change in sorted(changes, key=lambda one: one.seq):
        for sku in change.skus:
            by_sku.setdefault(sku, []).append(change)
    found = []
    for messages in probes:
        known_seq = messages[0][1]
        for came_s, seq, skus in messages[1:]:
            for sku in skus:
                behind = [one.answered_s for one in by_sku.get(sku, ()) if known_seq < one.seq <= seq]
                found += [max(0.0, came_s - behind[0])] if behind else []
            known_seq = seq
    return found


@pytest.mark.parametrize("kind", ["different", "same"])
def test_watchers(world: World, stocked_url: str, scale: float, note: Note, kind: str) -> None:
    """A thousand who watch 100 SKUs each: drawn out of all, of which few change in a second; or all the same hundred, all of which do."""
    for_s = max(3.0, 8 * scale)
    tag = "" if kind == "different" else "_same"
    rounds = ROUNDS if scale == 1 else 1
    with ExitStack() as stack:
        process = stack.enter_context(piped([sys.executable, "-m", "benchmarks.watchers", "serve", stocked_url]))
        changed = world if kind == "different" else replace(world, skus=world.nodes)
        server = Server(process, changed, round((2 * rounds + 1) * (for_s + 1) * CHANGES_PER_S / (2 * ITEMS)))
        callers = [
            stack.enter_context(piped([sys.executable, "-m", "benchmarks.watchers", server.target]))
            for _ in range(PROCESSES)
        ]
        server.change(1.0)
        alone, beside, waits_s, messages = [], [], [], 0
        for number in range(rounds):
            alone.append(server.change(for_s))
            for at, caller in enumerate(callers):
                skus, seed = (world.skus, 100 * number + at) if kind == "different" else (SKUS_EACH, 1)
                share = round(WATCHERS * scale) // PROCESSES
                tell(caller, json.dumps(asdict(Watch(share, SKUS_EACH, skus, seed, PROBES))))
            for caller in callers:
                assert hear(caller) == "watching"
            beside.append(server.change(for_s))
            for caller in callers:
                tell(caller, "end")
            seen = [json.loads(hear(caller)) for caller in callers]
            messages += sum(one["messages"] for one in seen)
            waits_s += latencies_s(beside[-1].changes, [probe for one in seen for probe in one["probes"]])
    slowed = median(one.writer_s / other.writer_s for one, other in zip(beside, alone, strict=True))
    took = [median(change.took_s for one in each for change in one.changes) for each in (beside, alone)]
    percentiles = quantiles(waits_s, n=100)
    note(f"watch{tag}_writer_slowed", slowed, "ratio")
    note(f"watch{tag}_writer_share", median(one.writer_s / one.elapsed_s for one in beside), "share")
    note(f"watch{tag}_server_share", median(one.server_s / one.elapsed_s for one in beside), "share")
    note(f"watch{tag}_alone_server_share", median(one.server_s / one.elapsed_s for one in alone), "share")
    note(f"watch{tag}_batch_p50_over_alone", took[0] / took[1], "ratio")
    note(f"watch{tag}_messages_per_s", messages / sum(one.elapsed_s for one in beside), "1/s")
    note(f"watch{tag}_latency_p50_ms", percentiles[49] * 1e3, "ms")
    note(f"watch{tag}_latency_p99_ms", percentiles[98] * 1e3, "ms")
