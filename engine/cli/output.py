"""What every command says: answers as tables or JSON, and errors as what happened, why, and what to type next.

Exit codes: 0 done, 1 refused or failed, 2 the command line itself is wrong.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

FAILED = 1
MISUSED = 2


class CommandFailed(Exception):
    """The command could not do what was asked: what happened, why, and the next command to type."""

    def __init__(self, what: str, why: str = "", hint: str = "", code: int = FAILED) -> None:
        super().__init__(what)
        self.what, self.why, self.hint, self.code = what, why, hint, code


def console(*, stderr: bool = False) -> "Console":
    """A console on standard output, or standard error."""
    from rich.console import Console

    return Console(stderr=stderr)


def print_json(data: Any) -> None:
    """Prints data as JSON on standard output."""
    import json

    typer.echo(json.dumps(data, indent=2, ensure_ascii=False, default=str))


def fail(failure: CommandFailed, *, as_json: bool) -> NoReturn:
    """Says what went wrong and ends the command."""
    if as_json:
        print_json({"error": {"what": failure.what, "why": failure.why, "hint": failure.hint}})
    else:
        lines = [("error", failure.what), ("why", failure.why), ("next", failure.hint)]
        for name, text in lines:
            if text:
                typer.secho(
                    f"{name}: ", fg=typer.colors.RED if name == "error" else None, bold=True, nl=False, err=True
                )
                typer.echo(text, err=True)
    raise typer.Exit(failure.code)


@contextmanager
def reported(*, as_json: bool) -> Iterator[None]:
    """Turns what a command raises into words and an exit code. What is not foreseen stays a traceback: it is a defect."""
    try:
        yield
    except CommandFailed as failure:
        fail(failure, as_json=as_json)
    except KeyboardInterrupt:
        fail(CommandFailed("interrupted"), as_json=as_json)
