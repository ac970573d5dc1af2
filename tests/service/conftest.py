"""A running server for the tests of the service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from engine.service import server
from tests.service.fronts import ENVOYS, MISSING, EnvoyPort
from tests.service.peer import Peer
from tests.service.world import World, open_world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A server with the sample network and no stock."""
    async with open_world() as opened:
        yield opened


@pytest.fixture(autouse=True, scope="module")
def front(request: pytest.FixtureRequest) -> Iterator[str]:
    """What speaks HTTP/2 in this run: servers of this process and those that are started as commands have it."""
    name: str = request.config.getoption("--front")
    with pytest.MonkeyPatch.context() as patch:
        if name == "envoy":
            if MISSING:
                pytest.skip(MISSING)
            patch.setattr(server, "GrpcioPort", EnvoyPort)
            patch.setenv("STOCKPOOL_FRONT", name)
        yield name


@pytest.fixture(autouse=True, scope="session")
def _envoys() -> Iterator[None]:
    yield
    ENVOYS.close()


@pytest.fixture(params=["in tasks", "in steps", "in steps, at once"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How calls of a ``Peer`` are answered, and whether a request comes in one piece."""
    monkeypatch.setattr(Peer, "in_steps", request.param != "in tasks")
    monkeypatch.setattr(Peer, "at_once", request.param.endswith("at once"))
