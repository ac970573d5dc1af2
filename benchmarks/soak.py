"""Does the engine's memory stay flat? ``python -m benchmarks.soak --commands 10000000`` drives a machine in process and tells.

A day of holds, in fast motion: batches of claims that end after seconds, single ones of which some are released or extended, and
all others expire. Each group goes through the codec as for a journal, and is then thrown away. Printed for every step: commands so
far, resident memory, and what the machine remembers. The last line is JSON: how many bytes a command added in the second half.

What is remembered is limited (request ids, closed orders, movements), so memory grows until these are full: the second half begins
after that.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psutil  # type: ignore[import-untyped]

from benchmarks.stocking import BEGIN_NS, claim, network, stock
from benchmarks.world import SMALL
from engine.core.machine import Machine, Repeated
from engine.journal.codec import encode
from engine.kernels import columns as c
from engine.model import commands as m
from engine.model import queries as q
from engine.model.decisions import Decision
from engine.model.limits import SECOND_NS, Limits
from engine.model.outcomes import Quantity, StockReason

GROUP = 32
STEPS = 10
LIMITS = replace(Limits(), request_ids_remembered=50_000, closed_orders_remembered=10_000, movements_remembered=1 << 16)
"""Windows that are soon full, so that what lies beyond them shows."""


class Soak:
    """A machine under a long, steady load."""

    def __init__(self, seed: int) -> None:
        self.machine = Machine(LIMITS)
        self.now_ns = BEGIN_NS
        self.commands = 0
        self._chance = random.Random(seed)
        self._asks = SMALL.asks(1 << 40, pickup=False, seed=seed)
        self._held: list[int] = []
        for part in (network(SMALL), stock(SMALL)):
            self.group(part)

    def group(self, commands: Iterator[m.Command]) -> None:
        """One group, as the writer makes it."""
        decisions: list[Decision] = []
        while expiry := self.machine.expire(self.now_ns):
            self.machine.apply(expiry)
            decisions.append(expiry)
        for command in commands:
            decision = self.machine.decide(command, self.now_ns)
            assert not isinstance(decision, Repeated)
            self.machine.apply(decision)
            decisions.append(decision)
            self._remember(decision)
            self.commands += 1
        if decisions:
            encode(decisions)
        self.now_ns += SECOND_NS // 50

    def _remember(self, decision: Decision) -> None:
        reservation_id = getattr(decision.reply, "reservation_id", 0)
        if reservation_id:
            self._held.append(reservation_id)
        if len(self._held) > 1_000:
            del self._held[:500]

    def draw(self) -> Iterator[m.Command]:
        """The commands of a group."""
        for _ in range(GROUP):
            yield self._command()

    def _command(self) -> m.Command:
        chance = self._chance.random()
        request_id = f"soak-{self.commands}"
        ttl_ns = self._chance.randrange(1, 5) * SECOND_NS
        if chance < 0.02:
            claims = m.ClaimColumns.of([claim(next(self._asks), ttl_ns) for _ in range(100)])
            return m.BatchReserve(request_id, 1, claims)
        if chance < 0.60 or not self._held:
            return m.Reserve(request_id, 1, claim(next(self._asks), ttl_ns))
        reservation_id = self._held.pop(self._chance.randrange(len(self._held)))
        if chance < 0.85:
            return m.ReleaseReservation(request_id, 1, reservation_id)
        if chance < 0.95:
            return m.ExtendReservation(request_id, 1, reservation_id, ttl_ns)
        return self._found(request_id)

    def _found(self, request_id: str) -> m.Command:
        """Stock that somebody found: it leaves an entry in the ring of movements."""
        sku = self._chance.randrange(SMALL.skus)
        return m.AdjustStock(
            request_id, 1, f"S{sku:06}", f"N{next(SMALL.nodes_of(sku)):05}", Quantity.ON_HAND, 1, StockReason.CORRECTION
        )


def resident_bytes() -> int:
    """Memory of this process that is in use."""
    return int(psutil.Process().memory_info().rss)


def main() -> None:
    """Reads the options, drives, prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commands", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    soak = Soak(options.seed)
    step = max(1, options.commands // STEPS)
    seen: list[tuple[int, int]] = []
    begun = time.perf_counter()
    for number in range(1, STEPS + 1):
        while soak.commands < number * step:
            soak.group(soak.draw())
        gc.collect()
        seen.append((soak.commands, resident_bytes()))
        counter = soak.machine.pool.counter
        print(
            f"{soak.commands:>12,} commands  {seen[-1][1] / 1e6:8.1f} MB  {counter(c.RESERVATIONS_OPEN):>8,} open  "
            f"{counter(c.EXPIRY_COUNT):>8,} in the heap  {time.perf_counter() - begun:7.1f} s",
            flush=True,
        )
    soak.now_ns += 3_600 * SECOND_NS
    soak.group(iter(()))
    report: Any = soak.machine.answer(q.Audit(0, digest=False), soak.now_ns)
    left = [soak.machine.pool.counter(row) for row in (c.RESERVATIONS_OPEN, c.HELD_OPEN, c.EXPIRY_COUNT)]
    (first, before), (last, after) = seen[STEPS // 2 - 1], seen[-1]
    told = {
        "commands": soak.commands,
        "seed": options.seed,
        "bytes_a_command": round((after - before) / (last - first), 2),
        "resident_bytes": after,
        "left_open": left,
        "findings": len(report.report.findings),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
