"""Records grow: fields are only ever added, at the end and with a default. What is written stays as short as it can.

A record whose later fields all have their defaults is written as it was before they came. So what an old version wrote and what this
one would write is the same, byte for byte, and a digest of the state does not change when a field is added.
"""

from typing import Any

from engine.model.network import Channel, Node, RateCard, RoutingPolicy, Sku, ZoneChart
from engine.model.orders import FulfillmentOrder, Order, Return

FIRST_FIELDS: dict[type[Any], int] = {
    Node: 13,
    Sku: 4,
    Channel: 6,
    RateCard: 5,
    ZoneChart: 5,
    RoutingPolicy: 4,
    Order: 14,
    FulfillmentOrder: 14,
    Return: 7,
}
"""How many fields a record had in its first version."""

_LATER: dict[type[Any], tuple[int, tuple[Any, ...]]] = {
    record: (count, tuple(record._field_defaults[name] for name in record._fields[count:]))
    for record, count in FIRST_FIELDS.items()
    if len(record._fields) > count
}


def short_form(record: Any) -> Any:
    """What is written of a record: all of it, or its first fields when the later ones have their defaults."""
    count, defaults = _LATER.get(type(record), (0, ()))
    return record[:count] if count and record[count:] == defaults else record
