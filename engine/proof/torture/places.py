"""Where the journal is: a SQLite file, or a database of a PostgreSQL server of our own, behind a proxy."""

import asyncio
from pathlib import Path
from typing import Protocol, Self

from engine.proof.torture.postgres import PostgresServer
from engine.proof.torture.proxy import Proxy

KINDS = ("sqlite", "postgresql")
_DATABASE = "torture"


class Place(Protocol):
    """A place for a journal. Use it with ``async with``.

    ``url`` is the server's way to the journal, ``direct_url`` that of whoever checks. ``endings``: how a server may end by itself.
    """

    url: str
    direct_url: str
    endings: frozenset[str]

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...


class SqlitePlace:
    """A new file."""

    endings: frozenset[str] = frozenset()

    def __init__(self, folder: Path) -> None:
        self.url = self.direct_url = f"sqlite:///{folder / 'journal.db'}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """The file stays in its folder."""


class PostgresPlace:
    """A new database of a new PostgreSQL server, which the server under torture reaches over ``proxy``.

    Raises:
        PostgresMissingError: there is no PostgreSQL to start.
    """

    endings = frozenset({"journal lost", "journal not to be had"})

    def __init__(self) -> None:
        self.postgres = PostgresServer()
        self.proxy = Proxy(self.postgres.socket)
        self.url = self.direct_url = ""

    async def __aenter__(self) -> Self:
        try:
            await asyncio.to_thread(self.postgres.start)
            self.direct_url = await asyncio.to_thread(self.postgres.create, _DATABASE)
        except BaseException:
            await asyncio.to_thread(self.postgres.remove)
            raise
        await self.proxy.__aenter__()
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{self.proxy.port}/{_DATABASE}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.proxy.__aexit__()
        await asyncio.to_thread(self.postgres.remove)
