"""Fixtures that more than one part of the suite uses."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import Phase, settings

from tests.postgres import PostgresServer, postgres_server

# How long an example takes says more about the machine than about the code; a failure prints how to repeat it. Explaining a failure
# traces every line: with our long examples it outlasts the time-out, and then even the failure is not told.
PHASES = tuple(phase for phase in Phase if phase != Phase.explain)
settings.register_profile("stockpool", deadline=None, print_blob=True, phases=PHASES)
settings.load_profile("stockpool")


_PLAYS = (
    "tests/failures/",
    "tests/property/test_engine.py",
    "tests/service/test_demo_small.py",
    "tests/simulation/",
    "tests/torture/",
)
"""Days, worlds and crowds, thousands of decisions each, which a server without its compiler is too slow for: marked as ``compiled``."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """For the tests of the service."""
    parser.addoption(
        "--front", choices=["grpcio", "envoy"], default="grpcio", help="what speaks HTTP/2 (tests/service)"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves out what would take minutes with the compiler off. First, so that ``-m compiled`` finds the marks."""
    is_off = os.environ.get("NUMBA_DISABLE_JIT", "0") not in {"", "0"}
    for item in items:
        if item.nodeid.startswith(_PLAYS):
            item.add_marker(pytest.mark.compiled)
        if is_off and item.get_closest_marker("compiled"):
            item.add_marker(pytest.mark.skip(reason="the compiler is off"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for this run, started when the first test asks for it."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """The url of a fresh, empty PostgreSQL database."""
    return postgres.database()
