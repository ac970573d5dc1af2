"""The codec: what goes in comes out, byte for byte, in every shape that decisions have."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from engine.journal import JournalDamaged, JournalVersion, Record
from engine.journal.codec import PACK_FROM_ROWS, VERSION, decode, decode_requests, decode_run, encode
from engine.kernels import columns as c
from engine.model import commands as m
from engine.model.decisions import Decision, Run
from engine.model.outcomes import CommandKind, Outcome
from engine.model.replies import Plain
from engine.pool.pool import effect_matrix
from tests.builders import Store, day, ship


def decision(effects: Any, seq: int = 1) -> Decision:
    reply = Plain(Outcome.OK)
    return Decision(
        seq, 5, CommandKind.RELEASE_RESERVATION, f"r{seq}", -seq, reply, msgspec.msgpack.encode(reply), effects, (), ""
    )


def one_run(record: Record) -> Run:
    return decode_run([record])


def same(first: Decision, second: Decision) -> None:
    for name in Decision._fields:
        mine, theirs = getattr(first, name), getattr(second, name)
        if isinstance(mine, np.ndarray):
            assert theirs.dtype == np.int64
            assert np.array_equal(mine, theirs), name
        else:
            assert mine == theirs, name


def test_every_decision_of_a_day_comes_back() -> None:
    store = day(5)
    decisions = store.decisions
    assert {each.kind for each in decisions} > {CommandKind.EXPIRE, CommandKind.PUT_NODES, CommandKind.BATCH_RESERVE}
    for group in (1, 3, len(decisions)):
        for at in range(0, len(decisions), group):
            part = decisions[at : at + group]
            record = encode(part)
            back = decode(record)
            for mine, theirs in zip(part, back, strict=True):
                same(mine, theirs)
            assert encode(back) == record


def test_who_asked_is_told_without_reading_the_rest() -> None:
    store = day(5)
    store.tell(m.SetStock, sku_key="A", node_key="dc", on_hand_units=1, reference="count 7")
    store.reserve(ship([("A", 1)]))
    decisions = store.decisions
    told = [(each.seq, each.request_id, each.reference) for each in decisions]
    assert told[-2][2] == "count 7"
    assert decode_requests(encode(decisions)) == told
    garbled = [each._replace(encoded=b"garbled") for each in decisions]
    assert decode_requests(encode(garbled)) == told


@pytest.mark.parametrize("rows", [1, 2, PACK_FROM_ROWS - 1, PACK_FROM_ROWS, PACK_FROM_ROWS + 1, 1_000])
def test_short_and_long_effects_come_back(rows: int) -> None:
    matrix = np.zeros((rows, 6), dtype=np.int64)
    matrix[:, 0] = np.arange(rows) % 8
    matrix[:, 1] = np.arange(rows) * 1_000_003
    matrix[:, 2] = -1
    matrix[1:, 5] = 2**62
    record = encode([decision(matrix)])
    (back,) = decode(record)
    assert np.array_equal(back.effects, matrix)
    assert np.array_equal(decode_run([record]).effects, matrix)


EXTREMES = st.sampled_from([-(2**63), -(2**63) + 1, -(2**32), -1, 0, 1, 255, 256, 65_535, 65_536, 2**32, 2**63 - 1])


@given(
    arrays.arrays(np.int64, st.tuples(st.integers(1, 60), st.just(5)), elements=EXTREMES | st.integers(-300, 300)),
    st.randoms(use_true_random=False),
)
def test_any_numbers_come_back(operands: Any, chance: Any) -> None:
    operations = np.array([[chance.randrange(8)] for _ in range(len(operands))], dtype=np.int64)
    matrix = np.concatenate((operations, operands), axis=1)
    record = encode([decision(matrix)])
    assert np.array_equal(decode_run([record]).effects, matrix)
    assert encode(decode(record)) == record


def test_decisions_with_and_without_effects_share_a_record() -> None:
    few = np.array([(c.OP_AT, 2, 5, 0, 0, 0), (c.OP_CLOSE, 1, 3, 0, 0, 0)], dtype=np.int64)
    many = np.tile(few, (20, 1))
    parts = [decision(None, 1), decision(few, 2), decision(None, 3), decision(many, 4), decision(None, 5)]
    back = decode(encode(parts))
    for mine, theirs in zip(parts, back, strict=True):
        same(mine, theirs)
    assert decode_run([encode(parts[:1])]).effects is None


def test_a_reply_is_kept_byte_for_byte() -> None:
    store = Store()
    store.stock(("A", "dc", 5))
    store.reserve(ship([("A", 2)]))
    (back,) = decode(encode(store.decisions[-1:]))
    assert back.encoded == store.decisions[-1].encoded
    assert back.reply == store.decisions[-1].reply
    assert type(back.reply) is type(store.decisions[-1].reply)
    assert msgspec.msgpack.encode(back.reply) == back.encoded


def test_references_stand_with_their_decisions() -> None:
    store = Store()
    for reference in ("", "delivery 7", ""):
        store.tell(m.ReceiveStock, node_key="dc", lines=(("A", 1),), reference=reference)
    assert [each.reference for each in decode(encode(store.decisions[-3:]))] == ["", "delivery 7", ""]


def test_a_body_of_a_newer_engine_is_refused() -> None:
    record = encode([decision(None)])
    body = msgspec.msgpack.decode(record.body)
    body[0] = VERSION + 1
    newer = Record(1, 1, msgspec.msgpack.encode(body))
    for read in (decode, one_run):
        with pytest.raises(JournalVersion) as caught:
            read(newer)
        assert (caught.value.found, caught.value.supported) == (VERSION + 1, VERSION)


@pytest.mark.parametrize("body", [b"\xc1", b"\x90", b"\x93\x01\x02\x03", b"not msgpack at all"])
def test_a_body_that_is_none_is_damage(body: bytes) -> None:
    for read in (decode, one_run):
        with pytest.raises(JournalDamaged) as caught:
            read(Record(7, 1, body))
        assert caught.value.seq == 7


def test_a_record_that_counts_wrong_is_damage() -> None:
    record = encode([decision(None, 1), decision(None, 2)])
    with pytest.raises(JournalDamaged):
        decode(Record(1, 3, record.body))


def test_effects_of_nothing_are_none() -> None:
    assert effect_matrix(1, 2, []) is None
    assert effect_matrix(1, 2, np.zeros((1, 6), dtype=np.int64)) is None
    matrix = effect_matrix(1, 2, [(c.OP_CLOSE, 3, 4, 0, 0, 0)])
    assert matrix is not None
    assert matrix.tolist() == [[c.OP_AT, 1, 2, 0, 0, 0], [c.OP_CLOSE, 3, 4, 0, 0, 0]]
    room = np.ones((2, 6), dtype=np.int64)
    assert effect_matrix(8, 9, room) is room
    assert room[0].tolist() == [c.OP_AT, 8, 9, 0, 0, 0]
