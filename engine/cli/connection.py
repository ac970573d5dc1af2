"""How a command reaches a server, and what it says when it does not."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.output import MISUSED, CommandFailed, reported

if TYPE_CHECKING:
    from engine.client import Client, StockpoolError

Server = Annotated[
    str, typer.Option("--server", envvar="STOCKPOOL_SERVER", help="Where the server listens, HOST:PORT.")
]
Token = Annotated[
    str | None, typer.Option("--token", envvar="STOCKPOOL_TOKEN", help="Credentials, where the server asks.")
]
Authority = Annotated[
    Path | None,
    typer.Option("--tls-authority", envvar="STOCKPOOL_TLS_AUTHORITY", help="PEM roots to trust; turns on TLS."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

SERVER = "localhost:50051"
_RETRIES = 2
"""A person at a terminal would rather know soon."""


@contextmanager
def connected(
    server: str, token: str | None, authority: Path | None, *, as_json: bool, timeout_s: float = 10.0
) -> "Iterator[Client]":
    """A client for one command. What fails is said in words, and the command ends with 1 (2: what was asked is malformed)."""
    with reported(as_json=as_json):
        from engine.client import Client, StockpoolError

        roots = None if authority is None else _read(authority)
        with Client(server, token=token, timeout_s=timeout_s, retries=_RETRIES, root_certificates=roots) as client:
            try:
                yield client
            except StockpoolError as error:
                raise _failure(server, error) from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandFailed(f"cannot read {path}", str(error), code=MISUSED) from None


def _failure(server: str, error: "StockpoolError") -> CommandFailed:
    if not error.reason and error.code.name in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}:
        hint = "stockpool serve, or name another one with --server HOST:PORT"
        return CommandFailed(f"no server answers at {server}", error.message, hint)
    if error.reason in {"UNAUTHENTICATED", "PERMISSION_DENIED"}:
        return CommandFailed(
            f"{error.call} is not allowed", error.message, "name credentials with --token or STOCKPOOL_TOKEN"
        )
    if error.fields:
        why = "; ".join(f"{one.field}: {one.description}" for one in error.fields)
        return CommandFailed(f"{error.call} was not understood", why, "stockpool COMMAND --help", code=MISUSED)
    hint = (
        "the same command again"
        if error.code.name in {"UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}
        else ""
    )
    return CommandFailed(f"{error.call} failed ({error.reason or error.code.name})", error.message, hint)
