"""The client for an event loop."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import grpc

from engine.client.attempts import IMPORT_TIMEOUT_S, Attempts, Events, import_message, repeatable
from engine.client.calls import EVENTS_PATH, IMPORT_PATH, AwaitedCalls
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import inventory_pb2 as inventory


class AsyncClient(AwaitedCalls):
    """Asynchronous client for one event loop. Use it with ``async with``, or await ``close``."""

    @cached_property
    def channel(self) -> grpc.aio.Channel:
        """The connection, opened when it is first used, in the running event loop."""
        credentials = self.credentials()
        if credentials is None:
            return grpc.aio.insecure_channel(self.target, options=self._options)
        return grpc.aio.secure_channel(self.target, credentials, options=self._options)

    async def import_stock(
        self,
        requests: Iterable[inventory.ImportStockRequest] | AsyncIterable[inventory.ImportStockRequest],
        *,
        timeout_s: float = IMPORT_TIMEOUT_S,
    ) -> inventory.ImportStockResponse:
        """ImportStock. A list is sent again when the connection fails; an iterator cannot be."""
        invoke: Any = self.channel.stream_unary(
            IMPORT_PATH,
            request_serializer=inventory.ImportStockRequest.SerializeToString,
            response_deserializer=inventory.ImportStockResponse.FromString,
        )
        attempts = Attempts("ImportStock", timeout_s, repeatable(requests, self.retries))
        fresh_id = str(uuid.uuid4())
        while True:
            try:
                response: inventory.ImportStockResponse = await invoke(
                    _import_messages(requests, fresh_id), timeout=attempts.remaining_s, metadata=self.metadata
                )
            except grpc.RpcError as error:
                await asyncio.sleep(attempts.pause_s(error))
            else:
                return response

    async def stream_events(
        self, request: admin.StreamEventsRequest, *, timeout_s: float | None = None
    ) -> AsyncGenerator[admin.StreamEventsResponse, None]:
        """StreamEvents. When the connection fails it goes on behind the last event it gave: none is missed, none comes twice.

        Close the generator when you stop before its end: that frees the stream.
        """
        invoke: Any = self.channel.unary_stream(
            EVENTS_PATH,
            request_serializer=admin.StreamEventsRequest.SerializeToString,
            response_deserializer=admin.StreamEventsResponse.FromString,
        )
        attempts, events = Attempts("StreamEvents", timeout_s, self.retries), Events(request)
        while True:
            call = invoke(events.request, timeout=attempts.remaining_s, metadata=self.metadata)
            try:
                async for response in call:
                    events.kept(response)
                    attempts.begin_again()
                    yield response
            except grpc.RpcError as error:
                await asyncio.sleep(attempts.pause_s(error))
            else:
                return
            finally:
                call.cancel()  # frees the stream when the reader stops early; nothing to do when it has ended

    async def close(self) -> None:
        """Close the connection; calls under way are cancelled."""
        if "channel" in self.__dict__:
            await self.channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


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
