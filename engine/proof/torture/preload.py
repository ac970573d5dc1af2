"""What a warm start has loaded: imported by the process that servers are forked from. None of it starts a thread."""

import importlib
import importlib.util
import pkgutil

from engine import kernels

_MODULES = ("engine.app", "engine.journal.sqlite", "typer", "uvloop")

for _found in pkgutil.iter_modules(kernels.__path__):
    importlib.import_module(f"{kernels.__name__}.{_found.name}")
for _name in _MODULES:
    importlib.import_module(_name)
if importlib.util.find_spec("psycopg"):
    importlib.import_module("engine.journal.postgres")
    importlib.import_module("psycopg")
