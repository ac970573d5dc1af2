"""A batch of claims, from columns of keys or indexes to the kernel's columns.

What ``claims.ask`` does for one, here done a column at a time; a claim that cannot be asked is given to ``claims.ask`` itself, which
knows why.
"""

from collections.abc import Sequence
from itertools import accumulate, repeat

import numpy as np
from numpy.typing import NDArray

from engine.core.claims import NOBODY, VALUE_MAX, ask
from engine.kernels import columns as c
from engine.kernels import reservations as kernels
from engine.kernels.batches import ASK, PICKUP_NEEDS, spread_claims
from engine.kernels.zones import Integers
from engine.model.commands import Claim, ClaimArrays, ClaimColumns
from engine.model.outcomes import FulfillmentKind
from engine.pool.pool import Pool

Subjects = tuple[tuple[int, str], ...]
"""(item, the key that its refusal speaks of); nothing for a channel without a service of its own, where there is no key."""


def ask_many(pool: Pool, claims: ClaimColumns | ClaimArrays, now_ns: int) -> tuple[kernels.Asked, Subjects]:
    """Resolve the keys of all claims; one that is refused before stock is looked at has its ITEM_OUTCOME set."""
    if isinstance(claims, ClaimArrays):
        items, lines = _spread(pool, claims, now_ns)
    else:
        items = _items(pool, claims, now_ns)
        lines = _lines(pool, claims)
        items[_unknown(pool, items, lines), c.ITEM_OUTCOME] = ASK
    subjects, stores = _settle_refusals(pool, claims, items, now_ns)
    if pool.network.rulebook.asks_value:
        items[:, c.ITEM_VALUE] = _values(pool, lines, items)
    excluded = np.array(stores, dtype=np.int64) if stores else NOBODY
    return (items, lines, excluded, pool.network.rulebook.rules), tuple(subjects)


def _settle_refusals(
    pool: Pool, claims: ClaimColumns | ClaimArrays, items: Integers, now_ns: int
) -> tuple[list[tuple[int, str]], list[int]]:
    """Ask ``claims.ask`` about every item of which the columns do not tell all: what it is refused for, or the store to which it is shipped."""
    subjects: list[tuple[int, str]] = []
    stores: list[int] = []
    for item in np.flatnonzero(items[:, c.ITEM_OUTCOME]).tolist():
        question = ask(pool, _claim(pool, claims, item, int(items[item, c.ITEM_FIRST_LINE])), now_ns)
        items[item, c.ITEM_OUTCOME] = question.refusal
        if question.subject:
            subjects.append((item, question.subject))
        if not question.refusal:  # shipped to a store, which no column tells
            stores.append(question.store_index)
            items[item, c.ITEM_DESTINATION] = question.destination
            items[item, [c.ITEM_EXCLUDED, c.ITEM_EXCLUDED_COUNT]] = len(stores), 1
            items[item, c.ITEM_STORE] = question.store_index + 1
    return subjects, stores


def _unknown(pool: Pool, items: Integers, lines: Integers) -> NDArray[np.bool]:
    """Items with a key that is not known, or a store that does not hand goods over to their channel."""
    shipped = items[:, c.ITEM_KIND] == c.KIND_SHIP
    unknown: NDArray[np.bool] = (items[:, c.ITEM_CHANNEL] < 0) | (items[:, c.ITEM_DESTINATION] < 0)
    unknown |= shipped & (items[:, c.ITEM_SERVICE] < 0)
    collected = np.flatnonzero(~shipped & ~unknown)
    unknown[collected] = ~_collectable(pool, items[collected])
    missing = np.flatnonzero(lines[:, c.LINE_SKU] < 0)
    if missing.size:
        unknown[np.searchsorted(items[:, c.ITEM_FIRST_LINE], missing, side="right") - 1] = True
    return unknown


def _claim(pool: Pool, claims: ClaimColumns | ClaimArrays, item: int, first_line: int) -> Claim:
    """One of the claims, by its keys, whose lines begin at ``first_line``."""
    if isinstance(claims, ClaimColumns):
        return claims.claim(item, first_line)
    names = pool.names
    span = slice(first_line, first_line + int(claims.line_counts[item]))
    sku_keys = claims.sku_keys[span] or [names.sku_keys[index] for index in claims.sku_indexes[span].tolist()]
    node_keys = claims.node_keys or [names.node_keys[index] for index in claims.node_indexes.tolist()]
    return Claim(
        claims.channel_key,
        tuple(zip(sku_keys, claims.units[span].tolist(), strict=True)),
        claims.kind,
        claims.postal_codes[item % len(claims.postal_codes)] if claims.postal_codes else "",
        node_keys[item % len(node_keys)] if node_keys else "",
        claims.service_key,
        claims.allow_partial,
        claims.ttl_ns,
        claims.due_day,
    )


def _indexes(index_of: dict[str, int], keys: Sequence[str]) -> Integers:
    return np.array(list(map(index_of.get, keys, repeat(-1))), dtype=np.int64)


def _lines(pool: Pool, claims: ClaimColumns) -> Integers:
    lines = np.empty((len(claims.sku_keys), c.LINE_WIDTH), dtype=np.int64)
    lines[:, c.LINE_SKU] = _indexes(pool.names.skus.index_of, claims.sku_keys)
    lines[:, c.LINE_UNITS] = claims.units
    lines[:, c.LINE_GRAMS] = pool.network.sku_grams[lines[:, c.LINE_SKU]]
    lines[:, c.LINE_UNSERVED], lines[:, c.LINE_GROUP] = -1, 0
    return lines


def _items(pool: Pool, claims: ClaimColumns, now_ns: int) -> Integers:
    items = np.zeros((len(claims), c.ITEM_WIDTH), dtype=np.int64)
    channels = {key: pool.names.channels.find(key) for key in set(claims.channel_keys)}
    places = {way: _destination(pool, *way) for way in set(zip(claims.kinds, claims.places, strict=True))}
    services = {
        way: _service(pool, channels[way[0]], way[1])
        for way in set(zip(claims.channel_keys, claims.service_keys, strict=True))
    }
    items[:, c.ITEM_KIND] = claims.kinds
    items[:, c.ITEM_CHANNEL] = channel = np.array([channels[key] for key in claims.channel_keys])
    items[:, c.ITEM_DESTINATION] = [places[way] for way in zip(claims.kinds, claims.places, strict=True)]
    items[:, c.ITEM_SERVICE] = [services[way] for way in zip(claims.channel_keys, claims.service_keys, strict=True)]
    items[items[:, c.ITEM_KIND] != c.KIND_SHIP, c.ITEM_SERVICE] = -1
    items[:, c.ITEM_FIRST_LINE] = list(accumulate(claims.line_counts, initial=0))[:-1]
    items[:, c.ITEM_LINE_COUNT] = claims.line_counts
    items[:, c.ITEM_PARTIAL] = claims.allow_partial
    rules = np.array([*pool.network.claim_rules, (0, 0, 0)], dtype=np.int64)  # the last for an unknown channel
    items[:, c.ITEM_THRESHOLD : c.ITEM_RULE_COUNT + 1] = rules[channel]
    default_ns = pool.limits.reservation_ttl_default_ns
    items[:, c.ITEM_EXPIRES] = [now_ns + (ttl_ns or default_ns) for ttl_ns in claims.ttl_ns]
    items[:, c.ITEM_EXCLUDED] = 1
    items[:, c.ITEM_DUE_DAY] = claims.due_days
    return items


def _spread(pool: Pool, claims: ClaimArrays, now_ns: int) -> tuple[Integers, Integers]:
    """Items and lines of claims that come as arrays."""
    channel = pool.names.channels.find(claims.channel_key)
    shipped = claims.kind == FulfillmentKind.SHIP
    alike = np.zeros(c.ITEM_WIDTH, dtype=np.int64)
    alike[c.ITEM_KIND] = claims.kind
    alike[c.ITEM_CHANNEL] = channel
    alike[c.ITEM_SERVICE] = _service(pool, channel, claims.service_key) if shipped else -1
    alike[c.ITEM_PARTIAL] = claims.allow_partial
    if channel >= 0:
        alike[c.ITEM_THRESHOLD : c.ITEM_RULE_COUNT + 1] = pool.network.claim_rules[channel]
    alike[c.ITEM_EXPIRES] = now_ns + (claims.ttl_ns or pool.limits.reservation_ttl_default_ns)
    alike[c.ITEM_EXCLUDED] = 1
    alike[c.ITEM_DUE_DAY] = claims.due_day
    places = claims.node_indexes
    if shipped:
        codes = {code: pool.network.region_of(code) for code in set(claims.postal_codes)}
        places = np.array([codes[code] for code in claims.postal_codes], dtype=np.int64)
    elif claims.node_keys:
        places = _indexes(pool.names.nodes.index_of, claims.node_keys)
    skus = claims.sku_indexes if len(claims.sku_indexes) else _indexes(pool.names.skus.index_of, claims.sku_keys)
    items = np.empty((len(claims), c.ITEM_WIDTH), dtype=np.int64)
    lines = np.empty((len(skus), c.LINE_WIDTH), dtype=np.int64)
    columns = (alike, claims.line_counts, places, skus, claims.units)
    spread_claims(columns, pool.network.sku_grams, pool.network.node_rows, items, lines)
    return items, lines


def _values(pool: Pool, lines: Integers, items: Integers) -> Integers:
    """`value_of` each item. Added up as floats as well, which tell where whole numbers would overflow."""
    units, each = lines[:, c.LINE_UNITS], pool.network.sku_values[lines[:, c.LINE_SKU]]
    first = items[:, c.ITEM_FIRST_LINE]
    values: Integers = np.add.reduceat(units * each, first)
    values[np.add.reduceat(units * each.astype(np.float64), first) >= VALUE_MAX] = VALUE_MAX
    return values


def _destination(pool: Pool, kind: int, place: str) -> int:
    return pool.network.region_of(place) if kind == c.KIND_SHIP else pool.names.nodes.find(place)


def _service(pool: Pool, channel_index: int, service_key: str) -> int:
    if channel_index < 0:
        return -1
    return pool.names.services.find(service_key or pool.network.policy_of(channel_index).default_service_key)


def _collectable(pool: Pool, items: Integers) -> NDArray[np.bool]:
    """Where the node serves the channel and hands goods over."""
    nodes = items[:, c.ITEM_DESTINATION]
    rows = pool.network.node_rows
    serves = rows[c.NODE_CHANNELS, nodes] >> items[:, c.ITEM_CHANNEL] & 1
    hands_over = rows[c.NODE_FLAGS, nodes] & PICKUP_NEEDS == PICKUP_NEEDS
    able: NDArray[np.bool] = np.logical_and(serves, hands_over)
    return able
