"""Where calls come in: grpcio's own server, unless another front is asked for."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import grpc

from engine.service.arrivals import ArrivalsServer
from engine.settings import Settings

MESSAGE_BYTES_MAX = 32 << 20
"""Longest message taken or sent. A message of empty entries takes sixty times its length when it is read, and a second each ten
megabytes in which nobody else is answered; hence two shorter limits, see ``engine.service.limits``."""
SERVICES = tuple(
    f"stockpool.v1.{name}Service"
    for name in ("Network", "Inventory", "Reservation", "Order", "Fulfillment", "Return", "Planning", "Admin")
)
"""Of the contract."""
OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.so_reuseport", 0),  # a second server on the port is a mistake, not a helper
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),  # callers who wait may ask for a sign of life
    # Whatever is compressed is unpacked before its length is looked at: a megabyte may become a gigabyte.
    ("grpc.compression_enabled_algorithms_bitset", 1 << grpc.Compression.NoCompression),
)
"""Of gRPC's core."""


class Port(Protocol):
    """What services are added to, as to a ``grpc.aio.Server``."""

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """Handlers of methods by path; the first that knows one answers it."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """What generated code calls beside the above."""

    async def start(self) -> int:
        """Open the port and return it. Raises RuntimeError: the address cannot be listened on."""

    async def stop(self, grace_s: float) -> None:
        """Close the port; calls under way have ``grace_s`` seconds, then they are cancelled."""


OpenPort = Callable[[Settings], Port]
"""Makes the port that settings tell of."""


class GrpcioPort:
    """grpcio's server, at the address of the settings. Belongs to the event loop in which it was made."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._server = ArrivalsServer(OPTIONS)
        self._is_open = False

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """As with ``grpc.aio.Server``."""
        self._server.add_generic_rpc_handlers(tuple(handlers))

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """As with ``grpc.aio.Server``."""
        self._server.add_registered_method_handlers(service, dict(handlers))

    async def start(self) -> int:
        """Open the port and return it.

        Raises:
            RuntimeError: the address cannot be listened on.
        """
        address = f"{self._settings.host}:{self._settings.port}"
        credentials = self._credentials()
        if credentials is None:
            port = self._server.add_insecure_port(address)
        else:
            port = self._server.add_secure_port(address, credentials)
        await self._server.start()
        self._is_open = True
        return int(port)

    async def stop(self, grace_s: float) -> None:
        """Close the port; calls under way have ``grace_s`` seconds, then they are cancelled."""
        if self._is_open:
            await self._server.stop(grace_s)

    def _credentials(self) -> grpc.ServerCredentials | None:
        key, certificate = self._settings.tls_key, self._settings.tls_certificate
        if key is None or certificate is None:
            return None
        return grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
