"""The file of a snapshot: what is written is read, and what is not what was written is noticed, wherever it differs."""

from __future__ import annotations

import struct
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from msgspec import msgpack

from engine.core.machine import Machine
from engine.journal import Mark
from engine.snapshots import SnapshotDamaged, SnapshotReader, SnapshotVersion, packing, read_machine
from engine.snapshots.content import write_machine
from engine.snapshots.file import Header, SnapshotWriter
from tests.builders import SMALL, Store, day, limits
from tests.unit.same import same

HEADER = Header(1, 2, 3, 4, "digest", 1, {}, "test")
INT64 = st.integers(-(2**63), 2**63 - 1)


# Packing


@given(arrays(np.int64, st.integers(1, 40), elements=INT64 | st.integers(-3, 3) | st.integers(2**40, 2**40 + 70_000)))
def test_a_block_is_unpacked_as_it_was(entries: Any) -> None:
    block, stored = packing.pack(entries)
    assert block.size(entries.size) == len(stored)
    out = np.full(entries.size, 77, dtype=np.int64)
    packing.unpack(block, np.frombuffer(stored, dtype=np.uint8), out)
    assert out.tolist() == entries.tolist()


@pytest.mark.parametrize(
    ("entries", "bytes_each"),
    [
        ([5, 5, 5], 0), ([7, 8, 262], 1), ([-200, 55], 1), ([0, 256], 2), ([-1, 65_535], 4), ([0, 2**32 - 1], 4),
        ([3 << 32 | 9, 5 << 32 | 2], 2), ([0, 2**32], 1), ([-(2**63), 2**63 - 1], 8), ([1_700_000_000_000_000_000, 1_700_000_900_000_000_000], 5),
    ],
)  # fmt: skip
def test_what_lies_close_together_takes_few_bytes(entries: list[int], bytes_each: int) -> None:
    _, stored = packing.pack(np.array(entries, dtype=np.int64))
    assert len(stored) == bytes_each * len(entries)


# The file


def written(tmp_path: Path, sections: dict[str, Any]) -> Path:
    path = tmp_path / "file"
    with path.open("wb") as file:
        writer = SnapshotWriter(file)
        for name, content in sections.items():
            if isinstance(content, bytes):
                writer.records(name, content)
            else:
                writer.columns(name, content)
        writer.end(HEADER)
    return path


def test_sections_are_read_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "BLOCK", 16)
    chance = np.random.default_rng(3)
    one, two = chance.integers(-(2**62), 2**62, (3, 50)), chance.integers(0, 9, (2, 16))
    path = written(tmp_path, {"one": one, "text": b"some text" * 40, "two": two, "none": one[:, :0], "empty": b""})
    with SnapshotReader(path) as reader:
        assert reader.header == HEADER
        for name, matrix in (("two", two), ("one", one), ("none", one[:, :0])):
            assert reader.shape(name) == matrix.shape
            out = np.empty(matrix.shape, dtype=np.int64)
            reader.put(name, out)
            assert np.array_equal(out, matrix)
        assert (reader.records("text"), reader.records("empty")) == (b"some text" * 40, b"")
        reader.verify()
        with pytest.raises(SnapshotDamaged, match="section three is missing"):
            reader.records("three")


def test_a_section_goes_into_a_part_of_a_wider_matrix(tmp_path: Path) -> None:
    matrix = np.arange(12).reshape(3, 4)
    wide = np.full((3, 9), -1)
    with SnapshotReader(written(tmp_path, {"m": matrix})) as reader:
        reader.put("m", wide[:, 2:6])
    assert np.array_equal(wide[:, 2:6], matrix)
    assert (wide[:, :2] == -1).all()
    assert (wide[:, 6:] == -1).all()


# Damage


def snapshot_of(tmp_path: Path, store: Store) -> Path:
    path = tmp_path / "snapshot"
    with path.open("wb") as file:
        write_machine(file, store.machine, Mark(store.machine.seq, 1, 2), store.machine.digest())
    return path


def read(path: Path, given: Any = SMALL) -> Machine:
    with SnapshotReader(path) as reader:
        reader.verify()
        return read_machine(reader, given)


def test_a_snapshot_is_the_machine(tmp_path: Path) -> None:
    for seed in range(4):
        store = day(seed)
        same(store, read(snapshot_of(tmp_path, store)))


def test_a_flipped_bit_anywhere_is_noticed(tmp_path: Path) -> None:
    """The bytes of its frame and every seventh between; which of their bits is left to chance."""
    store, chance = Store(limits(open_reservations_max=2, movements_remembered=4)), Random(8)
    store.stock(("A", "dc", 3))
    path = snapshot_of(tmp_path, store)
    sound = path.read_bytes()
    for at in (*range(16), *range(16, len(sound) - 40, 7), *range(len(sound) - 40, len(sound))):
        spoilt = bytearray(sound)
        spoilt[at] ^= 1 << chance.randrange(8)
        path.write_bytes(spoilt)
        with pytest.raises((SnapshotDamaged, SnapshotVersion)):
            read(path, store.machine.pool.limits)


def test_a_file_that_was_cut_off_or_went_on_is_noticed(tmp_path: Path) -> None:
    path = snapshot_of(tmp_path, day(0))
    sound = path.read_bytes()
    for length in (0, 1, 15, 16, 40, len(sound) // 2, len(sound) - 20, len(sound) - 1):
        path.write_bytes(sound[:length])
        with pytest.raises(SnapshotDamaged):
            read(path)
    for more in (b"\0", b"x" * 100, sound):
        path.write_bytes(sound + more)
        with pytest.raises(SnapshotDamaged):
            read(path)


def test_reading_alone_notices_what_verifying_does(tmp_path: Path) -> None:
    """A start does not verify first: it reads, and takes nothing whose checksum is wrong."""
    path, chance = snapshot_of(tmp_path, day(1)), Random(9)
    sound = path.read_bytes()
    for _ in range(200):
        spoilt = bytearray(sound)
        spoilt[chance.randrange(len(sound))] ^= 1 << chance.randrange(8)
        path.write_bytes(spoilt)
        with pytest.raises((SnapshotDamaged, SnapshotVersion)), SnapshotReader(path) as reader:
            read_machine(reader, SMALL)


def test_a_state_other_than_the_one_noted_is_noticed(tmp_path: Path) -> None:
    store = day(2)
    path = tmp_path / "snapshot"
    with path.open("wb") as file:
        write_machine(file, store.machine, Mark(store.machine.seq, 1, 2), "another digest")
    with pytest.raises(SnapshotDamaged, match="another digest"):
        read(path)
    # With other limits the digests say nothing.
    assert read(path, limits(request_ids_remembered=150)).seq == store.machine.seq


def test_a_file_with_sound_checksums_that_holds_no_state_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(SnapshotDamaged, match="missing"):
        read(written(tmp_path, {"other": b"\x90"}))
    path = written(tmp_path, {"network": b"\xc1", "orders": b"\xc1", "requests": b"\xc1"})
    with pytest.raises(SnapshotDamaged, match="no state"):
        read(path)


def test_a_newer_format_is_named(tmp_path: Path) -> None:
    path = snapshot_of(tmp_path, day(0))
    sound = bytearray(path.read_bytes())
    sound[12:16] = struct.pack("<I", 2)
    path.write_bytes(sound)
    with pytest.raises(SnapshotVersion, match="version 2") as caught:
        read(path)
    assert caught.value.found == 2


def test_what_a_later_version_adds_to_the_header_is_no_obstacle() -> None:
    fields = {name: getattr(HEADER, name) for name in HEADER.__struct_fields__} | {"later": [1, 2]}
    assert msgpack.decode(msgpack.encode(fields), type=Header) == HEADER


def test_what_is_no_snapshot_is_said(tmp_path: Path) -> None:
    for content in (b"", b"hello", b"SQLite format 3\0" * 100):
        path = tmp_path / "other"
        path.write_bytes(content)
        with pytest.raises(SnapshotDamaged, match="does not begin"):
            read(path)
    with pytest.raises(SnapshotDamaged, match="cannot be opened"):
        read(tmp_path / "missing")
