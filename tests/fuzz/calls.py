"""Every call of every service, read from the descriptors: nobody can forget to add one here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from engine.service.port import SERVICES


@dataclass(frozen=True, slots=True)
class Call:
    """One method: its path on the wire, and the messages that go in and come out."""

    path: str
    request: Descriptor
    response: type[Any]
    streams_in: bool
    streams_out: bool

    def __repr__(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def is_command(self) -> bool:
        """Whether it may change anything: what only reads has no request id."""
        return "request_id" in self.request.fields_by_name or self.name == "StreamReserve"


def _calls() -> tuple[Call, ...]:
    pool = descriptor_pool.Default()
    methods = [method for name in SERVICES for method in pool.FindServiceByName(name).methods]
    return tuple(
        Call(
            f"/{method.containing_service.full_name}/{method.name}",
            method.input_type,
            message_factory.GetMessageClass(method.output_type),
            method.client_streaming,
            method.server_streaming,
        )
        for method in methods
    )


CALLS = _calls()
BY_NAME = {call.name: call for call in CALLS}


def varint(value: int) -> bytes:
    """A number as protobuf writes it."""
    value &= 2**64 - 1
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def delimited(number: int, content: bytes) -> bytes:
    """A field with a length: a text, bytes, a message, packed numbers."""
    return varint(number << 3 | 2) + varint(len(content)) + content


@dataclass(frozen=True, slots=True)
class Repeated:
    """A repeated field of a request, maybe inside others: its path, the numbers of the fields around it, itself."""

    path: str
    around: tuple[int, ...]
    field: FieldDescriptor

    def filled(self, length: int) -> bytes:
        """A request of about ``length`` bytes that has nothing but empty entries of this field, or ones if they are numbers."""
        if self.field.type in {FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.TYPE_STRING}:
            entry = delimited(self.field.number, b"")
            content = entry * (length // len(entry))
        else:
            content = delimited(self.field.number, b"\x01" * length)
        for number in reversed(self.around):
            content = delimited(number, content)
        return content


def repeated(message: Descriptor, prefix: str = "", around: tuple[int, ...] = ()) -> list[Repeated]:
    """The repeated fields of a request; of those inside repeated ones, the first entry's."""
    found = []
    for field in message.fields:
        path = f"{prefix}{field.name}"
        if field.is_repeated:
            found.append(Repeated(path, around, field))
        if field.message_type is not None:
            inner = f"{path}[0]." if field.is_repeated else f"{path}."
            found += repeated(field.message_type, inner, (*around, field.number))
    return found
