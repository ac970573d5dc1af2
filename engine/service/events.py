"""The journal as a stream of events. Everything here reads what is durable, off the event loop, and holds up nobody."""

import asyncio
from collections.abc import AsyncIterator, Iterable

from engine.journal import Journal, JournalCut
from engine.journal.codec import decode, decode_requests
from engine.pool.names import Names
from engine.service.convert.events import fill_event
from engine.service.door import Engine
from engine.writer import NotServing
from stockpool.v1 import admin_pb2 as pb

EVENTS_MAX = 500
"""Events of one response."""
BYTES_MAX = 1 << 20
"""A response ends with the event that goes beyond this."""
RECORDS_A_READ = 256
READ_BYTES_MAX = 4 * BYTES_MAX
"""Reading ahead ends with the record that goes beyond this."""


async def stream(engine: Engine, request: pb.StreamEventsRequest) -> AsyncIterator[pb.StreamEventsResponse]:
    """Events from a sequence on, several a response; with ``follow`` until the server closes, else up to the present.

    Raises:
        NotServing: the server closes; the reader comes back to the one that follows.
    """
    next_seq = max(request.from_seq, 1)
    while True:
        parts, read_to = await asyncio.to_thread(_read, engine.journal, engine.names, next_seq)
        for part in parts:
            yield part
        if read_to >= next_seq:
            next_seq = read_to + 1
        elif request.follow:
            await _news(engine, next_seq - 1)
        else:
            return


async def _news(engine: Engine, seq: int) -> None:
    """Until there is a decision after ``seq``, or the server closes."""
    news = asyncio.ensure_future(engine.writer.wait_beyond(seq))
    closing = asyncio.ensure_future(engine.closing.wait())
    try:
        await asyncio.wait((news, closing), return_when=asyncio.FIRST_COMPLETED)
    finally:
        news.cancel()
        closing.cancel()
    if engine.closing.is_set():
        raise NotServing


def _read(journal: Journal, names: Names, from_seq: int) -> tuple[list[pb.StreamEventsResponse], int]:
    """The next records as responses, and the last sequence in them (below ``from_seq`` when there are none)."""
    parts: list[pb.StreamEventsResponse] = []
    size, total, last_seq = BYTES_MAX, 0, from_seq - 1
    for record in journal.read(from_seq, limit=RECORDS_A_READ):
        for decision in decode(record):
            if decision.seq < from_seq:
                continue
            if size >= BYTES_MAX or len(parts[-1].events) >= EVENTS_MAX:
                parts.append(pb.StreamEventsResponse())
                size = 0
            event = parts[-1].events.add()
            fill_event(event, decision, names)
            length = event.ByteSize()
            size, total, last_seq = size + length, total + length, decision.seq
        if total >= READ_BYTES_MAX:
            break
    return parts, last_seq


def requests_behind(journal: Journal, seqs: Iterable[int]) -> dict[int, tuple[str, str]]:
    """(Request id, reference) of the decisions with these sequences; those that were cut off the journal are missing."""
    found: dict[int, tuple[str, str]] = {}
    first_seq = 0
    for seq in sorted(set(seqs)):
        if seq in found or seq < first_seq:
            continue
        try:
            for record in journal.read(seq, limit=1):
                found |= {each: (request_id, reference) for each, request_id, reference in decode_requests(record)}
        except JournalCut as cut:
            first_seq = cut.first_seq
    return found
