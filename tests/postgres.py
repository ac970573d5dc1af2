"""The PostgreSQL server of the tests, and fresh databases in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import psycopg
import pytest

from engine.proof.torture import postgres


class PostgresServer(postgres.PostgresServer):
    """A running server. `database()` makes a fresh database in it and gives its url."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = count(1)

    def database(self) -> str:
        """The url of a new, empty database."""
        return self.create(f"test_{next(self._numbers)}")

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[Any, ...]]:
        """A connection of the superuser, for what the code under test must not do itself."""
        return psycopg.connect(host=str(self.folder), user="postgres", dbname=database, autocommit=True)


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Start a server in a new folder; stop it and remove the folder at the end."""
    try:
        server = PostgresServer()
    except postgres.PostgresMissingError as error:
        pytest.skip(str(error))
    with server:
        yield server
