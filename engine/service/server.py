"""The gRPC server: every service, health, reflection, an orderly start and end."""

import asyncio
import time
from typing import Any

from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from engine.journal import Journal
from engine.model.limits import SECOND_NS
from engine.pool.names import Names
from engine.service.admin import Admin
from engine.service.admission import Admission
from engine.service.auth import Auth
from engine.service.door import Door
from engine.service.fulfillment import Fulfillment
from engine.service.inventory import Inventory
from engine.service.network import Network
from engine.service.orders import Orders
from engine.service.planning import Planning
from engine.service.port import SERVICES, GrpcioPort, OpenPort, Port
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

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Server:
    """``start`` opens the port; until ``open`` gives it an engine, health says NOT_SERVING and calls are told to come back.

    An orderly end: ``close`` (nothing new is taken), the writer drains, ``stop`` (what is under way gets its answers).
    """

    def __init__(self, settings: Settings, open_port: OpenPort | None = None) -> None:
        """``open_port``: what makes the port, in ``start``; none: grpcio. Raises ValueError when the file of credentials is not what it must be."""
        self._settings = settings
        self._open_port = open_port or GrpcioPort
        auth = None if settings.auth_file is None else Auth.load(settings.auth_file)
        self._door = Door(settings.limits, auth)
        self.inventory = Inventory(self._door)
        limits = settings.limits
        self._admission = Admission(limits.inbox_max, limits.inbox_wait_max_ns / SECOND_NS)
        self._start_ns = time.time_ns()
        self._port: Port | None = None
        self._refresher = PriceRefresher(settings)
        self._waves = WaveRunner(settings)
        self._health = health.aio.HealthServicer()
        self._stopped = asyncio.Event()

    async def start(self) -> int:
        """Open the port and return it.

        Raises:
            RuntimeError: the address cannot be listened on.
        """
        port = self._open_port(self._settings)
        self._add_services(port)
        await self._tell(_NOT_SERVING)
        number = await port.start()
        self._port = port
        return number

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
        if self._port is not None:
            await self.close()
            await self._port.stop(grace_s)
            self._stopped.set()

    async def wait(self) -> None:
        """Until the server has stopped."""
        if self._port is not None:
            await self._stopped.wait()

    def _add_services(self, port: Any) -> None:
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
        port.add_generic_rpc_handlers((calls,))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, port)
        reflected = reflection.aio.ReflectionServicer((*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME))
        add_reflection: Any = reflection_pb2_grpc.add_ServerReflectionServicer_to_server
        add_reflection(reflected, port)

    async def _tell(self, status: Any) -> None:
        for service in ("", *SERVICES):
            await self._health.set(service, status)
