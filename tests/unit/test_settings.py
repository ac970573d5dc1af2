"""Settings: defaults, the environment, and errors that name the variable, the limit and what to do."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from engine import settings
from engine.model.limits import Limits
from engine.settings import OTHER_VARIABLES, Settings, SettingsError, variables


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("STOCKPOOL_"):
            monkeypatch.delenv(name)


def test_defaults() -> None:
    loaded = Settings.load()
    assert (loaded.journal, loaded.host, loaded.port) == ("sqlite:///stockpool.db", "localhost", 50051)
    assert loaded.limits == Limits()
    assert loaded.auth_file is None


def test_environment_and_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCKPOOL_PORT", "6000")
    monkeypatch.setenv("STOCKPOOL_JOURNAL", "memory://")
    monkeypatch.setenv("STOCKPOOL_LIMITS__NODES_MAX", "64")
    loaded = Settings.load(port=7000, host=None)
    assert (loaded.port, loaded.journal, loaded.host) == (7000, "memory://", "localhost")
    assert (loaded.limits.nodes_max, loaded.limits.skus_max) == (64, Limits().skus_max)


def test_the_link_to_a_service_of_our_name_is_no_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCKPOOL_PORT", "tcp://10.96.0.12:50051")
    assert Settings.load().port == Settings.load(port=50051).port
    assert Settings.load(port=7000).port == 7000


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
        ("STOCKPOOL_LIMITS__RESERVATION_TTL_MAX_NS", "5", "reservation_ttl_default_ns must not be above"),
    ],
)
def test_nonsense(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, complaint: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "advice"),
    [
        ("STOCKPOOL_PROT", "did you mean STOCKPOOL_PORT? All are listed by: stockpool serve --help"),
        ("stockpool_prot", "did you mean STOCKPOOL_PORT?"),
        ("STOCKPOOL_LIMITS_NODES_MAX", "did you mean STOCKPOOL_LIMITS__NODES_MAX?"),
        ("STOCKPOOL_LIMITS__NODE_MAX", "did you mean STOCKPOOL_LIMITS__NODES_MAX?"),
        ("STOCKPOOL_PORT__X", "did you mean STOCKPOOL_PORT?"),
        ("STOCKPOOL_CACHEDIR", "did you mean STOCKPOOL_CACHE_DIR?"),
        ("STOCKPOOL_XYZZY", "there is no such setting; all are listed by: stockpool serve --help"),
    ],
)
def test_a_variable_that_nothing_reads(monkeypatch: pytest.MonkeyPatch, variable: str, advice: str) -> None:
    monkeypatch.setenv(variable, "secret")
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert str(caught.value).startswith(f"{variable}: there is no such setting; ")
    assert advice in str(caught.value)
    assert "secret" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_variables_that_are_read_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in OTHER_VARIABLES:
        monkeypatch.setenv(variable, "x")
    assert Settings.load() == Settings()


def test_what_kubernetes_says_of_its_services_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in ("STOCKPOOL", "STOCKPOOL_DB"):
        monkeypatch.setenv(f"{service}_SERVICE_HOST", "10.0.0.1")
        monkeypatch.setenv(f"{service}_SERVICE_PORT", "50051")
        monkeypatch.setenv(f"{service}_SERVICE_PORT_GRPC", "50051")
        for part in ("", "_PROTO", "_PORT", "_ADDR"):
            monkeypatch.setenv(f"{service}_PORT_50051_TCP{part}", "tcp://10.0.0.1:50051")
    monkeypatch.setenv("STOCKPOOL_DB_PORT", "tcp://10.0.0.1:50051")
    assert Settings.load() == Settings()


def test_every_variable_that_the_engine_reads_is_known() -> None:
    known = (*variables(), *OTHER_VARIABLES)
    named = {
        name
        for path in Path(settings.__file__).parent.rglob("*.py")
        for name in re.findall(r"\bSTOCKPOOL_[A-Z_]*[A-Z]\b", path.read_text(encoding="utf-8"))
    }
    assert "STOCKPOOL_CACHE_DIR" in named
    assert not [name for name in named if not any(one.startswith(name) for one in known)]


def test_unknown_setting() -> None:
    with pytest.raises(SettingsError, match="STOCKPOOL_PROT: there is no such setting; the settings are auth_file"):
        Settings.load(prot=5)


def test_all_nonsense_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load(port=-1, journal="x")
    assert len(str(caught.value).splitlines()) == 2


def test_snapshots_need_a_journal_that_outlives_the_server(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="must not be memory://"):
        Settings.load(journal="memory://", snapshots=tmp_path)
    with pytest.raises(SettingsError, match="set snapshots to their folder"):
        Settings.load(keep_decisions=5)
    loaded = Settings.load(snapshots=tmp_path, keep_decisions=0)
    assert (loaded.snapshots, loaded.keep_decisions) == (tmp_path, 0)


def test_half_of_tls(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("")
    with pytest.raises(SettingsError, match="set both, or none"):
        Settings.load(tls_key=key)
