"""One value of a row: from what a file holds to what the port speaks, or a sentence about what is wrong with it.

Values come as text (CSV) or as numbers, truth values and times too (Parquet); ``None`` and empty text mean that nothing was given.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, Final, TypeAlias, TypeVar

from adapters.port import KEY_LENGTH_MAX, MICROS_MAX, TEXT_LENGTH_MAX, UNITS_MAX, WEIGHT_GRAMS_MAX

UNREADABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and the marks that stand for bytes that are no UTF-8."""
_INTEGER: Final = re.compile(r"[+-]?[0-9]+\Z")
_TRUE: Final = frozenset({"1", "true", "yes", "y"})
_FALSE: Final = frozenset({"0", "false", "no", "n"})
_SHOWN = 40
_MICRO: Final = Decimal("0.000001")

Raw: TypeAlias = Any
"""str, int, float, Decimal, bool, date, datetime or None."""
Parser: TypeAlias = Callable[[Raw], Any]
EnumT = TypeVar("EnumT", bound=Enum)


class FieldError(Exception):
    """The value cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column: its name, how its values are read, and what stands for a missing value (a field without default is required)."""

    name: str
    parse: Parser
    default: Any = ...

    @property
    def required(self) -> bool:
        """Whether a file must have the column."""
        return self.default is ...

    def read(self, raw: Raw) -> Any:
        """The value of a row."""
        if raw is None or raw == "":
            if self.required:
                raise FieldError("is empty")
            return self.default
        return self.parse(raw)


def shown(raw: Raw) -> str:
    """The value as an error message quotes it."""
    text = ascii(raw) if isinstance(raw, str) and UNREADABLE.search(raw) else repr(raw)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _text(raw: Raw, length_max: int) -> str:
    if not isinstance(raw, str):
        if isinstance(raw, int) and not isinstance(raw, bool):
            raw = str(raw)
        else:
            raise FieldError(f"is not text: {shown(raw)}")
    bad = UNREADABLE.search(raw)
    if bad:
        code = ord(bad.group())
        if code >= 0xDC80:
            raise FieldError(f"is not UTF-8: byte 0x{code - 0xDC00:02x}")
        raise FieldError(f"has a control character: {shown(raw)}")
    if len(raw) > length_max:
        raise FieldError(f"has {len(raw)} characters, at most {length_max} are allowed")
    return str(raw)


def key(raw: Raw) -> str:
    """The other system's own text, compared byte for byte: spaces around it are a mistake."""
    text = _text(raw, KEY_LENGTH_MAX)
    if text != text.strip():
        raise FieldError(f"has spaces around it: {shown(raw)}")
    return text


def text(raw: Raw) -> str:
    """A name for people."""
    return _text(raw, TEXT_LENGTH_MAX).strip()


def postal_code(raw: Raw) -> str:
    """2 to 16 characters."""
    code = _text(raw, 16).strip()
    if len(code) < 2:
        raise FieldError(f"is no postal code: {shown(raw)}")
    return code


def currency(raw: Raw) -> str:
    """ISO 4217, three capital letters."""
    code = _text(raw, TEXT_LENGTH_MAX)
    if not re.fullmatch("[A-Z]{3}", code):
        raise FieldError(f"is no currency code (three capital letters): {shown(raw)}")
    return code


def _integer(raw: Raw) -> int:
    if type(raw) is int:
        return raw
    if isinstance(raw, str) and _INTEGER.match(raw.strip()):
        # A number of thousands of digits takes long to read.
        return int(raw) if len(raw) <= 30 else 10**30
    if isinstance(raw, float | Decimal):
        number = Decimal(raw)
        if number.is_finite() and number == number.to_integral_value():
            # As above: what is beyond belief anyway is not worth its digits.
            return int(number) if abs(number) < 10**30 else int(math.copysign(1, number)) * 10**30
    raise FieldError(f"is not a whole number: {shown(raw)}")


def _bounded(raw: Raw, smallest: int, largest: int, what: str) -> int:
    number = _integer(raw)
    if number < smallest:
        raise FieldError(f"is below {smallest} {what}: {shown(raw)}")
    if number > largest:
        raise FieldError(f"is beyond belief, at most {largest} {what} are allowed: {shown(raw)}")
    return number


def whole(smallest: int, largest: int) -> Parser:
    """A parser of whole numbers within bounds, both included."""

    def parse(raw: Raw) -> int:
        number = _integer(raw)
        if not smallest <= number <= largest:
            raise FieldError(f"is not within {smallest} and {largest}: {shown(raw)}")
        return number

    return parse


def units(raw: Raw) -> int:
    """Whole pieces, none is possible."""
    return _bounded(raw, 0, UNITS_MAX, "units")


def units_of_line(raw: Raw) -> int:
    """Whole pieces, at least one."""
    return _bounded(raw, 1, UNITS_MAX, "units")


def grams(raw: Raw) -> int:
    """A weight."""
    return _bounded(raw, 0, WEIGHT_GRAMS_MAX, "grams")


def decimal(raw: Raw) -> Decimal:
    """A number, finite."""
    try:
        # A float means the shortest decimal that reads as it: 12.99 and not 12.9900000000000002.
        number = Decimal(repr(raw) if isinstance(raw, float) else raw.strip() if isinstance(raw, str) else raw)
    except (InvalidOperation, TypeError, ValueError):
        raise FieldError(f"is not a number: {shown(raw)}") from None
    if isinstance(raw, bool) or not number.is_finite() or (isinstance(raw, str) and "_" in raw):
        raise FieldError(f"is not a number: {shown(raw)}")
    return number


def micros(raw: Raw) -> int:
    """An amount in the currency, with up to six decimals, as millionths."""
    number = decimal(raw)
    if number < 0:
        raise FieldError(f"is below 0: {shown(raw)}")
    if number > MICROS_MAX // 1_000_000:
        raise FieldError(f"is beyond belief, at most {MICROS_MAX // 1_000_000} is allowed: {shown(raw)}")
    rounded = number.quantize(_MICRO)
    if rounded != number:
        raise FieldError(f"has more than six decimals: {shown(raw)}")
    return int(rounded.scaleb(6))


def _degrees(raw: Raw, largest: int) -> float:
    number = decimal(raw)
    if not -largest <= number <= largest:
        raise FieldError(f"is not within -{largest} and {largest} degrees: {shown(raw)}")
    return float(number)


def latitude(raw: Raw) -> float:
    """Degrees north."""
    return _degrees(raw, 90)


def longitude(raw: Raw) -> float:
    """Degrees east."""
    return _degrees(raw, 180)


def truth(raw: Raw) -> bool:
    """True or false, yes or no, 1 or 0."""
    if isinstance(raw, bool):
        return raw
    word = str(raw).strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise FieldError(f"is neither true nor false: {shown(raw)}")


def time(raw: Raw) -> datetime:
    """A moment by ISO 8601; without an offset it is UTC."""
    if isinstance(raw, str):
        try:
            raw = datetime.fromisoformat(raw.strip())
        except ValueError:
            raise FieldError(f"is no time by ISO 8601: {shown(raw)}") from None
    if isinstance(raw, date) and not isinstance(raw, datetime):
        raw = datetime(raw.year, raw.month, raw.day, tzinfo=UTC)
    if not isinstance(raw, datetime):
        raise FieldError(f"is no time: {shown(raw)}")
    try:
        return raw.astimezone(UTC) if raw.tzinfo else raw.replace(tzinfo=UTC)
    except (OverflowError, ValueError):
        raise FieldError(f"is no time that UTC knows: {shown(raw)}") from None


def one_of(words: type[EnumT]) -> Parser:
    """A parser of an enum's words, in any case."""
    known = {str(member.value): member for member in words}

    def parse(raw: Raw) -> EnumT:
        member = known.get(str(raw).strip().lower())
        if member is None:
            raise FieldError(f"is not one of {', '.join(known)}: {shown(raw)}")
        return member

    return parse
