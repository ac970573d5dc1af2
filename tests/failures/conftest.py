"""The tests of this folder: their marker, and the server that the tests of one module share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.failures.rush import Rush, open_rush

HERE = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    """The marker that ``cases.case`` sets."""
    config.addinivalue_line("markers", "case(number): the failure of the field that the test is about")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Coroutines of a module run on one event loop, which its server needs."""
    for item in items:
        if item.path.parent == HERE and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[Rush]:
    """A server with the sample network and a hundred callers, for one module."""
    async with open_rush() as opened:
        yield opened
        await opened.audit(replay=True)


@pytest_asyncio.fixture(loop_scope="module")
async def rush(server: Rush) -> AsyncIterator[Rush]:
    """The module's server; after each test every invariant holds."""
    yield server
    await server.audit()
