"""The contract keeps its own rules: lint, comments that are sentences, request ids, no floats for stock or money."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)

from engine.model import outcomes
from stockpool.v1 import fulfillment_pb2, network_pb2, orders_pb2, reservations_pb2, returns_pb2, types_pb2
from tests.house.sources import ROOT, python_files, run_tool, tree

SERVICE = ROOT / "engine" / "service"

# Calls that change nothing, by the verb they begin with.
READS = ("AuditInvariants", "BatchGet", "Explain", "Get", "List", "Stream", "Suggest", "Watch")

# Enums that exist inside as well, by their name there.
SHARED_ENUMS = {
    "Disposition": "Disposition",
    "DropReason": "DropReason",
    "FulfillmentKind": "FulfillmentKind",
    "FulfillmentOrderState": "FulfillmentState",
    "NodeKind": "NodeKind",
    "OrderState": "OrderState",
    "Outcome": "Outcome",
    "Quantity": "Quantity",
    "RejectReason": "RejectReason",
    "ReservationState": "ReservationState",
    "ReturnState": "ReturnState",
    "StockReason": "StockReason",
}
PACKAGES = (fulfillment_pb2, network_pb2, orders_pb2, reservations_pb2, returns_pb2, types_pb2)

# Places on the earth are the only quantities that are not whole numbers.
FLOATS = {"latitude", "longitude"}


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> list[FileDescriptorProto]:
    """The project's own protos, with their comments."""
    target = tmp_path_factory.mktemp("contract") / "contract.binpb"
    protos = ROOT / "protos"
    sources = [str(path.relative_to(protos)) for path in sorted(protos.rglob("*.proto"))]
    # In a process of its own: the compiler and OR-Tools each bring their protobuf, and one process cannot hold both.
    options = [f"--proto_path={protos}", "--include_source_info", f"--descriptor_set_out={target}"]
    run = subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", *options, *sources], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, f"protoc refused the protos\n{run.stderr}"
    return list(FileDescriptorSet.FromString(target.read_bytes()).file)


def test_buf_lint_passes() -> None:
    run = run_tool("buf", "lint", "protos")
    assert run.returncode == 0, f"\n{run.stdout}{run.stderr}"


def test_every_declaration_has_a_comment_that_is_a_sentence(contract: list[FileDescriptorProto]) -> None:
    faults = [
        f"{proto.name}: {name}: {comment!r}"
        for proto in contract
        for name, comment in _comments(proto)
        if not re.fullmatch(r"[^a-z\s].*[.:)]", comment)
    ]
    assert not faults, "\n".join(faults)


def test_every_file_says_what_it_is_about(contract: list[FileDescriptorProto]) -> None:
    for proto in contract:
        syntax = next(place for place in proto.source_code_info.location if list(place.path) == [12])
        assert syntax.leading_comments.strip() or syntax.leading_detached_comments, (
            f"{proto.name} opens without a comment"
        )


def test_every_change_carries_a_request_id(contract: list[FileDescriptorProto]) -> None:
    messages = {message.name: message for proto in contract for message in proto.message_type}
    bare = [
        method.name
        for _, method in _methods(contract)
        if not method.name.startswith(READS)
        and "request_id" not in _with_nested_fields(messages[_message_name(method.input_type)], messages)
    ]
    assert not bare, f"a caller that lost the reply could not ask again: {bare}"


def test_numbers_are_whole(contract: list[FileDescriptorProto]) -> None:
    floating = {FieldDescriptorProto.TYPE_DOUBLE, FieldDescriptorProto.TYPE_FLOAT}
    found = [
        f"{message.name}.{field.name}"
        for proto in contract
        for message in _all_messages(proto)
        for field in message.field
        if field.type in floating and field.name not in FLOATS
    ]
    assert not found, f"integers, in micros where it is money: {found}"


def test_quantities_are_64_bits_wide(contract: list[FileDescriptorProto]) -> None:
    suffixes = ("_units", "_micros", "_grams", "_metres", "_ns", "_seq")
    narrow = [
        f"{message.name}.{field.name}"
        for proto in contract
        for message in _all_messages(proto)
        for field in message.field
        if field.name.endswith(suffixes) and field.type != FieldDescriptorProto.TYPE_INT64
    ]
    assert not narrow, f"int64: {narrow}"


@pytest.mark.skipif(not SERVICE.exists(), reason="the service floor is not built yet")
def test_every_call_of_every_service_is_answered(contract: list[FileDescriptorProto]) -> None:
    """A call that is declared works: its servicer has a method of its own, not the inherited UNIMPLEMENTED."""
    servicers = _servicers()
    missing = [
        f"{service}.{method.name}"
        for service, method in _methods(contract)
        if method.name not in servicers.get(f"{service}Servicer", set())
    ]
    assert not missing, f"declared and not answered: {missing}"


@pytest.mark.parametrize("name", SHARED_ENUMS)
def test_enums_are_numbered_alike_inside_and_outside(name: str) -> None:
    """Those numbers are in journals and on the wire; between the two they are only copied."""
    inside = {member.name: member.value for member in getattr(outcomes, SHARED_ENUMS[name])}
    prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper() + "_"
    outside = {
        value.removeprefix(prefix): number
        for package in PACKAGES
        for value, number in getattr(getattr(package, name, None), "items", list)()
    }
    # What was never sent may be absent inside, or say there that nothing applies.
    assert {value: number for value, number in inside.items() if number} == {
        value: number for value, number in outside.items() if number
    }


@cache
def _servicers() -> dict[str, set[str]]:
    """The methods that classes of the service floor define, by the name of the servicer they extend."""
    found: dict[str, set[str]] = {}
    for path in python_files("engine/service"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                methods = {item.name for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)}
                for parent in node.bases:
                    name = parent.attr if isinstance(parent, ast.Attribute) else getattr(parent, "id", "")
                    found.setdefault(name, set()).update(methods)
    return found


def _methods(contract: list[FileDescriptorProto]) -> Iterator[tuple[str, MethodDescriptorProto]]:
    for proto in contract:
        for service in proto.service:
            for method in service.method:
                yield service.name, method


def _message_name(type_name: str) -> str:
    return type_name.rsplit(".", maxsplit=1)[-1]


def _with_nested_fields(message: DescriptorProto, messages: dict[str, DescriptorProto]) -> set[str]:
    """Names of the fields of a request and, for a batch or a stream, of the messages it is made of."""
    nested = [
        messages[_message_name(field.type_name)]
        for field in message.field
        if _message_name(field.type_name) in messages
    ]
    return {field.name for part in (message, *nested) for field in part.field}


def _all_messages(proto: FileDescriptorProto) -> Iterator[DescriptorProto]:
    waiting = list(proto.message_type)
    while waiting:
        message = waiting.pop()
        waiting.extend(message.nested_type)
        yield message


def _comments(proto: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    """Name and comment of each service, call, message, field, enum and enum value."""
    comments = {tuple(place.path): place.leading_comments for place in proto.source_code_info.location}

    def said(*path: int) -> str:
        return " ".join(comments.get(path, "").split())

    def messages(found: list[DescriptorProto], *path: int) -> Iterator[tuple[str, str]]:
        for index, message in enumerate(found):
            here = (*path, index)
            yield message.name, said(*here)
            for number, field in enumerate(message.field):
                yield f"{message.name}.{field.name}", said(*here, 2, number)
            yield from messages(list(message.nested_type), *here, 3)
            yield from enums(list(message.enum_type), *here, 4)

    def enums(found: list[EnumDescriptorProto], *path: int) -> Iterator[tuple[str, str]]:
        for index, enum in enumerate(found):
            yield enum.name, said(*path, index)
            for number, value in enumerate(enum.value):
                yield value.name, said(*path, index, 2, number)

    yield from messages(list(proto.message_type), 4)
    yield from enums(list(proto.enum_type), 5)
    for index, service in enumerate(proto.service):
        yield service.name, said(6, index)
        for number, method in enumerate(service.method):
            yield f"{service.name}.{method.name}", said(6, index, 2, number)
