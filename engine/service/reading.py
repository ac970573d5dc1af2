"""How requests are read from their bytes, so that what is no request is told so like any other mistake.

gRPC itself would answer bytes that are no message with UNKNOWN, and write a stack into the log for each. What is longer than the
call's requests are is not read at all.
"""

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError

from engine.service.admission import Admission
from engine.service.convert import wire
from engine.service.errors import InvalidRequest, Problem
from engine.service.limits import longest_request
from stockpool.v1 import inventory_pb2, orders_pb2, reservations_pb2


class Unreadable:
    """Stands where a request would be whose bytes are none, or too many: ``refuse`` says so to who sent it."""

    __slots__ = ("_problem",)

    def __init__(self, problem: Problem) -> None:
        self._problem = problem

    def refuse(self) -> NoReturn:
        """Raises InvalidRequest."""
        raise InvalidRequest([self._problem])


class Calls(grpc.GenericRpcHandler):
    """Every call of the contract by its path, in one table. The generated ``add_…Servicer_to_server`` fill it as if it were a server."""

    def __init__(self, admission: Admission) -> None:
        self._handlers: dict[str, Any] = {}
        self._counted: set[str] = set()
        self._admission = admission

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """The same handlers as the other method gets."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """The calls of a service by name."""
        for name, handler in handlers.items():
            read = _COLUMNAR.get(name, handler.request_deserializer)
            reader = _reader(read, *longest_request(name))
            path = f"/{service}/{name}"
            self._handlers[path] = handler._replace(request_deserializer=reader)
            if handler.unary_unary is not None and not service.endswith(_NEVER_REFUSED):
                self._counted.add(path)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """What answers a call; None for those that are not ours."""
        path = handler_call_details.method
        if path in self._counted:
            return self._admission.enter(self._handlers[path])
        return self._handlers.get(path)


_COLUMNAR = {
    "BatchReserve": wire.reader(reservations_pb2.BatchReserveRequest),
    "ImportStock": wire.reader(inventory_pb2.ImportStockRequest),
    "StreamReserve": wire.stream_reader(),
    "BatchRelease": wire.reader(reservations_pb2.BatchReleaseRequest),
    "BatchAdjustStock": wire.reader(inventory_pb2.BatchAdjustStockRequest),
    "BatchCommit": wire.reader(orders_pb2.BatchCommitRequest),
}
"""Calls whose request may come in columns."""
_NEVER_REFUSED = ".AdminService"
"""Whoever wants to know how a crowded server is gets an answer."""


def _reader(read: Callable[[bytes], Any], limit: str, bytes_max: int) -> Callable[[bytes], Any]:
    name = read(b"").DESCRIPTOR.full_name
    text = f"is no {name}: its bytes are cut off, malformed, nested too deeply, or hold a text that is not UTF-8"
    malformed = Unreadable(Problem("request", text))

    def read_or_say(content: bytes) -> Any:
        if len(content) > bytes_max:
            long = f"has {len(content)} bytes; the limit {limit} is {bytes_max}; send less at a time"
            return Unreadable(Problem("request", long, limit, bytes_max))
        try:
            return read(content)
        except DecodeError:
            return malformed

    return read_or_say
