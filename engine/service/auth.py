"""Who may call what. Optional: without a file of credentials every call is open.

The file is a JSON list, one entry a caller; tokens are kept as SHA-256 only:

    [{"name": "till-17", "token_sha256": "9f86d0…", "calls": ["InventoryService/RecordSale", "ReservationService/*"],
      "nodes": ["store-17"], "channels": ["till"]}]

``"*"`` covers every call, node or channel. A call is covered when its name is, and when every node and every channel that the request
names are: ``node_key``, ``pickup_node_key``, ``ship_to_node_key``, ``drop_off_node_key``, ``node_keys``, ``pickup_node_keys`` and ``channel_key``,
wherever they stand in it. What a request names by id or index alone (a fulfillment order's node, a reservation's or an order's channel, a node
of a column) is looked up, see ``scope``.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from engine.service.errors import PermissionDenied, Unauthenticated
from stockpool.v1 import (
    admin_pb2,
    fulfillment_pb2,
    inventory_pb2,
    network_pb2,
    orders_pb2,
    planning_pb2,
    reservations_pb2,
    returns_pb2,
)

NODE_FIELDS = ("node_key", "pickup_node_key", "ship_to_node_key", "drop_off_node_key", "node_keys", "pickup_node_keys")
CHANNEL_FIELDS = ("channel_key",)
EVERYTHING = "*"

_FILES = (
    network_pb2,
    inventory_pb2,
    reservations_pb2,
    orders_pb2,
    fulfillment_pb2,
    returns_pb2,
    planning_pb2,
    admin_pb2,
)


def _calls() -> dict[str, str]:
    """The name of the call that takes each request, "ReservationService/Reserve", by the request's full name."""
    return {
        method.input_type.full_name: f"{service.name}/{method.name}"
        for file in _FILES
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }


CALLS = _calls()


@dataclass(frozen=True, slots=True)
class Credential:
    """What one caller may do. ``None`` covers every node or channel."""

    name: str
    calls: frozenset[str]
    nodes: frozenset[str] | None
    channels: frozenset[str] | None

    def require(self, request: Message) -> None:
        """The call, and the nodes and channels that the request names.

        Raises:
            PermissionDenied: something of it is not covered.
        """
        call = CALLS[request.DESCRIPTOR.full_name]
        service = call.partition("/")[0]
        if self.calls.isdisjoint((call, f"{service}/*", EVERYTHING)):
            raise PermissionDenied(f"These credentials do not cover the call {call}.")
        if self.nodes is not None:
            for key in named(request, NODE_FIELDS):
                self.require_node(key)
        if self.channels is not None:
            for key in named(request, CHANNEL_FIELDS):
                self.require_channel(key)

    def require_node(self, node_key: str) -> None:
        """Raises PermissionDenied unless the node is covered."""
        if self.nodes is not None and node_key not in self.nodes:
            raise PermissionDenied(f"These credentials do not cover the node {node_key!r}.")

    def require_channel(self, channel_key: str) -> None:
        """Raises PermissionDenied unless the channel is covered."""
        if self.channels is not None and channel_key not in self.channels:
            raise PermissionDenied(f"These credentials do not cover the channel {channel_key!r}.")


Reader = Callable[[Any], Iterator[str]]


@cache
def _readers(message: Descriptor, names: tuple[str, ...]) -> tuple[Reader, ...]:
    """What yields the values of the fields with these names, anywhere in such a message."""
    found: list[Reader] = []
    for field in message.fields:
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            if inner := _readers(field.message_type, names):
                found.append(_inside(field.name, field.is_repeated, inner))
        elif field.name in names:
            found.append(_value(field.name, field.is_repeated))
    return tuple(found)


def _value(name: str, repeated: bool) -> Reader:
    def read(message: Any) -> Iterator[str]:
        value = getattr(message, name)
        if repeated:
            yield from set(value)
        elif value:
            yield value

    return read


def _inside(name: str, repeated: bool, readers: tuple[Reader, ...]) -> Reader:
    def read(message: Any) -> Iterator[str]:
        inner = getattr(message, name)
        for one in inner if repeated else (inner,):
            for reader in readers:
                yield from reader(one)

    return read


def named(request: Message, names: tuple[str, ...]) -> Iterator[str]:
    """Every value, not empty, of the fields with these names, anywhere in the request."""
    for reader in _readers(request.DESCRIPTOR, names):
        yield from reader(request)


class Auth:
    """The callers of a server, by the hash of their tokens."""

    def __init__(self, credentials: dict[str, Credential]) -> None:
        self._credentials = credentials

    @classmethod
    def load(cls, path: Path) -> "Auth":
        """Read a file of credentials.

        Raises:
            ValueError: the file is not what it must be; the message says where and what to do.
        """
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ValueError(f"auth_file {path}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise ValueError(f"auth_file {path}: is not JSON: {error}") from error
        if not isinstance(entries, list):
            raise ValueError(f"auth_file {path}: must hold a list of credentials")  # noqa: TRY004 - one error for a bad file
        credentials: dict[str, Credential] = {}
        for position, entry in enumerate(entries):
            token, credential = _credential(f"auth_file {path}: entry {position}", entry)
            if token in credentials:
                raise ValueError(f"auth_file {path}: entry {position} has the token of {credentials[token].name!r}")
            credentials[token] = credential
        return cls(credentials)

    def credential(self, metadata: Iterable[tuple[str, str | bytes]] | None) -> Credential:
        """Who calls.

        Raises:
            Unauthenticated: no bearer token, or one that nobody has.
        """
        for key, value in metadata or ():
            if key == "authorization" and isinstance(value, str):
                scheme, _, token = value.partition(" ")
                if scheme.lower() != "bearer":
                    break
                found = self._credentials.get(sha256(token.strip().encode()).hexdigest())
                if found is None:
                    raise Unauthenticated("The bearer token is not known here.")
                return found
        raise Unauthenticated("Send a bearer token: metadata `authorization: Bearer <token>`.")


def _credential(where: str, entry: Any) -> tuple[str, Credential]:
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: must be an object")  # noqa: TRY004 - one error for a bad file
    strangers = set(entry) - {"name", "token_sha256", "nodes", "channels", "calls"}
    if strangers:
        raise ValueError(f"{where}: does not know {sorted(strangers)}; use name, token_sha256, calls, nodes, channels")
    name, token = entry.get("name"), entry.get("token_sha256")
    if not isinstance(name, str) or not name:
        raise ValueError(f"{where}: name is missing")
    if not isinstance(token, str) or not re.fullmatch(r"[0-9a-fA-F]{64}", token):
        raise ValueError(f"{where} ({name}): token_sha256 must be the 64 hexadecimal digits of the token's SHA-256")
    calls = _texts(f"{where} ({name})", entry, "calls")
    known = {EVERYTHING, *CALLS.values(), *(f"{call.partition('/')[0]}/*" for call in CALLS.values())}
    if unknown := sorted(calls - known):
        raise ValueError(f"{where} ({name}): there is no call {unknown[0]!r}; write Service/Call, Service/* or *")
    nodes, channels = (_texts(f"{where} ({name})", entry, field) for field in ("nodes", "channels"))
    return token.lower(), Credential(
        name, calls, None if EVERYTHING in nodes else nodes, None if EVERYTHING in channels else channels
    )


def _texts(where: str, entry: dict[str, Any], field: str) -> frozenset[str]:
    values = entry.get(field)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f'{where}: {field} must be a list of texts; ["*"] covers all')
    return frozenset(values)
