"""HTTP/2 by hand: what no gRPC library would let a caller send."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterable
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4
LENGTH_MAX = 16_384

Headers = Iterable[tuple[bytes, bytes]]


def frame(kind: int, flags: int, stream: int, content: bytes = b"") -> bytes:
    """One frame."""
    return struct.pack(">I", len(content))[1:] + struct.pack(">BBI", kind, flags, stream) + content


def _packed(headers: Headers) -> bytes:
    """Header fields as literals that nobody remembers."""
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in headers)


def _text(text: bytes) -> bytes:
    if len(text) < 127:
        return bytes([len(text)]) + text
    rest, length = len(text) - 127, b"\x7f"
    while rest >= 128:
        length += bytes([rest & 0x7F | 0x80])
        rest >>= 7
    return length + bytes([rest]) + text


def call(path: bytes, headers: Headers = (), body: bytes = b"\x00\x00\x00\x00\x00", method: bytes = b"POST") -> bytes:
    """A connection's first bytes, and one call in stream 1: an empty message unless ``body`` says otherwise."""
    plain = {
        b":method": method,
        b":scheme": b"http",
        b":path": path,
        b":authority": b"localhost",
        b"te": b"trailers",
        b"content-type": b"application/grpc",
    }
    plain.update(headers)
    packed = _packed((name, value) for name, value in plain.items() if value)
    sent = PREFACE + frame(SETTINGS, 0, 0)
    first, rest = packed[:LENGTH_MAX], packed[LENGTH_MAX:]
    sent += frame(HEADERS, 0 if rest else END_HEADERS, 1, first)
    while rest:
        part, rest = rest[:LENGTH_MAX], rest[LENGTH_MAX:]
        sent += frame(CONTINUATION, 0 if rest else END_HEADERS, 1, part)
    return sent + frame(DATA, END_STREAM, 1, body)


async def talk(target: str, sent: bytes, *, finish: bool) -> set[int]:
    """Says something and listens until stream 1 ends or the server hangs up: the kinds of frames that came.

    With ``finish`` nothing more will be said, so that the server has no reason to wait.
    """
    host, _, port = target.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    kinds: set[int] = set()
    try:
        writer.write(sent)
        if finish:
            writer.write_eof()
        while True:
            head = await reader.readexactly(9)
            kind, flags = head[3], head[4]
            kinds.add(kind)
            await reader.readexactly(int.from_bytes(head[:3], "big"))
            if kind in {RST_STREAM, GOAWAY} or (kind in {HEADERS, DATA} and flags & END_STREAM):
                return kinds
    except (asyncio.IncompleteReadError, ConnectionError):
        return kinds
    finally:
        writer.close()
