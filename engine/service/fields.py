"""What a well-formed field is. A ``Check`` goes through one request and collects everything that is wrong with it.

Each method returns the value as the engine wants it, also when it is wrong: ``done`` then raises, with all problems at once, and
nothing was asked of the engine. Paths are those of the request's fields: ``reservation.lines[2].units``.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b
from struct import Struct
from typing import Any, Protocol, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from engine.model.limits import SECOND_NS, Limits
from engine.model.network import other_currency
from engine.model.outcomes import CommandKind
from engine.service.errors import InvalidRequest, Problem
from stockpool.v1.types_pb2 import Money

EnumT = TypeVar("EnumT", bound=IntEnum)

REQUEST_ID_CHARACTERS_MAX = 64
IMPORT_ID_CHARACTERS_MAX = 56
"""Room for "/n" behind it, see ImportStockRequest."""
NAME_CHARACTERS_MAX = 200
POSTAL_CODE_CHARACTERS_MAX = 16
POSTAL_CODE_CHARACTERS_MIN = 2
MONEY_MICROS_MAX = 10**15
"""Prices and values: a thousand million of a currency."""
COST_MICROS_MAX = 10**12
"""Costs that the router adds up: a million of a currency."""
TTL_NS_MIN = SECOND_NS
PROBLEMS_MAX = 10_000
"""Where a check gives up: of so many wrong entries the answer tells the first few anyway."""
SEQ_MAX = 2**63 - 1

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CURRENCY = re.compile(r"[A-Z]{3}")


class Directory(Protocol):
    """Who knows the currency of the store, empty until the first rate card, and the indexes that it gave: ``pool.Names``."""

    currency_code: str

    def known(self, directory: str) -> tuple[int, int] | None:
        """How many SKUs and nodes there were when it was told; None when it is another store's."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What requests are checked against."""

    limits: Limits
    names: Directory

    def check(self) -> "Check":
        """Begin with a request."""
        return Check(self)


def fingerprint(message: Message, kind: CommandKind) -> int:
    """64 bits that tell one request from another under the same request id: of its content and its call."""
    mark = _MARKS[kind].copy()
    mark.update(message.SerializeToString(deterministic=True))
    number: int = _INT64.unpack(mark.digest())[0]
    return number


_INT64 = Struct("<q")
_MARKS = {kind: blake2b(digest_size=_INT64.size, person=str(int(kind)).encode()) for kind in CommandKind}
"""Copying a hash that has taken its parameters is faster than naming them each time."""


def is_request_id(value: str, characters_max: int = REQUEST_ID_CHARACTERS_MAX) -> bool:
    """Whether a request may have this id."""
    return 0 < len(value) <= characters_max and value.isprintable()


def nanoseconds(duration: Duration) -> int:
    """A duration as whole nanoseconds."""
    return duration.seconds * SECOND_NS + duration.nanos


def shown(value: object) -> str:
    """A value as an error shows it, cut to a length that fits."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:36]} …"


class Check:
    """Collects what is wrong with one request."""

    __slots__ = ("_limits", "_names", "_problems")

    def __init__(self, rules: Rules) -> None:
        self._limits = rules.limits
        self._names = rules.names
        self._problems: list[Problem] = []

    @property
    def limits(self) -> Limits:
        """The limits in force."""
        return self._limits

    @property
    def names(self) -> Directory:
        """What the store calls things."""
        return self._names

    def done(self) -> None:
        """Every field was looked at.

        Raises:
            InvalidRequest: something is wrong.
        """
        if self._problems:
            raise InvalidRequest(self._problems)

    def wrong(self, path: str, description: str) -> None:
        """The field is missing or malformed."""
        self._add(Problem(path, description))

    def over(self, path: str, what: str, limit: str, value: int, remedy: str = "") -> None:
        """The field is over a limit of GetLimits."""
        text = f"{what}; the limit {limit} is {value}"
        self._add(Problem(path, f"{text}; {remedy}" if remedy else text, limit, value))

    def _add(self, problem: Problem) -> None:
        self._problems.append(problem)
        if len(self._problems) >= PROBLEMS_MAX:
            self.done()

    # Texts

    def request_id(self, value: str, characters_max: int = REQUEST_ID_CHARACTERS_MAX) -> str:
        """The request's id."""
        if not is_request_id(value, characters_max):
            if not value:
                self.wrong("request_id", "is missing; give each request an id of its own, a UUID will do")
            elif len(value) > characters_max:
                limit = (
                    "import_request_id_characters_max"
                    if characters_max == IMPORT_ID_CHARACTERS_MAX
                    else "request_id_characters_max"
                )
                self.over("request_id", f"has {len(value)} characters", limit, characters_max)
            else:
                self.wrong("request_id", f"has characters that cannot be printed: {shown(value)}")
        return value

    def key(self, path: str, value: str) -> str:
        """A key that must be there."""
        if not (0 < len(value) <= self._limits.key_length_max and value.isprintable()):
            self._bad_key(path, value)
        return value

    def optional_key(self, path: str, value: str) -> str:
        """A key that may be empty."""
        return self.key(path, value) if value else value

    def _bad_key(self, path: str, value: str) -> None:
        if not value:
            self.wrong(path, "is missing")
        elif len(value) > self._limits.key_length_max:
            what = f"has {len(value)} characters"
            self.over(path, what, "key_length_max", self._limits.key_length_max, "use a shorter key")
        elif _CONTROL.search(value):
            self.wrong(path, f"has control characters: {shown(value)}")

    def keys(self, path: str, values: Sequence[str]) -> tuple[str, ...]:
        """A column of keys."""
        keys = tuple(values)
        if keys and not (
            all(keys) and max(map(len, keys)) <= self._limits.key_length_max and "".join(keys).isprintable()
        ):
            for position, key in enumerate(keys):
                self.key(f"{path}[{position}]", key)
        return keys

    def text(self, path: str, value: str, limit: str, characters_max: int) -> str:
        """Text for people, which may be empty."""
        if value and not (len(value) <= characters_max and value.isprintable()):
            if len(value) > characters_max:
                self.over(path, f"has {len(value)} characters", limit, characters_max, "shorten it")
            elif _CONTROL.search(value):
                self.wrong(path, f"has control characters: {shown(value)}")
        return value

    def name(self, path: str, value: str) -> str:
        """A name for people."""
        return self.text(path, value, "name_characters_max", NAME_CHARACTERS_MAX)

    def reference(self, value: str) -> str:
        """The caller's document."""
        return self.text("reference", value, "reference_length_max", self._limits.reference_length_max)

    def postal_code(self, path: str, value: str) -> str:
        """A postal code that must be there."""
        if not (POSTAL_CODE_CHARACTERS_MIN <= len(value) <= POSTAL_CODE_CHARACTERS_MAX and value.isprintable()):
            if not value:
                self.wrong(path, "is missing")
            else:
                span = f"{POSTAL_CODE_CHARACTERS_MIN} to {POSTAL_CODE_CHARACTERS_MAX}"
                self.wrong(path, f"must have {span} printable characters, got {shown(value)}")
        return value

    # Numbers

    def whole(self, path: str, value: int, least: int, limit: str, most: int) -> int:
        """A whole number from ``least`` to the limit."""
        if not least <= value <= most:
            if value < least:
                self.wrong(path, f"must be at least {least}, got {value}")
            else:
                self.over(path, f"is {value}", limit, most)
        return value

    def units(self, path: str, value: int, least: int = 1) -> int:
        """A number of units."""
        return self.whole(path, value, least, "units_max", self._limits.units_max)

    def id(self, path: str, value: int) -> int:
        """One of the engine's ids that must be there."""
        if value < 1:
            self.wrong(path, "is missing" if value == 0 else f"must be positive, got {value}")
        return value

    def optional_id(self, path: str, value: int) -> int:
        """One of the engine's ids; 0: none."""
        return self.id(path, value) if value else value

    def min_journal_seq(self, value: int) -> int:
        """How new the state must be that a read sees."""
        if value < 0:
            self.wrong("min_journal_seq", f"must be at least 0, got {value}")
        return value

    def page_size(self, value: int) -> int:
        """Entries of a page; 0 means 100."""
        if not value:
            return min(100, self._limits.page_size_max)
        return self.whole("page_size", value, 1, "page_size_max", self._limits.page_size_max)

    def count(self, path: str, count: int, limit: str, most: int, least: int = 1) -> None:
        """How many entries a repeated field has. To be asked before any of them is looked at.

        Raises:
            InvalidRequest: at once when there are too many: they may be millions.
        """
        if not least <= count <= most:
            if count < least:
                self.wrong(path, "is empty; give at least one" if least == 1 else f"needs at least {least} entries")
            else:
                self.over(path, f"has {count} entries", limit, most, "send less at a time")
                self.done()

    def position(self, path: str, latitude: float, longitude: float) -> None:
        """Degrees on the globe."""
        if not (math.isfinite(latitude) and -90 <= latitude <= 90):
            self.wrong(f"{path}latitude", f"must be −90 to 90 degrees, got {latitude}")
        if not (math.isfinite(longitude) and -180 <= longitude <= 180):
            self.wrong(f"{path}longitude", f"must be −180 to 180 degrees, got {longitude}")

    def ascending(self, path: str, values: Sequence[int]) -> tuple[int, ...]:
        """Positive bounds, each above the one before."""
        before = 0
        for position, value in enumerate(values):
            if value <= before:
                self.wrong(f"{path}[{position}]", f"must be above {before}, got {value}")
            before = value
        return tuple(values)

    def money(self, path: str, money: Money, limit: str = "money_micros_max", most: int = MONEY_MICROS_MAX) -> int:
        """An amount of at least 0 in the currency of the store, in micros."""
        micros = money.micros
        if not 0 <= micros <= most:
            self.whole(f"{path}.micros", micros, 0, limit, most)
        code = money.currency_code
        if code:
            self.currency(f"{path}.currency_code", code)
        return micros

    def cost(self, path: str, money: Money) -> int:
        """An amount that the router adds up."""
        return self.money(path, money, "cost_micros_max", COST_MICROS_MAX)

    def currency(self, path: str, code: str) -> str:
        """The currency of the store; any, as long as it has none."""
        if not _CURRENCY.fullmatch(code):
            self.wrong(path, f"must be three capital letters, as in ISO 4217, got {shown(code)}")
        elif wrong := other_currency(code, self._names.currency_code):
            self.wrong(path, wrong)
        return code

    def ttl_ns(self, path: str, ttl: Duration) -> int:
        """A time to live."""
        ttl_ns = nanoseconds(ttl)
        most = self._limits.reservation_ttl_max_ns
        if not TTL_NS_MIN <= ttl_ns <= most:
            if ttl_ns < TTL_NS_MIN:
                self.wrong(path, f"must be at least 1 s, got {ttl_ns / SECOND_NS:g} s")
            else:
                self.over(path, f"is {ttl_ns / SECOND_NS:g} s", "reservation_ttl_max_ns", most)
        return ttl_ns

    # Words and lists

    def word(self, path: str, value: int, words: Mapping[int, EnumT]) -> EnumT:
        """A value of an enum; ``words`` has those that are allowed here."""
        word = words.get(value)
        if word is None:
            allowed = ", ".join(one.name for one in dict.fromkeys(words.values()))
            self.wrong(path, f"must be one of {allowed}, got {value}")
            return next(iter(words.values()))
        return word

    def lines(
        self, path: str, lines: Sequence[Any], limit: str, most: int, least: int = 1
    ) -> tuple[tuple[str, int], ...]:
        """(SKU key, units) of each line."""
        self.count(path, len(lines), limit, most, least)
        pairs = tuple([(line.sku_key, line.units) for line in lines])
        longest, most_units = self._limits.key_length_max, self._limits.units_max
        for sku_key, units in pairs:
            if not (0 < units <= most_units and 0 < len(sku_key) <= longest and sku_key.isprintable()):
                self._bad_lines(path, pairs)
                break
        return pairs

    def _bad_lines(self, path: str, pairs: Iterable[tuple[str, int]]) -> None:
        for position, (sku_key, units) in enumerate(pairs):
            self.key(f"{path}[{position}].sku_key", sku_key)
            self.units(f"{path}[{position}].units", units)

    def distinct(self, path: str, field: str, keys: Sequence[object]) -> None:
        """No key may come twice."""
        if len(set(keys)) != len(keys):
            seen: dict[object, int] = {}
            for position, key in enumerate(keys):
                first = seen.setdefault(key, position)
                if first != position:
                    self.wrong(f"{path}[{position}].{field}", f"{shown(key)} is already in {path}[{first}]")


def allowed(words: type[EnumT], *, unspecified: EnumT | None = None, without: Iterable[EnumT] = ()) -> dict[int, EnumT]:
    """The values of an enum that a field may have; ``unspecified`` is what 0 means there."""
    values = {int(word): word for word in words if word not in without}
    if unspecified is not None:
        values[0] = unspecified
    return values
