"""A world of the bench's own in an empty server, and the recount that shows that nothing in it was sold twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from engine.bench.plan import BenchError, Goods, Indexes
from engine.client import AsyncClient, StockpoolError
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import types_pb2

CHANNEL = "stockpool-bench"
_PUT_ROWS = 1_000
_IMPORT_ROWS = 20_000
_READ_ROWS = 1_000
_INDEX_ROWS = 20_000
_ANSWER_S = 600.0


@dataclass(frozen=True, slots=True)
class Recount:
    """What was found when nobody called any more."""

    skus: int
    granted_units: int
    unknown_units: int
    """Of calls that were not answered: granted or not."""
    problems: tuple[str, ...]
    """Empty: nothing was oversold, and every granted unit is held."""

    @property
    def is_ok(self) -> bool:
        """Whether all is as it should be."""
        return not self.problems


def goods_of_world(skus: int, nodes: int) -> Goods:
    """The keys of a world."""
    return Goods(
        CHANNEL, tuple(f"bench-{n:07}" for n in range(skus)), node_keys=tuple(f"bench-{n:05}" for n in range(nodes))
    )


async def put_world(client: AsyncClient, goods: Goods, units: int) -> None:
    """Put nodes, SKUs, a channel and ``units`` of every SKU at every node into a server that holds nothing yet.

    Raises:
        BenchError: it holds something: a bench leaves other people's stock alone.
    """
    status = await client.get_status(admin.GetStatusRequest())
    if status.node_count or status.sku_count:
        raise BenchError(
            "the server holds a store already",
            f"{status.node_count:,} nodes, {status.sku_count:,} SKUs; a world is made in an empty server only",
            "name what may be reserved there with --channel, --sku and --node or --ship-to, or leave --server out",
        )
    keys = goods.node_keys
    for first in range(0, len(keys), _PUT_ROWS):
        nodes = [network.Node(node_key=key, offers_pickup=True) for key in keys[first : first + _PUT_ROWS]]
        _done(await client.put_nodes(network.PutNodesRequest(nodes=nodes)))
    for first in range(0, len(goods.sku_keys), _PUT_ROWS):
        skus = [network.Sku(sku_key=key) for key in goods.sku_keys[first : first + _PUT_ROWS]]
        _done(await client.put_skus(network.PutSkusRequest(skus=skus)))
    channel = network.Channel(channel_key=goods.channel_key, node_keys=keys)
    _done(await client.put_channels(network.PutChannelsRequest(channels=[channel])))
    rows_each = max(1, _IMPORT_ROWS // len(keys))
    for first in range(0, len(goods.sku_keys), rows_each):
        part = goods.sku_keys[first : first + rows_each]
        message = inventory.ImportStockRequest(
            sku_keys=[sku for sku in part for _ in keys],
            node_keys=keys * len(part),
            on_hand_units=[units] * len(keys) * len(part),
        )
        _done(await client.import_stock([message]))


async def learned(client: AsyncClient, goods: Goods) -> Goods:
    """The same goods with the indexes that calls in columns take."""
    nodes = await client.get_indexes(network.GetIndexesRequest(node_keys=goods.node_keys))
    _done(nodes)
    directory, skus = nodes.directory, list[int]()
    for first in range(0, len(goods.sku_keys), _INDEX_ROWS):
        part = goods.sku_keys[first : first + _INDEX_ROWS]
        told = await client.get_indexes(network.GetIndexesRequest(sku_keys=part))
        _done(told)
        directory = told.directory
        skus += told.sku_indexes
    return replace(goods, indexes=Indexes(directory, tuple(skus), tuple(nodes.node_indexes)))


async def recount(
    client: AsyncClient, goods: Goods, units: int, granted: Counter[int], unknown: Counter[int]
) -> Recount:
    """Compare what the server still has of every SKU with what it granted, its totals too, and let it audit itself."""
    problems: list[str] = []
    whole = units * len(goods.node_keys)
    for first in range(0, len(goods.sku_keys), _READ_ROWS):
        request = inventory.BatchGetAvailabilityRequest(
            channel_key=goods.channel_key,
            sku_keys=goods.sku_keys[first : first + _READ_ROWS],
            kind=types_pb2.FULFILLMENT_KIND_PICKUP,
        )
        told = await client.batch_get_availability(request)
        for sku, one in enumerate(told.availabilities, first):
            problems += problem_of(one.sku_key, whole - one.ats_units, whole, granted[sku], unknown[sku])
    status = await client.get_status(admin.GetStatusRequest())
    sum_granted, sum_unknown = granted.total(), unknown.total()
    problems += problem_of("all SKUs", status.reserved_units, whole * len(goods.sku_keys), sum_granted, sum_unknown)
    if status.shortage_units:
        problems.append(f"{status.shortage_units:,} units are promised that are not there")
    audited = await client.audit_invariants(admin.AuditInvariantsRequest(), timeout_s=_ANSWER_S)
    problems += [f"the server's audit: {one.invariant} of {one.subject}" for one in audited.findings]
    return Recount(len(goods.sku_keys), sum_granted, sum_unknown, tuple(problems))


def problem_of(what: str, held: int, whole: int, granted: int, unknown: int) -> list[str]:
    """What is wrong with the units held of something of which there are ``whole``, when so many were granted or may have been."""
    if held > whole:
        return [f"{what}: {held:,} units held, there are {whole:,}: oversold"]
    if not granted <= held <= granted + unknown:
        maybe = f" and up to {unknown:,} without an answer" if unknown else ""
        return [f"{what}: {held:,} units held, {granted:,} were granted{maybe}"]
    return []


def _done(response: Any) -> None:
    if response.result.outcome != types_pb2.OUTCOME_OK:
        name = types_pb2.Outcome.Name(response.result.outcome)
        raise BenchError("the server did not take the world", f"{name}: {response.result.detail}")


async def check_goods(client: AsyncClient, goods: Goods, lines: int) -> None:
    """See that what somebody named can be reserved.

    Raises:
        BenchError: it cannot; says why.
    """
    if len(goods.sku_keys) < lines:
        raise BenchError(
            f"{lines} lines need as many SKUs", f"{len(goods.sku_keys)} are named", "--sku once more, or fewer --lines"
        )
    if bool(goods.node_keys) == bool(goods.postal_code):
        raise BenchError(
            "it must be said how reservations go", "", "--node NODE (collected there) or --ship-to POSTAL_CODE"
        )
    request = inventory.BatchGetAvailabilityRequest(channel_key=goods.channel_key, sku_keys=goods.sku_keys)
    try:
        told = await client.batch_get_availability(request)
    except StockpoolError as error:
        raise BenchError(f"{error.call} failed ({error.reason or error.code.name})", error.message) from None
    for outcome, key in [
        (told.result.outcome, goods.channel_key),
        *((one.outcome, one.sku_key) for one in told.availabilities),
    ]:
        if outcome != types_pb2.OUTCOME_OK:
            raise BenchError(f"the server does not know {key}", types_pb2.Outcome.Name(outcome))
