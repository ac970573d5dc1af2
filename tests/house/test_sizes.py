"""The ratchet: functions, modules and kernels stay small; the exceptions are listed here and may only shrink.

A docstring is not counted: nobody should save words to stay under a limit.
"""

import ast
from pathlib import Path

from tests.house.sources import ROOT, python_files, tree

FUNCTION_LINES_MAX = 60
MODULE_LINES_MAX = 400
KERNEL_PARAMETERS_MAX = 5

# What is over its limit today, with its size. Never raise a number, never add a line: split instead.
LONG_FUNCTIONS: dict[str, int] = {}
LONG_MODULES: dict[str, int] = {}
WIDE_KERNELS: dict[str, int] = {}

type_of_function = ast.FunctionDef | ast.AsyncFunctionDef


def test_functions_are_short() -> None:
    sizes = {
        f"{path}::{name}": _lines(node) for path in python_files() for name, node in _functions(tree(path)).items()
    }
    _ratchet(sizes, LONG_FUNCTIONS, FUNCTION_LINES_MAX, "lines")


def test_modules_are_short() -> None:
    sizes = {str(path): len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in python_files()}
    _ratchet(sizes, LONG_MODULES, MODULE_LINES_MAX, "lines")


def test_kernels_take_few_parameters() -> None:
    sizes = {
        f"{path}::{name}": len(node.args.posonlyargs) + len(node.args.args) + len(node.args.kwonlyargs)
        for path in python_files("engine/kernels")
        for name, node in _functions(tree(path)).items()
        if any(_decorator_name(decorator) == "kernel" for decorator in node.decorator_list)
    }
    assert sizes, "no kernel found: has the decorator been renamed?"
    _ratchet(sizes, WIDE_KERNELS, KERNEL_PARAMETERS_MAX, "parameters")


def _ratchet(sizes: dict[str, int], exceptions: dict[str, int], limit: int, unit: str) -> None:
    grown = {name: size for name, size in sizes.items() if size > max(limit, exceptions.get(name, 0))}
    assert not grown, f"over {limit} {unit}, or over what it was: {grown}"
    slack = {name: sizes.get(name, 0) for name, size in exceptions.items() if sizes.get(name, 0) < size}
    assert not slack, f"smaller than its entry here says; lower the number, or drop it at {limit} or below: {slack}"


def _functions(module: ast.Module) -> dict[str, type_of_function]:
    """Every function by its qualified name; one that is defined twice (overloads) counts with its last definition."""
    found: dict[str, type_of_function] = {}

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                found[prefix + child.name] = child
                visit(child, f"{prefix}{child.name}.")
            else:
                visit(child, f"{prefix}{child.name}." if isinstance(child, ast.ClassDef) else prefix)

    visit(module, "")
    return found


def _lines(function: type_of_function) -> int:
    assert function.end_lineno is not None
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None and first.end_lineno is not None:
        lines -= first.end_lineno - first.lineno + 1
    return lines


def _decorator_name(decorator: ast.expr) -> str:
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    return target.id if isinstance(target, ast.Name) else getattr(target, "attr", "")


def test_paths_are_compared_as_posix() -> None:
    assert str(Path("engine/kernels")) == "engine/kernels", "the lists above are written with forward slashes"
