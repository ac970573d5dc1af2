"""A cable between the server and PostgreSQL that can be cut at the worst moment: in the middle of a commit.

It reads enough of PostgreSQL's protocol to know an append to the journal when it sees one. An append is a transaction of one statement,
so that whether its answer comes decides whether the writer knows that it was committed.
"""

import asyncio
import struct
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Self

_APPEND = b"INSERT INTO journal "
_REQUESTS_TO_ENCRYPT = {80877103, 80877104}
_READ_BYTES = 1 << 16
_HEADER = 5
"""Bytes before the body of a message: its type and its length."""
_READY = b"Z"
_SYNC = b"S"


class Cut(Enum):
    """Where in the life of an append the connection breaks."""

    BEFORE = "cut before the commit"
    """PostgreSQL never hears of it."""
    WITHIN = "cut within the request"
    """PostgreSQL hears half of it, and must not take that for anything."""
    AFTER = "cut after the commit"
    """It is committed, and its answer does not arrive: the writer cannot know."""
    ANSWER = "cut within the answer"
    """As AFTER, with the first bytes of the answer."""


@dataclass(slots=True)
class _Order:
    """A cut that was asked for: made at the next append."""

    where: Cut
    made: asyncio.Event


class Proxy:
    """Listens on a port of this machine and passes on to a Unix socket. Use it with ``async with``."""

    def __init__(self, socket: Path) -> None:
        self.port = 0
        self._socket = socket
        self._order: _Order | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def cut(self, where: Cut) -> None:
        """Break the connection at the next append; returns when it is broken. Cancelled before, nothing is cut."""
        self._order = _Order(where, asyncio.Event())
        made = self._order.made
        try:
            await made.wait()
        finally:
            self._order = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            try:
                base_reader, base_writer = await asyncio.open_unix_connection(self._socket)
            except OSError:  # the database is down: so is this
                writer.transport.abort()
                return
            await _Connection(self, (reader, writer), (base_reader, base_writer)).run()

    def take_order(self) -> _Order | None:
        """The cut that was asked for, once."""
        order, self._order = self._order, None
        return order


_Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Connection:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, caller: _Ends, base: _Ends) -> None:
        self._proxy = proxy
        self._caller_reader, self._caller = caller
        self._base_reader, self._base = base
        self._appends: set[bytes] = set()
        self._withheld: bytearray | None = None
        self._order: _Order | None = None

    async def run(self) -> None:
        """Pass on both ways until one side is gone, or the connection is cut."""
        ways = [asyncio.ensure_future(way) for way in (self._pass_requests(), self._pass_answers())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._caller.close()  # what was written still goes out
            self._base.close()

    async def _pass_requests(self) -> None:
        while True:
            opening = await self._caller_reader.readexactly(8)
            length, code = struct.unpack("!ii", opening)
            self._base.write(opening + await self._caller_reader.readexactly(length - 8))
            if code not in _REQUESTS_TO_ENCRYPT:
                break
        batch, is_append = bytearray(), False
        while True:
            header = await self._caller_reader.readexactly(_HEADER)
            body = await self._caller_reader.readexactly(int.from_bytes(header[1:], "big") - 4)
            batch += header + body
            kind = header[:1]
            is_append = self._names_append(kind, body) or is_append
            if kind not in b"PBDEC":  # a batch of these ends with Sync; others go alone
                order = self._proxy.take_order() if is_append else None
                if order is not None and self._cut_request(order, batch):
                    return
                self._base.write(batch)
                await self._base.drain()
                batch, is_append = bytearray(), False

    def _names_append(self, kind: bytes, body: bytes) -> bool:
        """Whether the message prepares (P) or uses (B) the statement that appends to the journal."""
        if kind == b"P":
            name, query = body.split(b"\0", 2)[:2]
            if _APPEND in query:
                self._appends.add(name)
                return True
            self._appends.discard(name)
        elif kind == b"B":
            return body.split(b"\0", 2)[1] in self._appends
        return False

    def _cut_request(self, order: _Order, batch: bytearray) -> bool:
        """Cuts before or within the request (True), or lets the answer be withheld."""
        if order.where is Cut.BEFORE:
            order.made.set()
            return True
        if order.where is Cut.WITHIN:
            self._base.write(batch[: len(batch) // 2])
            order.made.set()
            return True
        self._order, self._withheld = order, bytearray()
        return False

    async def _pass_answers(self) -> None:
        while data := await self._base_reader.read(_READ_BYTES):
            if self._withheld is None:
                self._caller.write(data)
                await self._caller.drain()
                continue
            self._withheld += data
            if _is_whole(self._withheld):
                assert self._order is not None
                if self._order.where is Cut.ANSWER:
                    self._caller.write(bytes(self._withheld[: len(self._withheld) // 2]))
                self._order.made.set()
                return


def _is_whole(answer: bytes | bytearray) -> bool:
    """Whether the messages end with the one that says ready: then the transaction has ended."""
    at = 0
    while at + _HEADER <= len(answer):
        kind, length = answer[at : at + 1], int.from_bytes(answer[at + 1 : at + _HEADER], "big")
        at += 1 + length
        if kind == _READY:
            return at <= len(answer)
    return False
