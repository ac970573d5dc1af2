"""Figures of a trial as people read them, on the terminal and on the page alike."""

from engine.trials.comparison import Interval

_NONE = "–"
_THOUSAND = 1_000_000_000
"""In micros: from there on nobody reads cents."""


def told(value: float | None, unit: str, *, signed: bool = False) -> str:
    """A figure: money without its currency, a share as per cent."""
    if value is None:
        return _NONE
    sign = "+" if signed and value > 0 else ""
    if unit == "money":
        return f"{sign}{value / 1e6:,.{0 if abs(value) >= _THOUSAND else 2}f}"
    if unit in ("share", "gap"):
        return f"{sign}{100 * value:.2f} %"
    return f"{sign}{value:,.3f}"


def told_interval(interval: Interval | None, unit: str, *, signed: bool = False) -> str:
    """A figure and where it may lie."""
    if interval is None:
        return _NONE
    text = told(interval.value, unit, signed=signed)
    if interval.low is None or interval.high is None:
        return text
    return f"{text} ({told(interval.low, unit, signed=signed)} to {told(interval.high, unit, signed=signed)})"


def told_reach(interval: Interval | None, unit: str, *, signed: bool = False) -> str:
    """A figure, and how far it may be off on either side."""
    if interval is None:
        return _NONE
    text = told(interval.value, unit, signed=signed)
    if interval.low is None or interval.high is None:
        return text
    return f"{text} ± {told(max(interval.value - interval.low, interval.high - interval.value), unit)}"
