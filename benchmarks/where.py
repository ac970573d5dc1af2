"""``python -m benchmarks.where [CALL [IN_FLIGHT]]`` tells where the processor time of a call goes in the server, as a table for the README.

py-spy samples the threads that run (it must be on the PATH: ``uv tool install py-spy``; it may need root). A sample belongs to the first part
below that any of its frames names, from the innermost frame outwards; its share of the samples is its share of the processor time that the
operating system counts for the process. What is compiled counts for the line of Python that called it: gRPC's core beneath the event loop for the loop.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from benchmarks.caller import RESERVE
from benchmarks.load import loaded
from benchmarks.stocking import journaled
from benchmarks.world import LARGE

PARTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("SQLite, the disk and the fence", ("sqlalchemy", "engine/journal/sql", "checkpoint.py")),
    ("the journal's record", ("engine/journal",)),
    ("deciding and applying", ("engine/core", "engine/pool", "engine/group.py", "engine/kernels")),
    ("the request checked, the response made", ("engine/service/convert", "engine/service/fields.py")),
    ("the writer's thread: hand-over and answers", ("engine/writer.py",)),
    ("the door, admission, arrivals", ("engine/service",)),
    ("gRPC's thread that polls", ("_poll_wrapper",)),
    ("gRPC in Python", ("grpc/aio", "grpc/_")),
    ("the event loop, and gRPC's core beneath it", ("asyncio",)),
)
CALLERS = 2
ROUND_S = 8.0


def main() -> None:
    call = sys.argv[1] if len(sys.argv) > 1 else RESERVE
    in_flight = int(sys.argv[2]) if len(sys.argv) > 2 else 64
    spy = shutil.which("py-spy")
    if spy is None:
        sys.exit("py-spy is not on the PATH; uv tool install py-spy")
    with tempfile.TemporaryDirectory() as folder:
        url, out = f"sqlite:///{folder}/journal.db", Path(folder) / "samples"
        journaled(url, LARGE)
        with loaded([sys.executable, "-m", "benchmarks.echo_server", url], LARGE, CALLERS) as load:
            calls = int(load.run(call, 100 * in_flight, in_flight).calls_per_s * ROUND_S)
            command = [
                spy,
                "record",
                "--nonblocking",
                "--threads",
                "--rate",
                "200",
                "--format",
                "raw",
                "--output",
                str(out),
            ]
            sampling = subprocess.Popen([*command, "--duration", "600", "--pid", str(load.server.pid)])
            time.sleep(1)
            measured = load.run(call, calls, in_flight)
            sampling.send_signal(2)
            sampling.wait()
        print_table(shares(out.read_text(encoding="utf-8").splitlines()), measured.server_cpu_us)


def shares(samples: Iterable[str]) -> Counter[str]:
    """Samples by part; a line has frames, outermost first, and how often they were seen."""
    found: Counter[str] = Counter()
    for line in samples:
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        named = (part for frame in reversed(frames) for part, marks in PARTS if any(mark in frame for mark in marks))
        found[next(named, "the rest")] += int(count)
    return found


def print_table(found: Counter[str], cpu_us: float) -> None:
    """A row a part."""
    total = sum(found.values())
    print(f"| of {cpu_us:.0f} us a call | us | share |\n|---|---|---|")
    for part, count in found.most_common():
        print(f"| {part} | {count / total * cpu_us:.1f} | {count / total:.0%} |")


if __name__ == "__main__":
    main()
