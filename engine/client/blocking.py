"""The client that waits for each answer."""

from __future__ import annotations

import time
import uuid
from collections.abc import Generator, Iterable
from functools import cached_property
from threading import Lock
from types import TracebackType
from typing import Any, Self

import grpc

from engine.client.attempts import IMPORT_TIMEOUT_S, Attempts, Events, Offers, Place, import_message, repeatable
from engine.client.calls import IMPORT_PATH, STREAM_PATHS, BlockingCalls, ResponseT
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import inventory_pb2 as inventory


class Client(BlockingCalls):
    """Blocking client; may be shared by threads. Use it with ``with``, or call ``close``."""

    @cached_property
    def _channels(self) -> dict[int, grpc.Channel]:
        return {}

    @cached_property
    def _opening(self) -> Lock:
        return Lock()

    @property
    def channel(self) -> grpc.Channel:
        """The connection to ``target``."""
        return self.channel_at(self.targets.at)

    def channel_at(self, at: int) -> grpc.Channel:
        """The connection to a target by its number, opened when it is first used."""
        with self._opening:
            channel = self._channels.get(at)
            if channel is None:
                if self.targets.closed:
                    raise ValueError("the client is closed")
                target, credentials = self.targets.names[at], self.credentials()
                if credentials is None:
                    channel = grpc.insecure_channel(target, options=self._options)
                else:
                    channel = grpc.secure_channel(target, credentials, options=self._options)
                self._channels[at] = channel
            return channel

    def import_stock(
        self, requests: Iterable[inventory.ImportStockRequest], *, timeout_s: float = IMPORT_TIMEOUT_S
    ) -> inventory.ImportStockResponse:
        """ImportStock. A list is sent again when the connection fails; an iterator cannot be."""
        attempts = Attempts("ImportStock", timeout_s, repeatable(requests, self.retries), self.targets)
        fresh_id = str(uuid.uuid4())
        while True:
            invoke = self.channel_at(attempts.at()).stream_unary(
                IMPORT_PATH,
                request_serializer=inventory.ImportStockRequest.SerializeToString,
                response_deserializer=inventory.ImportStockResponse.FromString,
            )
            try:
                return invoke(
                    (import_message(request, fresh_id) for request in requests),
                    timeout=attempts.remaining_s,
                    metadata=attempts.metadata(self.metadata),
                )
            except grpc.RpcError as error:
                time.sleep(attempts.pause_s(error))

    def stream_events(
        self, request: admin.StreamEventsRequest, *, timeout_s: float | None = None
    ) -> Generator[admin.StreamEventsResponse, None, None]:
        """StreamEvents. When the connection fails it goes on behind the last event it gave: none is missed, none comes twice.

        Close the generator when you stop before its end: that frees the stream.
        """
        return self._stream("StreamEvents", Events(request), admin.StreamEventsResponse, timeout_s)

    def watch_availability(
        self, request: inventory.WatchAvailabilityRequest, *, timeout_s: float | None = None
    ) -> Generator[inventory.WatchAvailabilityResponse, None, None]:
        """WatchAvailability. When the connection fails it goes on where it was; a server that no longer knows what has changed since tells
        everything again, with ``complete``.

        Close the generator when you stop before its end: that frees the stream.
        """
        return self._stream("WatchAvailability", Offers(request), inventory.WatchAvailabilityResponse, timeout_s)

    def _stream(
        self, call_name: str, place: Place[ResponseT], response: type[ResponseT], timeout_s: float | None
    ) -> Generator[ResponseT, None, None]:
        attempts = Attempts(call_name, timeout_s, self.retries, self.targets)
        while True:
            invoke: Any = self.channel_at(attempts.at()).unary_stream(
                STREAM_PATHS[call_name],
                request_serializer=type(place.request).SerializeToString,
                response_deserializer=response.FromString,
            )
            call = invoke(place.request, timeout=attempts.remaining_s, metadata=self.metadata)
            try:
                for part in call:
                    place.kept(part)
                    attempts.begin_again()
                    yield part
            except grpc.RpcError as error:
                time.sleep(attempts.pause_s(error))
            else:
                return
            finally:
                call.cancel()  # frees the stream when the reader stops early; nothing to do when it has ended

    def close(self) -> None:
        """Close the connections; calls under way are cancelled, and there can be no others."""
        self.targets.closed = True
        while self._channels:
            self._channels.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
