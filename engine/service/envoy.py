"""How Envoy is set up: one port, HTTP/2 as our callers need it, gRPC-Web and JSON, and the engine behind them as an ASGI application.

What it understands is in https://www.envoyproxy.io/docs/envoy/latest/api-v3/api; pyvoy says how its module is loaded.
"""

import base64
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2
from google.rpc import error_details_pb2
from grpc_health.v1 import health, health_pb2

from engine.service.port import MESSAGE_BYTES_MAX, SERVICES
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

Config = dict[str, Any]

_FILES = (
    admin_pb2,
    fulfillment_pb2,
    inventory_pb2,
    network_pb2,
    orders_pb2,
    planning_pb2,
    reservations_pb2,
    returns_pb2,
    health_pb2,
    error_details_pb2,
)
_TYPE = "type.googleapis.com/envoy.extensions.filters.http"
_HEADERS_KIB_MAX = 60
_WINDOW_BYTES = 1 << 20
"""What a caller may send ahead on one stream. What has come and is not taken yet is held in the buffer, which has room for both."""
_STREAMS_MAX = 2**31 - 1
"""No limit of the transport's: ``limits.inbox_max`` and its like are told to callers as what they are."""


def extended(config: Config, addresses: list[str], port: int, admin: Path) -> Config:
    """The configuration that pyvoy makes for one application, made ours.

    ``addresses`` and ``port``: to listen on, resolved; ``admin``: a socket file for whoever started Envoy, in a folder of its own.
    """
    listener = config["static_resources"]["listeners"][0]
    first, *others = ({"socket_address": {"address": address, "port_value": port}} for address in addresses)
    listener |= {
        "address": first,
        "additional_addresses": [{"address": address} for address in others],
        "enable_reuse_port": False,  # a second server on the port is a mistake, not a helper
        "per_connection_buffer_limit_bytes": MESSAGE_BYTES_MAX + 2 * _WINDOW_BYTES,
    }
    (network_filter,) = listener["filter_chains"][0]["filters"]
    http = network_filter["typed_config"]
    http["http_filters"] = [_grpc_web(), _json(), *http["http_filters"]]
    http |= {
        "use_remote_address": True,  # what a header says of where a call comes from is not believed
        "skip_xff_append": True,
        "stream_idle_timeout": "0s",  # a stream of events may be silent as long as nothing happens
        "request_headers_timeout": "10s",
        "max_request_headers_kb": _HEADERS_KIB_MAX,
        "http2_protocol_options": {
            "max_concurrent_streams": _STREAMS_MAX,
            "initial_stream_window_size": _WINDOW_BYTES,
            "initial_connection_window_size": 16 * _WINDOW_BYTES,
        },
    }
    config["admin"] = {"address": {"pipe": {"path": str(admin), "mode": 0o600}}}
    return config


def _grpc_web() -> Config:
    return {"name": "envoy.filters.http.grpc_web", "typed_config": {"@type": f"{_TYPE}.grpc_web.v3.GrpcWeb"}}


def _json() -> Config:
    """Each unary call and each stream of responses by POST of JSON to its gRPC path."""
    return {
        "name": "envoy.filters.http.grpc_json_transcoder",
        "typed_config": {
            "@type": f"{_TYPE}.grpc_json_transcoder.v3.GrpcJsonTranscoder",
            "proto_descriptor_bin": base64.b64encode(_descriptors()).decode(),
            "services": [*SERVICES, health.SERVICE_NAME],
            "auto_mapping": True,
            "convert_grpc_status": True,
            "print_options": {"always_print_primitive_fields": True},
            "max_request_body_size": MESSAGE_BYTES_MAX,
            "max_response_body_size": MESSAGE_BYTES_MAX,
        },
    }


def _descriptors() -> bytes:
    """The contract and what it imports, and the details of errors, each file behind those that it needs."""
    made = descriptor_pb2.FileDescriptorSet()
    seen: set[str] = set()

    def add(file: Any) -> None:
        if file.name in seen:
            return
        seen.add(file.name)
        for needed in file.dependencies:
            add(needed)
        file.CopyToProto(made.file.add())

    for module in _FILES:
        add(module.DESCRIPTOR)
    return made.SerializeToString()
