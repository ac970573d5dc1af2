"""The gRPC server: every service, health, reflection, an orderly start and end."""

import time
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from engine.journal import Journal
from engine.model.limits import SECOND_NS
from engine.pool.names import Names
from engine.service.admin import Admin
from engine.service.admission import Admission
from engine.service.arrivals import ArrivalsServer
from engine.service.auth import Auth
from engine.service.door import Door
from engine.service.fulfillment import Fulfillment
from engine.service.inventory import Inventory
from engine.service.limits import MESSAGE_BYTES_MAX
from engine.service.network import Network
from engine.service.orders import Orders
from engine.service.planning import Planning
from engine.service.reading import Calls
from engine.service.refresh import PriceRefresher
from engine.service.reservations import Reservations
from engine.service.returns import Returns
from engine.service.transfers import TransferFinder
from engine.service.waves import WaveRunner
from engine.settings import Settings
from engine.snapshots import SnapshotFolder
from engine.writer import Writer
from stockpool.v1 import (
    admin_pb2_grpc,
    fulfillment_pb2_grpc,
    inventory_pb2_grpc,
    network_pb2_grpc,
    orders_pb2_grpc,
    planning_pb2_grpc,
    reservations_pb2_grpc,
    returns_pb2_grpc,
)

SERVICES = tuple(
    f"stockpool.v1.{name}Service"
    for name in ("Network", "Inventory", "Reservation", "Order", "Fulfillment", "Return", "Planning", "Admin")
)
OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.so_reuseport", 0),  # a second server on the port is a mistake, not a helper
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),  # callers who wait may ask for a sign of life
    # Whatever is compressed is unpacked before its length is looked at: a megabyte may become a gigabyte.
    ("grpc.compression_enabled_algorithms_bitset", 1 << grpc.Compression.NoCompression),
)
"""Of gRPC's core."""
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Server:
    """``start`` opens the port; until ``open`` gives it an engine, health says NOT_SERVING and calls are told to come back.

    An orderly end: ``close`` (nothing new is taken), the writer drains, ``stop`` (what is under way gets its answers).
    """

    def __init__(self, settings: Settings) -> None:
        """Raises ValueError when the file of credentials is not what it must be."""
        self._settings = settings
        auth = None if settings.auth_file is None else Auth.load(settings.auth_file)
        self._door = Door(settings.limits, auth)
        self.inventory = Inventory(self._door)
        limits = settings.limits
        self._admission = Admission(limits.inbox_max, limits.inbox_wait_max_ns / SECOND_NS)
        self._start_ns = time.time_ns()
        self._server: ArrivalsServer | None = None
        self._refresher = PriceRefresher(settings)
        self._waves = WaveRunner(settings)
        self._health = health.aio.HealthServicer()

    async def start(self) -> int:
        """Open the port and return it.

        Raises:
            RuntimeError: the address cannot be listened on.
        """
        server = ArrivalsServer(OPTIONS)
        self._add_services(server)
        address = f"{self._settings.host}:{self._settings.port}"
        credentials = self._credentials()
        if credentials is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, credentials)
        await self._tell(_NOT_SERVING)
        await server.start()
        self._server = server
        return int(port)

    async def open(self, writer: Writer, names: Names, journal: Journal) -> None:
        """The journal has been replayed and the writer runs: answer calls."""
        engine = self._door.open(writer, names, journal)
        self._refresher.start(engine)
        self._waves.start(engine)
        await self._tell(_SERVING)

    async def close(self) -> None:
        """Take nothing new: health says NOT_SERVING and calls are told to come back; those under way go on."""
        self._door.close()
        await self._refresher.close()
        await self._waves.close()
        await self._tell(_NOT_SERVING)

    async def stop(self, grace_s: float) -> None:
        """Close the port; calls under way have ``grace_s`` seconds, then they are cancelled."""
        if self._server is not None:
            await self.close()
            await self._server.stop(grace_s)

    async def wait(self) -> None:
        """Until the server has stopped."""
        if self._server is not None:
            await self._server.wait_for_termination()

    def _add_services(self, server: Any) -> None:
        door = self._door
        calls: Any = Calls(self._admission)
        network_pb2_grpc.add_NetworkServiceServicer_to_server(Network(door), calls)
        inventory_pb2_grpc.add_InventoryServiceServicer_to_server(self.inventory, calls)
        reservations_pb2_grpc.add_ReservationServiceServicer_to_server(Reservations(door), calls)
        folder = self._settings.snapshots
        snapshots = None if folder is None else SnapshotFolder(folder)
        orders_pb2_grpc.add_OrderServiceServicer_to_server(Orders(door, snapshots), calls)
        fulfillment_pb2_grpc.add_FulfillmentServiceServicer_to_server(Fulfillment(door), calls)
        returns_pb2_grpc.add_ReturnServiceServicer_to_server(Returns(door), calls)
        finder = TransferFinder(self._settings.price_timeout_s)
        planning = Planning(door, self._refresher, finder, self._waves, snapshots)
        planning_pb2_grpc.add_PlanningServiceServicer_to_server(planning, calls)
        admin = Admin(door, self._settings.journal_kind, self._start_ns, snapshots, self._refresher)
        admin_pb2_grpc.add_AdminServiceServicer_to_server(admin, calls)
        server.add_generic_rpc_handlers((calls,))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection((*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server)

    def _credentials(self) -> grpc.ServerCredentials | None:
        key, certificate = self._settings.tls_key, self._settings.tls_certificate
        if key is None or certificate is None:
            return None
        return grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])

    async def _tell(self, status: Any) -> None:
        for service in ("", *SERVICES):
            await self._health.set(service, status)
