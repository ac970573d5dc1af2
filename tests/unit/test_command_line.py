"""The command line itself: what it imports, what it is called, what it says of itself."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from engine.cli.main import COMMANDS, app

HEAVY = {
    "grpc",
    "numba",
    "numpy",
    "rich",
    "google",
    "pydantic",
    "sqlalchemy",
    "matplotlib",
    "pyarrow",
    "ortools",
    "msgspec",
}


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from engine.cli.main import app\n"
        "sys.argv = ['stockpool', '--help']\n"
        "try:\n    app(prog_name='stockpool')\n"
        "finally:\n    print('\\n'.join(sys.modules), file=sys.stderr)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "Usage: stockpool" in run.stdout
    assert not HEAVY & set(run.stderr.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert f"Usage: stockpool {command}" in result.output
    assert "--install-completion" not in result.output


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_can_print_json(command: str) -> None:
    """A command has --json; of a group, each of its commands does."""
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
    if "Commands:" not in shown:
        assert "--json" in shown
        return
    for line in shown.partition("Commands:\n")[2].splitlines():
        verb = line.split()[0]
        assert "--json" in CliRunner().invoke(app, [command, verb, "--help"], env={"COLUMNS": "200"}).output, verb


def test_version_is_printed() -> None:
    from importlib.metadata import version

    assert CliRunner().invoke(app, ["--version"]).output.strip() == version("stockpool")


def test_a_slip_of_the_finger_is_understood() -> None:
    result = CliRunner().invoke(app, ["reserv"])
    assert result.exit_code == 2
    assert "'reserve'" in result.stderr
