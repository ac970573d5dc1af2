"""What a servicer may ask and tell about the call it answers: the ``grpc.aio.ServicerContext`` of calls that come by ASGI."""

import asyncio
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

import grpc
from grpc.aio import AbortError

from engine.service.asgi.wire import Headers, Metadata, metadata_of, peer_of, timeout_s

_COMPRESSIONS = {grpc.Compression.Deflate: b"deflate", grpc.Compression.Gzip: b"gzip"}


class Context:
    """Same names and meanings as ``grpc.aio.ServicerContext``; reading and writing are the call's."""

    # Of most calls these stay as they are: setting each of them anew for every call takes longer than reading them here.
    _metadata: Metadata | None = None
    _initial: Iterable[tuple[str, str | bytes]] | None = None
    _trailing: Iterable[tuple[str, str | bytes]] | None = None
    _code: grpc.StatusCode | None = None
    _details = ""
    _compression: grpc.Compression | None = None
    _callbacks: list[Callable[[Any], None]] | None = None
    _gone = False
    """The caller gave up, or its connection broke."""
    _ended = False
    _deadline_s: float | None = None
    """By time.monotonic."""

    def __init__(self, scope: Mapping[str, Any], timeout: bytes | None) -> None:
        """``timeout``: the header grpc-timeout."""
        self._headers: Headers = scope["headers"]
        self._client = scope.get("client")
        if timeout is not None and (left_s := timeout_s(timeout)) is not None:
            self._deadline_s = time.monotonic() + left_s

    def invocation_metadata(self) -> Metadata:
        """What the caller sent along."""
        if self._metadata is None:
            self._metadata = metadata_of(self._headers)
        return self._metadata

    def time_remaining(self) -> float | None:
        """Seconds until the caller stops waiting; None: it waits for ever."""
        return None if self._deadline_s is None else max(self._deadline_s - time.monotonic(), 0.0)

    def peer(self) -> str:
        """The caller's end of the connection: ``ipv4:ADDRESS:PORT`` or ``ipv6:[ADDRESS]:PORT``."""
        return peer_of(self._client)

    def peer_identities(self) -> None:
        """Of certificates of callers, which are not asked for."""

    def peer_identity_key(self) -> None:
        """As ``peer_identities``."""

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """As ``peer_identities``."""
        return {}

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Iterable[tuple[str, str | bytes]] = ()
    ) -> NoReturn:
        """End the call with a status. Raises what the servicer lets through."""
        if code is grpc.StatusCode.OK:
            raise ValueError("abort() takes a status other than OK")
        self._code, self._details, self._trailing = code, details, tuple(trailing_metadata)
        raise AbortError

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        """End the call with a status that has details, see ``grpc_status.rpc_status.to_status``."""
        await self.abort(status.code, status.details, status.trailing_metadata or ())

    def set_code(self, code: grpc.StatusCode) -> None:
        """The status that the call will end with."""
        self._code = code

    def set_details(self, details: str) -> None:
        """The text of that status."""
        self._details = details

    def set_trailing_metadata(self, trailing_metadata: Iterable[tuple[str, str | bytes]]) -> None:
        """What goes along with that status."""
        self._trailing = tuple(trailing_metadata)

    def code(self) -> grpc.StatusCode | None:
        """What was set."""
        return self._code

    def details(self) -> str:
        """What was set."""
        return self._details

    def trailing_metadata(self) -> Iterable[tuple[str, str | bytes]] | None:
        """What was set."""
        return self._trailing

    def set_compression(self, compression: grpc.Compression) -> None:
        """Compress the messages of the answer if the caller can read that. Before the first of them."""
        self._compression = compression

    def disable_next_message_compression(self) -> None:
        """Nothing, as with grpcio's own asynchronous server."""

    @abstractmethod
    async def send_initial_metadata(self, initial_metadata: Iterable[tuple[str, str | bytes]]) -> None:
        """Send the headers of the answer now."""

    @abstractmethod
    async def read(self) -> Any:
        """The next message of a stream of requests; ``grpc.aio.EOF`` behind the last."""

    @abstractmethod
    async def write(self, message: Any) -> None:
        """Send a message of a stream of responses."""

    def cancelled(self) -> bool:
        """The caller gave up."""
        return self._gone

    def done(self) -> bool:
        """The call has ended."""
        return self._ended

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """To be called with this when the call has ended."""
        if self._callbacks is None:
            self._callbacks = []
        self._callbacks.append(callback)

    def _encoding(self) -> bytes:
        """How messages of the answer are compressed."""
        chosen = None if self._compression is None else _COMPRESSIONS.get(self._compression)
        if chosen is not None:
            for name, value in self._headers:
                if name == b"grpc-accept-encoding" and chosen in (part.strip() for part in value.split(b",")):
                    return chosen
        return b"identity"

    def _tell_done(self) -> None:
        self._ended = True
        if self._callbacks:
            for callback in self._callbacks:
                asyncio.get_running_loop().call_soon(callback, self)
            self._callbacks = None
