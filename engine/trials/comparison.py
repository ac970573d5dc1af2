"""What policies cost and how well they serve, with intervals, and how far each is from the first.

Days are the blocks: what happens on one depends on what was left by the one before, yet they are the least that may be taken for alike. A
measure is a ratio of sums over days. Its 95 % interval comes from the jackknife (Tukey 1958): what it would be without each of the days in
turn, and Student's t for so few days. Differences to the first policy are taken day by day, hence far narrower than the measures themselves.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.kernels.zones import Integers
from engine.trials.player import Sent

_DAYS_MIN = 3
"""With two days Student's t is 12.7: an interval would say nothing."""
_NORMAL = 1.959964
_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""97.5 % quantiles of Student's t with 1 to 10 degrees of freedom."""
_PROMISED = ("ship", "marketplace", "pickup")
_SHIPPED = ("ship", "marketplace")
_FIELDS = (
    "days", "asked_units", "filled_units", "orders", "refused_orders", "sent_orders", "split_orders", "scattered_orders", "shipments",
    "carrier_micros", "handling_micros", "walk_in_units", "walk_in_filled", "unfilled_micros", "return_micros", "loss_micros",
    "bound_micros", "above_bound_micros", "dated_orders", "arrival_days",
)  # fmt: skip
_AT = {name: at for at, name in enumerate(_FIELDS)}

Tally = NDArray[np.int64]
"""int64[days, fields]: sums of a day."""


class Measure(NamedTuple):
    """``over`` / ``under``, both sums over days. ``unit``: "money" in micros, "share" of a whole, "gap" (may be above 1), or "number"."""

    group: str
    """Of measures that are shown together."""
    name: str
    over: tuple[str, ...]
    under: str
    unit: str
    meaning: str


_COST = ("carrier_micros", "handling_micros")
MEASURES = (
    Measure(
        "cost", "cost_per_order", _COST, "sent_orders", "money", "carrier and handling of a parcel order that left"
    ),
    Measure("cost", "carrier_per_order", _COST[:1], "sent_orders", "money", "what the carrier takes of it"),
    Measure("cost", "cost_per_day", (*_COST, "return_micros"), "days", "money", "carrier and handling, and returns"),
    Measure(
        "cost",
        "loss_per_day",
        ("loss_micros",),
        "days",
        "money",
        "carrier and handling of parcel orders, and for each unit that was not filled its price and a fixed penalty",
    ),
    Measure(
        "cost", "gap_to_hindsight", ("above_bound_micros",), "bound_micros", "gap", "loss above the hindsight bound"
    ),
    Measure(
        "service",
        "fill_rate",
        ("filled_units",),
        "asked_units",
        "share",
        "units that left, of those ordered but at tills",
    ),
    Measure(
        "service",
        "refused_rate",
        ("refused_orders",),
        "orders",
        "share",
        "orders, but at tills, of which no unit was granted",
    ),
    Measure("service", "walk_in_fill_rate", ("walk_in_filled",), "walk_in_units", "share", "units that walk-ins found"),
    Measure(
        "service", "unfilled_per_day", ("unfilled_micros",), "days", "money", "price of units that were not filled"
    ),
    Measure(
        "service",
        "days_to_arrival",
        ("arrival_days",),
        "dated_orders",
        "number",
        "from a parcel order to its last parcel: as promised, or on the road",
    ),
    Measure(
        "splits", "split_rate", ("split_orders",), "sent_orders", "share", "parcel orders that left from several nodes"
    ),
    Measure(
        "splits", "three_or_more", ("scattered_orders",), "sent_orders", "share", "those that left from three or more"
    ),
    Measure(
        "splits", "shipments_per_order", ("shipments",), "sent_orders", "number", "nodes that a parcel order left from"
    ),
)


class Interval(NamedTuple):
    """A value and where it may lie; ``low`` and ``high`` are None with fewer than three days, or when all there is lies on one of them."""

    value: float
    low: float | None
    high: float | None


class Result(NamedTuple):
    """One measure of one policy. ``value`` is None where nothing can be divided; ``difference`` to the first policy, None for itself."""

    policy: str
    measure: str
    value: Interval | None
    difference: Interval | None


def tally(rows: Sequence[Sent], bound: Integers, lost_unit_micros: int) -> Tally:
    """Sums by day. ``bound``: the hindsight bound of each day, all zeros when it is not known; ``lost_unit_micros``: see ``trials.bound``."""
    sums = np.zeros((len(bound), len(_FIELDS)), dtype=np.int64)
    sums[:, _AT["days"]] = 1
    for row in rows:
        day = sums[row.day]
        if row.kind == "return":
            day[_AT["return_micros"]] += row.carrier_micros
            continue
        day[_AT["unfilled_micros"]] += row.unfilled_micros
        if row.kind == "sale":
            day[_AT["walk_in_units"]] += row.units
            day[_AT["walk_in_filled"]] += row.filled_units
        elif not row.cancelled:
            _add_order(day, row)
    units = {name: sums[:, at] for name, at in _AT.items() if name.endswith(("_units", "_filled"))}
    unfilled = units["asked_units"] - units["filled_units"] + units["walk_in_units"] - units["walk_in_filled"]
    paid = sums[:, [_AT[name] for name in (*_COST, "unfilled_micros")]].sum(axis=1)
    sums[:, _AT["loss_micros"]] = paid + unfilled * lost_unit_micros
    sums[:, _AT["bound_micros"]] = bound
    if bound.any():
        sums[:, _AT["above_bound_micros"]] = sums[:, _AT["loss_micros"]] - bound
    return sums


def _add_order(day: Tally, row: Sent) -> None:
    day[_AT["asked_units"]] += row.units
    day[_AT["filled_units"]] += row.filled_units
    day[_AT["orders"]] += 1
    day[_AT["refused_orders"]] += row.filled_units == 0
    if row.kind in _SHIPPED and row.shipments:
        day[_AT["sent_orders"]] += 1
        day[_AT["split_orders"]] += row.shipments > 1
        day[_AT["scattered_orders"]] += row.shipments > 2
        day[_AT["shipments"]] += row.shipments
        day[_AT["dated_orders"]] += row.arrival_days > 0
        day[_AT["arrival_days"]] += row.arrival_days
        day[_AT["carrier_micros"]] += row.carrier_micros
        day[_AT["handling_micros"]] += row.handling_micros


def compare(tallies: Mapping[str, Tally]) -> list[Result]:
    """Every measure of every policy, in order; the first policy is what the others are compared with."""
    names = list(tallies)
    results = []
    for measure in MEASURES:
        first = _ratios(measure, tallies[names[0]])
        for name in names:
            ratios = _ratios(measure, tallies[name])
            results.append(
                Result(
                    name,
                    measure.name,
                    _interval(ratios, is_share=measure.unit == "share"),
                    None if name == names[0] else _interval(ratios - first),
                )
            )
    return results


def _ratios(measure: Measure, sums: Tally) -> NDArray[np.float64]:
    """float64[1 + days]: the measure, and what it would be without each day; NaN where nothing can be divided."""
    total = sums.sum(axis=0)
    some = np.concatenate([total[np.newaxis], total - sums])
    over = some[:, [_AT[name] for name in measure.over]].sum(axis=1).astype(np.float64)
    under = some[:, _AT[measure.under]].astype(np.float64)
    ratios: NDArray[np.float64] = np.divide(over, under, out=np.full(len(some), np.nan), where=under > 0)
    return ratios


def _interval(ratios: NDArray[np.float64], *, is_share: bool = False) -> Interval | None:
    value, without = float(ratios[0]), ratios[1:]
    day_count = len(without)
    if not np.isfinite(value):
        return None
    if day_count < _DAYS_MIN or not np.isfinite(without).all():
        return Interval(value, None, None)
    spread = without - without.mean()
    reach = student(day_count - 1) * float(np.sqrt((day_count - 1) / day_count * (spread @ spread)))
    low, high = value - reach, value + reach
    return Interval(value, max(low, 0.0), min(high, 1.0)) if is_share else Interval(value, low, high)


def student(freedom: int) -> float:
    """97.5 % quantile of Student's t; beyond 10 degrees of freedom by the expansion of Cornish and Fisher, to 0.003."""
    if freedom <= len(_STUDENT):
        return _STUDENT[freedom - 1]
    z = _NORMAL
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def day_rows(tallies: Mapping[str, Tally]) -> list[tuple[object, ...]]:
    """A row a policy and day: policy, day, and the sums by the names of ``DAY_COLUMNS``."""
    return [(name, day, *sums) for name, each in tallies.items() for day, sums in enumerate(each[:, 1:].tolist())]


def column(sums: Tally, *names: str) -> Tally:
    """int64[days]: what one field holds, or several together."""
    total: Tally = sums[:, [_AT[name] for name in names]].sum(axis=1)
    return total


def by_channel(rows: Mapping[str, Sequence[Sent]], day_count: int) -> dict[str, list[Result]]:
    """The measures of each channel alone, those that a channel has: nothing of the bound, which knows no channels."""
    names = sorted({row.channel_key for each in rows.values() for row in each})
    unbound = np.zeros(day_count, np.int64)
    found = {}
    for name in names:
        own = {policy: [row for row in each if row.channel_key == name] for policy, each in rows.items()}
        found[name] = compare({policy: tally(each, unbound, 0) for policy, each in own.items()})
    return found


DAY_COLUMNS = ("policy", "day", *_FIELDS[1:])
RESULT_COLUMNS = ("policy", "measure", "value", "low", "high", "difference", "difference_low", "difference_high")


def result_rows(results: Sequence[Result]) -> list[tuple[object, ...]]:
    """A row a policy and measure, by the names of ``RESULT_COLUMNS``."""
    nothing = (None, None, None)
    return [(each.policy, each.measure, *(each.value or nothing), *(each.difference or nothing)) for each in results]
