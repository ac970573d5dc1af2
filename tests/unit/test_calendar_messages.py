"""Calendars at the border: what a node may say of when it works, and what is wrong with the rest."""

from __future__ import annotations

import pytest

from engine.model.calendars import Calendar, Cutoff, Hours
from engine.model.commands import PutNodes
from engine.model.limits import Limits
from engine.model.network import Node
from engine.model.outcomes import Outcome
from engine.pool.names import Names
from engine.service.convert import network as convert
from engine.service.errors import InvalidRequest
from engine.service.fields import Rules
from stockpool.v1 import network_pb2 as pb
from tests.builders import Store

MONDAY, SATURDAY = pb.WEEKDAY_MONDAY, pb.WEEKDAY_SATURDAY
HOLIDAY = 20_812
"""2026-12-25."""


def hours(weekday: pb.Weekday, opens: int, closes: int) -> pb.OpeningHours:
    return pb.OpeningHours(weekday=weekday, opens_minute=opens, closes_minute=closes)


def good() -> pb.Calendar:
    return pb.Calendar(
        time_zone="America/Chicago",
        hours=[hours(SATURDAY, 600, 900), hours(MONDAY, 840, 1_200), hours(MONDAY, 480, 720)],
        holidays=["2026-12-25"],
        cutoffs=[pb.ServiceCutoff(service_key="ground", minute=900)],
        handling_minutes=90,
        carrier_weekdays=[MONDAY],
        orders_per_day_max=40,
    )


def asked(calendar: pb.Calendar) -> pb.PutNodesRequest:
    return pb.PutNodesRequest(request_id="r", nodes=[pb.Node(node_key="a", calendar=calendar)])


def problems(request: pb.PutNodesRequest) -> list[str]:
    with pytest.raises(InvalidRequest) as raised:
        convert.put_nodes(request, _rules())
    return [problem.field.removeprefix("nodes[0].calendar.") for problem in raised.value.problems]


def _rules() -> Rules:
    return Rules(Limits(), Store().machine.pool.names)


def test_a_calendar_is_taken_as_it_was_given() -> None:
    told = convert.put_nodes(asked(good()), _rules()).nodes[0].calendar
    opening = (Hours(1, 480, 720), Hours(1, 840, 1_200), Hours(6, 600, 900))
    wanted = Calendar("America/Chicago", opening, (HOLIDAY,), 1_440, (Cutoff("ground", 900),), 90, (1,), 40)
    assert told == wanted


def test_a_calendar_is_told_as_it_was_given() -> None:
    store = Store()
    node = convert.put_nodes(asked(good()), _rules()).nodes[0]
    message = pb.Node()
    convert._fill_node(message, node, store.machine.pool.names)
    assert convert.put_nodes(pb.PutNodesRequest(request_id="r", nodes=[message]), _rules()).nodes == (node,)
    bare = pb.Node()
    convert._fill_node(bare, Node("a"), store.machine.pool.names)
    assert not bare.HasField("calendar")


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"time_zone": "Mars/Olympus"}, ["time_zone"]),
        ({"time_zone": "/etc/localtime"}, ["time_zone"]),
        ({"time_zone": ""}, ["time_zone"]),
        ({"hours": []}, ["hours"]),
        ({"hours": [hours(MONDAY, 480, 720), hours(MONDAY, 719, 900)]}, ["hours[1]"]),
        ({"hours": [hours(MONDAY, 480, 480)]}, ["hours[0].closes_minute"]),
        ({"hours": [hours(MONDAY, -1, 1_441)]}, ["hours[0].opens_minute", "hours[0].closes_minute"]),
        ({"hours": [hours(pb.WEEKDAY_UNSPECIFIED, 1, 2)]}, ["hours[0].weekday"]),
        ({"holidays": ["2026-02-30"]}, ["holidays[0]"]),
        ({"holidays": ["20261225"]}, ["holidays[0]"]),
        ({"holidays": ["2026-12-25", "2026-12-25"]}, ["holidays[1]"]),
        ({"cutoff_minute": 1_441}, ["cutoff_minute"]),
        ({"cutoffs": [pb.ServiceCutoff(minute=0)]}, ["cutoffs[0].service_key", "cutoffs[0].minute"]),
        ({"cutoffs": [pb.ServiceCutoff(service_key="g", minute=5)] * 2}, ["cutoffs[1].service_key"]),
        ({"handling_minutes": 2_881}, ["handling_minutes"]),
        ({"carrier_weekdays": [MONDAY, MONDAY]}, ["carrier_weekdays[1]"]),
        ({"orders_per_day_max": -1, "units_per_day_max": -1}, ["orders_per_day_max", "units_per_day_max"]),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, object], fields: list[str]) -> None:
    message = good()
    for field, value in change.items():
        message.ClearField(field)
        if isinstance(value, list):
            getattr(message, field).extend(value)
        else:
            setattr(message, field, value)
    assert problems(asked(message)) == fields


def test_a_cutoff_names_a_service_that_is_there() -> None:
    calendar = Calendar("UTC", (Hours(1, 0, 60),), cutoffs=(Cutoff("pigeon", 60),))
    store = Store()
    reply = store.tell(PutNodes, nodes=(Node("dc", calendar=calendar),))
    assert (reply.outcome, reply.subject) == (Outcome.UNKNOWN_SERVICE, "pigeon")


def test_transit_days_are_told_zone_by_zone() -> None:
    card = pb.RateCard(
        service_key="g", currency_code="USD", step_grams=[1_000], zone_count=2, price_micros=[1, 2], transit_days=[1, 3]
    )
    rules = Rules(Limits(), Names(Store().machine.pool.state[0]))
    command = convert.put_rate_card(pb.PutRateCardRequest(request_id="r", rate_card=card), rules)
    assert command.rate_card.transit_days == (1, 3)
    card.transit_days[:] = [1, 2, 3]
    with pytest.raises(InvalidRequest, match="zone_count = 2 entries or none, has 3"):
        convert.put_rate_card(pb.PutRateCardRequest(request_id="r", rate_card=card), rules)
    card.transit_days[:] = [61, -1]
    with pytest.raises(InvalidRequest, match="transit_days_max is 60"):
        convert.put_rate_card(pb.PutRateCardRequest(request_id="r", rate_card=card), rules)
