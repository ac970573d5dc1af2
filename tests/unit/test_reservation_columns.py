"""Rows and columns are two roads to one decision: the same kernel, the same effects, the same reply, the same state."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from google.protobuf.duration_pb2 import Duration

from engine.journal.codec import encode
from engine.model import commands as m
from engine.model import queries as q
from engine.model.decisions import Decision
from engine.model.limits import Limits
from engine.model.outcomes import CommandKind, Outcome
from engine.model.replies import BatchReserveReply
from engine.pool.replies import decode_reply, encode_reply
from engine.service.convert import reservation_columns as convert
from engine.service.convert import reservations as rows
from engine.service.convert import wire
from engine.service.errors import InvalidRequest
from engine.service.fields import Rules
from stockpool.v1 import reservations_pb2 as pb
from stockpool.v1.types_pb2 import Destination, LineItem
from tests.builders import Store

SEEDS = range(60)
SKUS = ("A", "B", "C", "D", "E")
CODES = ("10001", "90001", "50000", "77777")
STORES = ("east", "west", "dc", "lab")


def both(seed: int, store: Store) -> tuple[pb.BatchReserveRequest, pb.BatchReserveRequest]:
    """The same claims as rows and as columns, in one of the forms that columns may have."""
    chance = Random(seed)
    count = chance.randint(1, 16)
    collected, by_index, alike = (chance.random() < 0.5 for _ in range(3))
    line_counts = [2] * count if alike else [chance.randint(1, 4) for _ in range(count)]
    lines = sum(line_counts)
    known = [key for key in SKUS if key in store.machine.pool.names.skus.index_of]
    skus = [chance.choice(known if by_index else SKUS) for _ in range(lines)]
    units = [chance.randint(1, 3)] * lines if alike else [chance.randint(1, 3) for _ in range(lines)]
    nodes = [key for key in STORES if key in store.machine.pool.names.nodes.index_of]
    places = [chance.choice(nodes if collected and by_index else STORES if collected else CODES) for _ in range(count)]
    places = places[:1] * count if alike else places
    some: dict[str, Any] = {
        "channel_key": chance.choice(("web", "web", "web", "till", "none")),
        "service_key": chance.choice(("", "", "express", "drone")),
        "allow_partial": chance.random() < 0.5,
    }
    if chance.random() < 0.5:
        some["ttl"] = Duration(seconds=chance.randint(1, 600))
    items, first = [], 0
    for place, line_count in zip(places, line_counts, strict=True):
        span = slice(first, first + line_count)
        pairs = zip(skus[span], units[span], strict=True)
        where: dict[str, Any] = {"pickup_node_key": place} if collected else {"ship_to": Destination(postal_code=place)}
        items.append(pb.ReservationRequest(lines=[LineItem(sku_key=s, units=u) for s, u in pairs], **where, **some))
        first += line_count
    columns = pb.ReservationColumns(
        line_counts=line_counts[:1] if alike else line_counts, units=units[:1] if alike else units, **some
    )
    column = places[:1] if alike else places
    index_of = store.machine.pool.names
    if by_index:
        columns.directory = index_of.directory()
        columns.sku_indexes.extend(map(index_of.skus.find, skus))
    else:
        columns.sku_keys.extend(skus)
    if not collected:
        columns.postal_codes.extend(column)
    elif by_index:
        columns.pickup_node_indexes.extend(map(index_of.nodes.find, column))
    else:
        columns.pickup_node_keys.extend(column)
    whole = chance.random() < 0.2
    return (
        pb.BatchReserveRequest(request_id="b", reservations=items, all_or_nothing=whole),
        pb.BatchReserveRequest(request_id="b", columns=columns, all_or_nothing=whole),
    )


def stocked(seed: int) -> Store:
    chance = Random(seed)
    store = Store()
    store.stock(*((sku, node, chance.randint(0, 6)) for sku in ("A", "B", "C") for node in ("dc", "east", "west")))
    return store


def judged(store: Store, command: m.BatchReserve) -> Decision:
    """The decision on a batch, whatever it came in: the body's fingerprint is all that may differ."""
    store.submit(replace(command, fingerprint=7))
    return store.decisions[-1]


@pytest.mark.parametrize("seed", SEEDS)
def test_rows_and_columns_are_decided_alike(seed: int) -> None:
    first, second = stocked(seed), stocked(seed)
    in_rows, in_columns = both(seed, first)
    rules = Rules(first.machine.pool.limits, first.machine.pool.names)
    one = judged(first, rows.batch_reserve(in_rows, rules))
    read = wire.reader(pb.BatchReserveRequest)(in_columns.SerializeToString())
    other = judged(second, convert.batch_reserve(read, rules))
    assert encode([one]).body == encode([other]).body, f"seed {seed}"
    assert first.machine.digest() == second.machine.digest(), f"seed {seed}"
    again = stocked(seed)
    assert judged(again, convert.batch_reserve(in_columns, rules)).encoded == one.encoded, "by the generated class"
    store_reply = first.ask(q.GetReservation(0, 1))
    assert store_reply == second.ask(q.GetReservation(0, 1))


def test_every_outcome_is_drawn() -> None:
    seen = set()
    for seed in SEEDS:
        store = stocked(seed)
        rules = Rules(store.machine.pool.limits, store.machine.pool.names)
        reply = store.submit(convert.batch_reserve(both(seed, store)[1], rules))
        seen |= set(np.frombuffer(reply.columns, dtype="<i8").reshape(-1, 5)[:, 0].tolist())
    assert seen >= {
        Outcome.OK, Outcome.PARTIAL, Outcome.INSUFFICIENT_STOCK, Outcome.UNKNOWN_SKU, Outcome.UNKNOWN_CHANNEL,
        Outcome.UNKNOWN_DESTINATION, Outcome.UNKNOWN_SERVICE, Outcome.NODE_NOT_IN_CHANNEL, Outcome.BATCH_REFUSED,
    }  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
def test_the_answer_says_in_columns_what_it_says_in_rows(seed: int) -> None:
    store = stocked(seed)
    rules, names = Rules(store.machine.pool.limits, store.machine.pool.names), store.machine.pool.names
    reply = store.submit(convert.batch_reserve(both(seed, store)[1], rules))
    told = rows.BATCH_RESERVE.answer(5, reply, names)
    content = pb.BatchReserveResponse.SerializeToString(convert.BATCH_RESERVE_COLUMNS.answer(5, reply, names))
    columns = pb.BatchReserveResponse.FromString(content).columns
    assert list(columns.reservation_ids) == [row.reservation_id for row in told.results]
    assert list(columns.outcomes or [1] * len(told.results)) == [row.outcome for row in told.results]
    if columns.outcomes:
        assert [max(line, 0) for line in columns.line_indexes] == [row.line_index for row in told.results]
        assert list(columns.available_units) == [row.available_units for row in told.results]
    assert {each.item_index: each.subject for each in columns.subjects} == {
        item: row.subject for item, row in enumerate(told.results) if row.subject
    }
    assert all(row.expire_time == columns.expire_time for row in told.results if row.reservation_id)


def columns(**fields: Any) -> pb.BatchReserveRequest:
    """A good request, but for what is said otherwise."""
    good: dict[str, Any] = {
        "channel_key": "web", "line_counts": [1], "sku_keys": ["A", "B"], "units": [1], "postal_codes": ["10001"],
    }  # fmt: skip
    return pb.BatchReserveRequest(request_id="r", columns=pb.ReservationColumns(**{**good, **fields}))


BAD: list[tuple[pb.BatchReserveRequest, list[str]]] = [
    (columns(channel_key=""), ["columns.channel_key"]),
    (columns(units=[]), ["columns.units"]),
    (columns(units=[1, 1, 1]), ["columns.units"]),
    (columns(units=[1, 0]), ["columns.units[1]"]),
    (columns(line_counts=[]), ["columns.line_counts"]),
    (columns(line_counts=[11]), ["columns.line_counts[0]"]),
    (columns(line_counts=[0, 2]), ["columns.line_counts[0]"]),
    (columns(line_counts=[1, 2]), ["columns.line_counts"]),
    (columns(line_counts=[3]), ["columns.line_counts"]),
    (columns(sku_keys=[]), ["columns.sku_keys", "columns.units"]),
    (columns(sku_keys=["A", ""]), ["columns.sku_keys[1]"]),
    (columns(postal_codes=[]), ["columns.postal_codes"]),
    (columns(postal_codes=["10001", "1"]), ["columns.postal_codes[1]"]),
    (columns(postal_codes=["10001"] * 3), ["columns.postal_codes"]),
    (columns(pickup_node_keys=["east"]), ["columns.pickup_node_keys"]),
    (columns(sku_indexes=[0, 1]), ["columns.sku_indexes", "columns.directory"]),
    (columns(directory="0.0-0.0"), ["columns.directory"]),
    (columns(ttl=Duration(nanos=1)), ["columns.ttl"]),
    (columns(promised_date="tomorrow"), ["columns.promised_date"]),
    (pb.BatchReserveRequest(columns=columns().columns), ["request_id"]),
    (columns(sku_keys=["A"] * 1_001), ["columns.line_counts"]),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "fields"), BAD, ids=[f"{at}-{fields[0]}" for at, (_, fields) in enumerate(BAD)])
def test_what_is_wrong_is_named(request_: pb.BatchReserveRequest, fields: list[str]) -> None:
    rules = Rules(Limits(), Store().machine.pool.names)
    for read in (pb.BatchReserveRequest.FromString, wire.reader(pb.BatchReserveRequest)):
        with pytest.raises(InvalidRequest) as caught:
            convert.batch_reserve(read(request_.SerializeToString()), rules)
        assert [problem.field for problem in caught.value.problems] == fields


def test_rows_and_columns_together_are_refused() -> None:
    request = columns()
    request.reservations.add(channel_key="web")
    with pytest.raises(InvalidRequest) as caught:
        convert.batch_reserve(request, Rules(Limits(), Store().machine.pool.names))
    assert [problem.field for problem in caught.value.problems] == ["columns"]


def test_indexes_of_another_store_are_refused() -> None:
    """The same number may be another SKU there: what would be sold is not what was meant."""
    mine, other = Store(), Store(network=False)
    for key in ("Z", "A", "B"):
        other.tell(m.PutSkus, skus=(mine.machine.pool.network.skus[0]._replace(sku_key=key),))
    request = columns(sku_keys=[], sku_indexes=[0, 1], directory=other.machine.pool.names.directory())
    with pytest.raises(InvalidRequest) as caught:
        convert.batch_reserve(request, Rules(Limits(), mine.machine.pool.names))
    assert [problem.field for problem in caught.value.problems] == ["columns.directory"]


@pytest.mark.parametrize("directory", ["", "-", "x", "0.00000000", "-1.0-0.0", "0.00000000-0.00000000-0", "9" * 80])
def test_what_is_no_directory_is_none(directory: str) -> None:
    assert Store().machine.pool.names.known(directory) is None


def test_a_directory_stays_good_when_the_store_grows() -> None:
    store = Store()
    names = store.machine.pool.names
    before = names.directory()
    counts = len(names.skus), len(names.nodes)
    store.tell(m.PutSkus, skus=(store.machine.pool.network.skus[0]._replace(sku_key="new"),))
    assert names.known(before) == counts
    assert names.known(names.directory()) == (counts[0] + 1, counts[1])
    request = columns(sku_keys=[], sku_indexes=[0, counts[0]], directory=before)
    with pytest.raises(InvalidRequest) as caught:
        convert.batch_reserve(request, Rules(Limits(), names))
    assert [problem.field for problem in caught.value.problems] == ["columns.sku_indexes[1]"]


@pytest.mark.parametrize("seed", range(20))
def test_a_stored_reply_is_the_reply(seed: int) -> None:
    chance = np.random.default_rng(seed)
    count = int(chance.integers(0, 50))
    content = chance.integers(-(2**63), 2**63 - 1, (count, 5)) >> chance.integers(0, 63)
    reply = BatchReserveReply(Outcome.OK, "", content.astype("<i8").tobytes(), ((3, "A"),))
    encoded = encode_reply(reply)
    assert decode_reply(CommandKind.BATCH_RESERVE, encoded) == reply, f"seed {seed}"


def test_granted_batches_take_little_room_where_they_are_stored() -> None:
    content = np.array([[1, 5_000 + item, 1_790_000_000_000_000_000, -1, 0] for item in range(1_000)], dtype="<i8")
    reply = BatchReserveReply(Outcome.OK, "", content.tobytes())
    assert len(encode_reply(reply)) < 3 * 1_000


def test_a_reply_as_it_was_stored_before_is_read() -> None:
    content = np.arange(10, dtype="<i8").tobytes()
    old = b"\x94\x01\xa0\xc4" + bytes([len(content)]) + content + b"\x90"
    assert decode_reply(CommandKind.BATCH_RESERVE, old) == BatchReserveReply(Outcome.OK, "", content)
