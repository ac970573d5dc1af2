"""Every test of this folder that takes `store` runs against each store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine.journal import Journal
from tests.conformance.filling import fill
from tests.conformance.stores import MemoryStore, SqlStore, StoreUnderTest


def _store(kind: str, request: pytest.FixtureRequest) -> MemoryStore | SqlStore:
    match kind:
        case "memory":
            return MemoryStore()
        case "sqlite":
            tmp_path: Path = request.getfixturevalue("tmp_path")
            return SqlStore(f"sqlite:///{tmp_path / 'journal.db'}")
        case _:
            return SqlStore(request.getfixturevalue("postgres_url"))


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> StoreUnderTest:
    return _store(request.param, request)


@pytest.fixture(params=["sqlite", "postgresql"])
def sql_store(request: pytest.FixtureRequest) -> SqlStore:
    store = _store(request.param, request)
    assert isinstance(store, SqlStore)
    return store


@pytest.fixture
def journal(store: StoreUnderTest) -> Iterator[Journal]:
    journal = store.open()
    yield journal
    journal.close()


@pytest.fixture
def filled(store: StoreUnderTest) -> StoreUnderTest:
    with closing(store.open()) as journal:
        fill(journal)
    return store


@pytest.fixture
def sqlite_store(tmp_path: Path) -> SqlStore:
    return SqlStore(f"sqlite:///{tmp_path / 'journal.db'}")


@pytest.fixture
def postgres_store(postgres_url: str) -> SqlStore:
    return SqlStore(postgres_url)
