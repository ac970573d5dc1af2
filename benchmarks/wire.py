"""Just enough HTTP/2 to call a gRPC server faster than grpcio's client can: for servers that answer more than a client in Python asks.

Every byte of every request is there before the clock starts. What comes back is cut into frames and kept; a call whose stream ended without a
message failed, and its status is not read. No TLS, no header table, no retries: a load generator for one's own machine, no client.
"""

from __future__ import annotations

import asyncio
import struct
import time
from typing import Any, NamedTuple

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK, PADDED = 0x1, 0x4, 0x1, 0x8
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE = 1, 2, 3, 4
WINDOW = 65_535
"""Bytes that may be sent before the other side asks for more, as a connection begins."""
WINDOW_MAX = (1 << 31) - 1
_FRAME = struct.Struct("!HBBBL")
"""Length (two bytes and one), type, flags, stream."""
_HEAD_BYTES = 9


class WireError(Exception):
    """The server ended the connection, or does not take what it is given."""


class Answered(NamedTuple):
    """What became of the calls of one connection, in the order of their requests."""

    latencies_us: list[int]
    messages: list[bytes]
    """The message of each response; of a call that failed, an empty one."""


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One frame."""
    length = len(payload)
    return _FRAME.pack(length >> 8, length & 0xFF, kind, flags, stream) + payload


def header_block(authority: str, path: str) -> bytes:
    """The headers of a call, without a table: static names by index, values as they are."""

    def text(value: str) -> bytes:
        assert len(value) < 127
        return bytes((len(value),)) + value.encode()

    return (
        b"\x83\x86"  # :method POST, :scheme http
        + (b"\x04" + text(path))
        + (b"\x01" + text(authority))
        + (b"\x0f\x10" + text("application/grpc"))  # content-type
        + (b"\x00" + text("te") + text("trailers"))
    )


class Wire(asyncio.Protocol):
    """One connection. ``connect`` makes it; ``prepare`` and ``run`` make many calls over it, again and again."""

    def __init__(self, authority: str) -> None:
        self._authority = authority
        self._transport: Any = None  # uvloop's are no WriteTransport
        self._buffer = bytearray()
        self._first = self._stream = 1
        self._window = WINDOW
        self._taken = 0
        self._streams_max = WINDOW_MAX
        self._parts: dict[int, bytes] = {}
        self._sent_ns: dict[int, int] = {}
        self._ended: dict[int, int] = {}
        self._waiting: list[tuple[int, bytes, int]] = []
        self._open = self._room = self._in_flight = 0
        self._done: asyncio.Future[None] | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def connect(cls, target: str) -> Wire:
        """A connection to ``host:port`` whose settings both sides know."""
        host, _, port = target.rpartition(":")
        _, wire = await asyncio.get_running_loop().create_connection(lambda: cls(target), host, int(port))
        await wire.ready
        return wire

    def prepare(self, path: str, requests: list[bytes], in_flight: int) -> None:
        """Prepare a call of each request; ``run`` makes them with so many in flight.

        Raises:
            WireError: the server takes less at a time.
        """
        if in_flight > self._streams_max:
            raise WireError(
                f"the server takes {self._streams_max} calls at a time over one connection, not {in_flight}"
            )
        block = header_block(self._authority, path)
        self._first = self._stream
        for request in requests:
            stream = self._stream
            body = b"\x00" + struct.pack("!L", len(request)) + request
            frames = frame(HEADERS, END_HEADERS, stream, block) + frame(DATA, END_STREAM, stream, body)
            self._waiting.append((stream, frames, len(body)))
            self._stream += 2
        self._waiting.reverse()
        self._room = in_flight

    async def run(self) -> Answered:
        """Make the calls that were prepared and return when all are answered.

        Raises:
            WireError: the connection is gone.
        """
        self._in_flight, self._done = self._room, asyncio.get_running_loop().create_future()
        self._send()
        await self._done
        self._in_flight = 0
        streams = range(self._first, self._stream, 2)
        answered = Answered(
            [(self._ended[stream] - self._sent_ns[stream]) // 1_000 for stream in streams],
            [self._parts.get(stream, b"")[5:] for stream in streams],
        )
        for each in (self._ended, self._sent_ns, self._parts):
            each.clear()
        return answered

    def close(self) -> None:
        """End the connection."""
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello; windows so wide that nothing ever waits for us."""
        self._transport = transport
        settings = {HEADER_TABLE_SIZE: 0, ENABLE_PUSH: 0, INITIAL_WINDOW_SIZE: WINDOW_MAX}
        payload = b"".join(struct.pack("!HL", *pair) for pair in settings.items())
        widen = frame(WINDOW_UPDATE, 0, 0, struct.pack("!L", WINDOW_MAX - WINDOW))
        self._write(PREFACE + frame(SETTINGS, 0, 0, payload) + widen)

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits is told."""
        self._fail(f"the connection is gone: {exc or 'the server closed it'}")

    def data_received(self, data: bytes) -> None:
        """Take what came apart, then send what there is room for."""
        now = time.perf_counter_ns()
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= _HEAD_BYTES:
            high, low, kind, flags, stream = _FRAME.unpack_from(buffer, at)
            end = at + _HEAD_BYTES + (high << 8 | low)
            if end > len(buffer):
                break
            if kind == DATA:
                self._parts[stream] = self._parts.get(stream, b"") + buffer[at + _HEAD_BYTES : end]
                self._taken += end - at - _HEAD_BYTES
                if flags & PADDED:
                    self._fail("the server pads its frames")
            elif kind not in (HEADERS, RST_STREAM):
                self._control(kind, flags, stream, bytes(buffer[at + _HEAD_BYTES : end]))
            if (flags & END_STREAM and kind in (DATA, HEADERS)) or kind == RST_STREAM:
                self._ended[stream] = now
                self._open -= 1
            at = end
        del buffer[:at]
        if self._taken > WINDOW_MAX // 2:
            self._write(frame(WINDOW_UPDATE, 0, 0, struct.pack("!L", self._taken)))
            self._taken = 0
        self._send()

    def _control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == SETTINGS and not flags & ACK:
            for name, value in struct.iter_unpack("!HL", payload):
                if name == MAX_CONCURRENT_STREAMS:
                    self._streams_max = value
            self._write(frame(SETTINGS, ACK, 0, b""))
            if not self.ready.done():
                self.ready.set_result(None)
        elif kind == PING and not flags & ACK:
            self._write(frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE and stream == 0:
            self._window += struct.unpack("!L", payload)[0]
        elif kind == GOAWAY:
            self._fail(f"the server says goodbye: {payload[8:].decode(errors='replace') or payload.hex()}")

    def _send(self) -> None:
        """As many calls as may be in flight, and as the window has room for, in one write."""
        frames = []
        waiting = self._waiting
        now = time.perf_counter_ns()
        while waiting and self._open < self._in_flight and waiting[-1][2] <= self._window:
            stream, sending, size = waiting.pop()
            self._window -= size
            self._open += 1
            self._sent_ns[stream] = now
            frames.append(sending)
        if frames:
            self._write(b"".join(frames))
        if not waiting and not self._open and self._done is not None and not self._done.done():
            self._done.set_result(None)

    def _write(self, data: bytes) -> None:
        self._transport.write(data)

    def _fail(self, why: str) -> None:
        for future in (self.ready, self._done):
            if future is not None and not future.done():
                future.set_exception(WireError(why))
