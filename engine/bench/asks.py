"""The requests of a load, encoded before it begins, so that drawing and encoding them costs the load generator nothing while it measures.

Encoded messages may be joined: the fields of the second are added to the first. So a body is encoded once, used again and again, and gets a
fresh request id behind it each time.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from google.protobuf.duration_pb2 import Duration

from engine.bench.plan import BATCH, COLUMNS, RESERVE, Goods, Point
from stockpool.v1 import reservations_pb2 as pb
from stockpool.v1 import types_pb2

RESERVE_BODIES = 8_192
BATCH_ROWS = 65_536
"""Reservations in all the bodies of batches together."""
PATHS = {
    RESERVE: "/stockpool.v1.ReservationService/Reserve",
    BATCH: "/stockpool.v1.ReservationService/BatchReserve",
    COLUMNS: "/stockpool.v1.ReservationService/BatchReserve",
}


@dataclass(frozen=True, slots=True)
class Body:
    """One request without its id, and the positions of the SKUs that each of its reservations wants a unit of."""

    encoded: bytes
    skus: tuple[tuple[int, ...], ...]

    def with_id(self, request_id: str) -> bytes:
        """The whole request. The id is field 1 of every request."""
        text = request_id.encode()
        assert len(text) < 128, "the length is one byte"
        return b"\x0a" + bytes((len(text),)) + text + self.encoded


Drawn = tuple[tuple[int, ...], int]
"""The SKUs of a reservation and the node where it is collected, by position; −1: it is shipped."""


def draw(goods: Goods, point: Point, chance: random.Random) -> Drawn:
    """One reservation; each line is of another SKU."""
    skus = chance.sample(range(len(goods.sku_keys)), point.lines)
    if point.hot and chance.random() < point.hot:
        skus = [0, *[sku for sku in skus if sku][: point.lines - 1]]
    return tuple(skus), chance.randrange(len(goods.node_keys)) if goods.node_keys else -1


def bodies(goods: Goods, point: Point, seed: int) -> list[Body]:
    """What a process goes through in order, again and again."""
    chance = random.Random(seed)  # noqa: S311 - what to ask for
    count = RESERVE_BODIES if point.call == RESERVE else max(4, BATCH_ROWS // point.items)
    return [_body(goods, point, [draw(goods, point, chance) for _ in range(point.items)]) for _ in range(count)]


def _body(goods: Goods, point: Point, drawn: list[Drawn]) -> Body:
    message: Any
    if point.call == COLUMNS:
        message = pb.BatchReserveRequest(columns=_columns(goods, drawn))
    elif point.call == BATCH:
        message = pb.BatchReserveRequest(reservations=[_reservation(goods, *one) for one in drawn])
    else:
        message = pb.ReserveRequest(reservation=_reservation(goods, *drawn[0]))
    return Body(message.SerializeToString(), tuple(skus for skus, _ in drawn))


def _reservation(goods: Goods, skus: tuple[int, ...], node: int) -> pb.ReservationRequest:
    lines = [types_pb2.LineItem(sku_key=goods.sku_keys[sku], units=1) for sku in skus]
    made = pb.ReservationRequest(channel_key=goods.channel_key, lines=lines)
    if node >= 0:
        made.pickup_node_key = goods.node_keys[node]
    else:
        made.ship_to.postal_code = goods.postal_code
    if goods.ttl_s:
        made.ttl.CopyFrom(_ttl(goods))
    return made


def _columns(goods: Goods, drawn: list[Drawn]) -> pb.ReservationColumns:
    assert goods.indexes is not None
    made = pb.ReservationColumns(
        channel_key=goods.channel_key,
        directory=goods.indexes.directory,
        line_counts=[len(drawn[0][0])],
        sku_indexes=[goods.indexes.skus[sku] for skus, _ in drawn for sku in skus],
        units=[1],
    )
    if goods.node_keys:
        made.pickup_node_indexes.extend(goods.indexes.nodes[node] for _, node in drawn)
    else:
        made.postal_codes.append(goods.postal_code)
    if goods.ttl_s:
        made.ttl.CopyFrom(_ttl(goods))
    return made


def _ttl(goods: Goods) -> Duration:
    return Duration(seconds=int(goods.ttl_s), nanos=int(goods.ttl_s % 1 * 1e9))


def outcomes(call: str, response: bytes) -> list[int]:
    """The outcome of each reservation of a response."""
    if call == COLUMNS:
        columns = pb.BatchReserveResponse.FromString(response).columns
        # Without refusals there is no column of outcomes.
        return list(columns.outcomes) or [types_pb2.OUTCOME_OK] * len(columns.reservation_ids)
    if call == BATCH:
        return [result.outcome for result in pb.BatchReserveResponse.FromString(response).results]
    return [pb.ReserveResponse.FromString(response).result.outcome]
