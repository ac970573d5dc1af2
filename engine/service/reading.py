"""How requests are read from their bytes, so that what is no request is told so like any other mistake.

gRPC itself would answer bytes that are no message with UNKNOWN, and write a stack into the log for each.
"""

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError

from engine.service.errors import InvalidRequest, Problem


class Unreadable:
    """Stands where a request would be whose bytes are none: ``refuse`` says so to who sent it."""

    __slots__ = ("_type",)

    def __init__(self, type_name: str) -> None:
        self._type = type_name

    def refuse(self) -> NoReturn:
        """Raises InvalidRequest."""
        text = (
            f"is no {self._type}: its bytes are cut off, malformed, nested too deeply, or hold a text that is not UTF-8"
        )
        raise InvalidRequest([Problem("request", text)])


class Calls(grpc.GenericRpcHandler):
    """Every call of the contract by its path, in one table. The generated ``add_…Servicer_to_server`` fill it as if it were a server."""

    def __init__(self) -> None:
        self._handlers: dict[str, Any] = {}

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """The same handlers as the other method gets."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """The calls of a service by name."""
        for name, handler in handlers.items():
            reader = _reader(handler.request_deserializer)
            self._handlers[f"/{service}/{name}"] = handler._replace(request_deserializer=reader)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """What answers a call; None for those that are not ours."""
        return self._handlers.get(handler_call_details.method)


def _reader(read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    unreadable = Unreadable(_type_of(read))

    def read_or_say(content: bytes) -> Any:
        try:
            return read(content)
        except DecodeError:
            return unreadable

    return read_or_say


def _type_of(read: Any) -> str:
    """The full name of the message that a generated class's FromString makes."""
    name: str = read(b"").DESCRIPTOR.full_name
    return name
