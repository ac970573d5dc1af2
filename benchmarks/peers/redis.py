"""Redis with a Lua script, every write synced before it is answered, called by redis-benchmark: a client in C.

The script draws the reservation from integers that the client draws, so that the client, which shares the processors, has as little to do as it can.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.recount import Cell, Line, Recounted, RecountError, recount
from benchmarks.world import World

FOLDER = Path(__file__).parent
ON_HAND = 1_000_000_000
BATCH_ITEMS = 1_000
LINES = 2
_DRAW = "__rand_int__"
"""redis-benchmark puts a number of its own draw here."""
_DRAWS = 5
_START_S = 20
_ROWS = 5_000


class RedisMissingError(Exception):
    """There is no Redis on this machine."""

    def __init__(self) -> None:
        super().__init__("redis-server and redis-benchmark are not installed: apt-get install redis-server")


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of redis-benchmark."""

    reservations: int
    per_s: float


class RedisPeer:
    """A Redis with the world in it. Every run counts what it asked for, and ``check`` compares with what is stored."""

    def __init__(self, socket_path: Path, world: World) -> None:
        self.world = world
        self._path = socket_path
        self._requested = 0
        self._connection = Connection(socket_path)
        self._one = self._load("reserve.lua")
        self._many = self._load("reserve_many.lua")
        self.stock(ON_HAND)

    def stock(self, on_hand: int) -> None:
        """Forget everything, then put so many units of every SKU at each of its nodes."""
        self._connection.call("FLUSHALL")
        self._requested = 0
        cells = _cells(self.world)
        for first in range(0, len(cells), _ROWS):
            pairs = [part for sku, node in cells[first : first + _ROWS] for part in (f"{sku}:{node}", str(on_hand))]
            self._connection.call("MSET", *pairs)

    def one_at_a_time(self, calls: int, clients: int, *, pipeline: int = 1, hot: bool = False) -> Ran:
        """So many calls of the script, with ``pipeline`` of each client in flight at a time."""
        arguments = ["0" if hot else _DRAW, *[_DRAW] * (_DRAWS - 1)]
        return self._benchmark(self._one, arguments, calls, clients, pipeline, items=1)

    def many_at_a_time(self, calls: int, clients: int) -> Ran:
        """So many calls of the script that takes 1,000 reservations."""
        return self._benchmark(self._many, [_DRAW] * _DRAWS * BATCH_ITEMS, calls, clients, 1, items=BATCH_ITEMS)

    def granted(self, script: str, arguments: list[int]) -> int:
        """Call ``one`` or ``many`` with these draws and return the answer."""
        digest = self._one if script == "one" else self._many
        return int(self._connection.call("EVALSHA", digest, "0", *map(str, arguments)))

    def check(self, on_hand: int = ON_HAND, granted: int | None = None) -> Recounted:
        """Recount all that is stored. Every reservation that was asked for was granted, unless ``granted`` says how many were.

        Raises:
            RecountError: oversold, or not as many reservations as were granted.
        """
        found = recount(self._stored_cells(on_hand), self._stored_lines(), LINES)
        expected = self._requested if granted is None else granted
        if found.reservations != expected:
            raise RecountError(f"{expected} reservations were granted, {found.reservations} are stored")
        return found

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _load(self, name: str) -> str:
        script = (FOLDER / name).read_text(encoding="utf-8")
        for mark, number in (
            ("__NODES__", self.world.nodes),
            ("__SKUS__", self.world.skus),
            ("__COPIES__", self.world.cells_per_sku),
        ):
            script = script.replace(mark, str(number))
        return str(self._connection.call("SCRIPT", "LOAD", script).decode())

    def _benchmark(self, digest: str, arguments: list[str], calls: int, clients: int, pipeline: int, items: int) -> Ran:
        calls -= calls % (clients * pipeline)  # else it rounds up to whole pipelines
        command = ["redis-benchmark", "-s", str(self._path), "-n", str(calls), "-c", str(clients), "-P", str(pipeline)]
        command += ["-r", str(10**9), "--csv", "EVALSHA", digest, "0", *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode or "rror" in done.stderr:
            raise RuntimeError(
                f"redis-benchmark ended with {done.returncode}:\n{done.stdout[-500:]}{done.stderr[-500:]}"
            )
        calls_per_s = float(done.stdout.splitlines()[-1].rsplit('",', maxsplit=7)[1].strip('"'))
        self._requested += calls * items
        return Ran(calls * items, calls_per_s * items)

    def _stored(self) -> int:
        return int(self._connection.call("GET", "reservations") or 0)

    def _stored_cells(self, on_hand: int) -> Iterator[Cell]:
        cells = _cells(self.world)
        for first in range(0, len(cells), _ROWS):
            chunk = cells[first : first + _ROWS]
            lefts = self._connection.call("MGET", *(f"{sku}:{node}" for sku, node in chunk))
            for (sku, node), left in zip(chunk, lefts, strict=True):
                yield Cell(sku, node, on_hand, on_hand - int(left))

    def _stored_lines(self) -> Iterator[Line]:
        for first in range(1, self._stored() + 1, _ROWS):
            numbers = range(first, min(first + _ROWS, self._stored() + 1))
            for number, told in zip(numbers, self._connection.call("MGET", *(f"r:{n}" for n in numbers)), strict=True):
                if told is None:
                    raise RecountError(f"reservation {number} is not there")
                node, first_sku, first_units, second_sku, second_units = map(int, told.split())
                yield Line(number, first_sku, node, first_units)
                yield Line(number, second_sku, node, second_units)


class Connection:
    """One call after another in the protocol of Redis, for what is set up and recounted; no part of what is measured."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        self._file = self._socket.makefile("rb")

    def call(self, *parts: str) -> Any:
        """The reply: bytes, an int, None, or a list of them. Raises RuntimeError with Redis's own words."""
        raw = [part.encode() for part in parts]
        self._socket.sendall(b"*%d\r\n" % len(raw) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in raw))
        return self._reply()

    def close(self) -> None:
        """Close it."""
        self._file.close()
        self._socket.close()

    def _reply(self) -> Any:
        line = self._file.readline()
        kind, rest = line[:1], line[1:-2]
        match kind:
            case b"+":
                return rest
            case b":":
                return int(rest)
            case b"$":
                return None if rest == b"-1" else self._file.read(int(rest) + 2)[:-2]
            case b"*":
                return [self._reply() for _ in range(int(rest))]
            case _:
                raise RuntimeError(f"Redis says {rest.decode() or 'nothing: it is gone'}")


def _cells(world: World) -> list[tuple[int, int]]:
    return [(sku, node) for sku in range(world.skus) for node in world.nodes_of(sku)]


@contextmanager
def redis_peer(world: World) -> Iterator[RedisPeer]:
    """Start Redis in a folder of its own, removed at the end. Raises RedisMissingError when there is none."""
    program = shutil.which("redis-server")
    if program is None or shutil.which("redis-benchmark") is None:
        raise RedisMissingError
    with tempfile.TemporaryDirectory(prefix="stockpool-redis-") as folder:
        path = Path(folder, "socket")
        command = [program, "--port", "0", "--unixsocket", str(path), "--dir", folder, "--save", ""]
        command += ["--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait(process, path)
            peer = RedisPeer(path, world)
            yield peer
            peer.close()
        finally:
            process.terminate()
            process.wait()


def _wait(process: subprocess.Popen[bytes], path: Path) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        with suppress(OSError):
            Connection(path).close()
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("redis-server did not start")
        time.sleep(0.02)
