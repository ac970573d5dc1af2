"""How many calls are under way at a time, counted from the moment gRPC hands them over.

A busy event loop is late: a call waits for its message to be read and for its handler to begin, and all that time the writer's inbox
knows nothing of it. So whoever would wait too long is refused here, before its message is even read.
"""

import time
from typing import Any

from engine.service.errors import abort
from engine.writer import PLACES_MIN, Room

WEIGHED_EACH = 8
"""Of so many calls one is timed."""
SILENT_S = 1.0
"""So long a call keeps its place without its message, when others want it."""


MethodHandler = Any
"""What gRPC wants to know of a call: see ``grpc.RpcMethodHandler``."""


class _Passage:
    """The method handler of one call, and its place.

    gRPC tells nobody when a call has ended that was given up before its handler began. But it lets go of the method handler when it
    has done with a call, whatever became of it; the place is given back then.
    """

    __slots__ = ("_admission", "_number", "_read", "_under_way", "response_serializer", "unary_unary")
    request_streaming = response_streaming = False
    unary_stream = stream_unary = stream_stream = None
    needs_task = False
    """No servicer of such a call asks for the task that it runs in, as ``asyncio.timeout`` does."""

    def __init__(self, handler: MethodHandler, admission: "Admission", number: int, under_way: int) -> None:
        self._read = handler.request_deserializer
        self.response_serializer = handler.response_serializer
        self.unary_unary = handler.unary_unary
        self._admission = admission
        self._number = number
        self._under_way = under_way

    def request_deserializer(self, content: bytes) -> Any:
        """Reads the message, which has come now. A method and no attribute: the two would hold each other."""
        self._admission.heard(self._number)
        return self._read(content)

    def __del__(self) -> None:
        self._admission.leave(self._number, self._under_way)


class _Refusal:
    """The method handler of a call that is refused. A stream to gRPC, which does not read the message of a stream by itself."""

    request_streaming, response_streaming = True, False
    request_deserializer = response_serializer = None
    unary_unary = unary_stream = stream_stream = None

    def __init__(self, room: Room) -> None:
        self._room = room

    async def stream_unary(self, requests: Any, context: Any) -> None:
        """Tells when to come back."""
        del requests
        await abort(context, self._room.full(time.monotonic()))


class Admission:
    """Gives places to calls that are asked and answered once. Belongs to the event loop."""

    def __init__(self, count_max: int, wait_max_s: float) -> None:
        """``count_max``: calls under way; ``wait_max_s``: longest time that a new one may expect to take, by the pace of late."""
        self._room = Room(count_max, wait_max_s)
        self._refusal = _Refusal(self._room)
        self._number = 0
        self._silent: dict[int, float] = {}  # since when, of calls whose message has not come, the oldest first
        self._began_s: dict[int, float] = {}  # of those that are timed
        self._placeless: set[int] = set()
        self.under_way = 0
        """Calls that have a place."""

    def enter(self, handler: MethodHandler) -> MethodHandler:
        """What answers a call that has just come: its own handler, or one that refuses it."""
        if self.under_way >= self._room.places:
            self._take_from_silent()
            if self.under_way >= self._room.places:
                return self._refusal
        self.under_way += 1
        self._number += 1
        self._silent[self._number] = time.monotonic()
        return _Passage(handler, self, self._number, self.under_way)

    def heard(self, number: int) -> None:
        """The message of a call has come."""
        began_s = self._silent.pop(number, None)
        if number % WEIGHED_EACH == 0 and began_s is not None:
            self._began_s[number] = began_s

    def leave(self, number: int, under_way: int) -> None:
        """A call has ended that was one of so many when it came."""
        self._silent.pop(number, None)
        began_s = self._began_s.pop(number, None)
        if number in self._placeless:
            self._placeless.remove(number)
            return
        self.under_way -= 1
        if began_s is not None:
            self._room.weigh(WEIGHED_EACH, max(under_way, PLACES_MIN), time.monotonic() - began_s)

    def _take_from_silent(self) -> None:
        """Whoever has said nothing for long has no place any more: it would cost nothing to take all of them that way."""
        long_ago_s = time.monotonic() - SILENT_S
        while self._silent:
            number, since_s = next(iter(self._silent.items()))
            if since_s > long_ago_s:
                return
            del self._silent[number]
            self._placeless.add(number)
            self.under_way -= 1
