from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import fields
from adapters.fields import FieldError
from adapters.port import NodeKind, RowError

RAW = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.decimals(),
    st.text(max_size=80),
    st.datetimes(),
    st.dates(),
)
PARSERS = [
    fields.key,
    fields.text,
    fields.postal_code,
    fields.currency,
    fields.units,
    fields.units_of_line,
    fields.grams,
    fields.micros,
    fields.latitude,
    fields.longitude,
    fields.truth,
    fields.time,
    fields.one_of(NodeKind),
]


@given(raw=RAW, parse=st.sampled_from(PARSERS))
def test_whatever_a_file_holds_is_a_value_or_a_sentence(raw: object, parse: fields.Parser) -> None:
    try:
        sentence = f"is {parse(raw)!r}"
    except FieldError as error:
        sentence = str(error)
    assert str(RowError("file", 1, "field", sentence)).encode()


@given(st.integers(min_value=0, max_value=10**12))
def test_money_goes_there_and_back(micros: int) -> None:
    assert fields.micros(f"{micros // 10**6}.{micros % 10**6:06d}") == micros


@pytest.mark.parametrize(
    ("parse", "raw", "message"),
    [
        (fields.latitude, "1e1000000000", "is not within -90 and 90 degrees"),
        (fields.longitude, Decimal("-1e999999"), "is not within -180 and 180 degrees"),
        (fields.micros, "0.9999999999999999999999999999999999", "has more than six decimals"),
        (fields.micros, "1e-1000000000", "has more than six decimals"),
        (fields.micros, "1e1000000000", "is beyond belief"),
    ],
)
def test_numbers_without_measure(parse: fields.Parser, raw: object, message: str) -> None:
    """None of them is worked out, and none is rounded to something that fits."""
    with pytest.raises(FieldError, match=message):
        parse(raw)
