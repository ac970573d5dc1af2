"""How often, how long, where and under which id a call is tried."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import grpc
from google.protobuf.message import Message

from engine.client.errors import StockpoolError
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import inventory_pb2 as inventory

TIMEOUT_S = 10.0
IMPORT_TIMEOUT_S = 600.0
"""Deadline of a whole import stream."""
PAUSE_FIRST_S = 0.1
PAUSE_MAX_S = 2.0

_ELSEWHERE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
"""Another server may answer. CANCELLED is what gRPC says for a server that closes before it has looked at the call."""
_RETRIED = (*_ELSEWHERE, grpc.StatusCode.RESOURCE_EXHAUSTED)

AGE_KEY = "stockpool-request-age-ms"
"""Metadata: milliseconds since a request was first sent. The server refuses what it may have decided and forgotten meanwhile."""
Metadata = tuple[tuple[str, str], ...]

MessageT = TypeVar("MessageT", bound=Message)
PartT_contra = TypeVar("PartT_contra", bound=Message, contravariant=True)


class Targets:
    """Where the server may be, and where it answered last. All calls of a client share this: what one finds out, the others use."""

    def __init__(self, target: str | Sequence[str]) -> None:
        """``target``: one "host:port", several in one text with commas between them, or a sequence.

        Raises:
            ValueError: there is none.
        """
        listed = target.split(",") if isinstance(target, str) else target
        self.names = tuple(name.strip() for name in listed if name.strip())
        if not self.names:
            raise ValueError('target must be "host:port", or several of them')
        self.at = 0
        self.closed = False

    def leave(self, at: int) -> None:
        """Go on at the next one, unless another call has left this one already."""
        if self.at == at:
            self.at = (at + 1) % len(self.names)


class Attempts:
    """The attempts of one call: what is left of its deadline, and whether, when and where to try again."""

    def __init__(self, call: str, timeout_s: float | None, retries: int, targets: Targets, age_s: float = 0.0) -> None:
        self._call = call
        now = time.monotonic()
        self._first_sent = now - age_s
        self._new = age_s == 0.0
        self._ends = None if timeout_s is None else now + timeout_s
        self._retries = retries
        self._targets = targets
        self._at = targets.at
        self._made = 0
        self._tried = 0
        self._unavailable: set[int] = set()

    def at(self) -> int:
        """Number of the target to call now."""
        self._at = self._targets.at
        self._tried += 1
        return self._at

    @property
    def remaining_s(self) -> float | None:
        """Seconds until the deadline; None without one."""
        return None if self._ends is None else max(0.0, self._ends - time.monotonic())

    def metadata(self, always: Metadata) -> Metadata:
        """What goes with the attempt that ``at`` began: it tells how old the request is, unless it is sent for the first time."""
        if self._new and self._tried <= 1:
            return always
        return (*always, (AGE_KEY, str(int((time.monotonic() - self._first_sent) * 1000) + 1)))

    def begin_again(self) -> None:
        """Forget the failures so far: the call made progress."""
        self._made = 0
        self._unavailable.clear()

    def pause_s(self, error: grpc.RpcError) -> float:
        """Seconds to wait before the next attempt. Other targets are asked at once; a pause comes when all are unavailable.

        Raises:
            StockpoolError: there is none: the error will not go away by itself, or retries or time are used up.
        """
        failure = StockpoolError(self._call, error)
        if failure.code not in _RETRIED or self._made >= self._retries or self._targets.closed:
            raise failure from error
        if failure.code in _ELSEWHERE:
            self._targets.leave(self._at)
            self._unavailable.add(self._at)
            if self._targets.at not in self._unavailable:
                return 0.0
        self._unavailable.clear()
        longest = min(PAUSE_MAX_S, PAUSE_FIRST_S * float(2**self._made))
        self._made += 1
        pause = longest * random.uniform(0.5, 1.0) + (failure.retry_after_s or 0.0)  # noqa: S311 - spreads callers, no secret
        remaining = self.remaining_s
        if remaining is not None and pause >= remaining:
            raise failure from error
        return pause


def with_request_id(request: MessageT) -> MessageT:
    """The request, or a copy with a fresh id when the contract wants one and it has none."""
    if getattr(request, "request_id", None) != "":
        return request
    copy = type(request)()
    copy.CopyFrom(request)
    copy.request_id = str(uuid.uuid4())  # type: ignore[attr-defined]
    return copy


def repeatable(requests: object, retries: int) -> int:
    """Retries for a stream of requests: an iterator that was consumed cannot be sent again."""
    return retries if isinstance(requests, Sequence) else 0


class Place(Protocol[PartT_contra]):
    """Where the reader of an endless stream is."""

    request: Any
    """Goes on there."""

    def kept(self, response: PartT_contra) -> None:
        """The reader gets this part."""


class Events:
    """Where a reader of events is: the request that goes on behind what it has."""

    def __init__(self, request: admin.StreamEventsRequest) -> None:
        self.request = admin.StreamEventsRequest()
        self.request.CopyFrom(request)

    def kept(self, response: admin.StreamEventsResponse) -> None:
        """The reader gets this part; go on behind it."""
        if response.events:
            self.request.from_seq = response.events[-1].journal_seq + 1


class Offers:
    """Where a watcher of availability is: the request that goes on behind what it was told."""

    def __init__(self, request: inventory.WatchAvailabilityRequest) -> None:
        self.request = inventory.WatchAvailabilityRequest()
        self.request.CopyFrom(request)

    def kept(self, response: inventory.WatchAvailabilityResponse) -> None:
        """The watcher gets this part. Until it has the whole first state there is nothing to go on from."""
        if response.resume_seq:
            self.request.from_seq = response.resume_seq


def import_message(request: inventory.ImportStockRequest, fresh_id: str) -> inventory.ImportStockRequest:
    """The message, or a copy with the stream's id."""
    if request.request_id:
        return request
    copy = inventory.ImportStockRequest(request_id=fresh_id)
    copy.MergeFrom(request)
    return copy
