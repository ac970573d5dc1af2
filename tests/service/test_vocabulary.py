"""The words of the engine and of the contract are the same, and nothing of the contract is left out."""

from __future__ import annotations

import re
from dataclasses import fields
from enum import IntEnum
from pathlib import Path
from typing import Any, get_args

import pytest

from engine.client import AsyncClient
from engine.model import outcomes
from engine.model.decisions import Document
from engine.model.limits import Limits
from engine.model.outcomes import CommandKind
from engine.model.queries import Status
from engine.service.auth import CALLS
from engine.service.convert.entry import _DETAIL
from engine.service.convert.events import _DOCUMENTS, COMMANDS
from engine.service.errors import status_of
from engine.service.limits import stated
from engine.service.port import SERVICES
from stockpool.v1 import (
    admin_pb2,
    errors_pb2,
    fulfillment_pb2,
    network_pb2,
    orders_pb2,
    reservations_pb2,
    returns_pb2,
    types_pb2,
)

ENUMS: list[tuple[type[IntEnum], Any]] = [
    (outcomes.Outcome, types_pb2.Outcome),
    (outcomes.FulfillmentKind, types_pb2.FulfillmentKind),
    (outcomes.NodeKind, network_pb2.NodeKind),
    (outcomes.Quantity, types_pb2.Quantity),
    (outcomes.StockReason, types_pb2.StockReason),
    (outcomes.ReservationState, reservations_pb2.ReservationState),
    (outcomes.OrderState, orders_pb2.OrderState),
    (outcomes.FulfillmentState, fulfillment_pb2.FulfillmentOrderState),
    (outcomes.RejectReason, fulfillment_pb2.RejectReason),
    (outcomes.ReturnState, returns_pb2.ReturnState),
    (outcomes.Disposition, returns_pb2.Disposition),
    (outcomes.DropReason, orders_pb2.DropReason),
    (outcomes.AfterAction, network_pb2.AfterAction),
    (outcomes.RuleVerdict, orders_pb2.RuleVerdict),
]


@pytest.mark.parametrize(("ours", "theirs"), ENUMS, ids=lambda enum: getattr(enum, "__name__", ""))
def test_enums_are_those_of_the_contract(ours: type[IntEnum], theirs: Any) -> None:
    """Same names, same numbers. 0 is UNSPECIFIED there, and here only where it means something."""
    name = theirs.DESCRIPTOR.name
    prefix = "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in name).lstrip("_") + "_"
    contract = {value.name.removeprefix(prefix): value.number for value in theirs.DESCRIPTOR.values if value.number}
    engine = {word.name: int(word) for word in ours if int(word)}
    assert engine == contract


def test_every_enum_of_the_model_is_compared() -> None:
    public = {word for word in vars(outcomes).values() if isinstance(word, type) and issubclass(word, IntEnum)}
    assert public - {IntEnum, CommandKind} == {ours for ours, _ in ENUMS}


def test_commands_are_called_as_their_calls() -> None:
    calls = {call.partition("/")[2] for call in CALLS.values()}
    assert {COMMANDS[kind] for kind in CommandKind if kind != CommandKind.EXPIRE} <= calls


def test_the_client_has_every_call() -> None:
    for request, call in CALLS.items():
        snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in call.partition("/")[2])
        assert hasattr(AsyncClient, snake.lstrip("_")), f"{call} ({request})"
    assert {call.partition("/")[0] for call in CALLS.values()} == {name.rpartition(".")[2] for name in SERVICES}


def test_every_outcome_has_a_sentence() -> None:
    assert set(_DETAIL) == set(outcomes.Outcome)


def test_every_document_becomes_an_effect() -> None:
    assert set(_DOCUMENTS) == set(get_args(Document))


def test_every_limit_is_stated() -> None:
    limits = stated(Limits())
    names = [limit.name for limit in limits]
    assert names == sorted(set(names))
    assert {field.name for field in fields(Limits)} <= set(names)
    for limit in limits:
        assert limit.value > 0, limit
        assert limit.meaning.endswith("."), limit
        if limit.name in Limits.__dataclass_fields__:
            assert limit.value == getattr(Limits(), limit.name)


def test_status_has_the_names_of_the_contract() -> None:
    assert set(Status._fields) <= {field.name for field in admin_pb2.GetStatusResponse.DESCRIPTOR.fields}


def test_reasons_that_are_sent_are_in_the_contract() -> None:
    source = Path(status_of.__code__.co_filename).read_text(encoding="utf-8")
    sent = set(re.findall(r'"([A-Z]+(?:_[A-Z]+)*)"', source))
    documented = {name.removeprefix("ERROR_REASON_") for name in errors_pb2.ErrorReason.keys()} - {"UNSPECIFIED"}  # noqa: SIM118
    assert sent == documented
