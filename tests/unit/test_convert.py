"""Messages to commands and replies to messages, without a server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from google.protobuf.duration_pb2 import Duration

from engine.model import outcomes
from engine.model.commands import Claim, PlaceOrder, Reserve, SetStock
from engine.model.limits import Limits
from engine.model.outcomes import CommandKind, StockReason
from engine.model.replies import BatchReserveReply, Cost, Leg, Plain, ReserveReply, Shortage
from engine.service.convert import inventory, orders, reservations
from engine.service.errors import BadPageToken, InvalidRequest, Problem, status_of
from engine.service.fields import Check, Rules, fingerprint, shown
from engine.service.paging import read_token, write_token
from stockpool.v1 import inventory_pb2, orders_pb2, reservations_pb2
from stockpool.v1.types_pb2 import Destination, LineItem, Money

SECOND_NS = 1_000_000_000
Outcome: Any = outcomes.Outcome
FulfillmentKind: Any = outcomes.FulfillmentKind
FINGERPRINT = -1_347_331_926_735_236_364
"""Of ``request()`` as Reserve."""


@dataclass
class Keys:
    """Names without a pool."""

    currency_code: str = "USD"
    sku_keys: list[str] = field(default_factory=lambda: ["red", "blue"])
    node_keys: list[str] = field(default_factory=lambda: ["east", "west"])
    channel_keys: list[str] = field(default_factory=lambda: ["web"])

    def known(self, directory: str) -> tuple[int, int] | None:
        return (len(self.sku_keys), len(self.node_keys)) if directory == "mine" else None


RULES = Rules(Limits(), Keys())


def request() -> reservations_pb2.ReserveRequest:
    return reservations_pb2.ReserveRequest(
        request_id="r-1",
        reservation=reservations_pb2.ReservationRequest(
            channel_key="web",
            lines=[LineItem(sku_key="red", units=2), LineItem(sku_key="blue", units=1)],
            ship_to=Destination(postal_code="10001"),
            ttl=Duration(seconds=90, nanos=5),
        ),
    )


def test_reserve() -> None:
    command = reservations.reserve(request(), RULES)
    claim = Claim(
        "web",
        (("red", 2), ("blue", 1)),
        FulfillmentKind.SHIP,
        "10001",
        "",
        "",
        allow_partial=False,
        ttl_ns=90 * SECOND_NS + 5,
    )
    assert command == Reserve("r-1", fingerprint(request(), CommandKind.RESERVE), claim)


def test_reserve_without_ttl_has_the_default() -> None:
    message = request()
    message.reservation.ClearField("ttl")
    assert reservations.reserve(message, RULES).claim.ttl_ns == Limits().reservation_ttl_default_ns


def test_set_stock_tells_absent_from_zero() -> None:
    message = inventory_pb2.SetStockRequest(request_id="s", sku_key="red", node_key="east", on_hand_units=0)
    command = inventory.set_stock(message, RULES)
    assert isinstance(command, SetStock)
    assert (command.on_hand_units, command.safety_stock_units, command.expected_on_hand_units) == (0, None, None)
    assert command.reason == StockReason.UNSPECIFIED


def test_place_order_from_a_reservation_keeps_the_address() -> None:
    message = orders_pb2.PlaceOrderRequest(
        request_id="p", channel_key="web", order_key="o", reservation_id=5, ship_to=Destination(postal_code="10002")
    )
    command = orders.place_order(message, RULES)
    assert isinstance(command, PlaceOrder)
    assert (command.claim, command.lines, command.postal_code) == (None, (), "10002")


def test_fingerprints_stay_what_they_were() -> None:
    """They are in journals: another number would turn every repeated request into REQUEST_ID_REUSED."""
    assert fingerprint(request(), CommandKind.RESERVE) == FINGERPRINT
    assert fingerprint(request(), CommandKind.SHIP) != FINGERPRINT, "another call"
    other = request()
    other.reservation.lines[0].units = 3
    assert fingerprint(other, CommandKind.RESERVE) != FINGERPRINT
    assert all(-(2**63) <= fingerprint(request(), kind) < 2**63 for kind in CommandKind)


def test_money_of_another_currency() -> None:
    check = Check(RULES)
    assert check.money("price", Money(micros=5)) == 5
    assert check.money("price", Money(currency_code="USD", micros=5)) == 5
    check.done()
    check.money("price", Money(currency_code="EUR", micros=5))
    with pytest.raises(InvalidRequest) as caught:
        check.done()
    (problem,) = caught.value.problems
    assert problem == Problem("price.currency_code", "is EUR; this store keeps all amounts in USD")


def test_store_without_a_currency_takes_any() -> None:
    check = Check(Rules(Limits(), Keys(currency_code="")))
    check.money("price", Money(currency_code="EUR", micros=5))
    check.done()


def test_reserve_reply() -> None:
    reply = ReserveReply(
        Outcome.PARTIAL,
        "",
        7,
        0,
        FulfillmentKind.PICKUP,
        3 * SECOND_NS + 1,
        9 * SECOND_NS,
        (Leg(0, 0, 1, 2),),
        Cost(6, 3, 2, 1, 1, exact=True),
        (Shortage(1, 1, 4, 0),),
    )
    response = reservations.RESERVE.answer(12, reply, Keys())  # type: ignore[arg-type]
    held = response.reservation
    assert (response.result.outcome, response.result.journal_seq) == (Outcome.PARTIAL, 12)
    assert (held.reservation_id, held.channel_key, held.kind) == (7, "web", FulfillmentKind.PICKUP)
    assert (held.create_time.ToNanoseconds(), held.expire_time.ToNanoseconds()) == (3 * SECOND_NS + 1, 9 * SECOND_NS)
    assert [(leg.sku_key, leg.node_key, leg.units) for leg in held.legs] == [("red", "west", 2)]
    assert [response.cost.total.micros, response.cost.split_penalty.micros, response.cost.package_count] == [6, 1, 1]
    assert [(short.line_index, short.sku_key) for short in response.shortages] == [(1, "blue")]


def test_plain_reply_is_the_judgement_alone() -> None:
    response = reservations.RESERVE.answer(3, Plain(Outcome.UNKNOWN_SKU, "green"), Keys())  # type: ignore[arg-type]
    assert response.result.detail == 'There is no SKU "green".'
    assert not response.HasField("reservation")


def test_batch_reply() -> None:
    rows = np.array([[1, 9, 5 * SECOND_NS, -1, 0], [52, 0, 0, 2, 4], [11, 0, 0, -1, 0]], dtype="<i8")
    reply = BatchReserveReply(Outcome.OK, "", rows.tobytes(), ((2, "green"),))
    response = reservations.BATCH_RESERVE.answer(3, reply, Keys())  # type: ignore[arg-type]
    first, second, third = response.results
    assert (first.outcome, first.reservation_id, first.expire_time.seconds) == (Outcome.OK, 9, 5)
    assert (second.outcome, second.line_index, second.available_units) == (Outcome.INSUFFICIENT_STOCK, 2, 4)
    assert (third.outcome, third.subject, third.line_index) == (Outcome.UNKNOWN_SKU, "green", 0)


@pytest.mark.parametrize("cursor", [0, 1, 2**62])
def test_page_tokens_come_back(cursor: int) -> None:
    token = write_token("ListSkus", cursor)
    assert read_token("ListSkus", token) == cursor
    with pytest.raises(BadPageToken):
        read_token("ListNodes", token)
    with pytest.raises(BadPageToken):
        read_token("ListSkus", token[:-3])


def test_details_fit_into_trailers() -> None:
    """Peers cut metadata off at 8 KiB, base64 included."""
    problems = [
        Problem(f"lines[{number}].sku_key", f"has control characters: {shown(chr(7) * 999)}") for number in range(999)
    ]
    status = status_of(InvalidRequest(problems))
    assert len(status.SerializeToString()) * 4 / 3 < 7_000


def test_what_is_shown_is_cut() -> None:
    assert shown("short") == "'short'"
    assert len(shown("long" * 99)) <= 40
