"""Compile the contract: ``protos/stockpool/v1/*.proto`` becomes the Python package ``stockpool.v1``.

Hatchling runs this file as a build hook, so that a plain ``pip install .`` needs no step of its own; ``make proto`` runs it
as a script. The include root is this folder, hence the path of a proto spells the path of its Python module and nothing
that protoc writes is patched.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
PACKAGE = ROOT / "stockpool"
GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")


def compile_protos() -> list[Path]:
    """Bring the generated modules up to date and return the paths that changed.

    Files that would not change are left alone and the others are replaced atomically, so that a process which imports
    the package meanwhile sees the old or the new file, never half of one. Modules whose proto is gone are removed.

    Raises:
        RuntimeError: protoc refused the sources; it has printed why.
        FileNotFoundError: there is nothing to compile.
    """
    sources = sorted(PACKAGE.rglob("*.proto"))
    if not sources:
        raise FileNotFoundError(f"no .proto files below {PACKAGE}")
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".build-") as folder:
        written = Path(folder)
        _protoc(sources, written)
        fresh = {path.relative_to(written): path for pattern in GENERATED for path in written.rglob(pattern)}
        changed = [_replace(path, ROOT / relative) for relative, path in sorted(fresh.items())]
        stale = [path for path in _generated() if path.relative_to(ROOT) not in fresh]
    for path in stale:
        path.unlink()
    return [path for path in changed if path is not None] + stale


def _protoc(sources: list[Path], destination: Path) -> None:
    from grpc_tools import protoc  # here, because hatchling also loads this file to clean and to make a source archive

    # protoc types the messages itself; the plugin types stubs and servicers.
    beside_python = str(Path(sys.executable).parent)
    plugin = shutil.which("protoc-gen-mypy_grpc", path=os.pathsep.join([beside_python, os.environ.get("PATH", "")]))
    if plugin is None:
        raise RuntimeError("protoc-gen-mypy_grpc is missing; install what [build-system] in pyproject.toml requires")
    arguments = [
        "protoc",
        f"--proto_path={ROOT}",
        f"--proto_path={files('grpc_tools') / '_proto'}",
        f"--python_out={destination}",
        f"--pyi_out={destination}",
        f"--grpc_python_out={destination}",
        f"--plugin=protoc-gen-mypy_grpc={plugin}",
        f"--mypy_grpc_out=quiet:{destination}",
        *(source.relative_to(ROOT).as_posix() for source in sources),
    ]
    if protoc.main(arguments) != 0:
        raise RuntimeError("protoc refused the protos; its messages are above")


def _generated() -> list[Path]:
    return sorted(path for pattern in GENERATED for path in PACKAGE.rglob(pattern))


def _replace(fresh: Path, target: Path) -> Path | None:
    """Move ``fresh`` over ``target`` unless they are equal; return the target when it changed."""
    if target.exists() and target.read_bytes() == fresh.read_bytes():
        return None
    fresh.replace(target)
    return target


class ProtoBuildHook(BuildHookInterface[Any]):
    """Compiles the protos before hatchling collects the files of a wheel, an editable one included."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling once a build; ``build_data`` lists what version control ignores and the wheel needs."""
        del version
        compile_protos()
        build_data["artifacts"].extend(f"protos/stockpool/**/{pattern}" for pattern in GENERATED)

    def clean(self, versions: list[str]) -> None:
        """Remove what was generated."""
        del versions
        for path in _generated():
            path.unlink()


if __name__ == "__main__":
    for name in compile_protos():
        sys.stdout.write(
            f"wrote {name.relative_to(ROOT)}\n" if name.exists() else f"removed {name.relative_to(ROOT)}\n"
        )
