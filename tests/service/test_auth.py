"""Credentials: none, wrong ones, and what they do not cover."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
import pytest

from engine.client import AsyncClient, StockpoolError
from engine.service.auth import Auth
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import fulfillment_pb2 as fulfillment
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import orders_pb2 as orders
from stockpool.v1 import reservations_pb2 as reservations
from stockpool.v1 import returns_pb2 as returns
from tests.service.world import Outcome, World, fill, ingest, lines, open_world, place, reserve


def credential(name: str, **fields: Any) -> dict[str, Any]:
    everything = {"calls": ["*"], "nodes": ["*"], "channels": ["*"]}
    return {"name": name, "token_sha256": sha256(f"secret of {name}".encode()).hexdigest(), **everything, **fields}


STORE_CALLS = ["FulfillmentService/*", "InventoryService/*", "ReturnService/*", "OrderService/PlaceOrder"]
CREDENTIALS = [
    credential("admin"),
    credential("shop-e", calls=STORE_CALLS, nodes=["shop-e"]),
    credential("market", channels=["market"]),
    credential("display", calls=["InventoryService/GetAvailability"]),
]


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[World]:
    """The sample network behind credentials; the client is the administrator's."""
    file = tmp_path / "credentials.json"
    file.write_text(json.dumps(CREDENTIALS), encoding="utf-8")
    async with open_world(auth_file=file, token="secret of admin") as world:
        yield world


async def denied(world: World, name: str, method: str, request: Any) -> str:
    async with AsyncClient(world.target, token=f"secret of {name}", retries=0) as client:
        with pytest.raises(StockpoolError) as caught:
            await getattr(client, method)(request)
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")
    return caught.value.message


async def allowed(world: World, name: str, method: str, request: Any) -> Any:
    async with AsyncClient(world.target, token=f"secret of {name}", retries=0) as client:
        return await getattr(client, method)(request)


@pytest.mark.parametrize("token", [None, "", "secret of nobody", "secret of admin2"])
async def test_unauthenticated(guarded: World, token: str | None) -> None:
    async with AsyncClient(guarded.target, token=token, retries=0) as client:
        for call in (client.reserve(reserve(("sku-1", 1))), client.get_limits(admin.GetLimitsRequest())):
            with pytest.raises(StockpoolError) as caught:
                await call
            assert caught.value.code == grpc.StatusCode.UNAUTHENTICATED
            assert caught.value.reason == "UNAUTHENTICATED"
        with pytest.raises(StockpoolError) as caught:
            await anext(client.stream_events(admin.StreamEventsRequest()))
        assert caught.value.reason == "UNAUTHENTICATED"
        with pytest.raises(StockpoolError) as caught:
            await client.import_stock([inventory.ImportStockRequest()])
        assert caught.value.reason == "UNAUTHENTICATED"


async def test_other_scheme_is_not_a_token(guarded: World) -> None:
    async with AsyncClient(guarded.target, retries=0) as client:
        client.metadata = (("authorization", "Basic c2VjcmV0"),)
        with pytest.raises(StockpoolError) as caught:
            await client.get_limits(admin.GetLimitsRequest())
        assert caught.value.reason == "UNAUTHENTICATED"


async def test_call_not_covered(guarded: World) -> None:
    assert "ReservationService/Reserve" in await denied(guarded, "display", "reserve", reserve(("sku-1", 1)))
    assert "GetStatus" in await denied(guarded, "shop-e", "get_status", admin.GetStatusRequest())
    request = inventory.GetAvailabilityRequest(channel_key="web", sku_key="sku-1")
    assert (await allowed(guarded, "display", "get_availability", request)).result.outcome == Outcome.OK


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("record_sale", inventory.RecordSaleRequest(node_key="shop-w", channel_key="till", lines=lines(("sku-1", 1)))),
        ("set_stock", inventory.SetStockRequest(sku_key="sku-1", node_key="shop-w", on_hand_units=1)),
        ("place_order", place("o", ("sku-1", 1), pickup_node_key="shop-w")),
        ("list_fulfillment_orders", fulfillment.ListFulfillmentOrdersRequest(node_key="shop-w")),
        ("list_fulfillment_orders", fulfillment.ListFulfillmentOrdersRequest(order_id=1)),
        ("receive_return", returns.ReceiveReturnRequest(return_id=1)),
        (
            "authorize_return",
            returns.AuthorizeReturnRequest(
                channel_key="till", drop_off_node_key="shop-w", lines=[returns.ReturnItem(sku_key="sku-1", units=1)]
            ),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_another_stores_node(guarded: World, method: str, request_: Any) -> None:
    assert "node" in await denied(guarded, "shop-e", method, request_)


async def test_own_node(guarded: World) -> None:
    await allowed(
        guarded, "shop-e", "set_stock", inventory.SetStockRequest(sku_key="sku-1", node_key="shop-e", on_hand_units=5)
    )
    placed = await allowed(guarded, "shop-e", "place_order", place("o", ("sku-1", 1), pickup_node_key="shop-e"))
    work = placed.order.fulfillment_order_ids[0]
    for method, request in (
        ("mark_ready", fulfillment.MarkReadyRequest(fulfillment_order_id=work)),
        ("hand_over", fulfillment.HandOverRequest(fulfillment_order_id=work, request_id="once")),
        ("hand_over", fulfillment.HandOverRequest(fulfillment_order_id=work, request_id="once")),
    ):
        assert (await allowed(guarded, "shop-e", method, request)).result.outcome == Outcome.OK


async def test_work_of_another_node(guarded: World) -> None:
    await guarded.stock("sku-1", "east", 5)
    placed = await guarded.client.place_order(place("o", ("sku-1", 1)))
    work = placed.order.fulfillment_order_ids[0]
    request = fulfillment.AcceptRequest(fulfillment_order_id=work)
    assert "'east'" in await denied(guarded, "shop-e", "accept", request)
    assert (await guarded.client.accept(request)).result.outcome == Outcome.OK
    unknown = await allowed(guarded, "shop-e", "accept", fulfillment.AcceptRequest(fulfillment_order_id=work + 1))
    assert unknown.result.outcome == Outcome.UNKNOWN_FULFILLMENT_ORDER


async def test_who_owns_what_is_asked_in_one_small_question(guarded: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step of every store asks it, so it may not depend on how much work is remembered."""
    await guarded.stock("sku-1", "shop-e", 5)
    placed = await guarded.client.place_order(place("o", ("sku-1", 1), pickup_node_key="shop-e"))
    asked: list[str] = []
    submit = guarded.writer.submit

    def noted(work: Any, *deadline: float) -> Any:
        asked.append(type(work).__name__)
        return submit(work, *deadline)

    monkeypatch.setattr(guarded.writer, "submit", noted)
    request = fulfillment.MarkReadyRequest(fulfillment_order_id=placed.order.fulfillment_order_ids[0])
    assert (await allowed(guarded, "shop-e", "mark_ready", request)).result.outcome == Outcome.OK
    denied_cancel = orders.CancelOrderRequest(order_id=placed.order.order_id)
    assert "'web'" in await denied(guarded, "market", "cancel_order", denied_cancel)
    assert asked == ["FindOwners", "MarkReady", "FindOwners"]


async def test_import_of_another_node(guarded: World) -> None:
    async with AsyncClient(guarded.target, token="secret of shop-e", retries=0) as client:
        own = inventory.ImportStockRequest(sku_keys=["sku-1"], node_keys=["shop-e"], on_hand_units=[3])
        both = inventory.ImportStockRequest(
            sku_keys=["sku-1", "sku-1"], node_keys=["shop-e", "shop-w"], on_hand_units=[4, 4]
        )
        assert (await client.import_stock([own])).applied_count == 1
        with pytest.raises(StockpoolError) as caught:
            await client.import_stock([both])
        assert "'shop-w'" in caught.value.message


async def test_another_channel(guarded: World) -> None:
    await guarded.stock("sku-1", "east", 9)
    assert "'web'" in await denied(guarded, "market", "reserve", reserve(("sku-1", 1)))
    assert "'web'" in await denied(guarded, "market", "place_order", place("o", ("sku-1", 1)))
    booked = await allowed(guarded, "market", "ingest_order", ingest("m", ("sku-1", 1)))
    own = orders.GetOrderRequest(order_id=booked.order.order_id)
    assert (await allowed(guarded, "market", "get_order", own)).order.order_key == "m"


async def test_what_is_named_by_id_alone(guarded: World) -> None:
    """A reservation and an order of the web channel are not the marketplace's to end, nor to read."""
    await guarded.stock("sku-1", "east", 9)
    held = (await guarded.client.reserve(reserve(("sku-1", 1)))).reservation.reservation_id
    order = (await guarded.client.place_order(place("o", ("sku-1", 1)))).order.order_id
    for method, request in (
        ("release_reservation", reservations.ReleaseReservationRequest(reservation_id=held)),
        ("get_reservation", reservations.GetReservationRequest(reservation_id=held)),
        ("get_order", orders.GetOrderRequest(order_id=order)),
        ("cancel_order", orders.CancelOrderRequest(order_id=order)),
        ("list_fulfillment_orders", fulfillment.ListFulfillmentOrdersRequest(order_id=order)),
    ):
        assert "'web'" in await denied(guarded, "market", method, request)
    unknown = orders.CancelOrderRequest(order_id=999)
    assert (await allowed(guarded, "market", "cancel_order", unknown)).result.outcome == Outcome.UNKNOWN_ORDER


async def test_put_of_another_channel(guarded: World) -> None:
    channels = [network.Channel(channel_key=key) for key in ("market", "web")]
    assert "'web'" in await denied(guarded, "market", "put_channels", network.PutChannelsRequest(channels=channels))


async def test_without_a_file_every_call_is_open() -> None:
    async with open_world(filled=False) as world, AsyncClient(world.target, token="whatever", retries=0) as client:
        await fill(client)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "is not JSON"),
        ("{}", "must hold a list"),
        ("[4]", "entry 0: must be an object"),
        ('[{"token_sha256": "00"}]', "name is missing"),
        (json.dumps([credential("a", token_sha256="secret")]), "64 hexadecimal digits"),
        (json.dumps([credential("a", calls="*")]), "calls must be a list"),
        (json.dumps([credential("a", calls=["Reserve"])]), "there is no call 'Reserve'"),
        (json.dumps([credential("a", node=["x"])]), "does not know ['node']"),
        (json.dumps([credential("a"), credential("a")]), "entry 1 has the token of 'a'"),
    ],
)
def test_a_bad_file_is_refused_at_start(tmp_path: Path, content: str, complaint: str) -> None:
    file = tmp_path / "credentials.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"auth_file .*credentials\.json") as caught:
        Auth.load(file)
    assert complaint in str(caught.value)


def test_a_missing_file_is_refused_at_start(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        Auth.load(tmp_path / "nothing.json")
