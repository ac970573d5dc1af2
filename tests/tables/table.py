"""Text tables: one row a command with the outcome it must get.

    == what this is about ==
    stock A@east=3                                    a step that must simply work
    reserve lines=A:4 to=10001                        -> INSUFFICIENT_STOCK A
    expect A@east on_hand=3 reserved=0                quantities of a cell, `ats=`: what the web shop may sell

A row is a verb, words ``name=value`` (``-`` stands for an empty value, a lone name for yes) and, behind the arrow, outcome and
subject. ``#`` begins a comment. Each part starts with the small network of ``tests.builders``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.core.claims import Planner, ask
from engine.model import commands as m
from engine.model import queries as q
from engine.model.limits import SECOND_NS
from engine.model.network import DEFAULT_POLICY, Channel
from engine.model.orders import ReceivedItem
from engine.model.outcomes import Disposition, Outcome, Quantity, RejectReason, StockReason
from engine.model.policies import Rule
from tests.builders import NODES, PICKUP, SHIP, SKUS, Store, limits
from tests.tables import rules

UNITS_NS = {"ns": 1, "s": SECOND_NS, "m": 60 * SECOND_NS}
Words = dict[str, str]


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    place: str
    verb: str
    words: Words
    outcome: str
    subject: str


@dataclass
class Part:
    """The rows between two headings."""

    name: str
    rows: list[Row] = field(default_factory=list)


def read(path: Path) -> list[Part]:
    """The parts of a file."""
    parts: list[Part] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text = line.partition("#")[0].strip()
        if text.startswith("=="):
            parts.append(Part(text.strip("= ")))
        elif text:
            parts[-1].rows.append(_row(f"{path.name}:{number}", text))
    return parts


def _row(place: str, text: str) -> Row:
    asked, _, told = text.partition("->")
    verb, *rest = asked.split()
    words = {}
    for word in rest:
        name, mark, value = word.partition("=") if not word.partition("=")[0].count("@") else (word, "", "")
        words[name] = ("" if value == "-" else value) if mark else "yes"
    outcome, _, subject = told.strip().partition(" ")
    return Row(place, verb, words, outcome, subject.strip())


def run(part: Part) -> None:
    """Do what the rows say; every outcome must be the one told, and every invariant must hold after each."""
    scene = Scene()
    for row in part.rows:
        act: Callable[[Words], Any] = getattr(scene, row.verb.replace("-", "_"))
        reply = act(row.words)
        if row.outcome:
            told = [Outcome(reply.outcome).name, *([reply.subject] if row.subject else [])]
            assert told == [row.outcome, *([row.subject] if row.subject else [])], f"{row.place}: {reply}"
        elif reply is not None:
            assert reply.outcome == Outcome.OK, f"{row.place}: {reply}"
        scene.store.audit()


def _lines(text: str) -> tuple[tuple[str, int], ...]:
    """``A:2,B:1``."""
    pairs = [part.split(":") for part in text.split(",") if part]
    return tuple((sku, int(units)) for sku, units in pairs)


def _cell(text: str) -> tuple[str, str, int]:
    """``A@east=3``."""
    place, _, units = text.partition("=")
    sku, _, node = place.partition("@")
    return sku, node, int(units or 0)


def _time(text: str) -> int:
    """``90s``, ``15m``, ``1ns``."""
    unit = next(unit for unit in UNITS_NS if text.endswith(unit) and text[: -len(unit)].isdigit())
    return int(text[: -len(unit)]) * UNITS_NS[unit]


def _whole(text: str | None) -> int | None:
    return None if text is None else int(text)


class Scene:
    """The verbs."""

    def __init__(self) -> None:
        self.store = Store()
        self._keys = 0
        self._rules: list[Rule] = []

    def limits(self, words: Words) -> None:
        self.store = Store(limits(**{name: int(value) for name, value in words.items()}))

    # What is given, and what must be

    def stock(self, words: Words) -> None:
        self.store.stock(*map(_cell, words))

    def wait(self, words: Words) -> None:
        self.store.wait(_time(next(iter(words))))
        self.store.sweep()

    def expect(self, words: Words) -> None:
        sku, node, _ = _cell(next(word for word in words if "@" in word))
        cell = self.store.cell(sku, node)._asdict() | {"ats": self.store.ats(sku)}
        told = {name: int(value) for name, value in words.items() if "@" not in name}
        assert {name: cell[name] for name in told} == told, (sku, node)

    def sells(self, words: Words) -> None:
        kind = PICKUP if "pickup" in words else SHIP
        units = self.store.ats(words["sku"], words["channel"], kind, words.get("node", ""))
        assert units == int(words["units"]), words

    def node(self, words: Words) -> Any:
        found = next(node for node in NODES if node.node_key == words["key"])
        names = {"closed": "closed", "ships": "ships", "pickup": "offers_pickup", "returns": "accepts_returns"}
        flags: dict[str, Any] = {names[word]: value == "yes" for word, value in words.items() if word in names}
        flags["groups"] = tuple(group for group in words.get("groups", "").split(",") if group)
        return self.store.tell(m.PutNodes, nodes=(found._replace(**flags),))

    def channel(self, words: Words) -> Any:
        nodes = tuple(node for node in words.get("nodes", "").split(",") if node)
        threshold, policy = int(words.get("threshold", 0)), words.get("policy", DEFAULT_POLICY)
        return self.store.tell(
            m.PutChannels, channels=(Channel(words["key"], "", nodes, "all" in words, threshold, policy),)
        )

    def sku(self, words: Words) -> Any:
        found = next(sku for sku in SKUS if sku.sku_key == words["key"])
        return self.store.tell(m.PutSkus, skus=(found._replace(unit_value_micros=int(words["value"]) * rules.MONEY),))

    # Routing policies

    def rule(self, words: Words) -> None:
        """One more rule of the policy that is put next."""
        self._rules.append(rules.rule(words))

    def policy(self, words: Words) -> Any:
        found, self._rules = self._rules, []
        return self.store.tell(m.PutRoutingPolicy, policy=rules.policy(words, found))

    def malformed(self, words: Words) -> Any:
        """A policy that cannot be: the outcome is the field's path, the subject how the description begins."""
        with pytest.raises(m.Malformed) as caught:
            self.policy(words)
        assert caught.value.field == words["field"], caught.value
        assert words["why"].replace("_", " ") in caught.value.description, caught.value

    def activate(self, words: Words) -> Any:
        return self.store.tell(
            m.ActivateRoutingPolicy, policy_key=words.get("key", DEFAULT_POLICY), version=int(words.get("version", 0))
        )

    def route(self, words: Words) -> Any:
        """What a claim would get, ``order``: one that may be booked without units."""
        pool, claim = self.store.machine.pool, self._claim(words)
        question = ask(pool, claim, self.store.now_ns, books="order" in words)
        assert not question.refusal, question
        return rules.told(pool, Planner(pool).plan(question), question.channel_index, words)

    # Stock

    def adjust(self, words: Words) -> Any:
        quantity = Quantity[words.get("quantity", "ON_HAND")]
        return self.store.tell(
            m.AdjustStock, sku_key=words["sku"], node_key=words["node"], quantity=quantity,
            delta_units=int(words["by"]), reason=StockReason.CORRECTION,
        )  # fmt: skip

    def set(self, words: Words) -> Any:
        source, _, seq = words.get("source", "").partition(":")
        return self.store.tell(
            m.SetStock, sku_key=words["sku"], node_key=words["node"], on_hand_units=_whole(words.get("on_hand")),
            safety_stock_units=_whole(words.get("safety")), expected_on_hand_units=_whole(words.get("expected")),
            source_key=source, source_seq=int(seq or 0),
        )  # fmt: skip

    def receive(self, words: Words) -> Any:
        return self.store.tell(m.ReceiveStock, node_key=words["node"], lines=_lines(words["lines"]))

    def sale(self, words: Words) -> Any:
        channel = words.get("channel", "till")
        return self.store.tell(m.RecordSale, node_key=words["node"], channel_key=channel, lines=_lines(words["lines"]))

    def load(self, words: Words) -> Any:
        rows = [_cell(word) for word in words if "@" in word]
        source, _, seq = words.get("source", "").partition(":")
        return self.store.tell(
            m.ImportStock, sku_keys=tuple(row[0] for row in rows), node_keys=tuple(row[1] for row in rows),
            on_hand_units=tuple(row[2] for row in rows), source_key=source, source_seq=int(seq or 0),
            all_or_nothing="all" in words,
        )  # fmt: skip

    # Reservations

    def _claim(self, words: Words) -> m.Claim:
        return m.Claim(
            words.get("channel", "web"), _lines(words["lines"]), PICKUP if "pickup" in words else SHIP,
            words.get("to", "" if "pickup" in words else "10001"), words.get("pickup", ""), words.get("service", ""),
            "partial" in words, _time(words.get("ttl", "15m")),
        )  # fmt: skip

    def reserve(self, words: Words) -> Any:
        return self.store.reserve(self._claim(words))

    def batch(self, words: Words) -> Any:
        """``item=web/A:2/10001`` and so on; the subject is the outcomes of the items."""
        claims = []
        for name, value in words.items():
            if name.startswith("item"):
                channel, lines, to = value.split("/")
                way = "pickup" if to.isalpha() else "to"
                claims.append(self._claim({"channel": channel, "lines": lines, way: to} | _only(words, "partial")))
        reply = self.store.tell(m.BatchReserve, claims=m.ClaimColumns.of(claims), all_or_nothing="all" in words)
        rows = np.frombuffer(reply.columns, dtype="<i8").reshape(-1, 5).tolist()
        return reply._replace(subject=reply.subject or " ".join(Outcome(row[0]).name for row in rows))

    def extend(self, words: Words) -> Any:
        return self.store.tell(m.ExtendReservation, reservation_id=int(words["id"]), ttl_ns=_time(words["ttl"]))

    def release(self, words: Words) -> Any:
        return self.store.tell(m.ReleaseReservation, reservation_id=int(words["id"]))

    # Orders and work

    def _key(self, words: Words) -> str:
        self._keys += 1
        return words.get("key", f"auto{self._keys}")

    def place(self, words: Words) -> Any:
        if "reservation" not in words:
            return self.store.place(self._claim(words), self._key(words))
        return self.store.commit(
            int(words["reservation"]), _lines(words.get("lines", "")), channel_key=words.get("channel", "web"),
            order_key=self._key(words), postal_code=words.get("to", ""),
        )  # fmt: skip

    def ingest(self, words: Words) -> Any:
        return self.store.ingest(self._claim(words), self._key(words))

    def let_go(self, words: Words) -> Any:
        return self.store.tell(m.ReleaseOrder, order_id=int(words["order"]))

    def cancel(self, words: Words) -> Any:
        lines = tuple((int(line), units) for line, units in _lines(words.get("lines", "")))
        return self.store.tell(m.CancelOrder, order_id=int(words["order"]), lines=lines)

    def order(self, words: Words) -> Any:
        """State of an order and, where told, units of its lines: ``short=1,0``."""
        answer = self.store.ask(q.GetOrder(0, int(words["id"])))
        assert answer.order is not None, words
        assert answer.order.state.name == words["state"], answer.order
        for name in ("allocated", "fulfilled", "cancelled", "short", "returned"):
            if name in words:
                units = [getattr(line, f"{name}_units") for line in answer.order.lines]
                assert units == [int(value) for value in words[name].split(",")], (name, answer.order)

    def accept(self, words: Words) -> Any:
        return self.store.tell(m.Accept, fulfillment_order_id=int(words["work"]))

    def ship(self, words: Words) -> Any:
        return self.store.tell(m.Ship, fulfillment_order_id=int(words["work"]))

    def ready(self, words: Words) -> Any:
        return self.store.tell(m.MarkReady, fulfillment_order_id=int(words["work"]))

    def hand_over(self, words: Words) -> Any:
        return self.store.tell(m.HandOver, fulfillment_order_id=int(words["work"]))

    def reject(self, words: Words) -> Any:
        reason = RejectReason[words.get("reason", "TOO_BUSY")]
        return self.store.tell(m.Reject, fulfillment_order_id=int(words["work"]), reason=reason)

    # Returns

    def authorize(self, words: Words) -> Any:
        """``lines=0:2`` of an order, ``skus=A:2`` without one."""
        lines = tuple((int(line), "", units) for line, units in _lines(words.get("lines", "")))
        lines += tuple((-1, sku, units) for sku, units in _lines(words.get("skus", "")))
        return self.store.tell(
            m.AuthorizeReturn, channel_key=words.get("channel", "web"), order_id=int(words.get("order", 0)),
            lines=lines, postal_code=words.get("from", "" if "drop" in words else "10001"),
            drop_off_node_key=words.get("drop", ""), service_key=words.get("service", ""),
        )  # fmt: skip

    def take_back(self, words: Words) -> Any:
        """``items=0:2:RESTOCK,1:1:SCRAP``."""
        items = tuple(
            ReceivedItem(int(line), int(units), Disposition[what])
            for line, units, what in (item.split(":") for item in words["items"].split(","))
        )
        return self.store.tell(m.ReceiveReturn, return_id=int(words["id"]), node_key=words.get("node", ""), items=items)


def _only(words: Words, name: str) -> Words:
    return {name: words[name]} if name in words else {}
