"""What the house tests read: the files of the project as version control sees them, and their syntax trees."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


FOLDERS = ("adapters", "benchmarks", "engine", "protos", "tests")


@cache
def project_files() -> tuple[Path, ...]:
    """Every committed file, and below the project's folders those not yet committed; relative to the root, sorted."""
    names = [*_git_files("--cached"), *_git_files("--others", "--exclude-standard", "--", *FOLDERS)]
    return tuple(sorted({Path(name) for name in names if (ROOT / name).is_file()}))


def _git_files(*arguments: str) -> list[str]:
    command = ["git", "ls-files", "-z", *arguments]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [name for name in listed.split("\0") if name]


def python_files(*folders: str) -> list[Path]:
    """The Python files of the project, below ``folders`` when any are named, relative to the root."""
    files = [path for path in project_files() if path.suffix == ".py"]
    return [path for path in files if not folders or any(path.is_relative_to(folder) for folder in folders)]


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of one file."""
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), filename=str(path))


def run_tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a tool of this virtual environment in the root of the project; its output is text, its failure is the caller's."""
    return subprocess.run(
        [str(Path(sys.executable).parent / name), *arguments], cwd=ROOT, check=False, capture_output=True, text=True
    )
