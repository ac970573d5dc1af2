"""Columns without objects: the same bytes mean the same to the twin of a message as to its generated class."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest

from engine.kernels.varints import VARINT_BYTES_MAX, read_varints, write_varints
from engine.service.convert import wire
from stockpool.v1 import reservations_pb2 as pb

SEEDS = range(30)
READ = wire.reader(pb.BatchReserveRequest)


def numbers(seed: int) -> list[int]:
    """Numbers of all lengths, negative ones and the extremes among them."""
    chance = Random(seed)
    drawn = [chance.getrandbits(63) >> chance.randrange(63) for _ in range(chance.randrange(200))]
    return [*(-value - 1 if chance.random() < 0.2 else value for value in drawn), 0, -1, 2**63 - 1, -(2**63)]


def packed_by_protobuf(values: list[int]) -> bytes:
    """What the generated class writes for the array alone."""
    columns = pb.BatchReserveColumns(reservation_ids=values)
    twin = wire.columnar(pb.BatchReserveColumns.DESCRIPTOR).FromString(columns.SerializeToString())
    return bytes(twin.reservation_ids)


@pytest.mark.parametrize("seed", SEEDS)
def test_numbers_are_packed_as_protobuf_packs_them(seed: int) -> None:
    values = numbers(seed)
    content = packed_by_protobuf(values)
    assert wire.packed(np.array(values, dtype=np.int64)) == content, f"seed {seed}"
    found = wire.numbers(content)
    assert found is not None
    assert found.tolist() == values, f"seed {seed}"


@pytest.mark.parametrize("content", [b"\x80", b"\x01\xff", b"\xff" * 10, b"\xff" * 11 + b"\x01"])
def test_what_are_no_numbers_is_said(content: bytes) -> None:
    assert wire.numbers(content) is None


def test_no_more_numbers_than_there_is_room_for() -> None:
    room = np.zeros(2, dtype=np.int64)
    assert read_varints(np.frombuffer(b"\x01\x02\x03", dtype=np.uint8), room) == -1
    assert room.tolist() == [1, 2]


def test_the_longest_number_has_the_room_it_is_given() -> None:
    room = np.zeros(VARINT_BYTES_MAX, dtype=np.uint8)
    assert write_varints(np.array([-1]), room) == VARINT_BYTES_MAX


def request(seed: int) -> pb.BatchReserveRequest:
    chance = Random(seed)
    count = chance.randint(1, 50)
    columns = pb.ReservationColumns(
        channel_key="web",
        directory="d",
        line_counts=[1] * count,
        sku_indexes=[chance.randrange(100_000) for _ in range(count)],
        units=[chance.randrange(1, 1_000_000) for _ in range(count)],
        postal_codes=[f"{chance.randrange(10_000, 99_999)}" for _ in range(count)],
        allow_partial=chance.random() < 0.5,
    )
    if chance.random() < 0.5:
        columns.ttl.seconds = 60
    return pb.BatchReserveRequest(request_id="r", columns=columns, all_or_nothing=chance.random() < 0.5)


def same(message: Any, other: pb.BatchReserveRequest) -> None:
    assert message.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True)
    for name in ("line_counts", "sku_indexes", "units", "pickup_node_indexes"):
        found = wire.numbers(getattr(message.columns, name))
        assert found is not None
        assert found.tolist() == list(getattr(other.columns, name))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_twin_reads_what_the_generated_class_reads(seed: int) -> None:
    asked = request(seed)
    read = READ(asked.SerializeToString())
    assert type(read) is not pb.BatchReserveRequest
    assert read.DESCRIPTOR.full_name == asked.DESCRIPTOR.full_name
    same(read, asked)


def test_rows_are_read_by_the_generated_class() -> None:
    asked = pb.BatchReserveRequest(request_id="r", reservations=[pb.ReservationRequest(channel_key="web")])
    assert READ(asked.SerializeToString()) == asked


def test_an_array_in_pieces_is_read_whole() -> None:
    """Messages that are joined byte by byte are merged: protobuf promises that of every writer's bytes."""
    first, second = request(1), request(2)
    joined = first.SerializeToString() + second.SerializeToString()
    merged = pb.BatchReserveRequest.FromString(joined)
    assert len(merged.columns.sku_indexes) == len(first.columns.sku_indexes) + len(second.columns.sku_indexes)
    same(READ(joined), merged)


def test_an_array_that_is_not_packed_is_read() -> None:
    field = 8 << 3  # sku_indexes, a number at a time
    columns = bytes([field, 7, field, 9])
    content = bytes([4 << 3 | 2, len(columns)]) + columns
    assert list(READ(content).columns.sku_indexes) == [7, 9]


def test_a_response_of_the_twin_is_one_of_the_contract() -> None:
    twin = wire.BatchReserveResponse()
    twin.result.detail = "Done."
    twin.columns.reservation_ids = wire.packed(np.arange(300))
    told = pb.BatchReserveResponse.FromString(pb.BatchReserveResponse.SerializeToString(twin))
    assert list(told.columns.reservation_ids) == [*range(300)]
    assert told.result.detail == "Done."
