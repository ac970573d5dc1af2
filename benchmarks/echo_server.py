"""The floor that a Reserve is compared with: an empty echo.

``python -m benchmarks.echo_server URL`` serves the journal at URL with the real server, which has the echo as one more call;
``python -m benchmarks.echo_server plain`` is the server that grpcio gives, with the echo alone. Each says where on standard output, and ends
with standard input. The echo parses the request that Reserve takes and answers with a response of the size that Reserve gives; between the
two it does nothing.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import grpc
import uvloop

from engine import app
from engine.service.port import OPTIONS
from engine.service.server import Server
from engine.settings import Settings
from stockpool.v1 import reservations_pb2 as pb
from stockpool.v1 import types_pb2

ECHO = "/benchmarks.Echo/Echo"


def sample_response() -> pb.ReserveResponse:
    """A response like that of a Reserve of two lines that goes out in two packages."""
    money = types_pb2.Money(currency_code="USD", micros=12_345_678)
    response = pb.ReserveResponse(
        reservation=pb.Reservation(
            reservation_id=123_456,
            state=pb.RESERVATION_STATE_HELD,
            channel_key="web",
            kind=types_pb2.FULFILLMENT_KIND_SHIP,
            legs=[types_pb2.Leg(line_index=n, sku_key="S012345", node_key="N00123", units=1) for n in range(2)],
        ),
        cost=types_pb2.PlanCost(
            total=money, carrier=money, handling=money, split_penalty=money, package_count=2, exact=True
        ),
    )
    response.result.outcome = types_pb2.OUTCOME_OK
    response.result.detail = "Done."
    response.result.journal_seq = 1_234_567
    for moment in (response.reservation.create_time, response.reservation.expire_time):
        moment.seconds, moment.nanos = 1_700_000_000, 123_456_789
    return response


def add_echo(server: Any) -> None:
    """Add the echo to a gRPC server."""
    response = sample_response()

    async def echo(request: pb.ReserveRequest, context: Any) -> pb.ReserveResponse:
        del request, context
        return response

    handler = grpc.unary_unary_rpc_method_handler(
        echo,
        request_deserializer=pb.ReserveRequest.FromString,
        response_serializer=pb.ReserveResponse.SerializeToString,
    )
    service, _, call = ECHO.strip("/").partition("/")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {call: handler}),))


class EchoServer(Server):
    """The server of the engine, and the echo."""

    def _add_services(self, server: Any) -> None:
        super()._add_services(server)
        add_echo(server)


async def serve_plain() -> None:
    """The echo on grpcio's own server, with the options and the event loop of ours."""
    server = grpc.aio.server(options=OPTIONS)
    add_echo(server)
    port = server.add_insecure_port("localhost:0")
    await server.start()
    print(f"localhost:{port}", flush=True)
    closed = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), closed.set)
    await closed.wait()
    await server.stop(None)


def main() -> None:
    if sys.argv[1] == "plain":
        uvloop.run(serve_plain())
        return
    settings = Settings.load(
        journal=sys.argv[1],
        port=0,
        log_level="warning",
    )
    app.Server = EchoServer  # type: ignore[attr-defined]  # all else is wired as in production
    app.run(settings, on_ready=lambda ready: print(ready.target, flush=True), stop_on_eof=True)


if __name__ == "__main__":
    main()
