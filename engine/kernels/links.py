"""The router's kernels call one another by address, and so does whatever asks the router: each is compiled once, on its own."""

from typing import Any, Final

from numba import types

from engine.kernels.compiled import address_of, by_address
from engine.kernels.workspace import ANSWER, QUESTION, ROUTER, SCALARS, SPLITTER, WORK, Work, blank_work
from engine.kernels.zones import NETWORK, STOCK

ROUTES: Final = types.int64(STOCK, NETWORK, QUESTION, WORK, ANSWER)
"""Signature of the kernels that answer a question."""


def _router() -> Any:
    from engine.kernels.routing import route

    return route


def _splitter() -> Any:
    from engine.kernels.splits import route_split

    return route_split


ask_router: Any = by_address(ROUTES, _router)
"""``routing.route`` by its address, work[3][SCALARS, ROUTER]."""
ask_splitter: Any = by_address(ROUTES, _splitter)
"""``splits.route_split`` by its address, work[3][SCALARS, SPLITTER]."""


def routing_work(nodes_max: int) -> Work:
    """Scratch of one thread for networks of up to ``nodes_max`` nodes."""
    work = blank_work(nodes_max)
    work[3][SCALARS, ROUTER] = address_of(_router())
    work[3][SCALARS, SPLITTER] = address_of(_splitter())
    return work
