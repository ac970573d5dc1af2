"""One frozen tree of settings, read once: from keywords, then from the environment (``STOCKPOOL_PORT``, ``STOCKPOOL_LIMITS__NODES_MAX``),
then from the defaults here. A variable with our prefix that nothing reads is refused: who misspells one wants to know.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from engine.model.limits import Limits

PREFIX = "STOCKPOOL_"
NESTED = "__"
PORT = 50051
OTHER_VARIABLES = tuple(
    PREFIX + name for name in ("CACHE_DIR", "DATA", "FRONT_PIPE", "FRONT_PYTHON", "SERVER", "TLS_AUTHORITY", "TOKEN")
)
"""Read elsewhere: where compiled kernels are kept, what the tests play, what the process that starts Envoy tells the one inside, and which server the
command line calls in which way.
"""
_SERVICE_LINK = re.compile(
    rf"{PREFIX}(\w+_)?(SERVICE_HOST=|SERVICE_PORT(_\w+)?=|PORT=\w+://|PORT_\d+_[A-Z]+(_(PROTO|PORT|ADDR))?=)"
)
"""What Kubernetes gives every container for each service whose name begins with "stockpool"."""
LOG_FORMAT, LOG_TIMES = "%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%d %H:%M:%S"
"""How the log says something, and when."""
JOURNAL_SCHEMES = ("sqlite", "postgresql", "memory")
LINES_PER_ORDER_CEILING = 10
"""The router works on the subsets of an order's lines."""
CHANNELS_CEILING = 62
"""A channel is one bit of an int64."""


class SettingsError(ValueError):
    """Settings that make no sense. The message names each variable, what is wrong with it and what it may be."""


def _journal(url: str) -> str:
    if url.partition(":")[0].partition("+")[0] not in JOURNAL_SCHEMES or "://" not in url:
        raise ValueError("must be sqlite:///file.db, postgresql+psycopg://user@host/database or memory://")
    return url


def _port(given: Any) -> Any:
    """What was given; but the link to a service of the very name "stockpool" bears the name of our variable, and is no port."""
    return PORT if isinstance(given, str) and _SERVICE_LINK.match(f"{PREFIX}PORT={given}") else given


def _file(path: Path) -> Path:
    if not path.is_file():
        raise ValueError("there is no such file")
    return path


class Settings(BaseSettings):
    """Everything that can be set. Immutable."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter=NESTED, frozen=True, extra="forbid")

    journal: Annotated[str, AfterValidator(_journal)] = "sqlite:///stockpool.db"
    """Where decisions are kept: a url, see ``engine.journal.open_journal``."""
    host: str = Field(default="localhost", min_length=1)
    """Address to listen on; 0.0.0.0 or [::] for all."""
    port: Annotated[int, BeforeValidator(_port)] = Field(default=PORT, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    front: Literal["grpcio", "envoy"] = "grpcio"
    """What speaks HTTP/2: grpcio's server, or Envoy, which has the engine in its own process and also takes gRPC-Web and JSON."""
    auth_file: Annotated[Path, AfterValidator(_file)] | None = None
    """Credentials of callers, see ``engine.service.auth``; none: every call is open."""
    tls_certificate: Annotated[Path, AfterValidator(_file)] | None = None
    """PEM chain of the server; together with ``tls_key`` it turns on TLS."""
    tls_key: Annotated[Path, AfterValidator(_file)] | None = None
    """PEM private key of the server."""
    snapshots: Path | None = None
    """Folder of snapshots: a start goes on from the newest good one, and a process beside the server makes them; none: neither."""
    snapshot_every_decisions: int = Field(default=1_000_000, ge=1)
    """A snapshot is made after so many decisions,"""
    snapshot_every_s: int = Field(default=900, ge=1)
    """and so many seconds after the last one when there was any decision since."""
    keep_decisions: int | None = Field(default=None, ge=0)
    """Cut the journal off behind the older of the two snapshots, but keep so many decisions at least; none: never cut."""
    price_refresh_s: int | None = Field(default=None, ge=1)
    """Plan prices anew after so many seconds, in a process beside the server; none: only when RefreshPrices asks for it."""
    price_history_days: int = Field(default=28, ge=1, le=365)
    """Demand is forecast from the sales and orders of so many days,"""
    price_horizon_days: int = Field(default=7, ge=1, le=365)
    """for so many days: about the time until the next receipt."""
    price_timeout_s: int = Field(default=300, ge=1)
    """A refresh that takes longer is ended, and prices stay as they are."""
    wave_every_s: int | None = Field(default=None, ge=1)
    """After so many seconds short units are routed again where stock has come, and floating work is planned jointly; none: only when RunWave asks."""
    wave_think_s: float = Field(default=5.0, gt=0, le=600)
    """How long a wave on the cadence may think."""
    linger_us_max: int = Field(default=16_000, ge=0, le=1_000_000)
    """Longest wait for company before a group is made durable, in microseconds. It is waited for no longer than twice what the last group
    took, which is less where load is low; a lone caller never waits."""
    pretouch: bool = False
    """Take all memory that the limits of the state allow when the server starts, in huge pages, so that no decision waits for it later: for a
    server that is to be ready for a peak, with limits set to what it needs. Some 2 GB with the limits as they are."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged."""
    limits: Limits = Limits()
    """Every limit of the store, see ``engine.model.limits``."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key belong together: set both, or none")
        if self.snapshots is not None and self.journal_kind == "memory":
            raise ValueError("snapshots need a journal that outlives the server: journal must not be memory://")
        if self.snapshots is None and self.keep_decisions is not None:
            raise ValueError("keep_decisions cuts the journal behind snapshots: set snapshots to their folder, too")
        _check_limits(self.limits)
        return self

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """The settings; ``overrides`` go before the environment, ``None`` among them means not given.

        Raises:
            SettingsError: something makes no sense.
        """
        given = {name: value for name, value in overrides.items() if value is not None}
        unread = _unread(os.environ)
        problems = list(unread.values())
        try:
            settings = cls(**given)
        except ValidationError as error:
            problems += [_explain(problem) for problem in error.errors() if _variable(problem) not in unread]
        else:
            if not problems:
                return settings
        raise SettingsError("\n".join(problems))

    @property
    def journal_kind(self) -> str:
        """Where the journal is kept, in a word: sqlite, postgresql or memory."""
        return self.journal.partition(":")[0].partition("+")[0]


def _check_limits(limits: Limits) -> None:
    """A limit of 0 would refuse everything; some have a ceiling in the engine's arrays."""
    for field in fields(limits):
        if getattr(limits, field.name) < 1:
            raise ValueError(f"limits.{field.name} must be at least 1, got {getattr(limits, field.name)}")
    ceilings = {"lines_per_order_max": LINES_PER_ORDER_CEILING, "channels_max": CHANNELS_CEILING}
    for name, ceiling in ceilings.items():
        if getattr(limits, name) > ceiling:
            raise ValueError(f"limits.{name} must be at most {ceiling}, got {getattr(limits, name)}")
    if limits.reservation_ttl_default_ns > limits.reservation_ttl_max_ns:
        raise ValueError("limits.reservation_ttl_default_ns must not be above limits.reservation_ttl_max_ns")
    if limits.reservation_ttl_max_ns > limits.reservation_hold_max_ns:
        raise ValueError("limits.reservation_ttl_max_ns must not be above limits.reservation_hold_max_ns")


def variables() -> list[str]:
    """The environment variable of every setting."""
    limits = [f"limits{NESTED}{field.name}" for field in fields(Limits)]
    return [PREFIX + name.upper() for name in (*Settings.model_fields, *limits)]


def _unread(environment: Mapping[str, str]) -> dict[str, str]:
    """A sentence for each variable with our prefix that nothing reads. Never its value: that may be a secret."""
    known = [name.removeprefix(PREFIX) for name in (*variables(), *OTHER_VARIABLES)]
    unread: dict[str, str] = {}
    for name, value in environment.items():
        variable = name.upper()  # case does not matter to those that are read
        word = variable.removeprefix(PREFIX)
        if word in (variable, *known) or _SERVICE_LINK.match(f"{name}={value}"):
            continue
        nearest = get_close_matches(word, known, 1)
        meant = f"did you mean {PREFIX}{nearest[0]}? All" if nearest else "all"
        unread[variable] = f"{name}: there is no such setting; {meant} are listed by: stockpool serve --help"
    return unread


def _variable(problem: Any) -> str:
    """The variable that a problem is about; empty when it is about several."""
    place = [str(part) for part in problem["loc"] if part not in ("function-after", "constrained-str")]
    return PREFIX + NESTED.join(place).upper() if place else ""


def _explain(problem: Any) -> str:
    """One problem as a sentence that names the variable."""
    text = problem["msg"].removeprefix("Value error, ")
    variable = _variable(problem)
    if not variable:
        return f"settings: {text}"
    if problem["type"] == "extra_forbidden":
        return f"{variable}: there is no such setting; the settings are {', '.join(sorted(Settings.model_fields))}"
    return f"{variable} = {problem['input']!r}: {text[0].lower()}{text[1:]}"
