"""The journal in a PostgreSQL database: one conditional statement an append, hence one round trip."""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from engine.journal import tables
from engine.journal.frame import Frame, Tail
from engine.journal.journal import JournalDamaged, JournalError, JournalUnavailable

__all__ = ["PostgresStore"]

_LOCK_MS = 5_000
_CREATION_LOCK = 0x53746F636B706F6F  # "Stockpoo": the advisory lock of whoever makes the tables

# A server that has vanished without a word is noticed within about 15 s, not within the two hours of the system's defaults.
_CONNECTION = {
    "connect_timeout": 10,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 15_000,
    "application_name": "stockpool-journal",
}


class PostgresStore:
    """A PostgreSQL database as the store of a journal. Several engines may use it; the fence decides who writes."""

    def __init__(self, url: URL, *, owner: bool = True) -> None:
        self._place = url.render_as_string(hide_password=True)
        self.engine: Engine = _engine(url)
        self._append = str(tables.MOVE_HEAD_AND_APPEND.compile(self.engine))
        try:
            self._connection = self.engine.connect()
        except DBAPIError as error:
            raise self.explain(error) from error
        try:
            self._require_durability()
            if owner:
                self._require_writable()
            self._create(owner=owner)
        except DBAPIError as error:
            self.close()
            raise self.explain(error) from error
        except JournalError:
            self.close()
            raise

    @property
    def transaction(self) -> dict[str, Any]:
        """See `Store.transaction`."""
        return {"isolation_level": "READ COMMITTED"}

    def write(self, frame: Frame, tail: Tail) -> bool:
        """See `Store.write`."""
        values = frame._asdict() | {"expected_seq": tail.seq, "last_seq": frame.first_seq + frame.decisions - 1}
        try:
            return self._connection.exec_driver_sql(self._append, values).rowcount == 1
        except IntegrityError as error:
            raise JournalDamaged(frame.first_seq, "a record stands behind the head of the journal") from error
        except DBAPIError as error:
            # The statement is its own transaction: an error the server reports on a living connection means it was undone.
            raise self._explain(error, outcome_unknown=error.connection_invalidated) from error

    def explain(self, error: DBAPIError) -> JournalError:
        """See `Store.explain`."""
        return self._explain(error, outcome_unknown=False)

    def close(self, *, tidy: bool = False) -> None:
        """See `Store.close`. The server tidies up by itself."""
        del tidy
        self._connection.close()
        self.engine.dispose()

    def _create(self, *, owner: bool) -> None:
        version = tables.version_of(self._connection)
        if version == tables.SCHEMA_VERSION:
            return
        if not version and not owner:
            raise JournalUnavailable(f"{self._place} holds no journal")
        with self.engine.execution_options(isolation_level="READ COMMITTED").begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _CREATION_LOCK})
            version = tables.version_of(connection)  # somebody else may have done it meanwhile
            if not version:
                tables.create(connection)
                # Bodies are compact already: trying to compress them only costs the writer time.
                connection.execute(text(f"ALTER TABLE {tables.JOURNAL.name} ALTER COLUMN body SET STORAGE EXTERNAL"))
            elif version < tables.SCHEMA_VERSION:
                tables.upgrade(connection)

    def _require_writable(self) -> None:
        """Find out now, and not when the first caller waits for an answer."""
        if self._connection.exec_driver_sql("SHOW transaction_read_only").scalar_one() == "on":
            raise JournalUnavailable(f"{self._place}: {_reason('25006')}")

    def _require_durability(self) -> None:
        """Refuse a server that does not sync at all; where only the answer would come early, ask for it in time."""
        run = self._connection.exec_driver_sql
        if run("SHOW fsync").scalar_one() != "on":
            raise JournalUnavailable(
                f"{self._place} runs with fsync = off and can lose what it confirmed; turn fsync on"
            )
        if run("SHOW synchronous_commit").scalar_one() == "off":
            run("SET synchronous_commit TO on")
        run(
            "SET default_transaction_isolation TO 'read committed'"
        )  # a fence that waited looks again, and does not fail
        run(f"SET lock_timeout TO {_LOCK_MS}")

    def _explain(self, error: DBAPIError, *, outcome_unknown: bool) -> JournalError:
        state = getattr(error.orig, "sqlstate", None) or ""
        cause = " ".join(str(error.orig).split())
        if state in ("42P01", "42703"):  # undefined table, undefined column
            return JournalDamaged(None, f"{self._place} does not hold a complete journal ({cause})")
        if state in ("XX001", "XX002"):  # data corrupted, index corrupted
            return JournalDamaged(None, f"{self._place} is damaged ({cause})")
        return JournalUnavailable(f"{self._place}: {_reason(state)} ({cause})", outcome_unknown=outcome_unknown)


def _engine(url: URL) -> Engine:
    settings = {key: value for key, value in _CONNECTION.items() if key not in url.query}
    try:
        from psycopg import Cursor, pq

        class BinaryCursor(Cursor[Any]):
            """Fetches bodies as they are, which doubles the speed of replay; the default sends them in hexadecimal."""

            def __init__(self, *arguments: Any, **options: Any) -> None:
                super().__init__(*arguments, **options)
                self.format = pq.Format.BINARY

        return create_engine(
            url, isolation_level="AUTOCOMMIT", connect_args={**settings, "cursor_factory": BinaryCursor}
        )
    except ModuleNotFoundError as error:
        raise JournalUnavailable(
            f"the driver of {url.drivername} is not installed ({error}); install the extra: pip install 'stockpool[postgres]' "
            "and use a url that starts with postgresql+psycopg://"
        ) from error


def _reason(state: str) -> str:
    reasons: dict[Any, str] = {
        "53100": "the disk of the server is full; make room and start again",
        "25006": "it is read-only; give the url of the primary server",
        "42501": "the user lacks a permission; it must own the journal tables, or be allowed to make them",
        "55P03": f"another client has held the head of the journal for more than {_LOCK_MS} ms",
        "3D000": "the database does not exist; make it with createdb",
    }
    return reasons.get(state) or (
        "the connection failed" if state[:2] in ("", "08", "57") else "the server reports an error"
    )
