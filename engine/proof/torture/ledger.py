"""What the clients were told, kept outside the server: the server may forget nothing of it."""

import re
from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, NamedTuple

from stockpool.v1 import fulfillment_pb2 as fulfillment
from stockpool.v1 import returns_pb2 as returns
from stockpool.v1 import types_pb2 as types

FINDINGS_KEPT = 50
SUCCESSES = frozenset({types.OUTCOME_OK, types.OUTCOME_PARTIAL})
_KEPT_ON_HAND = {returns.DISPOSITION_RESTOCK, returns.DISPOSITION_REFURBISH, returns.DISPOSITION_QUARANTINE}


class Entry(NamedTuple):
    """An acknowledged answer: what was asked, at which sequence it was decided, and a digest of the answer's bytes."""

    call: str
    request: Any
    seq: int
    outcome: int
    digest: bytes


class Movement(NamedTuple):
    """Units on hand that came to a cell or left it by a decision, as its answer tells. ``is_promise``: as a request, not as a fact."""

    sku_key: str
    node_key: str
    units: int
    is_promise: bool = False


class Ledger:
    """Every acknowledged answer, who still waits, and what was found to be wrong.

    ``wrongs`` counts by kind: "lost", "oversold", "duplicate", "other". ``newest_seq`` is the newest sequence that anybody was told of,
    by an answer or by a read: it was durable then, and must never be gone. ``passing`` counts errors that went away by repeating.
    """

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.movements: list[Movement] = []
        self.waiting: dict[str, str] = {}
        self.wrongs: Counter[str] = Counter()
        self.findings: list[str] = []
        self.passing: Counter[str] = Counter()
        self.newest_seq = 0

    def begin(self, call: str, request: Any) -> None:
        """Somebody asks, and waits for the answer."""
        self.waiting[request.request_id] = call

    def note(self, call: str, request: Any, response: Any) -> None:
        """The answer came: from now on it must be true."""
        result = response.result
        self.waiting.pop(request.request_id, None)
        self.entries.append(Entry(call, request, result.journal_seq, result.outcome, digest(response)))
        self.saw(result.journal_seq)
        if result.outcome in SUCCESSES:
            self.movements.extend(_movements(call, request, response))

    def saw(self, seq: int) -> None:
        """Somebody was told of the state at this sequence."""
        self.newest_seq = max(self.newest_seq, seq)

    def find(self, kind: str, what: str) -> None:
        """Notes something that must not be."""
        self.wrongs[kind] += 1
        if len(self.findings) < FINDINGS_KEPT:
            self.findings.append(f"{kind}: {what}")


def digest(response: Any) -> bytes:
    """A digest of the bytes of an answer."""
    return blake2b(response.SerializeToString(deterministic=True), digest_size=16).digest()


def method_of(call: str) -> str:
    """The method of the client for a call: ``put_nodes`` for ``PutNodes``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", call).lower()


def _movements(call: str, request: Any, response: Any) -> Iterator[Movement]:
    """How the units on hand have changed, from what the caller knows: the request and its answer."""
    match call:
        case "ReceiveStock" | "RecordSale":
            sign = 1 if call == "ReceiveStock" else -1
            for line in request.lines:
                yield Movement(line.sku_key, request.node_key, sign * line.units)
        case "AdjustStock":
            yield Movement(request.sku_key, request.node_key, request.delta_units)
        case "SetStock":
            units = request.on_hand_units - request.expected_on_hand_units
            yield Movement(request.sku_key, request.node_key, units)
        case "Ship" | "HandOver" | "Reject":
            work = response.fulfillment_order
            if call != "Reject" or request.reason == fulfillment.REJECT_REASON_MISMATCH:
                for line in work.lines:
                    yield Movement(line.sku_key, work.node_key, -line.units, is_promise=call != "Reject")
        case "ReceiveReturn":
            parcel = response.return_order
            for item in request.items:
                if item.disposition in _KEPT_ON_HAND:
                    node_key = request.node_key or parcel.node_key
                    yield Movement(parcel.lines[item.line_index].sku_key, node_key, item.units)
        case _:
            pass
