"""Options of a run, and the fixtures that every benchmark may use."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.chart import SHOWN, draw
from benchmarks.history import BUSY, Note, Run, earlier_figures
from benchmarks.peers.postgres import PostgresPeer, postgres_peer
from benchmarks.peers.redis import RedisMissingError, RedisPeer, redis_peer
from benchmarks.stocking import journaled
from benchmarks.world import LARGE, SMALL, World
from engine.proof.torture.postgres import PostgresMissingError
from tests.postgres import PostgresServer, postgres_server

RUN = pytest.StashKey[Run]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("stockpool benchmarks")
    group.addoption(
        "--small", action="store_true", help="a tenth of the work, to try the benchmarks; not in the history"
    )
    group.addoption("--long", action="store_true", help="the long ones too: 20 million cells")
    group.addoption("--no-history", action="store_true", help="leave benchmarks/history.jsonl alone")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: runs with --long only")
    config.stash[RUN] = Run()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason="runs with --long"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    run = config.stash[RUN]
    if not run.figures:
        return
    terminalreporter.section("figures")
    for line in run.table(earlier_figures()):
        terminalreporter.write_line(line)
    if run.load > BUSY:
        terminalreporter.write_line(
            f"the machine was not idle (load {run.load:.1f} a processor): only ratios say anything"
        )
    if not (config.getoption("--small") or config.getoption("--no-history")):
        run.append_to()
        figures = earlier_figures()
        if any(figure.name in SHOWN for figure in run.figures):
            draw(figures)


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Note:
    """Notes a figure of this run."""
    return request.config.stash[RUN].note


@pytest.fixture(scope="session")
def scale(request: pytest.FixtureRequest) -> float:
    """Share of the full work to do: 1, or 0.1 with ``--small``."""
    return 0.1 if request.config.getoption("--small") else 1.0


@pytest.fixture(scope="session")
def world(scale: float) -> World:
    """What the server of the load benchmarks holds."""
    return LARGE if scale == 1.0 else SMALL


@pytest.fixture(scope="session")
def stocked(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite journal that holds the world: copied, never written to."""
    path = tmp_path_factory.mktemp("stocked") / "journal.db"
    journaled(f"sqlite:///{path}", world)
    return path


@pytest.fixture
def stocked_url(stocked: Path, tmp_path: Path) -> str:
    """A SQLite journal of this test's own that holds the world."""
    return f"sqlite:///{shutil.copy(stocked, tmp_path / 'stocked.db')}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this run's own; skips when there is none to be had."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_store(world: World) -> Iterator[PostgresPeer]:
    """PostgreSQL with the schema of the peer and the world in it; recounted at the end."""
    try:
        with postgres_peer(world) as peer:
            yield peer
            peer.check()
    except PostgresMissingError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def redis_store(world: World) -> Iterator[RedisPeer]:
    """Redis with the world in it; recounted at the end."""
    try:
        with redis_peer(world) as peer:
            yield peer
            peer.check()
    except RedisMissingError as error:
        pytest.skip(str(error))


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The url of a fresh, empty journal; its parameter is the kind: memory, sqlite or postgresql."""
    match request.param:
        case "memory":
            return "memory://"
        case "sqlite":
            return f"sqlite:///{tmp_path / 'journal.db'}"
        case _:
            server: PostgresServer = request.getfixturevalue("postgres")
            return server.database()
