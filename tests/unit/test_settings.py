"""Settings: defaults, the environment, and errors that name the variable, the limit and what to do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from engine.model.limits import Limits
from engine.settings import Settings, SettingsError


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("STOCKPOOL_"):
            monkeypatch.delenv(name)


def test_defaults() -> None:
    settings = Settings.load()
    assert (settings.journal, settings.host, settings.port) == ("sqlite:///stockpool.db", "localhost", 50051)
    assert settings.limits == Limits()
    assert settings.auth_file is None


def test_environment_and_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCKPOOL_PORT", "6000")
    monkeypatch.setenv("STOCKPOOL_JOURNAL", "memory://")
    monkeypatch.setenv("STOCKPOOL_LIMITS__NODES_MAX", "64")
    settings = Settings.load(port=7000, host=None)
    assert (settings.port, settings.journal, settings.host) == (7000, "memory://", "localhost")
    assert (settings.limits.nodes_max, settings.limits.skus_max) == (64, Limits().skus_max)


def test_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings.load().port = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("journal", "kind"),
    [
        ("sqlite:///a.db", "sqlite"),
        ("postgresql+psycopg://me@here/stock", "postgresql"),
        ("memory://", "memory"),
    ],
)
def test_journal_kind(journal: str, kind: str) -> None:
    assert Settings.load(journal=journal).journal_kind == kind


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("STOCKPOOL_PORT", "70000", "STOCKPOOL_PORT = '70000': input should be less than or equal to 65535"),
        ("STOCKPOOL_PORT", "many", "STOCKPOOL_PORT = 'many': input should be a valid integer"),
        ("STOCKPOOL_JOURNAL", "stock.db", "STOCKPOOL_JOURNAL = 'stock.db': must be sqlite:///file.db"),
        ("STOCKPOOL_AUTH_FILE", "nowhere.json", "STOCKPOOL_AUTH_FILE = 'nowhere.json': there is no such file"),
        ("STOCKPOOL_LINGER_US_MAX", "-1", "STOCKPOOL_LINGER_US_MAX = '-1': input should be greater than or equal to 0"),
        ("STOCKPOOL_LOG_LEVEL", "loud", "STOCKPOOL_LOG_LEVEL = 'loud': input should be 'debug', 'info'"),
        ("STOCKPOOL_LIMITS__NODES_MAX", "few", "STOCKPOOL_LIMITS__NODES_MAX = 'few': input should be a valid integer"),
        ("STOCKPOOL_LIMITS__NODES_MAX", "0", "limits.nodes_max must be at least 1, got 0"),
        ("STOCKPOOL_LIMITS__CHANNELS_MAX", "63", "limits.channels_max must be at most 62, got 63"),
        ("STOCKPOOL_LIMITS__LINES_PER_ORDER_MAX", "11", "limits.lines_per_order_max must be at most 10, got 11"),
        ("STOCKPOOL_LIMITS__KNOTEN_MAX", "5", "STOCKPOOL_LIMITS__KNOTEN_MAX"),
        ("STOCKPOOL_LIMITS__RESERVATION_TTL_MAX_NS", "5", "reservation_ttl_default_ns must not be above"),
    ],
)
def test_nonsense(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, complaint: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert complaint in str(caught.value)


def test_unknown_setting() -> None:
    with pytest.raises(SettingsError, match="STOCKPOOL_PROT: there is no such setting; the settings are auth_file"):
        Settings.load(prot=5)


def test_all_nonsense_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load(port=-1, journal="x")
    assert len(str(caught.value).splitlines()) == 2


def test_half_of_tls(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("")
    with pytest.raises(SettingsError, match="set both, or none"):
        Settings.load(tls_key=key)
