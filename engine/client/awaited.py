"""The client for an event loop."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import grpc

from engine.client.attempts import IMPORT_TIMEOUT_S, Attempts, Events, Offers, Place, import_message, repeatable
from engine.client.calls import IMPORT_PATH, RESERVE_PATH, STREAM_PATHS, AwaitedCalls, ResponseT
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import reservations_pb2 as reservations


class AsyncClient(AwaitedCalls):
    """Asynchronous client for one event loop. Use it with ``async with``, or await ``close``."""

    @cached_property
    def _channels(self) -> dict[int, grpc.aio.Channel]:
        return {}

    @property
    def channel(self) -> grpc.aio.Channel:
        """The connection to ``target``."""
        return self.channel_at(self.targets.at)

    def channel_at(self, at: int) -> grpc.aio.Channel:
        """The connection to a target by its number, opened when it is first used, in the running event loop."""
        channel = self._channels.get(at)
        if channel is None:
            if self.targets.closed:
                raise ValueError("the client is closed")
            target, credentials = self.targets.names[at], self.credentials()
            if credentials is None:
                channel = grpc.aio.insecure_channel(target, options=self._options)
            else:
                channel = grpc.aio.secure_channel(target, credentials, options=self._options)
            self._channels[at] = channel
        return channel

    async def import_stock(
        self,
        requests: Iterable[inventory.ImportStockRequest] | AsyncIterable[inventory.ImportStockRequest],
        *,
        timeout_s: float = IMPORT_TIMEOUT_S,
    ) -> inventory.ImportStockResponse:
        """ImportStock. A list is sent again when the connection fails; an iterator cannot be."""
        attempts = Attempts("ImportStock", timeout_s, repeatable(requests, self.retries), self.targets)
        fresh_id = str(uuid.uuid4())
        while True:
            invoke: Any = self.channel_at(attempts.at()).stream_unary(
                IMPORT_PATH,
                request_serializer=inventory.ImportStockRequest.SerializeToString,
                response_deserializer=inventory.ImportStockResponse.FromString,
            )
            try:
                response: inventory.ImportStockResponse = await invoke(
                    _import_messages(requests, fresh_id),
                    timeout=attempts.remaining_s,
                    metadata=attempts.metadata(self.metadata),
                )
            except grpc.RpcError as error:
                lost = isinstance(error, grpc.aio.AioRpcError) and error.details() == STATUS_LOST
                await asyncio.sleep(attempts.pause_s(_given_up(attempts.remaining_s) if lost else error))
            except asyncio.CancelledError:
                if _is_cancelled():
                    raise
                await asyncio.sleep(attempts.pause_s(_given_up(attempts.remaining_s)))
            else:
                return response

    def stream_events(
        self, request: admin.StreamEventsRequest, *, timeout_s: float | None = None
    ) -> AsyncGenerator[admin.StreamEventsResponse, None]:
        """StreamEvents. When the connection fails it goes on behind the last event it gave: none is missed, none comes twice.

        Close the generator when you stop before its end: that frees the stream.
        """
        return self._stream("StreamEvents", Events(request), admin.StreamEventsResponse, timeout_s)

    def watch_availability(
        self, request: inventory.WatchAvailabilityRequest, *, timeout_s: float | None = None
    ) -> AsyncGenerator[inventory.WatchAvailabilityResponse, None]:
        """WatchAvailability. When the connection fails it goes on where it was; a server that no longer knows what has changed since tells
        everything again, with ``complete``.

        Close the generator when you stop before its end: that frees the stream.
        """
        return self._stream("WatchAvailability", Offers(request), inventory.WatchAvailabilityResponse, timeout_s)

    async def _stream(
        self, call_name: str, place: Place[ResponseT], response: type[ResponseT], timeout_s: float | None
    ) -> AsyncGenerator[ResponseT, None]:
        attempts = Attempts(call_name, timeout_s, self.retries, self.targets)
        while True:
            invoke: Any = self.channel_at(attempts.at()).unary_stream(
                STREAM_PATHS[call_name],
                request_serializer=type(place.request).SerializeToString,
                response_deserializer=response.FromString,
            )
            call = invoke(place.request, timeout=attempts.remaining_s, metadata=self.metadata)
            try:
                async for part in call:
                    place.kept(part)
                    attempts.begin_again()
                    yield part
            except grpc.RpcError as error:
                await asyncio.sleep(attempts.pause_s(error))
            else:
                return
            finally:
                call.cancel()  # frees the stream when the reader stops early; nothing to do when it has ended

    async def stream_reserve(
        self, requests: AsyncIterable[reservations.StreamReserveRequest], *, timeout_s: float | None = None
    ) -> AsyncGenerator[reservations.StreamReserveResponse, None]:
        """StreamReserve: the answers, in the order of the requests; each of these has a request id of its own.

        When the connection fails the stream ends: only its caller knows what was asked and not answered, and may ask that again under the
        same request ids. Close the generator when you stop before its end.
        """
        attempts = Attempts("StreamReserve", timeout_s, 0, self.targets)
        invoke: Any = self.channel_at(attempts.at()).stream_stream(
            RESERVE_PATH,
            request_serializer=reservations.StreamReserveRequest.SerializeToString,
            response_deserializer=reservations.StreamReserveResponse.FromString,
        )
        call = invoke(requests, timeout=attempts.remaining_s, metadata=self.metadata)
        try:
            async for response in call:
                yield response
        except grpc.RpcError as error:
            attempts.pause_s(error)  # raises what the error means: there is no other attempt
            raise
        finally:
            call.cancel()

    async def close(self) -> None:
        """Close the connections; calls under way are cancelled, and there can be no others."""
        self.targets.closed = True
        while self._channels:
            await self._channels.popitem()[1].close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


STATUS_LOST = "Internal error from Core"
"""What gRPC tells, with code INTERNAL, when a call ends just while a message of its requests is sent: what the server said is lost."""


def _is_cancelled() -> bool:
    """Whether somebody cancelled the task that asks."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _given_up(remaining_s: float | None) -> grpc.RpcError:
    """The error of a stream that gRPC gave up by itself: when a call ends just while the end of its requests is sent, it tells a
    CancelledError and keeps no status.
    """
    code = grpc.StatusCode.DEADLINE_EXCEEDED if remaining_s == 0.0 else grpc.StatusCode.CANCELLED
    nothing = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(code, nothing, nothing, "the call ended while its last message was sent")


async def _import_messages(
    requests: Iterable[inventory.ImportStockRequest] | AsyncIterable[inventory.ImportStockRequest],
    fresh_id: str,
) -> AsyncIterator[inventory.ImportStockRequest]:
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield import_message(request, fresh_id)
    else:
        for request in requests:
            yield import_message(request, fresh_id)
