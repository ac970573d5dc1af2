"""The client that waits for each answer."""

from __future__ import annotations

import time
import uuid
from collections.abc import Generator, Iterable
from functools import cached_property
from types import TracebackType
from typing import Self

import grpc

from engine.client.attempts import IMPORT_TIMEOUT_S, Attempts, Events, import_message, repeatable
from engine.client.calls import EVENTS_PATH, IMPORT_PATH, BlockingCalls
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import inventory_pb2 as inventory


class Client(BlockingCalls):
    """Blocking client; may be shared by threads. Use it with ``with``, or call ``close``."""

    @cached_property
    def channel(self) -> grpc.Channel:
        """The connection, opened when it is first used."""
        credentials = self.credentials()
        if credentials is None:
            return grpc.insecure_channel(self.target, options=self._options)
        return grpc.secure_channel(self.target, credentials, options=self._options)

    def import_stock(
        self, requests: Iterable[inventory.ImportStockRequest], *, timeout_s: float = IMPORT_TIMEOUT_S
    ) -> inventory.ImportStockResponse:
        """ImportStock. A list is sent again when the connection fails; an iterator cannot be."""
        invoke = self.channel.stream_unary(
            IMPORT_PATH,
            request_serializer=inventory.ImportStockRequest.SerializeToString,
            response_deserializer=inventory.ImportStockResponse.FromString,
        )
        attempts = Attempts("ImportStock", timeout_s, repeatable(requests, self.retries))
        fresh_id = str(uuid.uuid4())
        while True:
            try:
                return invoke(
                    (import_message(request, fresh_id) for request in requests),
                    timeout=attempts.remaining_s,
                    metadata=self.metadata,
                )
            except grpc.RpcError as error:
                time.sleep(attempts.pause_s(error))

    def stream_events(
        self, request: admin.StreamEventsRequest, *, timeout_s: float | None = None
    ) -> Generator[admin.StreamEventsResponse, None, None]:
        """StreamEvents. When the connection fails it goes on behind the last event it gave: none is missed, none comes twice.

        Close the generator when you stop before its end: that frees the stream.
        """
        invoke = self.channel.unary_stream(
            EVENTS_PATH,
            request_serializer=admin.StreamEventsRequest.SerializeToString,
            response_deserializer=admin.StreamEventsResponse.FromString,
        )
        attempts, events = Attempts("StreamEvents", timeout_s, self.retries), Events(request)
        while True:
            call = invoke(events.request, timeout=attempts.remaining_s, metadata=self.metadata)
            try:
                for response in call:
                    events.kept(response)
                    attempts.begin_again()
                    yield response
            except grpc.RpcError as error:
                time.sleep(attempts.pause_s(error))
            else:
                return
            finally:
                call.cancel()  # frees the stream when the reader stops early; nothing to do when it has ended

    def close(self) -> None:
        """Close the connection; calls under way are cancelled."""
        if "channel" in self.__dict__:
            self.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
