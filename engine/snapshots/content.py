"""What a snapshot holds: the image of a machine as sections of a file, and a machine of them again."""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version

import msgspec
from msgspec import msgpack

from engine.core.audit import DIGEST_VERSION
from engine.core.image import Image, columns_of, image_of
from engine.core.machine import Machine
from engine.core.rebuilding import machine_of
from engine.core.replies import RequestsImage
from engine.journal import Mark
from engine.model.limits import Limits
from engine.pool.network import NetworkImage
from engine.pool.orders import BookImage
from engine.snapshots.file import LATER_SECTIONS, Header, Sink, SnapshotDamaged, SnapshotReader, SnapshotWriter

_network = msgpack.Decoder(NetworkImage)
_orders = msgpack.Decoder(BookImage)
_requests = msgpack.Decoder(RequestsImage)


def write_machine(file: Sink, machine: Machine, mark: Mark, digest: str) -> Header:
    """Write the machine as it is at ``mark``; ``digest`` is its digest."""
    image = image_of(machine)
    writer = SnapshotWriter(file)
    for name, matrix in columns_of(machine.pool)._asdict().items():
        # Nobody who has no calendars needs to know of what came with them: older versions read the file, too.
        if matrix.size or name not in LATER_SECTIONS:
            writer.columns(name, matrix)
    writer.records("network", msgpack.encode(image.network))
    writer.records("orders", msgpack.encode(image.orders))
    writer.records("requests", msgpack.encode(image.requests))
    header = Header(
        image.seq,
        mark.checksum,
        mark.origin,
        image.now_ns,
        digest,
        DIGEST_VERSION,
        asdict(machine.pool.limits),
        version("stockpool"),
    )
    writer.end(header)
    return header


def read_machine(reader: SnapshotReader, limits: Limits) -> Machine:
    """The machine that a snapshot tells.

    Raises:
        SnapshotDamaged: a checksum is wrong, or what it holds is no state, or not the one whose digest was noted.
        NoRoom: a limit is lower than what is in it.
    """
    header = reader.header
    try:
        network = _network.decode(reader.records("network"))
        orders = _orders.decode(reader.records("orders"))
        requests = _requests.decode(reader.records("requests"))
        machine = machine_of(Image(header.seq, header.now_ns, reader, network, orders, requests), limits)
    except (msgspec.DecodeError, ValueError, IndexError, KeyError) as error:
        raise SnapshotDamaged(reader.path, f"it holds no state ({error!r})") from error
    if comparable(header, limits) and machine.digest() != header.digest:
        raise SnapshotDamaged(reader.path, "the state in it has another digest than the one it was taken of")
    return machine


def comparable(header: Header, limits: Limits) -> bool:
    """Whether the digest of a machine under these limits can be compared with that of the snapshot."""
    return header.digest_version == DIGEST_VERSION and header.limits == asdict(limits)
