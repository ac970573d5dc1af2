"""Claims on stock: from keys to the kernel's columns, and from its answer back to legs, shortages and cost.

Reserve, BatchReserve, PlaceOrder, IngestOrder, the re-route of rejected work and the options shown to a shopper all ask
here, hence they cannot disagree.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from engine.kernels import columns as c
from engine.kernels import reservations as kernels
from engine.kernels.zones import Integers
from engine.model.commands import Claim, Lines
from engine.model.outcomes import FulfillmentKind, Outcome
from engine.model.replies import Cost, Leg, Shortage
from engine.pool.pool import Pool
from engine.pool.reservations import Held

OUTCOME = {int(outcome): outcome for outcome in Outcome}
"""Looking a member up on an enum costs a microsecond in some Pythons; this road is taken for every claim."""
_GRANTED = (Outcome.OK, Outcome.PARTIAL)
_SHORT = (Outcome.PARTIAL, Outcome.INSUFFICIENT_STOCK)
_SHIP, _PICKUP = FulfillmentKind.SHIP, FulfillmentKind.PICKUP
NOBODY = np.zeros(0, dtype=np.int64)
"""No excluded nodes."""
BOOKED = (c.AFTER_HOLD, c.AFTER_BACKORDER)
"""After these an order is booked even though it gets nothing."""
VALUE_MAX = (1 << 62) - 1
"""Micros; what is worth more is taken for this."""
Rows = list[list[int]]
"""A matrix of the kernel as Python's own numbers."""


class Question(NamedTuple):
    """A claim in indexes. ``refusal`` is set when it cannot even be asked; ``subject`` says of what."""

    refusal: int
    subject: str
    kind: FulfillmentKind
    channel_index: int
    destination: int
    """Region index for shipping, node index for pickup."""
    service_index: int
    lines: tuple[tuple[int, int], ...]
    """(SKU index, units)."""
    partial: bool
    fact: bool = False
    expires_ns: int = 0
    excluded: tuple[int, ...] = ()
    value_micros: int = 0
    """What rules take the lines to be worth, see ``value_of``; 0 where no rule asks."""
    books: bool = False
    """An order: it may be booked without units, on hold or on backorder."""
    due_day: int = 0
    """Day by which the buyer was promised arrival; 0: none."""
    store_index: int = -1
    """The store to which it is shipped for collection, which does not send anything itself; −1: none."""


class Package(NamedTuple):
    """One package of a plan, costs in micros."""

    node_index: int
    zone: int
    weight_grams: int
    carrier_micros: int
    handling_micros: int
    price_micros: int = 0
    """Prices of the units in it."""
    other_micros: int = 0
    """Performance, capacity and lateness, weighted."""
    ship_day: int = 0
    arrival_day: int = 0
    """0: not known."""
    late_micros: int = 0
    """Lateness in ``other_micros``."""


class Plan(NamedTuple):
    """What the kernel granted. ``packages`` and ``cost`` for shipping alone."""

    outcome: Outcome
    legs: tuple[Held, ...]
    packages: tuple[Package, ...]
    cost: Cost | None
    shortages: tuple[Shortage, ...]
    rule: int = 0
    """1 + the rule that decided, counted within the policy; 0: none is for the order."""
    after: int = c.AFTER_REQUEST
    """What followed when that rule did not serve in full."""
    verdicts: int = 0
    """What each rule said: ``kernels.columns.VERDICT_BITS`` each."""
    score_micros: int = 0
    """What was minimised: every term at its weight."""

    @property
    def granted(self) -> bool:
        """Whether any unit was granted."""
        return self.outcome in _GRANTED


def _refused(outcome: Outcome, subject: str) -> Question:
    return Question(outcome, subject, FulfillmentKind.SHIP, 0, 0, -1, (), partial=False)


def ask(pool: Pool, claim: Claim, now_ns: int, *, fact: bool = False, books: bool = False) -> Question:
    """Resolve a claim's keys. The guards stand in the order of their outcomes' numbers."""
    names, network = pool.names, pool.network
    channel = names.channels.find(claim.channel_key)
    if channel < 0:
        return _refused(Outcome.UNKNOWN_CHANNEL, claim.channel_key)
    index_of = names.skus.index_of
    lines = []
    for sku_key, units in claim.lines:
        sku = index_of.get(sku_key, -1)
        if sku < 0:
            return _refused(Outcome.UNKNOWN_SKU, sku_key)
        lines.append((sku, units))
    service = store = -1
    if claim.kind == _PICKUP:
        destination = names.nodes.find(claim.pickup_node_key)
        if destination < 0:
            return _refused(Outcome.UNKNOWN_NODE, claim.pickup_node_key)
        refusal = node_refusal(pool, destination, channel, c.FLAG_PICKUP)
        if refusal:
            return _refused(refusal, claim.pickup_node_key)
    else:
        postal_code = claim.postal_code
        if claim.store_key:
            store = names.nodes.find(claim.store_key)
            if store < 0:
                return _refused(Outcome.UNKNOWN_NODE, claim.store_key)
            postal_code = network.nodes[store].postal_code
        destination = network.region_of(postal_code)
        if destination < 0:
            return _refused(Outcome.UNKNOWN_DESTINATION, claim.store_key or postal_code)
        service_key = claim.service_key or network.policy_of(channel).default_service_key
        service = names.services.find(service_key)
        if service < 0:
            return _refused(Outcome.UNKNOWN_SERVICE, service_key)
        refusal = node_refusal(pool, store, channel, c.FLAG_PICKUP) if store >= 0 else None
        if refusal:
            return _refused(refusal, claim.store_key)
    expires_ns = now_ns + (claim.ttl_ns or pool.limits.reservation_ttl_default_ns)
    return Question(
        0,
        "",
        claim.kind,
        channel,
        destination,
        service,
        tuple(lines),
        claim.allow_partial or fact,
        fact,
        expires_ns,
        value_micros=value_of(pool, lines) if network.rulebook.asks_value else 0,
        books=books,
        due_day=claim.due_day,
        excluded=() if store < 0 else (store,),
        store_index=store,
    )


def value_of(pool: Pool, lines: Iterable[tuple[int, int]]) -> int:
    """What rules take (SKU index, units) to be worth, in micros: by the SKUs' unit values, whatever an order says.

    So it is the same when it is shown, held and ordered.
    """
    skus = pool.network.skus
    return min(sum([units * skus[sku].unit_value_micros for sku, units in lines]), VALUE_MAX)


def node_refusal(pool: Pool, node_index: int, channel_index: int, flag: int) -> Outcome | None:
    """Why a node cannot serve a channel in the way that ``flag`` says; ``None`` when it can."""
    if not pool.network.serves(node_index, channel_index):
        return Outcome.NODE_NOT_IN_CHANNEL
    flags = pool.network.flags(node_index)
    if not flags & c.FLAG_OPEN:
        return Outcome.NODE_CLOSED
    if not flags & flag:
        return Outcome.NODE_LACKS_SERVICE
    return None


class Planner:
    """Asks the kernel. Owns its scratch and the arrays of its answers: one planner a machine, one thread."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        items = pool.limits.batch_items_max
        self._scratch = kernels.claim_scratch(pool.limits.nodes_max)
        self.granted = (
            np.zeros((items, c.RESULT_WIDTH), dtype=np.int64),
            np.zeros((kernels.LEGS_PER_ITEM_MAX + 32 * items, c.LEG_WIDTH), dtype=np.int64),
            np.zeros((kernels.LEGS_PER_ITEM_MAX + 32 * items, c.PACKAGE_WIDTH), dtype=np.int64),
            np.zeros(items * c.LINES_MAX, dtype=np.int64),
        )
        self._asked_last: kernels.Asked = (NOBODY.reshape(0, 0), NOBODY.reshape(0, 0), NOBODY, NOBODY.reshape(0, 0))
        self.counts = (0, 0)
        """Items of the last call that were granted anything, and their legs."""

    def ask_kernel(self, questions: Sequence[Question]) -> kernels.Asked:
        """Decide the questions in order; the answers stand in ``granted`` until the next call. Returns what was asked."""
        asked = self._asked(questions)
        self.decide(asked)
        return asked

    def _asked(self, questions: Sequence[Question]) -> kernels.Asked:
        network = self._pool.network
        items: list[int] = []
        lines: list[int] = []
        excluded: list[int] = []
        skus, rules = network.skus, network.claim_rules
        for question in questions:
            threshold, first_rule, rule_count = (0, 0, 0) if question.refusal else rules[question.channel_index]
            items += (
                question.kind,
                question.channel_index,
                question.destination,
                question.service_index,
                len(lines) // c.LINE_WIDTH,
                len(question.lines),
                question.partial,
                threshold,
                first_rule,
                rule_count,
                question.expires_ns,
                question.refusal,
                question.fact,
                len(excluded) + 1,
                len(question.excluded),
                question.value_micros,
                question.books,
                question.due_day,
                question.store_index + 1,
            )
            for sku, units in question.lines:
                lines += (sku, units, skus[sku].weight_grams, -1, 0)
            excluded += question.excluded
        return (
            np.array(items, dtype=np.int64).reshape(-1, c.ITEM_WIDTH),
            np.array(lines, dtype=np.int64).reshape(-1, c.LINE_WIDTH),
            np.array(excluded, dtype=np.int64) if excluded else NOBODY,
            network.rulebook.rules,
        )

    def decide(self, asked: kernels.Asked) -> None:
        """Decide what is asked, in order; the answers stand in ``granted`` until the next call."""
        self._asked_last = asked
        try:
            self.counts = kernels.plan_claims(
                self._pool.stock.arrays,
                (self._pool.network.arrays, self._pool.promises.arrays),
                asked,
                self._scratch,
                self.granted,
            )
        except Exception:
            # A defect of the kernel hurts its own caller alone: what it had marked as granted is free again.
            self._pool.state[0][c.PENDING, : self._pool.counter(c.SLOTS_USED)] = 0
            self._pool.promises.drop_pending()
            raise

    def plan(self, question: Question) -> Plan:
        """Decide one question on its own."""
        self.ask_kernel((question,))
        return self.read(question)

    def plan_under(self, question: Question, rules: Integers) -> Plan:
        """Decide one question on its own under the compiled rules of another policy than its channel's."""
        items, lines, excluded, _ = self._asked((question,))
        items[0, c.ITEM_FIRST_RULE], items[0, c.ITEM_RULE_COUNT] = 0, len(rules)
        self.decide((items, lines, excluded, rules))
        return self.read(question)

    def last_question(self) -> tuple[Integers, Integers]:
        """The router's question of the rule that decided what was asked last, as copies: the order, and its lines with each SKU once."""
        order, merged = self._scratch[2], self._scratch[3]
        count = len(np.unique(self._asked_last[1][:, c.LINE_SKU]))
        return order.copy(), merged[:count].copy()

    def read(self, question: Question) -> Plan:
        """The answer of a question that was asked alone."""
        return self.answers((question,))[0]

    def answers(self, questions: Sequence[Question]) -> list[Plan]:
        """The answers of the questions that were asked last."""
        rows, legs, packages = self.rows(len(questions))
        plans = []
        for row, shortages in zip(rows, self.shortages(questions, rows), strict=True):
            first, count = row[c.RESULT_FIRST_LEG], row[c.RESULT_LEG_COUNT]
            held = tuple([Held(line, slot, units, when) for line, slot, units, _, when in legs[first : first + count]])
            first, count = row[c.RESULT_FIRST_PACKAGE], row[c.RESULT_PACKAGE_COUNT]
            boxes = tuple([Package(*box) for box in packages[first : first + count]])
            outcome, cost = OUTCOME[row[c.RESULT_OUTCOME]], cost_of(row, packages)
            said = row[c.RESULT_RULE], row[c.RESULT_AFTER], row[c.RESULT_VERDICTS], row[c.RESULT_SCORE]
            plans.append(Plan(outcome, held, boxes, cost, shortages, *said))
        return plans

    def rows(self, count: int) -> tuple[Rows, Rows, Rows]:
        """The answers of the ``count`` questions that were asked last as they stand in ``granted``: results, their legs, their packages."""
        results, legs, packages, _ = self.granted
        rows = results[:count].tolist()
        package_count = rows[-1][c.RESULT_FIRST_PACKAGE] + rows[-1][c.RESULT_PACKAGE_COUNT]
        return rows, legs[: self.counts[1]].tolist(), packages[:package_count].tolist()

    def shortages(self, questions: Sequence[Question], rows: Rows) -> Iterator[tuple[Shortage, ...]]:
        """What each of the questions that were asked last did not get."""
        available = self.granted[3]
        first = 0
        for question, row in zip(questions, rows, strict=True):
            outcome, end = row[c.RESULT_OUTCOME], first + len(question.lines)
            yield _shortages(question, available[first:end].tolist()) if outcome in _SHORT else ()
            first = end


def _shortages(question: Question, there: list[int]) -> tuple[Shortage, ...]:
    return tuple(
        Shortage(line, sku, units, there[line])
        for line, (sku, units) in enumerate(question.lines)
        if there[line] < units
    )


def cost_of(row: list[int], packages: Rows) -> Cost | None:
    """What a plan costs, by its row of the results and the packages of all; None when nothing is packed."""
    count = row[c.RESULT_PACKAGE_COUNT]
    if not count:
        return None
    boxes = packages[row[c.RESULT_FIRST_PACKAGE] :][:count]
    lateness = sum([box[c.PACKAGE_LATE] for box in boxes])
    return Cost(
        min(row[c.RESULT_COST] + lateness, c.COST_MAX),
        sum([box[c.PACKAGE_CARRIER] for box in boxes]),
        sum([box[c.PACKAGE_HANDLING] for box in boxes]),
        row[c.RESULT_SPLIT],
        count,
        bool(row[c.RESULT_EXACT]),
        lateness,
    )


def refused_by(pool: Pool, question: Question, outcome: Outcome, rule: int) -> str:
    """The name of the rule that allowed no plan; empty when none is for the claim, or when it is stock that is missing."""
    rules = pool.network.policy_of(question.channel_index).rules
    return rules[rule - 1].name if outcome == Outcome.NO_PLAN and 0 < rule <= len(rules) else ""


def reply_legs(pool: Pool, legs: Sequence[Held]) -> tuple[Leg, ...]:
    """Legs as callers are told them: by SKU and node."""
    cell = pool.names.cell
    return tuple([Leg(line, *cell(slot), units) for line, slot, units, _ in legs])


def merged(lines: Lines) -> dict[str, int]:
    """Units by SKU key: duplicate lines add up, in order of first mention."""
    units: dict[str, int] = {}
    for sku_key, count in lines:
        units[sku_key] = units.get(sku_key, 0) + count
    return units
