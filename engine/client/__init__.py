"""The client of a Stockpool server, for checkouts, stores and adapters: every call of every service as one method.

    with Client("localhost:50051") as client:
        reply = client.reserve(ReserveRequest(reservation=ReservationRequest(channel_key="web", ...)))

``Client`` blocks, ``AsyncClient`` is awaited; both have the same methods, named after the calls: ``PutNodes`` is ``put_nodes``. A
method takes the request of the contract (``stockpool.v1``) and returns its response. Both clients

* give a request without ``request_id`` a fresh one, in a copy: the caller's message is left alone;
* give each call a deadline (``timeout_s``), which covers all its attempts;
* repeat what failed as UNAVAILABLE, RESOURCE_EXHAUSTED or CANCELLED (by a server that closes), after the delay that the server asks
  for or a growing random one, always with the same request id, so that nothing happens twice;
* take several targets ("one:50051,two:50051") where another server may take over: what is unavailable at one is asked at the next;
* raise ``StockpoolError`` for every error that remains. A refusal is not an error: look at ``response.result.outcome``.
"""

from engine.client.awaited import AsyncClient
from engine.client.blocking import Client
from engine.client.errors import FieldProblem, StockpoolError

__all__ = ["AsyncClient", "Client", "FieldProblem", "StockpoolError"]
