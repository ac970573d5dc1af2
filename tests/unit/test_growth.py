"""A field that is added to a record changes nothing of what was written before."""

from __future__ import annotations

from msgspec import msgpack

from engine.model.calendars import Calendar
from engine.model.growth import FIRST_FIELDS, short_form
from engine.model.network import Node


def test_no_record_lost_a_field_and_each_that_came_later_has_a_default() -> None:
    for record, count in FIRST_FIELDS.items():
        assert len(record._fields) >= count
        assert set(record._fields[count:]) <= set(record._field_defaults)


def test_later_fields_are_written_when_they_say_anything() -> None:
    plain, timed = Node("a", "A"), Node("a", "A", calendar=Calendar("UTC"))
    assert len(short_form(plain)) == 13
    assert short_form(timed) == timed
    for node in (plain, timed):
        assert msgpack.decode(msgpack.encode(short_form(node)), type=Node) == node
