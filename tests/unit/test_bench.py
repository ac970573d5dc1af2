"""The load of ``stockpool bench``: what is asked, when it is due, what is counted, and what a recount would notice."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from typer.testing import CliRunner

from engine.bench.asks import bodies, draw, outcomes
from engine.bench.plan import BATCH, COLUMNS, RESERVE, BenchError, Goods, Indexes, Point, Share
from engine.bench.run import Measured
from engine.bench.session import Result, Session, World, result_lines
from engine.bench.table import troubles
from engine.bench.tally import Tally
from engine.bench.worker import Worker
from engine.bench.world import Recount, problem_of
from engine.cli.main import app
from engine.client import AsyncClient
from engine.demo.latency import Histogram
from stockpool.v1 import reservations_pb2 as pb
from stockpool.v1 import types_pb2

GOODS = Goods("web", tuple(f"sku-{n}" for n in range(30)), ("east", "west"), ttl_s=2.5)
CLOSED = Point(RESERVE, 1, 3, 0.0, 7, 0.0, 2.0, 1.0, 5.0)
OPEN = replace(CLOSED, in_flight=0, rate=10.0)


def share(point: Point, process: int = 0, processes: int = 1) -> Share:
    return Share("localhost:1", None, None, GOODS, point, process, processes, 1)


def test_an_open_loop_comes_evenly_whoever_sends() -> None:
    parts = [list(share(OPEN, process, 3).due_s()) for process in range(3)]
    assert parts[1] == pytest.approx([0.1 + 0.3 * n for n in range(10)])
    assert sorted(due for part in parts for due in part) == pytest.approx([n / 10 for n in range(30)])


def test_a_closed_loop_is_shared_out_whole() -> None:
    assert [share(CLOSED, process, 3).in_flight for process in range(3)] == [3, 2, 2]


@pytest.mark.parametrize("indexes", [None, Indexes("of-a-store", tuple(range(30)), (4, 5))])
def test_a_share_travels_whole(indexes: Indexes | None) -> None:
    sent = replace(share(CLOSED, 1, 2), goods=replace(GOODS, indexes=indexes))
    assert Share.of_json(json.loads(json.dumps(sent.as_json()))) == sent


@pytest.mark.parametrize("hot", [0.0, 0.25, 1.0])
def test_lines_are_of_different_skus_and_the_hot_one_comes_as_often_as_asked(hot: float) -> None:
    chance, point = random.Random(4), replace(CLOSED, hot=hot)
    drawn = [draw(GOODS, point, chance) for _ in range(4_000)]
    assert all(len(set(skus)) == point.lines for skus, _ in drawn)
    assert {node for _, node in drawn} == {0, 1}
    first = sum(skus[0] == 0 for skus, _ in drawn) / len(drawn)
    assert first == pytest.approx(hot + (1 - hot) / 30, abs=0.03)
    every = Counter(sku for skus, _ in drawn for sku in skus)
    assert set(every) == set(range(30))


def test_a_request_is_its_body_and_an_id() -> None:
    body = bodies(GOODS, CLOSED, 1)[0]
    request = pb.ReserveRequest.FromString(body.with_id("bench-1"))
    assert request.request_id == "bench-1"
    asked = request.reservation
    assert [line.sku_key for line in asked.lines] == [f"sku-{sku}" for sku in body.skus[0]]
    assert (asked.channel_key, asked.pickup_node_key in GOODS.node_keys, asked.ttl.ToMilliseconds()) == (
        "web",
        True,
        2_500,
    )
    many = bodies(replace(GOODS, node_keys=(), postal_code="10001", ttl_s=0), replace(CLOSED, call=BATCH, items=50), 1)[
        3
    ]
    batch = pb.BatchReserveRequest.FromString(many.with_id("bench-2"))
    assert (batch.request_id, len(batch.reservations), len(many.skus)) == ("bench-2", 50, 50)
    assert batch.reservations[7].ship_to.postal_code == "10001"
    assert not batch.reservations[7].HasField("ttl")


def test_columns_ask_for_what_rows_ask_for() -> None:
    indexed = replace(GOODS, indexes=Indexes("of-a-store", tuple(range(100, 130)), (7, 9)))
    point = replace(CLOSED, call=BATCH, items=50)
    rows = bodies(indexed, point, 1)[2]
    columns = bodies(indexed, replace(point, call=COLUMNS), 1)[2]
    assert rows.skus == columns.skus
    asked = pb.BatchReserveRequest.FromString(rows.with_id("bench-1")).reservations
    told = pb.BatchReserveRequest.FromString(columns.with_id("bench-1")).columns
    assert (told.directory, told.ttl.ToMilliseconds()) == ("of-a-store", 2_500)
    assert list(told.line_counts) == [3]
    assert list(told.units) == [1]
    assert [f"sku-{index - 100}" for index in told.sku_indexes] == [line.sku_key for one in asked for line in one.lines]
    assert [{7: "east", 9: "west"}[index] for index in told.pickup_node_indexes] == [
        one.pickup_node_key for one in asked
    ]


def test_outcomes_are_read_from_either_answer() -> None:
    one = pb.ReserveResponse()
    one.result.outcome = types_pb2.OUTCOME_PARTIAL
    assert outcomes(RESERVE, one.SerializeToString()) == [types_pb2.OUTCOME_PARTIAL]
    many = pb.BatchReserveResponse(results=[pb.BatchReserveResult(outcome=types_pb2.OUTCOME_OK)] * 2)
    assert outcomes(BATCH, many.SerializeToString()) == [types_pb2.OUTCOME_OK] * 2
    columns = pb.BatchReserveResponse(columns=pb.BatchReserveColumns(reservation_ids=[5, 6]))
    assert outcomes(COLUMNS, columns.SerializeToString()) == [types_pb2.OUTCOME_OK] * 2
    columns.columns.outcomes.extend([types_pb2.OUTCOME_OK, types_pb2.OUTCOME_UNKNOWN_SKU])
    assert outcomes(COLUMNS, columns.SerializeToString()) == list(columns.columns.outcomes)


def test_histograms_of_processes_are_one_histogram() -> None:
    chance = random.Random(8)
    durations = [int(10 ** chance.uniform(0, 7)) for _ in range(3_000)]
    whole, total = Histogram(), Histogram()
    for first in range(3):
        part = Histogram()
        for duration_us in durations[first::3]:
            part.record(duration_us)
            whole.record(duration_us)
        total.absorb(Histogram.of_json(json.loads(json.dumps(part.as_json()))))
    assert total.as_json() == whole.as_json()
    assert (total.count, total.max_us, total.mean_us) == (3_000, max(durations), whole.mean_us)
    for quantile in (0.5, 0.9, 0.99, 0.999):
        truth = sorted(durations)[int(quantile * 3_000 + 0.999999) - 1]
        assert truth <= total.quantile_us(quantile) <= truth * (1 + 1 / 128) + 1


def tally(**values: Any) -> Tally:
    return Tally(**values)


def test_tallies_add_up_across_processes() -> None:
    one = tally(answered=2, granted=2, outcomes=Counter({1: 2}), granted_units=Counter({3: 2}), late=1)
    two = tally(answered=1, failures=Counter(UNAVAILABLE=1), unknown_units=Counter({3: 1}))
    one.absorb(Tally.of_json(json.loads(json.dumps(two.as_json()))))
    assert one == tally(
        answered=3,
        granted=2,
        outcomes=Counter({1: 2}),
        failures=Counter(UNAVAILABLE=1),
        latencies=one.latencies,
        late=1,
        granted_units=Counter({3: 2}),
        unknown_units=Counter({3: 1}),
    )


@pytest.mark.parametrize(
    ("held", "granted", "unknown", "complaint"),
    [
        (5, 5, 0, ""),
        (6, 5, 1, ""),
        (7, 5, 1, "5 were granted and up to 1"),
        (4, 5, 3, "5 were granted"),
        (11, 11, 0, "oversold"),
    ],
)
def test_a_recount_notices(held: int, granted: int, unknown: int, complaint: str) -> None:
    told = problem_of("sku-1", held, 10, granted, unknown)
    assert bool(told) == bool(complaint)
    assert complaint in "".join(told)


class Refusal(grpc.RpcError):
    """What gRPC raises."""

    def __init__(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code


async def worked(point: Point, answer: bytes | grpc.StatusCode, due_s: list[float]) -> Tally:
    """What a worker counts of calls that were due so long ago, measured from a second ago on."""
    async with AsyncClient("localhost:1") as client:
        worker = Worker(share(point), client)

        async def call(request: bytes, **_: Any) -> bytes:
            assert pb.ReserveRequest.FromString(request).request_id.startswith("bench-")
            await asyncio.sleep(0)
            if isinstance(answer, bytes):
                return answer
            raise Refusal(answer)

        worker._call = call
        now_s = time.monotonic()
        worker._from_s, worker._until_s = now_s - 1_000, now_s + 1_000
        for ago_s in due_s:
            await worker._one(now_s - ago_s)
        worker.settle()
        return worker.tally


async def test_a_call_that_waited_to_be_sent_is_timed_from_when_it_was_due() -> None:
    granted = pb.ReserveResponse()
    granted.result.outcome = types_pb2.OUTCOME_OK
    found = await worked(OPEN, granted.SerializeToString(), [100.0, 200.0, 2_000.0])
    assert found.answered == found.granted == 3
    assert found.granted_units.total() == 9, "the warm-up, too, is recounted"
    assert (found.latencies.count, found.latencies.max_us >= 200_000_000) == (2, True), (
        "of the warm-up no time is taken"
    )
    assert found.latencies.quantile_us(0.5) >= 100_000_000


@pytest.mark.parametrize(
    ("code", "unknown"), [(grpc.StatusCode.DEADLINE_EXCEEDED, 3), (grpc.StatusCode.RESOURCE_EXHAUSTED, 0)]
)
async def test_a_call_that_fails_is_timed_and_may_have_been_granted(code: grpc.StatusCode, unknown: int) -> None:
    found = await worked(OPEN, code, [50.0])
    assert (found.answered, found.latencies.count, found.failures) == (0, 1, Counter({code.name: 1}))
    assert found.unknown_units.total() == unknown


def test_what_was_measured_is_told_in_words_and_lines() -> None:
    counted = tally(answered=4, granted=3, outcomes=Counter({1: 3, 41: 0}), failures=Counter(UNAVAILABLE=2), late=7)
    one = Measured(OPEN, 2, counted)
    assert [line.split(" ")[0] for line in troubles(one)] == ["0", "7", "2"]
    lines = result_lines(Result("here", (one,), Recount(30, 9, 0, ("sku-1: oversold",))))
    assert (lines[0]["calls_per_s"], lines[0]["loop"], lines[0]["rate"]) == (2.0, "open", 10.0)
    assert lines[1]["recount"]["ok"] is False
    json.dumps(lines)


@pytest.mark.parametrize(
    ("world", "complaint"), [(World(2, 5, 1), "3 lines need as many SKUs"), (World(30_000, 1_000, 1), "too large")]
)
async def test_a_world_that_cannot_be_is_refused(world: World, complaint: str) -> None:
    with pytest.raises(BenchError, match=complaint):
        await Session(None, None, None, None, world, 1, 1).run([CLOSED], lambda _: None)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--rate", "5", "--in-flight", "3"], "one of the two"),
        (["--server", "localhost:1", "--sku", "a"], "--channel CHANNEL --sku SKU"),
        (["--channel", "web", "--sku", "a", "--node", "n"], "--server HOST:PORT"),
        (["--plot", "nowhere/at/all.svg"], "no such folder"),
    ],
)
def test_a_command_that_makes_no_sense_says_what_would(words: list[str], complaint: str) -> None:
    result = CliRunner().invoke(app, ["bench", *words])
    assert result.exit_code == 2
    assert complaint in result.output


def test_a_chart_is_drawn(tmp_path: Path) -> None:
    from engine.bench.chart import draw as draw_chart

    counted = tally(answered=3)
    for duration_us in (500, 1_000, 90_000):
        counted.latencies.record(duration_us)
    draw_chart([Measured(OPEN, 1, counted), Measured(CLOSED, 1, tally())], tmp_path / "out.svg")
    assert "open 10/s" in (tmp_path / "out.svg").read_text(encoding="utf-8")
