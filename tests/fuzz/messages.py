"""Requests made from the descriptors: well-typed ones that make sense, the same with absurd values, and bytes that are no message.

A strategy makes bytes and not messages: that is what a hostile caller sends.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import strategies as st

from tests.fuzz.calls import CALLS, Call, delimited, repeated, varint

F = FieldDescriptor

KNOWN: dict[str, list[str]] = {
    "sku_key": [f"sku-{number}" for number in range(1, 6)],
    "sku_keys": [f"sku-{number}" for number in range(1, 6)],
    "node_key": ["east", "west", "shop-e", "shop-w", "shut"],
    "node_keys": ["east", "west", "shop-e", "shop-w"],
    "pickup_node_key": ["shop-e", "shop-w", "east"],
    "drop_off_node_key": ["shop-e", "east"],
    "channel_key": ["web", "till", "market"],
    "service_key": ["ground", "express", ""],
    "default_service_key": ["ground", "express"],
    "policy_key": ["default", "second"],
    "postal_code": ["10001", "90001"],
    "region_key": ["100", "900"],
    "pair_origins": ["100", "900"],
    "pair_destinations": ["100", "900"],
    "currency_code": ["USD", ""],
    "order_key": [f"o-{number}" for number in range(1, 9)],
    "source_key": ["wms", "erp", ""],
    "page_token": ["", "TGlzdFNrdXM6MQ==", "TGlzdE1vdmVtZW50czox"],
}
"""Texts that mean something to the server that the tests start with."""
ODD_TEXTS = [
    "", " ", "\x00", "a\nb", "k" * 64, "k" * 65, "k" * 10_000, "\u202esku-1", "\ufeffsku-1", "\U0001f4a3" * 64, "e\u0301", "%s{0}",
    "'; DROP TABLE cells; --", "../../sku-1", "NaN", "-1", "sku-1\u0000", "\ud7ff\ue000", "\U0010ffff",
]  # fmt: skip
ODD_NUMBERS = [
    0, -1, 1, 7, 63, 64, 255, 256, 10**6, 10**9, 10**9 + 1, 10**12, 10**15 + 1, 2**31 - 1, -(2**31), 2**32, 2**53, 2**62,
    2**63 - 1, -(2**63),
]  # fmt: skip
ODD_FLOATS = [0.0, -0.0, 90.0, 90.000_001, -180.0, 1e308, -1e308, 5e-324, float("nan"), float("inf"), float("-inf")]
INT32 = {F.TYPE_INT32, F.TYPE_SINT32, F.TYPE_SFIXED32}
FLOATS = {F.TYPE_DOUBLE, F.TYPE_FLOAT}
ODDNESS = [0, 0, 0, 1, 1, 3, 10]
"""Of 20 values of a request, how many are absurd."""


@st.composite
def contents(draw: st.DrawFn, call: Call) -> bytes:
    """The bytes of one request: mostly a message, made to make sense or with absurd values; sometimes bent, sometimes no message at all."""
    content = draw(well_typed(call.request))
    bend = draw(st.sampled_from(BENDS))
    return content if bend is None else bend(draw, call, content)


@st.composite
def well_typed(draw: st.DrawFn, message: Descriptor) -> bytes:
    """A message of this type, serialized."""
    made = message_factory.GetMessageClass(message)()
    _fill(draw, made, draw(st.sampled_from(ODDNESS)))
    return made.SerializeToString()


def _fill(draw: st.DrawFn, message: Any, oddness: int) -> None:
    for oneof in message.DESCRIPTOR.oneofs:
        field = draw(st.sampled_from(list(oneof.fields)))
        if len(oneof.fields) > 1 or _chance(draw, 10):
            _set(draw, message, field, oddness)
    for field in message.DESCRIPTOR.fields:
        if field.containing_oneof is None and not _chance(draw, 1 + oddness // 3):
            _set(draw, message, field, oddness)


def _set(draw: st.DrawFn, message: Any, field: FieldDescriptor, oddness: int) -> None:
    if field.is_repeated:
        count = draw(st.integers(1, 3))
        values = getattr(message, field.name)
        if field.type == F.TYPE_MESSAGE:
            for _ in range(count):
                _fill(draw, values.add(), oddness)
        else:
            values.extend([_value(draw, field, oddness) for _ in range(count)])
    elif field.type == F.TYPE_MESSAGE:
        part = getattr(message, field.name)
        part.SetInParent()
        _fill(draw, part, oddness)
    else:
        setattr(message, field.name, _value(draw, field, oddness))


def _value(draw: st.DrawFn, field: FieldDescriptor, oddness: int) -> Any:
    odd = _chance(draw, oddness)
    if field.type == F.TYPE_STRING:
        return draw(st.sampled_from(ODD_TEXTS)) if odd else _text(draw, field.name)
    if field.type == F.TYPE_BOOL:
        return draw(st.booleans())
    if field.enum_type is not None:
        values = [value.number for value in field.enum_type.values]
        return draw(st.sampled_from([-1, len(values), 99, 2**31 - 1] if odd else values[1:]))
    if field.type in FLOATS:
        return draw(st.sampled_from(ODD_FLOATS)) if odd else draw(st.floats(-90, 90))
    number = draw(st.sampled_from(ODD_NUMBERS)) if odd else draw(st.integers(1, _usual(field.name)))
    return min(max(number, -(2**31)), 2**31 - 1) if field.type in INT32 else number


def _usual(name: str) -> int:
    """The largest number that makes sense for a field."""
    if name == "seconds":
        return 3_600
    return 10**7 if name.endswith("micros") or name == "nanos" else 5


def _text(draw: st.DrawFn, name: str) -> str:
    if name == "request_id":
        return f"r-{draw(st.integers(1, 1_000))}"  # twice the same now and then
    return draw(st.sampled_from(KNOWN.get(name, ["something"])))


def _chance(draw: st.DrawFn, of_twenty: int) -> bool:
    return draw(st.integers(0, 19)) < of_twenty


# What becomes of a message


def _flipped(draw: st.DrawFn, call: Call, content: bytes) -> bytes:
    """Some bytes are others."""
    del call
    bent = bytearray(content or b"\x00")
    for _ in range(draw(st.integers(1, 4))):
        bent[draw(st.integers(0, len(bent) - 1))] = draw(st.integers(0, 255))
    return bytes(bent)


def _no_text(draw: st.DrawFn, call: Call, content: bytes) -> bytes:
    """A letter of a text is no UTF-8 any more."""
    del call
    letters = [at for at, byte in enumerate(content) if chr(byte).isalpha()]
    bent = bytearray(content)
    if letters:
        bent[draw(st.sampled_from(letters))] = draw(st.sampled_from([0x80, 0xC0, 0xED, 0xFE, 0xFF]))
    return bytes(bent)


def _cut(draw: st.DrawFn, call: Call, content: bytes) -> bytes:
    """Less than all of it, or a part twice."""
    del call
    first, last = sorted([draw(st.integers(0, len(content))), draw(st.integers(0, len(content)))])
    return content[first:last] if draw(st.booleans()) else content[:last] + content[first:]


def _garbage(draw: st.DrawFn, call: Call, content: bytes) -> bytes:
    del call, content
    return draw(st.binary(max_size=200))


def _unknown(draw: st.DrawFn, call: Call, content: bytes) -> bytes:
    """Fields that nobody knows: of a newer caller, or nested without end."""
    del call
    depth = draw(st.sampled_from([1, 99, 101, 10_000]))
    group = varint(1_000 << 3 | 3) * depth + varint(1_000 << 3 | 4) * draw(st.sampled_from([depth, 0]))
    known_as_other = varint(1 << 3) + varint(draw(st.sampled_from(ODD_NUMBERS)))
    return content + draw(
        st.sampled_from([group, known_as_other, delimited(2**29 - 1, b"x" * 1_000), b"\x00", b"\x07"])
    )


def _another(draw: st.DrawFn, call: Call, content: bytes) -> bytes:
    """The request of another call."""
    del call, content
    return draw(well_typed(draw(st.sampled_from(CALLS)).request))


def _crowded(draw: st.DrawFn, call: Call, content: bytes) -> bytes:
    """A repeated field with many entries, in front of a message that may make sense."""
    fields = repeated(call.request)
    if not fields:
        return content
    return draw(st.sampled_from(fields)).filled(draw(st.sampled_from([10, 50, 5_000]))) + content


BENDS: list[Any] = [None] * 8 + [_flipped, _no_text, _cut, _garbage, _unknown, _another, _crowded]
