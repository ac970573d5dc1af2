"""The report of a run: figures that a program can compare, and from which the terminal's tables and the HTML page are made."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from engine.demo.comparison import RecountResult
from engine.demo.player import Player
from engine.demo.tally import Figures, Tally
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import types_pb2 as types

HOURLY_DAYS_MAX = 2
"""Up to so many days the report goes by hours; beyond, by days."""


@dataclass(frozen=True, slots=True)
class ChannelReport:
    """Figures of one channel, or of all; definitions are in ``tally.MEANINGS``. Rates are None where nothing can be divided."""

    channel: str
    orders: int
    refused_orders: int
    cancelled_orders: int
    abandoned_baskets: int
    units: int
    value_micros: int
    fill_rate: float | None
    sent_orders: int
    packages: int
    split_rate: float | None
    cost_per_order_micros: int | None
    mean_zone: float | None
    zones: dict[int, int]
    rejected_work: int
    lost_units: int
    returned_units: int


@dataclass(frozen=True, slots=True)
class CallReport:
    """How long one call took, in milliseconds; quantiles are at most 3.2 % too high."""

    call: str
    count: int
    p50_ms: float
    p99_ms: float
    mean_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """One channel in one hour or day, for charts. ``index`` counts from the first."""

    channel: str
    index: int
    orders: int
    units: int
    filled_units: int
    sent_orders: int
    split_orders: int
    cost_micros: int


@dataclass(frozen=True, slots=True)
class Sample:
    """The server's status at one moment of the run, ``at_s`` seconds after the first order."""

    at_s: float
    orders: int
    calls: int
    available_units: int
    reserved_units: int
    allocated_units: int
    shortage_units: int
    short_order_units: int
    open_reservations: int
    open_orders: int


@dataclass(frozen=True, slots=True)
class AuditResult:
    """What the server's own audit found: every derived quantity recomputed, and the journal replayed into a second state."""

    ok: bool
    replayed: bool
    journal_seq: int
    cell_count: int
    findings: tuple[str, ...]
    digest: str
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the server used. ``journal_bytes`` is None where the journal is no file; the others when it was not ours to start."""

    journal_bytes: int | None = None
    cpu_s: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run. ``seconds`` has the time of each part; ``elapsed_s`` is from the first to the last."""

    version: str
    scenario: str
    seed: int
    first_day: str
    currency_code: str
    days: int
    in_flight: int
    interrupted: bool
    network: dict[str, int]
    seconds: dict[str, float]
    elapsed_s: float
    total: ChannelReport
    promised: ChannelReport
    channels: tuple[ChannelReport, ...]
    till_channels: tuple[str, ...]
    calls: tuple[CallReport, ...]
    calls_total: int
    bucket_hours: int
    buckets: tuple[Bucket, ...]
    samples: tuple[Sample, ...]
    shortage_units: int
    shortage_cell_count: int
    short_order_units: int
    journal_seq: int
    audit: AuditResult
    recount: RecountResult
    outcomes: dict[str, dict[str, int]]
    surprises: dict[str, str]
    errors: dict[str, int]
    example_of_error: str
    footprint: Footprint

    @property
    def is_ok(self) -> bool:
        """Whether the audit and the recount are clean, nothing was oversold, and every call was answered."""
        return self.audit.ok and self.recount.is_ok and not self.errors

    @property
    def orders_per_s(self) -> float:
        """Orders a second while they were played."""
        return _per_second(self.total.orders, self.seconds.get("play", 0.0))

    @property
    def calls_per_s(self) -> float:
        """Calls a second while orders were played."""
        return _per_second(self.calls_total, self.seconds.get("play", 0.0))

    def as_json(self) -> dict[str, Any]:
        """Everything but what is only drawn, with the keys by which runs are compared first."""
        whole = asdict(self)
        for drawn in ("buckets", "samples"):
            del whole[drawn]
        calls = whole.pop("calls")
        return {
            "ok": self.is_ok,
            "orders_total": self.total.orders,
            "orders_by_channel": {one.channel: one.orders for one in self.channels},
            "units_oversold": self.recount.units_oversold,
            "audit_ok": self.audit.ok,
            "recount_ok": self.recount.is_ok,
            "fill_rate": self.promised.fill_rate,
            "split_rate": self.total.split_rate,
            "cost_per_order_micros": self.total.cost_per_order_micros,
            "latency_ms": {one["call"]: {"p50": one["p50_ms"], "p99": one["p99_ms"]} for one in calls},
            "elapsed_s": whole.pop("elapsed_s"),
            "calls_per_s": round(self.calls_per_s, 1),
            "orders_per_s": round(self.orders_per_s, 1),
            "shortages": {
                "shortage_units": whole.pop("shortage_units"),
                "shortage_cell_count": whole.pop("shortage_cell_count"),
                "short_order_units": whole.pop("short_order_units"),
            },
            "journal_bytes": self.footprint.journal_bytes,
            **whole,
            "calls": {one.pop("call"): one for one in calls},
        }


def make_report(
    player: Player,
    *,
    days: int,
    seconds: dict[str, float],
    samples: list[Sample],
    status: admin.GetStatusResponse,
    audit: AuditResult,
    recount: RecountResult,
    footprint: Footprint,
) -> Report:
    """The report of what a player did. ``status`` is the server's at the end, ``seconds`` the time of each part in order."""
    scenario, tally, caller = player.scenario, player.tally, player.caller
    bucket_hours = 1 if days <= HOURLY_DAYS_MAX else 24
    return Report(
        version=status.version,
        scenario=scenario.name,
        seed=scenario.seed,
        first_day=scenario.first_day.isoformat(),
        currency_code=scenario.currency_code,
        days=days,
        in_flight=player.in_flight,
        interrupted=player.is_stopped,
        network={"nodes": status.node_count, "skus": status.sku_count, "cells": status.cell_count},
        seconds=seconds,
        elapsed_s=sum(seconds.values()),
        total=_channel("all", tally.total()),
        promised=_channel("all but tills", tally.promised()),
        channels=tuple(_channel(key, tally.of_channel(key)) for key in tally.channels),
        till_channels=tuple(sorted(tally.till_channels)),
        calls=tuple(_calls(player)),
        calls_total=caller.latencies.count,
        bucket_hours=bucket_hours,
        buckets=tuple(_buckets(tally, bucket_hours)),
        samples=tuple(samples),
        shortage_units=status.shortage_units,
        shortage_cell_count=status.shortage_cell_count,
        short_order_units=status.short_order_units,
        journal_seq=status.journal_seq,
        audit=audit,
        recount=recount,
        outcomes=_outcomes(caller.outcomes),
        surprises={
            f"{call}: {_outcome_name(outcome)}": example for (call, outcome), example in caller.surprises.items()
        },
        errors={f"{call}: {code}": count for (call, code), count in caller.errors.items()},
        example_of_error=caller.example_of_error,
        footprint=footprint,
    )


def _channel(name: str, figures: Figures) -> ChannelReport:
    return ChannelReport(
        channel=name,
        orders=figures.orders,
        refused_orders=figures.refused_orders,
        cancelled_orders=figures.cancelled_orders,
        abandoned_baskets=figures.abandoned_baskets,
        units=figures.asked_units,
        value_micros=figures.value_micros,
        fill_rate=figures.fill_rate,
        sent_orders=figures.sent_orders,
        packages=figures.packages,
        split_rate=figures.split_rate,
        cost_per_order_micros=figures.cost_per_order_micros,
        mean_zone=figures.mean_zone,
        zones=dict(sorted(figures.zones.items())),
        rejected_work=figures.rejected_work,
        lost_units=figures.lost_units,
        returned_units=figures.returned_units,
    )


def _calls(player: Player) -> list[CallReport]:
    return [
        CallReport(
            call=call,
            count=one.count,
            p50_ms=one.quantile_us(0.50) / 1_000,
            p99_ms=one.quantile_us(0.99) / 1_000,
            mean_ms=round(one.mean_us / 1_000, 3),
            max_ms=one.max_us / 1_000,
        )
        for call, one in player.caller.latencies
    ]


def _buckets(tally: Tally, bucket_hours: int) -> list[Bucket]:
    return [
        Bucket(
            channel=channel,
            index=index,
            orders=figures.orders,
            units=figures.asked_units,
            filled_units=figures.filled_units,
            sent_orders=figures.sent_orders,
            split_orders=figures.split_orders,
            cost_micros=figures.cost_micros,
        )
        for channel, row in tally.by_bucket(bucket_hours).items()
        for index, figures in row.items()
    ]


def _outcomes(counts: Counter[tuple[str, int]]) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for (call, outcome), count in sorted(counts.items()):
        table.setdefault(call, {})[_outcome_name(outcome)] = count
    return table


def _outcome_name(outcome: int) -> str:
    try:
        return types.Outcome.Name(outcome).removeprefix("OUTCOME_")
    except ValueError:  # a newer server
        return str(outcome)


def _per_second(count: int, seconds: float) -> float:
    return count / seconds if seconds else 0.0
