"""Deciding what happens to stock outside orders: adjustments, counts, receipts, till sales, imports."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from engine.core.claims import Planner, merged
from engine.core.displacement import room_for_sale
from engine.core.draft import Draft
from engine.kernels import columns as c
from engine.kernels.zones import Integers
from engine.model.commands import AdjustStock, ImportStock, Lines, ReceiveStock, RecordSale, SetStock
from engine.model.decisions import Document, EffectRow, SourcePut
from engine.model.outcomes import Outcome, StockReason
from engine.model.replies import Cell, ImportReply, Plain, RowRefusal, SaleReply, StockReply
from engine.pool.names import Registry
from engine.pool.pool import Pool
from engine.pool.stock import CapacityExhausted, move

REFUSALS_TOLD_MAX = 1_000
"""Rows of an import message that are told one by one."""

_CELL_FIELD = {
    c.ON_HAND: "on_hand",
    c.DAMAGED: "damaged",
    c.QUALITY_CONTROL: "quality_control",
    c.DISPLAY: "display",
    c.IN_RETURN: "in_return",
    c.SAFETY_STOCK: "safety_stock",
    c.ALLOCATED: "allocated",
    c.INCOMING: "incoming",
}


def cell_after(cell: Cell, effects: list[EffectRow], slot: int) -> Cell:
    """The cell as it will be once the OP_MOVE effects on its slot are applied."""
    values = cell._asdict()
    for operation, at, row, delta, _, _ in effects:
        if operation == c.OP_MOVE and at == slot:
            values[_CELL_FIELD[row]] += delta
            values["atf"] += c.ATF_SIGN[row] * delta
    return Cell(**values)


def default_safety_stock(pool: Pool, node_indexes: set[int]) -> dict[int, int]:
    """Safety stock that a new cell of these nodes starts with, where it is not 0."""
    nodes = pool.network.nodes
    return {
        index: nodes[index].default_safety_stock_units
        for index in node_indexes
        if nodes[index].default_safety_stock_units
    }


def open_cells(pool: Pool, pairs: list[tuple[int, int]]) -> tuple[list[int], list[EffectRow]]:
    """Slots of (SKU, node) pairs and the effects that open what is missing. Raises CapacityExhausted."""
    return pool.stock.plan(pairs, default_safety_stock(pool, {node for _, node in pairs}))


def _locate(pool: Pool, sku_key: str, node_key: str) -> tuple[int, int] | Plain:
    sku, node = pool.names.skus.find(sku_key), pool.names.nodes.find(node_key)
    if sku < 0:
        return Plain(Outcome.UNKNOWN_SKU, sku_key)
    if node < 0:
        return Plain(Outcome.UNKNOWN_NODE, node_key)
    return sku, node


def _present(pool: Pool, pair: tuple[int, int]) -> Cell:
    """The cell as it is; a cell that is not open yet has nothing."""
    slot = pool.stock.find(*pair)
    return pool.stock.cell(slot) if slot >= 0 else Cell(*pair, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


def decide_adjust(pool: Pool, command: AdjustStock) -> Draft:
    """Change a quantity by a difference; it may not fall below zero."""
    pair = _locate(pool, command.sku_key, command.node_key)
    if isinstance(pair, Plain):
        return Draft(StockReply(*pair))
    present = _present(pool, pair)
    row = command.quantity - 1
    # Tills may have taken a quantity below zero; it does not fall when it is brought up again.
    if command.delta_units < 0 and getattr(present, _CELL_FIELD[row]) + command.delta_units < 0:
        return Draft(StockReply(Outcome.INSUFFICIENT_STOCK, command.sku_key, present))
    try:
        (slot,), effects = open_cells(pool, [pair])
    except CapacityExhausted as full:
        return Draft(StockReply(Outcome.CAPACITY_EXHAUSTED, full.limit, present))
    effects.append(move(slot, row, command.delta_units, command.reason))
    reply = StockReply(Outcome.OK, "", cell_after(present, effects, slot))
    return Draft(reply, effects, (), command.reference)


def _source(pool: Pool, source_key: str) -> tuple[int, tuple[Document, ...]]:
    """Index of a feed and the document that adds it when it is new. Raises CapacityExhausted."""
    index = pool.names.sources.find(source_key)
    if index >= 0:
        return index, ()
    index = len(pool.names.sources)
    if index == pool.limits.sources_max:
        raise CapacityExhausted("sources_max")
    return index, (SourcePut(index, source_key),)


def _heard(pool: Pool, source_key: str, pair: tuple[int, int]) -> int:
    """The last number that a feed gave for a cell; 0 when either is new."""
    source, slot = pool.names.sources.find(source_key), pool.stock.find(*pair)
    return pool.stock.source_seq(source, slot) if source >= 0 and slot >= 0 else 0


def decide_set(pool: Pool, command: SetStock) -> Draft:
    """Set a quantity to a count: not over newer truth of the same feed, not over another number than the caller saw."""
    pair = _locate(pool, command.sku_key, command.node_key)
    if isinstance(pair, Plain):
        return Draft(StockReply(*pair))
    present = _present(pool, pair)
    if command.source_key and command.source_seq <= _heard(pool, command.source_key, pair):
        return Draft(StockReply(Outcome.STALE_SOURCE, command.source_key, present))
    if command.expected_on_hand_units is not None and command.expected_on_hand_units != present.on_hand:
        return Draft(StockReply(Outcome.STALE_QUANTITY, command.sku_key, present))
    source = -1
    documents: tuple[Document, ...] = ()
    try:
        (slot,), effects = open_cells(pool, [pair])
        if command.source_key:
            source, documents = _source(pool, command.source_key)
    except CapacityExhausted as full:
        return Draft(StockReply(Outcome.CAPACITY_EXHAUSTED, full.limit, present))
    # From here on nothing may fail.
    opened = cell_after(present, effects, slot)
    for row, now, wanted in (
        (c.ON_HAND, opened.on_hand, command.on_hand_units),
        (c.SAFETY_STOCK, opened.safety_stock, command.safety_stock_units),
    ):
        if wanted is not None and wanted != now:
            effects.append(move(slot, row, wanted - now, command.reason))
    reply = StockReply(Outcome.OK, "", cell_after(present, effects, slot))
    if command.source_key:
        effects.append((c.OP_FEED, source, slot, command.source_seq, 0, 0))
    return Draft(reply, effects, documents, command.reference)


def _book(
    pool: Pool, node_key: str, lines: Lines, sign: int, reason: StockReason
) -> tuple[list[int], list[EffectRow]] | Plain:
    """Effects that change on hand of a node for all lines; slots in order of first mention."""
    units = merged(lines)
    node = pool.names.nodes.find(node_key)
    pairs = []
    for sku_key in units:
        sku = pool.names.skus.find(sku_key)
        if sku < 0:
            return Plain(Outcome.UNKNOWN_SKU, sku_key)
        pairs.append((sku, node))
    if node < 0:
        return Plain(Outcome.UNKNOWN_NODE, node_key)
    try:
        slots, effects = open_cells(pool, pairs)
    except CapacityExhausted as full:
        return Plain(Outcome.CAPACITY_EXHAUSTED, full.limit)
    effects += [move(slot, c.ON_HAND, sign * count, reason) for slot, count in zip(slots, units.values(), strict=True)]
    return slots, effects


def decide_receive(pool: Pool, command: ReceiveStock) -> Draft:
    """Goods that arrived are there."""
    booked = _book(pool, command.node_key, command.lines, 1, StockReason.RECEIPT)
    if isinstance(booked, Plain):
        return Draft(booked)
    return Draft(Plain(Outcome.OK), booked[1], (), command.reference)


def decide_sale(pool: Pool, planner: Planner, command: RecordSale, now_ns: int) -> Draft:
    """Goods that were sold are gone, whatever was promised. Work that no node has begun gives way; what is broken then is told as shortages."""
    if pool.names.channels.find(command.channel_key) < 0:
        return Draft(SaleReply(Outcome.UNKNOWN_CHANNEL, command.channel_key))
    booked = _book(pool, command.node_key, command.lines, -1, StockReason.SALE)
    if isinstance(booked, Plain):
        return Draft(SaleReply(*booked))
    slots, effects = booked
    node = pool.names.nodes.find(command.node_key)
    skus = [pool.names.skus.find(sku_key) for sku_key in merged(command.lines)]
    displaced = Draft(Plain(Outcome.OK))
    if pool.orders.has_open_work(node):
        opened = {effect[3] for effect in effects if effect[0] == c.OP_OPEN_CELL}
        sold = zip(slots, merged(command.lines).values(), strict=True)
        known = {slot: units for slot, units in sold if slot not in opened}
        displaced = room_for_sale(pool, planner, known).draft(pool, now_ns)
    moves: defaultdict[int, list[EffectRow]] = defaultdict(list)
    effects = [*effects, *displaced.effects]
    for effect in effects:
        if effect[0] == c.OP_MOVE:
            moves[effect[1]].append(effect)
    after = [cell_after(_present(pool, (sku, node)), moves[slot], slot) for sku, slot in zip(skus, slots, strict=True)]
    shortages = tuple(cell for cell in after if cell.atf < 0)
    return Draft(SaleReply(Outcome.OK, "", shortages), effects, displaced.documents, command.reference)


def decide_import(pool: Pool, command: ImportStock) -> Draft:
    """Set many cells: rows with unknown keys or stale numbers are refused one by one, or all with ``all_or_nothing``."""
    count = command.row_count
    skus = found_in(pool.names.skus, command.sku_keys, command.sku_indexes, count)
    nodes = found_in(pool.names.nodes, command.node_keys, command.node_indexes, count)
    refused = np.where(skus < 0, int(Outcome.UNKNOWN_SKU), np.where(nodes < 0, int(Outcome.UNKNOWN_NODE), 0))
    good = np.flatnonzero(refused == 0)
    source = -1
    documents: tuple[Document, ...] = ()
    try:
        slots, opening = pool.stock.plan_columns(skus[good], nodes[good])
        if command.source_key:
            source, documents = _source(pool, command.source_key)
    except CapacityExhausted as full:
        return Draft(ImportReply(Outcome.CAPACITY_EXHAUSTED, full.limit, count))
    if command.source_key:
        stale = command.source_seq <= pool.state[7][source, slots]
        refused[good[stale]] = Outcome.STALE_SOURCE
        good, slots = good[~stale], slots[~stale]
    refusals = _refusals(command, refused)
    refused_count = count - good.size
    if command.all_or_nothing and refused_count:
        return Draft(ImportReply(Outcome.BATCH_REFUSED, "", count, 0, refusals))
    # From here on nothing may fail.
    effects = _import_effects(pool, command, good, slots, opening)
    if command.source_key:
        effects = np.concatenate((effects, _feed_rows(source, slots, command.source_seq)))
    outcome = Outcome.PARTIAL if refused_count else Outcome.OK
    reply = ImportReply(outcome, "", count, int(good.size), refusals)
    return Draft(reply, effects, documents, command.reference)


def found_in(registry: Registry, keys: Sequence[str], indexes: Sequence[int], rows: int) -> Integers:
    """Indexes of a column of keys or of indexes, −1 for an unknown key, spread over all rows when there is one."""
    found = np.array([registry.find(key) for key in keys] if len(keys) else indexes, dtype=np.int64)
    return np.full(rows, found[0], dtype=np.int64) if len(found) == 1 else found


def _refusals(command: ImportStock, refused: Integers) -> tuple[RowRefusal, ...]:
    # What an index speaks of is known, hence these are columns of keys.
    subjects = {Outcome.UNKNOWN_SKU: command.sku_keys, Outcome.UNKNOWN_NODE: command.node_keys}
    return tuple(
        RowRefusal(
            row, outcome, subjects[outcome][row % len(subjects[outcome])] if outcome in subjects else command.source_key
        )
        for row, outcome in (
            (int(row), Outcome(int(refused[row]))) for row in np.flatnonzero(refused)[:REFUSALS_TOLD_MAX]
        )
    )


def _feed_rows(source: int, slots: Integers, source_seq: int) -> Integers:
    rows = np.zeros((slots.size, c.EFFECT_WIDTH), dtype=np.int64)
    rows[:, 0] = c.OP_FEED
    rows[:, 1] = source
    rows[:, 2] = slots
    rows[:, 3] = source_seq
    return rows


def _last_of_each(slots: Integers) -> Integers:
    """Positions of the last mention of each slot, ascending: a later row of the same cell wins."""
    _, from_end = np.unique(slots[::-1], return_index=True)
    return np.sort(slots.size - 1 - from_end)


def _import_effects(pool: Pool, command: ImportStock, good: Integers, slots: Integers, opening: Integers) -> Integers:
    """OP_OPEN_CELL and OP_MOVE rows that bring each cell to its last count; row 0 left free. Cells that agree are not moved."""
    cells = pool.state[0]
    defaults = default_safety_stock(pool, set(opening[:, 2].tolist()))
    fresh = np.array(
        [(slot, defaults[node]) for _, _, node, slot, _, _ in opening.tolist() if node in defaults], dtype=np.int64
    ).reshape(-1, 2)
    parts = [np.zeros((1, c.EFFECT_WIDTH), dtype=np.int64), opening]
    parts.append(_move_rows(fresh[:, 0], c.SAFETY_STOCK, fresh[:, 1], StockReason.POLICY))
    last = _last_of_each(slots)
    wanted = np.array(command.on_hand_units, dtype=np.int64)[good[last]]
    parts.append(_count_rows(slots[last], c.ON_HAND, cells[c.ON_HAND, slots[last]], wanted))
    if len(command.safety_stock_units):
        # A row of −1 says nothing, hence the last one that does speaks for the cell.
        wanted = np.array(command.safety_stock_units, dtype=np.int64)[good]
        said, wanted = slots[wanted >= 0], wanted[wanted >= 0]
        last = _last_of_each(said)
        present = _safety_stock(cells, said[last], fresh)
        parts.append(_count_rows(said[last], c.SAFETY_STOCK, present, wanted[last]))
    return np.concatenate(parts)


def _safety_stock(cells: Integers, slots: Integers, fresh: Integers) -> Integers:
    """Safety stock at ``slots`` once the cells that are ``fresh`` (slot, units) have got theirs."""
    present: Integers = cells[c.SAFETY_STOCK, slots].copy()
    if fresh.size:
        fresh = fresh[np.argsort(fresh[:, 0])]
        at = np.minimum(np.searchsorted(fresh[:, 0], slots), len(fresh) - 1)
        hit = fresh[at, 0] == slots
        present[hit] = fresh[at[hit], 1]
    return present


def _count_rows(slots: Integers, row: int, present: Integers, wanted: Integers) -> Integers:
    changed = present != wanted
    return _move_rows(slots[changed], row, (wanted - present)[changed], StockReason.IMPORT)


def _move_rows(slots: Integers, row: int, deltas: Integers, reason: StockReason) -> Integers:
    rows = np.zeros((slots.size, c.EFFECT_WIDTH), dtype=np.int64)
    rows[:, 0] = c.OP_MOVE
    rows[:, 1] = slots
    rows[:, 2] = row
    rows[:, 3] = deltas
    rows[:, 4] = reason
    return rows
