"""Deadlocks and the order of locks: many carts of many lines in any order, all answered, none lost, none tried twice."""

from __future__ import annotations

import ast
from pathlib import Path
from random import Random

import pytest

from stockpool.v1 import fulfillment_pb2 as fulfillment
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import orders_pb2 as orders
from tests.failures.cases import case
from tests.failures.rush import Rush, outcomes
from tests.service.world import Outcome, lines, nodes, place, reserve

ENGINE = Path(__file__).parents[2] / "engine"
WAITS = {"Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition", "Barrier", "Event"}


@case(42)
async def test_allocations_and_stocks_are_locked_in_different_orders(rush: Rush) -> None:
    """saleor/saleor#17123: orders, cancels, receipts and rejects cross each other on the same cells; each call is answered."""
    skus = await rush.skus(3, east=80, west=80)

    async def buyer(number: int) -> int:
        client, chance = rush.clients[number], Random(number)
        cart = [(sku, 1) for sku in chance.sample(skus, 3)]
        order = (await client.place_order(place(f"{skus[0]}-{number}", *cart))).order
        for work in order.fulfillment_order_ids:
            await client.reject(fulfillment.RejectRequest(fulfillment_order_id=work, reason=5))  # type: ignore[arg-type]
        await client.cancel_order(orders.CancelOrderRequest(order_id=order.order_id))
        return order.order_id

    async def receiver(number: int) -> int:
        stock = lines(*((sku, 1) for sku in Random(number).sample(skus, 3)))
        answer = await rush.clients[number].receive_stock(
            inventory.ReceiveStockRequest(node_key="west" if number % 2 else "east", lines=stock)
        )
        return answer.result.outcome

    ids = await rush.at_once(buyer(number) for number in range(50))
    received = await rush.at_once([*(receiver(number) for number in range(50, 100))])
    assert set(received) == {Outcome.OK}
    assert len(set(ids)) == 50
    for sku in skus:
        cells = (await rush.cells(sku)).values()
        assert sum(cell.atf_units for cell in cells) == sum(cell.on_hand_units for cell in cells) == 160 + 50


@case(43)
async def test_baskets_in_opposite_order_wait_for_each_other(rush: Rush) -> None:
    """django-oscar/django-oscar#4594: A, B and B, A, five hundred times; both units or none."""
    one, two = await rush.skus(2, east=200)
    carts = [((one, 1), (two, 1)) if at % 2 else ((two, 1), (one, 1)) for at in range(500)]
    answers = await rush.call("place_order", [place(f"{one}-{at}", *cart) for at, cart in enumerate(carts)])
    assert outcomes(answers) == {Outcome.OK: 200, Outcome.INSUFFICIENT_STOCK: 300}
    assert {sku: (await rush.cell(sku)).allocated_units for sku in (one, two)} == {one: 200, two: 200}


@case(44, 46)
@pytest.mark.parametrize("seed", [44])
async def test_a_hundred_users_lose_a_few_orders(rush: Rush, seed: int) -> None:
    """magento/magento2#39417, magento/magento2#41224, nopSolutions/nopCommerce#6681: a hundred users place orders of several items in
    random order, from several warehouses; every order that was confirmed is there, whole.
    """
    chance = Random(seed)
    skus = await rush.skus(8, east=200, west=200)
    carts = [[(sku, chance.randint(1, 3)) for sku in chance.sample(skus, chance.randint(2, 6))] for _ in range(300)]
    answers = await rush.call("place_order", [place(f"{skus[0]}-{at}", *cart) for at, cart in enumerate(carts)])
    assert outcomes(answers) == {Outcome.OK: 300}
    assert len({answer.order.order_id for answer in answers}) == 300
    ordered = dict.fromkeys(skus, 0)
    for answer, cart in zip(answers, carts, strict=True):
        stored = await rush.order(answer.order.order_id)
        assert [(line.sku_key, line.allocated_units) for line in stored.lines] == cart
        for sku, units in cart:
            ordered[sku] += units
    for sku, units in ordered.items():
        assert sum(cell.allocated_units for cell in (await rush.cells(sku)).values()) == units


@case(45)
async def test_locking_stock_locks_its_parents(rush: Rush) -> None:
    """magento/magento2#6810: while SKUs, nodes and channels are written again and again, orders go on, and none fails."""
    skus = await rush.skus(2, east=100)
    entries = [network.Sku(sku_key=sku, title="changed", weight_grams=500) for sku in skus]
    channel = network.Channel(channel_key="web", all_nodes=True)
    parents = [
        rush.call("put_skus", [network.PutSkusRequest(skus=entries)] * 30),
        rush.call("put_nodes", [network.PutNodesRequest(nodes=nodes())] * 30),
        rush.call("put_channels", [network.PutChannelsRequest(channels=[channel])] * 30),
    ]
    cart = [(sku, 1) for sku in skus]
    answers, *put = await rush.at_once(
        [rush.call("place_order", [place(f"{skus[0]}-{at}", *cart) for at in range(100)]), *parents]
    )
    assert outcomes(answers) == {Outcome.OK: 100}
    assert [outcomes(each) for each in put] == [{Outcome.OK: 30}] * 3


@case(47)
def test_what_a_deadlock_lost_is_not_tried_again() -> None:
    """woocommerce/woocommerce#25708: there is nothing to deadlock on: what decides and what applies takes no lock, waits for nobody
    and never hands control to another task half way.
    """
    decided = [*(ENGINE / "core").glob("*.py"), *(ENGINE / "pool").glob("*.py"), *(ENGINE / "kernels").glob("*.py")]
    assert len(decided) > 20
    for path in decided:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not isinstance(node, ast.Await | ast.AsyncFunctionDef | ast.AsyncWith), path
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            assert not {"threading", "asyncio", "multiprocessing", *WAITS} & {*names}, path
            assert not (isinstance(node, ast.ImportFrom) and node.module in {"threading", "asyncio"}), path


@case(48)
@pytest.mark.parametrize("hot", [1, 10])
async def test_branches_drown_in_retries(rush: Rush, hot: int) -> None:
    """odoo/odoo#18553, odoo/odoo#62131: ten tills sell without a pause, on ten SKUs or on one; either way each request is decided once,
    nothing fails and nothing has to be sent again.
    """
    skus = await rush.skus(hot, shop_e=1_000)
    start = rush.seq

    async def till(number: int) -> None:
        for turn in range(20):
            sku = skus[(number + turn) % hot]
            request = inventory.RecordSaleRequest(node_key="shop-e", channel_key="till", lines=lines((sku, 1)))
            assert (await rush.clients[number].record_sale(request)).result.outcome == Outcome.OK
            held = await rush.clients[number].reserve(reserve((sku, 1), pickup_node_key="shop-e"))
            assert held.result.outcome == Outcome.OK

    await rush.at_once(till(number) for number in range(10))
    assert rush.seq - start == 10 * 20 * 2
    cells = [await rush.cell(sku, "shop-e") for sku in skus]
    assert sum(cell.on_hand_units for cell in cells) == hot * 1_000 - 200
    assert sum(cell.reserved_units for cell in cells) == 200
