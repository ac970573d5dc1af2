"""Parts of messages that several services share."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from engine.model.limits import SECOND_NS
from engine.model.outcomes import FulfillmentKind
from engine.model.replies import Cell, Cost, Leg, Shortage
from engine.pool.names import Names
from engine.service.fields import allowed
from stockpool.v1 import types_pb2

KINDS = allowed(FulfillmentKind, unspecified=FulfillmentKind.SHIP)


def fill_time(timestamp: Any, nanoseconds: int) -> None:
    """A moment, given as nanoseconds since the epoch."""
    timestamp.seconds, timestamp.nanos = divmod(nanoseconds, SECOND_NS)


def fill_money(money: Any, micros: int, names: Names) -> None:
    """An amount in the currency of the store."""
    money.currency_code = names.currency_code
    money.micros = micros


def add_cell(cells: Any, cell: Cell, names: Names) -> None:
    """Append a cell to a repeated field."""
    fill_cell(cells.add(), cell, names)


def fill_cell(message: Any, cell: Cell, names: Names) -> None:
    """All quantities of a cell."""
    message.sku_key = names.sku_keys[cell.sku_index]
    message.node_key = names.node_keys[cell.node_index]
    message.atf_units = cell.atf
    message.on_hand_units = cell.on_hand
    message.damaged_units = cell.damaged
    message.quality_control_units = cell.quality_control
    message.display_units = cell.display
    message.in_return_units = cell.in_return
    message.reserved_units = cell.reserved
    message.allocated_units = cell.allocated
    message.safety_stock_units = cell.safety_stock
    message.incoming_units = cell.incoming


def add_legs(messages: Any, legs: Iterable[Leg], names: Names) -> None:
    """Append legs to a repeated field."""
    add, skus, nodes = messages.add, names.sku_keys, names.node_keys
    for line_index, sku_index, node_index, units in legs:
        leg = add()  # setting the fields one by one takes half as long as naming them here
        leg.line_index = line_index
        leg.sku_key = skus[sku_index]
        leg.node_key = nodes[node_index]
        leg.units = units


def add_shortages(messages: Any, shortages: Iterable[Shortage], names: Names) -> None:
    """Append shortages to a repeated field."""
    for line_index, sku_index, requested, available in shortages:
        messages.add(
            line_index=line_index,
            sku_key=names.sku_keys[sku_index],
            requested_units=requested,
            available_units=available,
        )


def fill_cost(message: Any, cost: Cost, names: Names) -> None:
    """What a plan costs."""
    message.CopyFrom(_free_of_charge(names.currency_code))
    message.total.micros, message.carrier.micros, message.handling.micros, message.split_penalty.micros = cost[:4]
    message.package_count = cost.package_count
    message.exact = cost.exact
    if cost.lateness:
        fill_money(message.lateness, cost.lateness, names)


@lru_cache(maxsize=1)
def _free_of_charge(currency_code: str) -> types_pb2.PlanCost:
    """No cost, in the currency: copying it is faster than naming the currency four times."""
    nothing = types_pb2.Money(currency_code=currency_code)
    return types_pb2.PlanCost(total=nothing, carrier=nothing, handling=nothing, split_penalty=nothing)
