"""The verdict finds what is planted: an answer that the journal does not know, another answer, units that nobody had."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from engine.client import AsyncClient
from engine.proof.torture import shop, verdict
from engine.proof.torture.asking import Asker, WrongAnswerError
from engine.proof.torture.ledger import Ledger, Movement
from engine.proof.torture.shopper import Shopper
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import types_pb2 as types
from tests.torture.serving import serving


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'journal.db'}"


@pytest.fixture
async def asker(url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Asker]:
    """After a little business: every answer of it is in the ledger."""
    monkeypatch.setattr("engine.proof.torture.shopper.HELD_S", (72_000,))
    monkeypatch.setattr(verdict, "SOON_S", -0.5)
    async with serving(url) as served, AsyncClient(served.target) as client:
        asker = Asker(client, Ledger())
        for number, (call, request) in enumerate(shop.opening()):
            request.request_id = f"opening-{number}"  # type: ignore[attr-defined]
            await asker.ask(call, request)
        shopper = Shopper(1, 1, asker)
        for act in [*shopper._acts] * 4:
            await act()
        yield asker


async def judged(asker: Asker, url: str) -> dict[str, int]:
    await verdict.judge(asker.client, asker.ledger, Random(1))
    verdict.read_offline(url, asker.ledger)
    return {kind: count for kind, count in asker.ledger.wrongs.items() if count}


async def test_nothing_is_found_where_nothing_is_wrong(asker: Asker, url: str) -> None:
    assert len(asker.ledger.entries) > 50
    assert {movement.is_promise for movement in asker.ledger.movements} == {True, False}
    assert await judged(asker, url) == {}, asker.ledger.findings


async def test_an_answer_without_a_decision_is_lost(asker: Asker, url: str) -> None:
    entry = asker.ledger.entries[20]
    request = type(entry.request)()
    request.CopyFrom(entry.request)
    request.request_id = "never-sent"
    asker.ledger.entries[20] = entry._replace(request=request)
    assert (await judged(asker, url))["lost"] >= 2
    assert any("never-sent, answered at seq" in finding for finding in asker.ledger.findings)


@pytest.mark.parametrize("change", ["seq", "outcome", "digest"])
async def test_an_answer_that_is_told_otherwise_is_lost(asker: Asker, url: str, change: str) -> None:
    entry = asker.ledger.entries[30]
    other = {"seq": entry.seq + 1, "outcome": types.OUTCOME_NO_RETURN_NODE, "digest": b"another"}[change]
    asker.ledger.entries[30] = entry._replace(**{change: other})  # type: ignore[arg-type]
    assert (await judged(asker, url))["lost"] >= 1
    assert any(entry.request.request_id in finding for finding in asker.ledger.findings)


async def test_units_that_the_answers_tell_and_the_journal_does_not(asker: Asker, url: str) -> None:
    asker.ledger.movements.append(Movement(shop.COLD[0], "east", 1))
    assert await judged(asker, url) == {"lost": 1}


async def test_units_that_went_out_and_never_came(asker: Asker, url: str) -> None:
    asker.ledger.movements.append(Movement(shop.COLD[0], "east", -100_000, is_promise=True))
    assert await judged(asker, url) == {"lost": 1, "oversold": 1}


async def test_a_server_that_forgets_is_found_out_while_it_is_asked(asker: Asker) -> None:
    """Reads ask for a state at least as new as anybody was told of."""
    asker.ledger.saw(asker.ledger.newest_seq + 1_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.proof.torture.asking._STALE_PATIENCE_S", 0.1)
        with pytest.raises(WrongAnswerError):
            await asker.read("GetAvailability", inventory.GetAvailabilityRequest(channel_key="web", sku_key="hot-1"))
    assert asker.ledger.wrongs == {"lost": 1}


async def test_a_request_that_is_answered_otherwise_the_second_time(asker: Asker) -> None:
    request = inventory.AdjustStockRequest(request_id="twice", sku_key="hot-1", node_key="east", delta_units=1)
    await asker.ask("AdjustStock", request)
    entry = asker.ledger.entries[-1]
    await asker.repeat(entry)
    assert not asker.ledger.wrongs
    request.delta_units = 2
    await asker.reuse("AdjustStock", request)
    assert not asker.ledger.wrongs
    await asker.repeat(entry)  # the ledger's request is the one that was changed: the server refuses it
    assert asker.ledger.wrongs == {"lost": 1}
