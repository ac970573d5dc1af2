"""Each kind of call becomes the requests that the real caller would make, and the tally says what came of them."""

from typing import Any, cast

import grpc
import pytest

from engine.client import AsyncClient, StockpoolError
from engine.demo.player import Player
from engine.demo.scenario import (
    NS_PER_SECOND,
    Call,
    Disposition,
    Kind,
    Order,
    OrderLine,
    Receipt,
    RejectReason,
    Return,
    ReturnLine,
)
from engine.demo.stage import ServerGoneError
from engine.demo.tally import Figures
from stockpool.v1 import fulfillment_pb2 as fulfillment
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import types_pb2 as types
from tests.unit.counterpart import PaperServer, paper_scenario

HOUR_NS = 3_600 * NS_PER_SECOND
AT_STORE = {Kind.POS, Kind.PICKUP}


def order(kind: Kind, key: str = "o1", hour: int = 9, skus: tuple[str, ...] = ("tea",), **fate: Any) -> Order:
    return Order(
        kind=kind,
        channel_key="web",
        order_key=key,
        at_ns=hour * HOUR_NS,
        node_key="north" if kind in AT_STORE else "",
        postal_code="" if kind in AT_STORE else "10001",
        service_key="" if kind in AT_STORE else "ground",
        customer_key="c1",
        lines=tuple(OrderLine(sku, 2, 5_000_000) for sku in skus),
        **fate,
    )


def give_back(order_key: str = "o1", units: int = 1, hour: int = 10, node_key: str = "north") -> Return:
    line = ReturnLine(0 if order_key else -1, "tea", units, Disposition.RESTOCK)
    postal_code = "" if node_key else "10001"
    return Return("web", "r1", order_key, hour * HOUR_NS, node_key, postal_code, (line,))


async def play(server: PaperServer, *calls: Call, order_max: int | None = None) -> Player:
    player = Player(cast(AsyncClient, server), paper_scenario(calls), in_flight=4)
    await player.play(1, order_max)
    return player


def totals(player: Player) -> Figures:
    return player.tally.total()


async def test_a_till_sale_is_one_fact() -> None:
    server = PaperServer()
    player = await play(server, order(Kind.POS))
    assert server.calls == ["record_sale"]
    assert (totals(player).orders, totals(player).granted_units, totals(player).value_micros) == (1, 2, 10_000_000)
    assert player.tally.promised().orders == 0, "tills promise nothing"


async def test_a_pickup_is_held_placed_made_ready_and_handed_over() -> None:
    server = PaperServer()
    player = await play(server, order(Kind.PICKUP))
    assert server.calls == ["reserve", "place_order", "mark_ready", "hand_over"]
    assert server.requests[0].reservation.pickup_node_key == "north"
    assert totals(player).collected_orders == 1
    assert totals(player).fill_rate == 1


async def test_a_shipped_order_looks_holds_places_and_every_node_sends() -> None:
    server = PaperServer(packages=2)
    player = await play(server, order(Kind.SHIP))
    assert server.calls[:3] == ["get_fulfillment_options", "reserve", "place_order"]
    assert server.counts["accept"] == server.counts["ship"] == 2
    figures = totals(player)
    assert (figures.sent_orders, figures.split_orders, figures.packages) == (1, 1, 2)
    assert figures.cost_per_order_micros == 16_000_000
    assert figures.zones == {3: 2}


async def test_a_marketplace_order_is_ingested_and_sent() -> None:
    server = PaperServer()
    await play(server, order(Kind.MARKETPLACE))
    assert server.calls == ["ingest_order", "accept", "ship"]


async def test_short_units_of_a_marketplace_are_cancelled_after_a_while() -> None:
    server = PaperServer(short=["cup"])
    player = await play(server, order(Kind.MARKETPLACE, skus=("tea", "cup")))
    assert server.calls == ["ingest_order", "accept", "ship", "get_order", "cancel_order"]
    cancelled = server.requests[-1].lines
    assert [(line.line_index, line.units) for line in cancelled] == [(1, 2)]
    assert totals(player).fill_rate == 0.5
    assert totals(player).lost_units == 0, "they were never granted"


async def test_a_shopper_who_finds_too_little_leaves() -> None:
    server = PaperServer(short=["tea"])
    player = await play(server, order(Kind.SHIP), order(Kind.PICKUP, "o2"))
    assert server.counts == {"get_fulfillment_options": 1, "reserve": 1}
    assert totals(player).refused_orders == player.tally.refused_orders == 2
    assert totals(player).fill_rate == 0


async def test_a_rejected_package_is_sent_by_another_node() -> None:
    server = PaperServer()
    player = await play(server, order(Kind.SHIP, rejects=RejectReason.DAMAGED))
    assert server.calls[3:] == ["reject", "accept", "ship"]
    assert server.requests[3].reason == fulfillment.REJECT_REASON_DAMAGED
    assert (totals(player).rejected_work, totals(player).packages, totals(player).split_orders) == (1, 1, 0)


async def test_what_a_till_sold_cannot_be_found_by_the_next_picker() -> None:
    server = PaperServer()
    server.shortage_at_till = types.CellQuantities(sku_key="tea", node_key="north", atf_units=-1)
    player = await play(server, order(Kind.PICKUP, hour=9), order(Kind.POS, "o2", hour=9))
    assert server.counts["reject"] == 1
    assert server.calls[-2:] == ["get_order", "cancel_order"]
    assert "hand_over" not in server.calls
    assert totals(player).lost_units == 2


async def test_a_delivery_makes_up_for_what_a_till_sold() -> None:
    server = PaperServer()
    server.shortage_at_till = types.CellQuantities(sku_key="tea", node_key="north", atf_units=-1)
    delivery = Receipt("north", "d1", 9 * HOUR_NS, (("tea", 5),))
    await play(server, order(Kind.PICKUP, hour=9), order(Kind.POS, "o2", hour=9), delivery)
    assert "reject" not in server.calls
    assert server.calls[-1] == "hand_over"


async def test_a_cancelled_order_is_not_worked_on() -> None:
    server = PaperServer()
    player = await play(server, order(Kind.SHIP, cancels=True))
    assert server.calls[3:] == ["cancel_order"]
    assert totals(player).cancelled_orders == 1


async def test_abandoned_baskets_are_released_or_left_to_the_clock() -> None:
    server = PaperServer()
    baskets = [order(Kind.PICKUP, f"o{number}.x", abandons=True) for number in range(40)]
    player = await play(server, *baskets)
    forgotten = [one for one in server.requests if hasattr(one, "reservation") and one.reservation.ttl.seconds < 60]
    assert server.counts["reserve"] == 40
    assert server.counts["release_reservation"] == 40 - len(forgotten)
    assert 0 < len(forgotten) < 40
    assert "place_order" not in server.calls
    assert (totals(player).orders, totals(player).abandoned_baskets) == (0, 40)


async def test_goods_come_back_only_after_they_went_out() -> None:
    server = PaperServer()
    player = await play(server, order(Kind.SHIP, returns=True), give_back())
    assert server.calls[-3:] == ["ship", "authorize_return", "receive_return"]
    authorised = server.requests[-2]
    assert authorised.drop_off_node_key == "north"
    assert [(line.line_index, line.units) for line in authorised.lines] == [(0, 1)]
    assert totals(player).returned_units == 1


async def test_no_more_comes_back_than_went_out() -> None:
    server = PaperServer()
    await play(server, order(Kind.SHIP, returns=True), give_back(units=2), give_back(units=2, hour=11, node_key=""))
    assert server.counts["authorize_return"] == 1


async def test_a_refused_order_gives_nothing_back() -> None:
    server = PaperServer(short=["tea"])
    player = await play(server, order(Kind.SHIP, returns=True), give_back())
    assert "authorize_return" not in server.calls
    assert player.left_out_return_count == 1


async def test_a_receipt_is_enough_for_a_return() -> None:
    server = PaperServer()
    await play(server, give_back(order_key=""))
    assert server.calls == ["authorize_return", "receive_return"]
    assert server.requests[0].lines[0].sku_key == "tea"


async def test_further_parts_of_a_basket_are_no_orders_of_their_own() -> None:
    player = await play(PaperServer(), order(Kind.SHIP), order(Kind.SHIP, "o1.1", part=1))
    assert player.order_count == totals(player).orders == 1
    assert totals(player).asked_units == 4


async def test_no_more_orders_are_played_than_wanted() -> None:
    server = PaperServer()
    player = await play(server, *(order(Kind.POS, f"o{number}") for number in range(9)), order_max=4)
    assert player.order_count == server.counts["record_sale"] == 4


async def test_every_request_has_an_id_of_its_own() -> None:
    server = PaperServer()
    await play(server, *(order(kind, f"{kind}") for kind in Kind))
    ids = [request.request_id for request in server.requests if hasattr(request, "request_id")]
    assert len(set(ids)) == len(ids)
    assert all(ids)


async def test_an_answer_that_nobody_foresees_is_kept_as_a_surprise() -> None:
    server = PaperServer()
    refusal = types.Result(outcome=types.OUTCOME_UNKNOWN_NODE, subject="north")
    server.instead["record_sale"] = inventory.RecordSaleResponse(result=refusal)
    player = await play(server, order(Kind.POS))
    assert list(player.caller.surprises) == [("RecordSale", types.OUTCOME_UNKNOWN_NODE)]
    assert "north" in player.caller.surprises["RecordSale", types.OUTCOME_UNKNOWN_NODE]


class _Failure(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return "it said so"

    def trailing_metadata(self) -> tuple[()]:
        return ()


async def test_a_server_that_is_gone_ends_the_play() -> None:
    server = PaperServer()
    server.failure = StockpoolError("RecordSale", _Failure(grpc.StatusCode.UNAVAILABLE))
    with pytest.raises(ServerGoneError, match="it said so"):
        await play(server, order(Kind.POS))


async def test_a_call_that_fails_is_counted_and_the_others_go_on() -> None:
    server = PaperServer()
    server.failure = StockpoolError("RecordSale", _Failure(grpc.StatusCode.INTERNAL))
    player = await play(server, order(Kind.POS), order(Kind.POS, "o2"))
    assert player.caller.errors == {("RecordSale", "INTERNAL"): 2}
    assert "it said so" in player.caller.example_of_error


async def test_stopping_finishes_what_is_under_way_and_begins_nothing() -> None:
    server = PaperServer()
    player = Player(cast(AsyncClient, server), paper_scenario([order(Kind.SHIP)], [order(Kind.POS)]))
    server.before = lambda name: player.stop() if name == "reserve" else None
    await player.play(2)
    assert server.calls == ["get_fulfillment_options", "reserve", "place_order"]
    assert player.is_stopped
