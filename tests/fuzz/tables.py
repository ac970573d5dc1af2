"""Files of counts whose rows are known to be good or bad, in every disguise that a spreadsheet or a broken export gives them."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

HEADER = b"sku_key,node_key,on_hand,safety_stock"
GOOD_KEYS = [
    "sku-1",
    "sku-2",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)",
    "+1",
    "-1",
    "Größe 42",
    "靴",
    "NULL",
    "007",
    "k" * 64,
    "a;b",
    "'",
]
"""A formula is a key like any other: nothing here computes it."""
BAD_TEXTS = [
    b"", b" ", b"\x00", b"a\x00b", b"\x1b[31m", b"caf\xe9", b"\xff\xfe", b"\xed\xa0\x80", b" sku-1", b"k" * 65, b"y" * 200_000, b"\xc2\x85",
]  # fmt: skip
BAD_UNITS = [
    b"", b"-1", b"1.5", b"NaN", b"inf", b"-inf", b"1e999999999", b"9" * 400, b"1000000001", b"1_0", b"0x10", b"=1+1", b"5 pcs",
    "٣".encode(), b"\x00", b"--1", b"1e", b"9" * 200_000,
]  # fmt: skip
BROKEN = [
    b"one", b"a,b", b"a,b,1,2,3", b",,,,,", b'"sku-1"x,east,1,', b'"a"b,east,"1"2,', b'sku-1,"east" ,1,', b"sku-1;east;1;", b"y" * 200_000,
]  # fmt: skip
"""Whole rows that have no four columns, or quotes in the wrong place."""
LINE_ENDS = [b"\n", b"\r\n", b"\r"]


@dataclass
class Table:
    """A file of counts: its bytes, the rows that must come through, and the numbers of those that must be told."""

    content: bytes = b""
    good: list[tuple[str, str, int, int]] = field(default_factory=list)
    bad: list[int] = field(default_factory=list)


@st.composite
def csv_tables(draw: st.DrawFn) -> Table:
    """CSV with all line ends mixed, quotes where none are needed, blank lines and an open quote at the very end."""
    table = Table(draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + HEADER + draw(st.sampled_from(LINE_ENDS)))
    line = 2
    for _ in range(draw(st.integers(0, 12))):
        kind = draw(st.sampled_from(["good"] * 6 + ["bad"] * 4 + ["broken"] * 2 + ["blank", "two lines"]))
        if kind == "good":
            table.content += _good_row(draw, table)
        elif kind == "bad":
            table.content += _bad_row(draw)
        elif kind == "broken":
            table.content += draw(st.sampled_from(BROKEN))
        elif kind == "two lines":
            table.content += b'"a\nb",east,1,'
        if kind not in {"good", "blank"}:
            table.bad.append(line)
        line += 2 if kind == "two lines" else 1
        # A blank line's end must not become one with the end before it.
        table.content += b"\r\n" if kind == "blank" else draw(st.sampled_from(LINE_ENDS))
    if draw(st.integers(0, 5)) == 0:
        table.content += b'"never closed,east,1,\nsku-1,east,5,\n' + draw(st.sampled_from([b"", b"z" * 200_000]))
        table.bad.append(line)
    elif draw(st.booleans()):
        table.content = table.content.rstrip(b"\r\n")
    return table


def _quoted(draw: st.DrawFn, text: bytes) -> bytes:
    if b'"' in text or draw(st.booleans()):
        return b'"' + text.replace(b'"', b'""') + b'"'
    return text


def _good_row(draw: st.DrawFn, table: Table) -> bytes:
    key, node = draw(st.sampled_from(GOOD_KEYS)), draw(st.sampled_from(["east", "west"]))
    units, safety = draw(st.integers(0, 10**9)), draw(st.integers(-1, 10**9))
    table.good.append((key, node, units, safety))
    written = (
        key,
        node,
        draw(st.sampled_from(["{}", "+{}", "{} ", "00{}"])).format(units),
        "" if safety < 0 else str(safety),
    )
    return b",".join(_quoted(draw, text.encode()) for text in written)


def _bad_row(draw: st.DrawFn) -> bytes:
    values = [b"sku-1", b"east", b"1", b""]
    place = draw(st.integers(0, 3))
    wrong = BAD_TEXTS if place < 2 else [units for units in BAD_UNITS if units or place == 2]
    values[place] = draw(st.sampled_from(wrong))
    return b",".join(_quoted(draw, value) for value in values)


@st.composite
def parquet_columns(draw: st.DrawFn) -> tuple[dict[str, tuple[list[Any], Any]], Table]:
    """Columns of counts for Parquet, each of some type: values and type by name, and what must come of them."""
    import pyarrow as pa

    rows = draw(st.integers(0, 12))
    texts: tuple[Any, list[Any]] = (pa.string(), [None, "", "\x00", " a", "k" * 65])
    kinds: dict[str, list[tuple[Any, list[Any], list[Any]]]] = {
        "sku_key": [(texts[0], GOOD_KEYS, texts[1]), (pa.int64(), [7, 42], [None]), (pa.binary(), [], [b"a", None])],
        "on_hand": [
            (pa.int64(), [0, 5, 10**9], [None, -1, 2**62, -(2**63)]),
            (pa.uint64(), [0, 5], [2**64 - 1, None]),
            (pa.float64(), [0.0, 5.0], [float("nan"), float("inf"), -1.0, 1.5, 1e300, None]),
            (pa.decimal128(38, 2), [Decimal(5)], [Decimal("1.50"), Decimal(-1), Decimal(10) ** 30, None]),
            (pa.string(), ["5", "007"], ["", "x", "1e9", None]),
            (pa.bool_(), [], [True, None]),
            (pa.timestamp("us"), [], [2**60, 0]),
            (pa.date32(), [], [2**30, None]),
            (pa.duration("s"), [], [2**61, None]),
            (pa.list_(pa.int64()), [], [[1], [], None]),
            (pa.struct([("a", pa.int64())]), [], [{"a": 1}, None]),
        ],
    }
    table = Table()
    columns: dict[str, tuple[list[Any], Any]] = {"node_key": (["east"] * rows, pa.string())}
    spoilt: set[int] = set()
    for name, choices in kinds.items():
        kind, good, wrong = draw(st.sampled_from(choices))
        values = []
        for row in range(rows):
            if not good or draw(st.integers(0, 3)) == 0:
                values.append(draw(st.sampled_from(wrong)))
                spoilt.add(row)
            else:
                values.append(draw(st.sampled_from(good)))
        columns[name] = values, kind
    table.bad = [row + 1 for row in sorted(spoilt)]
    table.good = [
        (str(columns["sku_key"][0][row]), "east", int(columns["on_hand"][0][row]), -1)
        for row in range(rows)
        if row not in spoilt
    ]
    return columns, table
