"""The list of failures of the field is complete: every case is tested or waits for a feature that does not exist yet."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from google.protobuf.descriptor import Descriptor

from stockpool.v1 import (
    admin_pb2,
    fulfillment_pb2,
    inventory_pb2,
    network_pb2,
    orders_pb2,
    reservations_pb2,
    returns_pb2,
    types_pb2,
)
from tests.failures.cases import CASES, FEATURES, SECTIONS
from tests.house.sources import python_files, tree

CONTRACT = (
    admin_pb2, fulfillment_pb2, inventory_pb2, network_pb2, orders_pb2, reservations_pb2, returns_pb2, types_pb2,
)  # fmt: skip
BY_NUMBER = {case.number: case for case in CASES}


class Written(NamedTuple):
    """One test of the folder."""

    module: str
    name: str
    numbers: tuple[int, ...]
    docstring: str


def _tests() -> list[Written]:
    paths = [path for path in python_files("tests/failures") if path.stem.startswith("test_")]
    return [_written(path, node) for path in paths for node in tree(path).body if _is_test(node)]


def _is_test(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")


def _written(path: Path, node: ast.stmt) -> Written:
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    numbers = [
        argument.value
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name) and decorator.func.id == "case"
        for argument in decorator.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, int)
    ]
    return Written(path.stem, node.name, tuple(numbers), ast.get_docstring(node) or "")


def _names() -> Iterator[str]:
    """Every service, call, message and field of the contract."""
    for module in CONTRACT:
        for service in module.DESCRIPTOR.services_by_name.values():
            yield from (method.full_name for method in service.methods)
        for message in module.DESCRIPTOR.message_types_by_name.values():
            yield from _fields(message)


def _fields(message: Descriptor) -> Iterator[str]:
    yield message.full_name
    yield from (field.full_name for field in message.fields)
    for nested in message.nested_types:
        yield from _fields(nested)


def test_there_are_79_cases() -> None:
    assert [case.number for case in CASES] == list(range(1, 80))
    assert [number for numbers in SECTIONS.values() for number in numbers] == list(range(1, 80))
    for case in CASES:
        assert case.failure
        assert case.threads
        for thread in case.threads:
            assert re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", thread), thread


def test_every_case_is_tested_or_pending_and_never_both() -> None:
    tested = {number for test in _tests() for number in test.numbers}
    pending = {case.number for case in CASES if case.pending}
    assert not tested - BY_NUMBER.keys(), "nobody knows these cases"
    assert not tested & pending, "pending no longer: drop the feature from the case"
    assert not BY_NUMBER.keys() - tested - pending, "neither tested nor pending"


def test_every_test_is_about_a_case_of_its_section_and_cites_the_thread() -> None:
    names: dict[str, str] = {}
    for module, name, numbers, docstring in _tests():
        place = f"{module}::{name}"
        assert numbers, f"{place} is about no case: decorate it, or place it elsewhere"
        assert names.setdefault(name, module) == module, f"{place}: the name is taken by {names[name]}"
        for number in numbers:
            assert number in SECTIONS[module], f"{place}: case {number} belongs to another section"
            assert any(thread in docstring for thread in BY_NUMBER[number].threads), (
                f"{place} cites no thread of {number}"
            )


def test_a_feature_that_cases_wait_for_does_not_exist_yet() -> None:
    awaited = {feature for case in CASES for feature in (case.pending, case.grows_with) if feature}
    assert awaited == FEATURES.keys(), "every feature by its constant, and none that nobody waits for"
    for feature, pattern in FEATURES.items():
        found = [name for name in _names() if re.search(pattern, name)]
        waiting = [case.number for case in CASES if feature in (case.pending, case.grows_with)]
        assert not found, f"{feature} came with {found}: cases {waiting} can be asked now"
