"""The report: its keys, its figures, and that page and tables say what the figures say."""

import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from rich.console import Console

from engine.demo import figures
from engine.demo.comparison import RecountResult
from engine.demo.page import render_page
from engine.demo.report import AuditResult, Footprint, Report, Sample, make_report
from engine.demo.scenario import NS_PER_SECOND
from engine.demo.tables import print_report
from engine.demo.tally import MEANINGS, Figures, Tally
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import types_pb2 as types
from tests.unit.counterpart import paper_player

HOUR_NS = 3_600 * NS_PER_SECOND
KEYS = {
    "orders_total",
    "orders_by_channel",
    "units_oversold",
    "audit_ok",
    "fill_rate",
    "split_rate",
    "cost_per_order_micros",
    "latency_ms",
    "elapsed_s",
    "seed",
    "days",
    "calls_total",
    "calls_per_s",
    "shortages",
    "recount",
    "journal_bytes",
    "version",
}


def recounted(**changes: object) -> RecountResult:
    fields: dict[str, object] = {
        "is_ok": True,
        "units_oversold": 0,
        "event_count": 1_234,
        "effect_count": 9_999,
        "refusal_count": 3,
        "promise_count": 777,
        "duplicate_order_count": 0,
        "cell_count": 100,
        "compared_cell_count": 40,
        "finding_count": 0,
        "findings": (),
        "elapsed_s": 1.0,
    }
    return RecountResult(**(fields | changes))  # type: ignore[arg-type]


def audited(*findings: str) -> AuditResult:
    return AuditResult(not findings, True, 1_234, 100, findings, "c0ffee", 0.5)


def sample(at_s: float, orders: int) -> Sample:
    return Sample(at_s, orders, orders * 4, 5_000 - orders, 10, 20, 3, 0, 5, 6)


def reported(*, days: int = 1, recount: RecountResult | None = None, audit: AuditResult | None = None) -> Report:
    player = paper_player()
    for day in range(days):
        for hour in (9, 10, 11):
            at_ns = (24 * day + hour) * HOUR_NS
            tills = player.tally.at("till", at_ns)
            tills.add(Figures(orders=1_000, asked_units=2_000, granted_units=2_000, value_micros=100_000_000))
            web = player.tally.at("web <&>", at_ns)
            web.add(Figures(orders=8, refused_orders=1, asked_units=40, granted_units=38, lost_units=2))
            web.add(Figures(sent_orders=6, split_orders=2, packages=8, cost_micros=66_000_000))
            web.zones.update({2: 5, 8: 3})
    player.tally.till_channels.add("till")
    for duration_us in (900, 1_000, 40_000):
        player.caller.latencies.of("Reserve").record(duration_us)
        player.caller.outcomes["Reserve", types.OUTCOME_OK] += 1
    return make_report(
        player,
        days=days,
        seconds={"start": 1.0, "play": 2.0, "audit": 0.5},
        samples=[sample(0.0, 0), sample(1.0, 10), sample(2.0, 18)],
        status=admin.GetStatusResponse(version="9.9", journal_seq=1_234, node_count=2, shortage_units=3),
        audit=audit or audited(),
        recount=recount or recounted(),
        footprint=Footprint(4_096, 1.5, 1 << 20),
    )


def test_json_has_the_keys_by_which_runs_are_compared() -> None:
    data = json.loads(json.dumps(reported().as_json()))
    assert data.keys() >= KEYS
    assert data["orders_total"] == 3_024
    assert data["orders_by_channel"] == {"till": 3_000, "web <&>": 24}
    assert data["units_oversold"] == 0
    assert data["audit_ok"] is data["recount_ok"] is data["ok"] is True
    assert data["cost_per_order_micros"] == 11_000_000
    assert data["latency_ms"].keys() == {"Reserve"}
    assert data["latency_ms"]["Reserve"]["p50"] == pytest.approx(1.0, rel=0.04)
    assert data["latency_ms"]["Reserve"]["p99"] == 40.0
    assert data["elapsed_s"] == 3.5
    assert (data["calls_total"], data["calls_per_s"]) == (3, 1.5)
    assert data["shortages"] == {"shortage_units": 3, "shortage_cell_count": 0, "short_order_units": 0}
    assert (data["journal_bytes"], data["version"], data["seed"], data["days"]) == (4_096, "9.9", 1, 1)


def test_fill_rate_leaves_tills_out_and_counts_lost_units() -> None:
    report = reported()
    assert report.promised.fill_rate == pytest.approx(36 / 40)
    assert report.total.split_rate == pytest.approx(1 / 3)
    assert report.total.mean_zone == pytest.approx((5 * 2 + 3 * 8) / 8)


def test_what_cannot_be_divided_is_none() -> None:
    empty = Figures()
    assert empty.fill_rate is empty.split_rate is empty.cost_per_order_micros is empty.mean_zone is None


@pytest.mark.parametrize(
    ("recount", "audit"),
    [
        (recounted(is_ok=False, units_oversold=2, finding_count=1, findings=("seq 7 <oversold>",)), audited()),
        (recounted(), audited("reserved = Σ legs: tea at north is 3, not 2")),
        (recounted(is_ok=False, duplicate_order_count=1), audited()),
    ],
)
def test_anything_wrong_turns_the_verdict(recount: RecountResult, audit: AuditResult) -> None:
    report = reported(recount=recount, audit=audit)
    assert not report.is_ok
    assert 'class="verdict bad"' in render_page(report)
    assert report.as_json()["ok"] is False


@pytest.mark.parametrize("days", [1, 2, 3, 40, 70])
def test_buckets_are_hours_for_short_runs_and_days_for_long_ones(days: int) -> None:
    report = reported(days=days)
    assert report.bucket_hours == (1 if days <= 2 else 24)
    assert sum(one.orders for one in report.buckets) == report.total.orders
    assert len({one.index for one in report.buckets}) == (3 * days if days <= 2 else days)


class Page(HTMLParser):
    """What a browser would find."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "xlink:href"}]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_stands_alone() -> None:
    text = render_page(reported(days=3))
    page = Page(text)
    assert not {"script", "img", "link", "iframe"} & set(page.tags)
    assert all(link.startswith("#") for link in page.links), page.links
    assert not re.search(r"url\((?!#)", text), "nothing is loaded by a style"
    assert page.tags.count("svg") == 7


def test_the_page_says_what_the_figures_say() -> None:
    words = " ".join(" ".join(Page(render_page(reported())).words).split())
    for expected in (
        "Oversold: 0 units.",
        "1,234 events",
        "777 promises",
        "90.0 %",
        "33.3 %",
        "11.00",
        "web <&>",
        "c0ffee",
    ):
        assert expected in words
    for meaning in MEANINGS.values():
        assert meaning in words


def test_the_page_is_the_same_for_the_same_figures() -> None:
    assert render_page(reported()) == render_page(reported())


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_has_room_for_the_tables(width: int) -> None:
    output = io.StringIO()
    print_report(reported(), Console(file=output, width=width))
    text = output.getvalue()
    assert max(map(len, text.splitlines())) <= width
    for expected in ("oversold: 0 units", "web <&>", "90.0%", "Reserve"):
        assert expected in text
    assert "…" not in text


def test_an_early_end_is_said() -> None:
    report = replace(reported(), interrupted=True)
    output = io.StringIO()
    print_report(report, Console(file=output, width=80))
    assert "ended early" in output.getvalue()
    assert "ended early" in render_page(report)


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (1.0, "100.0 %"), (0.9999, "99.9 %"), (0.00001, "< 0.1 %"), (0.0, "0.0 %")]
)
def test_shares_never_round_to_all_or_nothing(value: float | None, text: str) -> None:
    assert figures.share(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0, "0 bytes"), (999, "999 bytes"), (1_500, "1.5 kB"), (2 * 10**9, "2.0 GB")]
)
def test_sizes(value: int | None, text: str) -> None:
    assert figures.size(value) == text


def test_seconds_turn_into_minutes() -> None:
    assert [figures.seconds(value) for value in (0.04, 119.9, 120.0, 605.2)] == [
        "0.0 s",
        "119.9 s",
        "2 min 00 s",
        "10 min 05 s",
    ]


def test_tally_adds_up_by_channel_and_bucket() -> None:
    tally = Tally()
    for hour in (0, 23, 24, 47, 48):
        tally.at("web", hour * HOUR_NS).orders += 1
    tally.at("app", 0).orders += 5
    assert tally.channels == ["app", "web"]
    assert tally.total().orders == 10
    assert {index: one.orders for index, one in tally.by_bucket(24)["web"].items()} == {0: 2, 1: 2, 2: 1}


def test_a_year_fits_into_eighty_columns() -> None:
    report = reported()
    year = replace(
        report.total, channel="marketplace", orders=249_065, units=5_645_124, packages=149_157, returned_units=97_489
    )
    output = io.StringIO()
    print_report(replace(report, channels=(year,), total=year), Console(file=output, width=80))
    assert "…" not in output.getvalue()
