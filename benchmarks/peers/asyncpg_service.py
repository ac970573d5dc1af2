"""The service that somebody would write by hand: Reserve of the same contract on grpc.aio, asyncpg, and the stored procedure of ``schema.sql``.

``python -m benchmarks.peers.asyncpg_service SOCKET_FOLDER DATABASE CONNECTIONS`` says where it listens and ends with standard input. It
has grpcio's options and the event loop that Stockpool has, and answers with a message of the same size.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import asyncpg
import grpc
import uvloop

from benchmarks.caller import PATHS, RESERVE
from benchmarks.echo_server import sample_response
from engine.service.port import OPTIONS
from stockpool.v1 import reservations_pb2 as pb
from stockpool.v1 import types_pb2

_TTL_S = 900


class ReserveService:
    """Reserve, and nothing else."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def reserve(self, request: pb.ReserveRequest, context: Any) -> pb.ReserveResponse:
        """Two lines at the node of the pickup, or OUTCOME_INSUFFICIENT_STOCK."""
        del context
        asked = request.reservation
        first, second = asked.lines
        node = int(asked.pickup_node_key[1:])
        rows = int(first.sku_key[1:]), first.units, int(second.sku_key[1:]), second.units, node
        number = await self._pool.fetchval("select reserve($1, $2, $3, $4, $5)", *rows)
        response = sample_response()
        if not number:
            response.result.outcome = types_pb2.OUTCOME_INSUFFICIENT_STOCK
            response.ClearField("reservation")
            return response
        made = response.reservation
        made.reservation_id = number
        for leg, line in zip(made.legs, asked.lines, strict=True):
            leg.sku_key, leg.units, leg.node_key = line.sku_key, line.units, asked.pickup_node_key
        made.create_time.seconds = int(time.time())
        made.expire_time.seconds = made.create_time.seconds + _TTL_S
        return response


async def serve(folder: str, database: str, connections: int) -> None:
    """Serve until standard input ends."""
    pool = await asyncpg.create_pool(
        host=folder, user="postgres", database=database, min_size=connections, max_size=connections
    )
    server = grpc.aio.server(options=OPTIONS)
    handler = grpc.unary_unary_rpc_method_handler(
        ReserveService(pool).reserve,
        request_deserializer=pb.ReserveRequest.FromString,
        response_serializer=pb.ReserveResponse.SerializeToString,
    )
    service, _, call = PATHS[RESERVE].strip("/").partition("/")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {call: handler}),))
    port = server.add_insecure_port("localhost:0")
    await server.start()
    print(f"localhost:{port}", flush=True)
    closed = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), closed.set)
    await closed.wait()
    await server.stop(None)
    await pool.close()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], sys.argv[2], int(sys.argv[3])))
