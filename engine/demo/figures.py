"""How figures are written for people, on the terminal and on the page alike."""

_MICROS = 1_000_000
_NONE = "–"


def count(value: int) -> str:
    """A whole number with thousands separators."""
    return f"{value:,}"


def share(value: float | None, digits: int = 1) -> str:
    """A share as per cent; 99.96 % is never written as 100 %."""
    if value is None:
        return _NONE
    text = f"{100 * value:.{digits}f}"
    if value < 1 and float(text) >= 100:
        text = f"{100 - 10**-digits:.{digits}f}"
    if value > 0 and float(text) == 0:
        text = f"< {10**-digits:.{digits}f}"
    return f"{text} %"


def money(micros: int | None, digits: int = 2) -> str:
    """Money without its currency."""
    return _NONE if micros is None else f"{micros / _MICROS:,.{digits}f}"


def number(value: float | None, digits: int = 1) -> str:
    """A number that need not be whole."""
    return _NONE if value is None else f"{value:,.{digits}f}"


def milliseconds(value: float) -> str:
    """A duration with about three digits that count."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def seconds(value: float) -> str:
    """A duration in seconds, or minutes and seconds from two minutes on."""
    if value < 120:
        return f"{value:.1f} s"
    whole = round(value)
    return f"{whole // 60} min {whole % 60:02d} s"


def size(value: int | None) -> str:
    """A number of bytes."""
    if value is None:
        return _NONE
    scaled = float(value)
    for unit in ("bytes", "kB", "MB", "GB"):
        if scaled < 1_000 or unit == "GB":
            return f"{scaled:,.0f} {unit}" if unit == "bytes" or scaled >= 100 else f"{scaled:,.1f} {unit}"
        scaled /= 1_000
    return _NONE
