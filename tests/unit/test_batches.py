"""The columns of a batch say what its items say one by one: at the border, and to the kernel."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
from google.protobuf.duration_pb2 import Duration

from engine.core.batches import ask_many
from engine.core.claims import ask
from engine.kernels import columns as c
from engine.model import commands as m
from engine.model.network import RoutingPolicy
from engine.model.outcomes import Outcome
from engine.service.convert import reservations as convert
from engine.service.errors import InvalidRequest
from engine.service.fields import Rules
from stockpool.v1 import reservations_pb2 as pb
from stockpool.v1.types_pb2 import Destination, LineItem
from tests.builders import MINUTE_NS, Store, pickup, ship

SEEDS = range(40)
SKUS = ("A", "B", "C", "D", "D", "Z")
CHANNELS = ("web", "web", "app", "mall", "till", "none")
CODES = ("10001", "90001", "50000", "77777")
STORES = ("east", "west", "dc", "lab", "nowhere")
SERVICES = ("", "", "express", "drone")


@pytest.fixture(scope="module")
def store() -> Store:
    return Store()


def drawn(chance: Random) -> m.Claim:
    """A claim, often one that is refused."""
    lines = [(chance.choice(SKUS), chance.randint(1, 3)) for _ in range(chance.randint(1, 4))]
    fields: dict[str, Any] = {
        "channel": chance.choice(CHANNELS),
        "service_key": chance.choice(SERVICES),
        "allow_partial": chance.random() < 0.5,
        "ttl_ns": chance.choice((0, MINUTE_NS, 7)),
    }
    if chance.random() < 0.5:
        return ship(lines, chance.choice(CODES), **fields)
    return pickup(lines, chance.choice(STORES), **fields)


@pytest.mark.parametrize("seed", SEEDS)
def test_asked_in_columns_and_one_by_one(store: Store, seed: int) -> None:
    chance = Random(seed)
    pool, now_ns = store.machine.pool, store.now_ns
    claims = [drawn(chance) for _ in range(30)]
    columns = m.ClaimColumns.of(claims)
    assert [*columns] == claims
    (items, lines, excluded, _), subjects = ask_many(pool, columns, now_ns)
    questions = [ask(pool, claim, now_ns) for claim in claims]
    assert items[:, c.ITEM_OUTCOME].tolist() == [question.refusal for question in questions], f"seed {seed}"
    assert subjects == tuple((at, question.subject) for at, question in enumerate(questions) if question.refusal)
    asked = [question for question in questions if not question.refusal]
    theirs = store.machine._planner._asked(asked)
    ours = items[items[:, c.ITEM_OUTCOME] == 0]
    first = ours[:, c.ITEM_FIRST_LINE].copy()
    ours[:, c.ITEM_FIRST_LINE] = theirs[0][:, c.ITEM_FIRST_LINE]
    np.testing.assert_array_equal(ours, theirs[0], err_msg=f"seed {seed}")
    for row, question in zip(first, asked, strict=True):
        taken = lines[row : row + len(question.lines)]
        assert taken[:, [c.LINE_SKU, c.LINE_UNITS]].tolist() == [list(line) for line in question.lines]
        assert taken[:, c.LINE_GRAMS].tolist() == [pool.network.skus[sku].weight_grams for sku, _ in question.lines]
    assert excluded.size == 0


def test_every_refusal_is_drawn(store: Store) -> None:
    outcomes = set()
    for seed in SEEDS:
        chance = Random(seed)
        claims = m.ClaimColumns.of([drawn(chance) for _ in range(30)])
        asked, _ = ask_many(store.machine.pool, claims, store.now_ns)
        outcomes |= set(asked[0][:, c.ITEM_OUTCOME].tolist())
    assert outcomes == {
        0, Outcome.UNKNOWN_CHANNEL, Outcome.UNKNOWN_SKU, Outcome.UNKNOWN_NODE, Outcome.UNKNOWN_DESTINATION,
        Outcome.UNKNOWN_SERVICE, Outcome.NODE_NOT_IN_CHANNEL, Outcome.NODE_LACKS_SERVICE,
    }  # fmt: skip


# At the border

GOOD = pb.ReservationRequest(
    channel_key="web", lines=[LineItem(sku_key="red", units=2)], ship_to=Destination(postal_code="10001")
)
STORE_ITEM = pb.ReservationRequest(
    channel_key="web", lines=[LineItem(sku_key="red", units=2)], pickup_node_key="east", ttl=Duration(seconds=9)
)
NO_LINES = pb.ReservationRequest(channel_key="web", ship_to=Destination(postal_code="10001"))
NO_PLACE = pb.ReservationRequest(channel_key="web", lines=[LineItem(sku_key="red", units=2)])
LONG = "x" * 1_000


def spoiled(**fields: Any) -> pb.ReservationRequest:
    """The good item with other fields."""
    item = pb.ReservationRequest(**fields)
    whole = pb.ReservationRequest()
    whole.CopyFrom(GOOD)
    if item.lines:
        del whole.lines[:]
    whole.MergeFrom(item)
    if item.WhichOneof("fulfillment") == "pickup_node_key":
        whole.pickup_node_key = item.pickup_node_key
    return whole


BAD = {
    "no lines": NO_LINES,
    "no place": NO_PLACE,
    "no channel": pb.ReservationRequest(lines=GOOD.lines, ship_to=GOOD.ship_to),
    "long channel": spoiled(channel_key=LONG),
    "control character": spoiled(channel_key="we\x07b"),
    "no SKU": spoiled(lines=[LineItem(units=1)]),
    "long SKU": spoiled(lines=[LineItem(sku_key=LONG, units=1)]),
    "SKU that cannot be printed": spoiled(lines=[LineItem(sku_key="r\x00d", units=1)]),
    "no units": spoiled(lines=[LineItem(sku_key="red")]),
    "fewer than no units": spoiled(lines=[LineItem(sku_key="red", units=-1)]),
    "too many units": spoiled(lines=[LineItem(sku_key="red", units=2**62)]),
    "too many lines": spoiled(lines=[LineItem(sku_key=f"red-{line}", units=1) for line in range(11)]),
    "short code": spoiled(ship_to=Destination(postal_code="1")),
    "long code": spoiled(ship_to=Destination(postal_code="1" * 17)),
    "code that cannot be printed": spoiled(ship_to=Destination(postal_code="100\x7f")),
    "empty store": spoiled(pickup_node_key=""),
    "long store": spoiled(pickup_node_key=LONG),
    "long service": spoiled(service_key=LONG),
    "service that cannot be printed": spoiled(service_key="gro\nund"),
    "no time": spoiled(ttl=Duration()),
    "less than no time": spoiled(ttl=Duration(seconds=-5)),
    "too much time": spoiled(ttl=Duration(seconds=10**9)),
}


def problems(items: list[pb.ReservationRequest], rules: Rules) -> list[Any]:
    """What is wrong with a batch."""
    with pytest.raises(InvalidRequest) as caught:
        convert.batch_reserve(pb.BatchReserveRequest(request_id="b", reservations=items), rules)
    return list(caught.value.problems)


@pytest.mark.parametrize("item", BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("neighbour", [GOOD, STORE_ITEM], ids=["shipped", "collected"])
def test_what_is_wrong_with_an_item(
    store: Store, item: pb.ReservationRequest, neighbour: pb.ReservationRequest
) -> None:
    rules = Rules(store.machine.pool.limits, store.machine.pool.names)
    found = problems([neighbour, item, neighbour], rules)
    with pytest.raises(InvalidRequest) as caught:
        convert.reserve(pb.ReserveRequest(request_id="b", reservation=item), rules)
    alone = caught.value.problems
    assert [problem.field for problem in found] == [
        problem.field.replace("reservation.", "reservations[1].") for problem in alone
    ]
    assert [problem.description for problem in found] == [problem.description for problem in alone]


def test_a_batch_without_items(store: Store) -> None:
    rules = Rules(store.machine.pool.limits, store.machine.pool.names)
    assert [problem.field for problem in problems([], rules)] == ["reservations"]


def test_items_as_they_were_meant(store: Store) -> None:
    rules = Rules(store.machine.pool.limits, store.machine.pool.names)
    command = convert.batch_reserve(pb.BatchReserveRequest(request_id="b", reservations=[GOOD, STORE_ITEM]), rules)
    one_by_one = [
        convert.reserve(pb.ReserveRequest(request_id="b", reservation=item), rules).claim for item in (GOOD, STORE_ITEM)
    ]
    assert isinstance(command.claims, m.ClaimColumns)
    assert [*command.claims] == one_by_one


@pytest.mark.parametrize(
    "item",
    [GOOD, STORE_ITEM, spoiled(service_key="express", allow_partial=True, ttl=Duration(seconds=60, nanos=7))],
    ids=["shipped", "collected", "everything said"],
)
def test_the_short_road_of_a_claim_reads_what_the_long_one_reads(store: Store, item: pb.ReservationRequest) -> None:
    check = Rules(store.machine.pool.limits, store.machine.pool.names).check()
    short = convert._well_formed_claim(item, check.limits)
    assert short is not None
    assert short == convert._claim(check, "", item)
    check.done()


@pytest.mark.parametrize("item", BAD.values(), ids=BAD.keys())
def test_the_short_road_is_closed_to_what_is_wrong(store: Store, item: pb.ReservationRequest) -> None:
    assert convert._well_formed_claim(item, store.machine.pool.limits) is None


def test_a_channel_without_a_service_of_its_own_names_no_key() -> None:
    store = Store()
    store.stock(("A", "dc", 5))
    store.tell(m.PutRoutingPolicy, policy=RoutingPolicy("default", 0, allow_unit_split=False, default_service_key=""))
    claims = m.ClaimColumns.of(
        [ship([("A", 1)]), ship([("A", 1)], service_key="drone"), ship([("A", 1)], service_key="ground")]
    )
    reply = store.tell(m.BatchReserve, claims=claims)
    outcomes = np.frombuffer(reply.columns, dtype="<i8").reshape(3, -1)[:, 0].tolist()
    assert outcomes == [Outcome.UNKNOWN_SERVICE, Outcome.UNKNOWN_SERVICE, Outcome.OK]
    assert reply.subjects == ((1, "drone"),)
