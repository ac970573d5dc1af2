"""The file of a snapshot: sections, a table of them, and checksums over everything.

    prefix      magic, version of the format
    sections    bytes one after the other
    table       MessagePack of `Table`: the header, and for each section its shape, packing, length and BLAKE2b
    trailer     length of the table, BLAKE2b of prefix and table, magic

The table covers every byte of the sections and the trailer covers the table, hence a flipped bit anywhere is noticed, and so is a file
that is too short or too long.
"""

from __future__ import annotations

import struct
import zlib
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

import msgspec
import numpy as np
from msgspec import msgpack

from engine.kernels import columns as c
from engine.kernels.zones import Integers
from engine.snapshots.packing import Block, blocks, pack, unpack

VERSION: Final = 1
_MAGIC: Final = b"stockpool.sn"
_PREFIX: Final = struct.Struct("<12sI")
_TRAILER: Final = struct.Struct("<Q16s12s")
_CHUNK: Final = 1 << 20
_LEVEL: Final = 1
_TABLE_MAX: Final = 1 << 30


class SnapshotError(Exception):
    """What every error of a snapshot is."""


class SnapshotDamaged(SnapshotError):
    """The file is not what was written."""

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        self.what = what
        super().__init__(f"the snapshot {path} is damaged: {what}")


class SnapshotGone(SnapshotDamaged):
    """There is no such file any more: newer ones have taken its place since the folder was listed."""


class SnapshotVersion(SnapshotError):
    """The file was made by a newer engine than this one."""

    def __init__(self, path: Path, found: int) -> None:
        self.path = path
        self.found = found
        super().__init__(
            f"the snapshot {path} has format version {found}; this engine knows versions up to {VERSION}. Run the newer engine"
        )


class Header(msgspec.Struct, frozen=True):
    """What a snapshot is of. ``checksum`` and ``origin`` are those of the journal's `Mark` behind ``seq``.

    ``digest`` is that of the state under ``limits``; it compares only with digests of the same ``digest_version``.
    """

    seq: int
    checksum: int
    origin: int
    now_ns: int
    digest: str
    digest_version: int
    limits: dict[str, int]
    engine: str
    """Version of the engine that wrote it."""


LATER_SECTIONS = {"capacity": c.CAPACITY_STATE_ROWS + 1}
"""Columns that came later, with their rows: in a file without them they are empty."""


class Section(msgspec.Struct, frozen=True):
    """One part of the file. Columns have a shape and a block a row and `BLOCK` entries; records are deflated."""

    name: str
    length: int
    checksum: bytes
    rows: int = 0
    entries: int = 0
    packed: list[Block] = []


class Table(msgspec.Struct, frozen=True):
    """What stands at the end of the file."""

    header: Header
    sections: list[Section]


class Sink(Protocol):
    """What a snapshot is written into."""

    def write(self, part: bytes, /) -> int:
        """Write all of it; how much that was."""


class SnapshotWriter:
    """Writes one snapshot, section by section; ``end`` makes it whole."""

    def __init__(self, file: Sink) -> None:
        self._file = file
        self._sections: list[Section] = []
        self._prefix = _PREFIX.pack(_MAGIC, VERSION)
        file.write(self._prefix)

    def columns(self, name: str, matrix: Integers) -> None:
        """A section of columns, int64[row, entity]."""
        rows, entries = matrix.shape
        checksum, length = _hash(), 0
        packed = []
        for row in matrix:
            for part in blocks(entries):
                block, stored = pack(np.ascontiguousarray(row[part]))
                packed.append(block)
                checksum.update(stored)
                length += self._file.write(stored)
        self._sections.append(Section(name, length, checksum.digest(), rows, entries, packed))

    def records(self, name: str, encoded: bytes) -> None:
        """A section of bytes."""
        stored = zlib.compress(encoded, _LEVEL)
        self._file.write(stored)
        self._sections.append(Section(name, len(stored), _hash(stored).digest()))

    def end(self, header: Header) -> None:
        """The table and the trailer."""
        table = msgpack.encode(Table(header, self._sections))
        self._file.write(table)
        self._file.write(_TRAILER.pack(len(table), _hash(self._prefix, table).digest(), _MAGIC))


class SnapshotReader:
    """Reads one snapshot; what it gives was checked. Raises SnapshotDamaged, SnapshotGone or SnapshotVersion."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("rb")
        except FileNotFoundError as error:
            raise SnapshotGone(path, f"it cannot be opened: it is not there any more ({error})") from error
        except OSError as error:
            raise SnapshotDamaged(path, f"it cannot be opened ({error})") from error
        try:
            table = self._table()
        except BaseException:
            self._file.close()
            raise
        self.header = table.header
        self._sections: dict[str, tuple[int, Section]] = {}
        at = _PREFIX.size
        for section in table.sections:
            self._sections[section.name] = at, section
            at += section.length

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def shape(self, name: str) -> tuple[int, int]:
        """Rows and entries of a section of columns."""
        if name in LATER_SECTIONS and name not in self._sections:
            return LATER_SECTIONS[name], 0
        _, section = self._section(name)
        return section.rows, section.entries

    def put(self, name: str, out: Integers) -> None:
        """Write a section of columns into int64[rows, entries]. When it is damaged what was written is worth nothing."""
        if not out.size and name not in self._sections:
            return
        at, section = self._section(name)
        self._file.seek(at)
        checksum = _hash()
        packed = iter(section.packed)
        for row in out:
            for part in blocks(section.entries):
                block, entries = next(packed), part.stop - part.start
                stored = self._read(block.size(entries), name)
                checksum.update(stored)
                unpack(block, np.frombuffer(stored, dtype=np.uint8), row[part])
        self._compare(section, checksum.digest())

    def records(self, name: str) -> bytes:
        """A section of bytes."""
        at, section = self._section(name)
        self._file.seek(at)
        stored = self._read(section.length, name)
        self._compare(section, _hash(stored).digest())
        try:
            return zlib.decompress(stored)
        except zlib.error as error:
            raise SnapshotDamaged(self.path, f"section {name} cannot be inflated ({error})") from error

    def verify(self) -> None:
        """Read every section and compare its checksum; nothing is unpacked."""
        for name, (at, section) in self._sections.items():
            self._file.seek(at)
            checksum, left = _hash(), section.length
            while left:
                part = self._read(min(left, _CHUNK), name)
                checksum.update(part)
                left -= len(part)
            self._compare(section, checksum.digest())

    def _table(self) -> Table:
        file, path = self._file, self.path
        size = file.seek(0, 2)
        file.seek(0)
        prefix = file.read(_PREFIX.size)
        if len(prefix) < _PREFIX.size or not prefix.startswith(_MAGIC):
            raise SnapshotDamaged(path, "it does not begin as a snapshot does")
        version = _PREFIX.unpack(prefix)[1]
        if version > VERSION:
            raise SnapshotVersion(path, version)
        if size < _PREFIX.size + _TRAILER.size:
            raise SnapshotDamaged(path, "it is too short")
        file.seek(size - _TRAILER.size)
        length, checksum, magic = _TRAILER.unpack(file.read(_TRAILER.size))
        begin = size - _TRAILER.size - length
        if magic != _MAGIC or length > _TABLE_MAX or begin < _PREFIX.size:
            raise SnapshotDamaged(path, "it does not end as a snapshot does")
        file.seek(begin)
        encoded = file.read(length)
        if _hash(prefix, encoded).digest() != checksum:
            raise SnapshotDamaged(path, "the checksum of its table is wrong")
        try:
            table = msgpack.decode(encoded, type=Table)
        except msgspec.DecodeError as error:
            raise SnapshotDamaged(path, f"its table cannot be read ({error})") from error
        if _PREFIX.size + sum(section.length for section in table.sections) != begin:
            raise SnapshotDamaged(path, "its sections do not fill it")
        return table

    def _section(self, name: str) -> tuple[int, Section]:
        try:
            return self._sections[name]
        except KeyError:
            raise SnapshotDamaged(self.path, f"section {name} is missing") from None

    def _read(self, length: int, name: str) -> bytes:
        part = self._file.read(length)
        if len(part) != length:
            raise SnapshotDamaged(self.path, f"it ends in section {name}")
        return part

    def _compare(self, section: Section, checksum: bytes) -> None:
        if checksum != section.checksum:
            raise SnapshotDamaged(self.path, f"the checksum of section {section.name} is wrong")


def _hash(*parts: bytes) -> blake2b:
    result = blake2b(digest_size=16)
    for part in parts:
        result.update(part)
    return result
