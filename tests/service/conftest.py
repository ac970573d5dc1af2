"""A running server for the tests of the service."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.service.world import World, open_world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A server with the sample network and no stock."""
    async with open_world() as opened:
        yield opened
