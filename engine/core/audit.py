"""The audit: every invariant of the contract that one state can show, and the digest that compares two states."""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from msgspec import msgpack

from engine.core.fulfillment import when_of
from engine.core.image import capacity_in_use
from engine.core.replies import RequestLog
from engine.kernels import audit as kernels
from engine.kernels import columns as c
from engine.kernels.zones import Integers
from engine.model.answers import StatusAnswer
from engine.model.growth import short_form
from engine.model.orders import FulfillmentOrder
from engine.model.outcomes import Outcome
from engine.model.queries import Audit, AuditReport, Finding
from engine.pool.pool import Pool

FINDINGS_MAX = 100
DIGEST_VERSION = 1
"""Goes up when ``digest`` gives another value for the same state: digests that were kept compare with those of their version alone."""
FIRST_CELL_ROWS, FIRST_SKU_ROWS, FIRST_HELD_ROWS = 13, 5, 4
"""Rows that the matrices had when digests began."""

INVARIANTS = {
    kernels.RESERVED_IS_LEGS: "reserved = Σ legs of open reservations",
    kernels.ALLOCATED_IS_WORK: "allocated = Σ lines of open fulfillment orders",
    kernels.ATF_IS_FORMULA: "ATF = on_hand − unavailable − reserved − allocated − safety_stock",
    kernels.NEVER_NEGATIVE: "only on_hand may be negative",
    kernels.PENDING_IS_ZERO: "nothing is pending between decisions",
    kernels.TOTAL_IS_SUM: "totals = Σ cells",
    kernels.LEGS_ARE_COUNTED: "counters = open cells, reservations and legs",
    kernels.EXPIRY_IS_NOTED: "every open reservation will expire",
    kernels.INDEX_FINDS_CELLS: "the index of a SKU finds its cells, in node order",
    kernels.CAPACITY_IS_TAKEN: "capacity taken of a day = Σ its open reservations and open work",
}
_OF_COUNTERS = (kernels.TOTAL_IS_SUM, kernels.LEGS_ARE_COUNTED, kernels.EXPIRY_IS_NOTED)


def audit(pool: Pool, requests: RequestLog, query: Audit) -> StatusAnswer:
    """Recompute and compare: columns in a kernel, orders here."""
    work = list(pool.orders.open_work())
    allocated = np.array([(line.slot, line.units) for each in work for line in each.lines], dtype=np.int64)
    rows = np.zeros((FINDINGS_MAX, 4), dtype=np.int64)
    scratch = np.zeros(pool.counter(c.SLOTS_USED), dtype=np.int64)
    count = kernels.audit_state(pool.state, allocated.reshape(-1, 2), scratch, rows)
    findings = [_finding(pool, *row) for row in rows[: min(count, FINDINGS_MAX)].tolist()]
    findings += _capacity_findings(pool, work)
    findings += _order_findings(pool, closed=query.closed)
    report = AuditReport(
        pool.counter(c.CELLS_OPEN),
        pool.counter(c.RESERVATIONS_OPEN),
        len(work),
        tuple(findings[:FINDINGS_MAX]),
        digest(pool, requests) if query.digest else "",
    )
    return StatusAnswer(Outcome.OK, "", report)


def _capacity_findings(pool: Pool, work: Sequence[FulfillmentOrder]) -> list[Finding]:
    """Capacity: what each day has taken. Nothing to compare where no node has ever had a calendar."""
    dated = [each for each in work if each.ship_day]
    if not dated and not capacity_in_use(pool).size:
        return []
    taken = [(each.node_index, when_of(each), 1, sum(line.units for line in each.lines)) for each in dated]
    rows = np.zeros((FINDINGS_MAX, 4), dtype=np.int64)
    count = kernels.audit_capacity(pool.state, np.array(taken, dtype=np.int64).reshape(-1, 4), rows)
    findings = []
    for invariant, column, expected, actual in rows[: min(count, FINDINGS_MAX)].tolist():
        (node, at), day = divmod(column, c.CAPACITY_WIDTH), int(pool.state[9][c.CAPACITY_DAY, column])
        when = f"day {day}" if at < c.CAPACITY_DAYS else f"day {day // 24} from {day % 24} o'clock"
        subject = f"{pool.names.node_keys[node]} on {when}"
        findings.append(Finding(INVARIANTS[invariant], subject, expected, actual))
    return findings


def _finding(pool: Pool, invariant: int, subject: int, expected: int, actual: int) -> Finding:
    name = f"counter {subject}"
    if invariant not in _OF_COUNTERS:
        sku, node = pool.names.cell(subject)
        name = f"{pool.names.sku_keys[sku]} at {pool.names.node_keys[node]}"
    return Finding(INVARIANTS[invariant], name, expected, actual)


def _order_findings(pool: Pool, *, closed: bool) -> list[Finding]:
    """Orders: units add up, allocated = Σ open work, states and counts agree."""
    findings = []
    open_count = short = 0
    allocated: dict[tuple[int, int], int] = {}
    for work in pool.orders.open_work():
        for leg in work.lines:
            key = work.order_id, leg.line_index
            allocated[key] = allocated.get(key, 0) + leg.units
    for order in pool.orders.orders.each(encoded=closed):
        open_count += order.is_open
        for index, line in enumerate(order.lines):
            subject = f"order {order.order_id} line {index}"
            short += line.short_units
            units = line.allocated_units + line.fulfilled_units + line.cancelled_units + line.short_units
            working = allocated.pop((order.order_id, index), 0)
            if units != line.units:
                findings.append(Finding("order line: units = Σ its parts", subject, line.units, units))
            if working != line.allocated_units:
                findings.append(Finding("order line: allocated = Σ open work", subject, working, line.allocated_units))
    for (order_id, index), units in allocated.items():
        findings.append(Finding("open work has an open order", f"order {order_id} line {index}", 0, units))
    if open_count != pool.orders.open_order_count:
        findings.append(Finding("open orders are counted", "orders", open_count, pool.orders.open_order_count))
    if short != pool.orders.short_units:
        findings.append(Finding("short units are counted", "orders", short, pool.orders.short_units))
    return findings


def _rows(matrix: Integers, first_rows: int) -> Iterator[Integers]:
    """The rows of a matrix that a digest covers: those it always had, and later ones that hold anything, each with its number."""
    yield from matrix[:first_rows]
    for number in range(first_rows, len(matrix)):
        if matrix[number].any():
            yield np.array([number], dtype=np.int64)
            yield matrix[number]


def _later_records(pool: Pool) -> Iterator[object]:
    """Records that came after digests began, where there are any."""
    drafts, groups = pool.network.rulebook.drafts, pool.names.groups.keys
    if drafts:
        yield drafts
    if groups:
        yield groups


def digest(pool: Pool, requests: RequestLog) -> str:
    """BLAKE2b of the whole state but the heap of expiries, whose stale entries depend on when it was tidied."""
    result = hashlib.blake2b(digest_size=16)
    cells, skus, index, reservations, held, _, movements, feeds, counters, _ = pool.state
    slots = pool.counter(c.SLOTS_USED)
    scalars = counters.copy()
    # Stale entries of the heap are not state, and a decision without numeric effects moves neither of the other two.
    scalars[[c.EXPIRY_COUNT, c.SEQ, c.NOW_NS]] = 0
    columns = (
        *_rows(cells[:, :slots], FIRST_CELL_ROWS),
        *_rows(skus[:, : len(pool.names.skus)], FIRST_SKU_ROWS),
        index[: pool.counter(c.INDEX_USED)],
        reservations[:, np.flatnonzero(reservations[c.RES_ID])],  # most were never used
        *_rows(held[:, : pool.counter(c.HELD_USED)], FIRST_HELD_ROWS),
        movements[:, : pool.counter(c.MOVEMENT_NEXT)],
        *(feeds[source, :slots] for source in range(len(pool.names.sources))),
        scalars,
        capacity_in_use(pool),  # empty, hence nothing at all, where no node has a calendar
    )
    for column in columns:
        result.update(np.ascontiguousarray(column).data)
    network, orders, names = pool.network, pool.orders, pool.names
    following = (orders.next_order_id, orders.next_fulfillment_order_id, orders.next_return_id)
    policies = {key: short_form(policy) for key, policy in network.policies.items()}
    for records in (
        *(list(map(short_form, each)) for each in (network.nodes, network.skus, network.channels, network.rate_cards)),
        short_form(network.zone_chart), policies,
        names.regions.keys, names.services.keys, names.sources.keys,
        orders.orders.encodable(), orders.fulfillment_orders.encodable(), orders.returns.encodable(), following,
        orders.closed, requests.rows(), *_later_records(pool),
    ):  # fmt: skip
        result.update(msgpack.encode(records))
    if network.price_plan is not None:  # what was never priced has the digest that it always had
        result.update(msgpack.encode(network.price_plan))
    return result.hexdigest()
