"""How much to search, and a running server. HYPOTHESIS_PROFILE=long searches a hundred times longer than the short slice."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, settings

from tests.service.world import World, open_world

_FACTOR = 100 if os.environ.get("HYPOTHESIS_PROFILE", "short") == "long" else 1


def examples(short: int) -> settings:
    """So many examples of a test in ``make test``. A failure prints how to repeat it, by the bytes that made the example."""
    return settings(
        max_examples=short * _FACTOR,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A server with the sample network and no stock."""
    async with open_world() as opened:
        yield opened
