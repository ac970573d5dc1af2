"""Effects packed for the journal come back as they were; parts that do not belong together are refused, not read."""

from __future__ import annotations

import numpy as np
import pytest

from engine.kernels import columns as c
from engine.kernels import packing

SEEDS = range(40)


def packed(effects: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    operations = np.empty(len(effects), dtype=np.uint8)
    heads = np.empty(packing.HEADS_MAX, dtype=np.int64)
    room = np.empty(len(effects) * packing.OPERANDS * 8, dtype=np.uint8)
    head_count, size = packing.pack(effects, operations, heads, room)
    return operations, heads[:head_count].copy(), room[:size].copy()


def some_effects(seed: int) -> np.ndarray:
    """Rows of all widths, the extremes of int64 among them."""
    chance = np.random.default_rng(seed)
    rows = int(chance.integers(0, 200))
    effects = np.empty((rows, c.EFFECT_WIDTH), dtype=np.int64)
    effects[:, 0] = chance.integers(0, packing.OPERATIONS_MAX, rows)
    for column in range(1, c.EFFECT_WIDTH):
        effects[:, column] = chance.integers(-(2**63), 2**63 - 1, rows, endpoint=True) >> chance.integers(0, 64)
    return effects


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_packed_comes_back(seed: int) -> None:
    effects = some_effects(seed)
    again = np.empty_like(effects)
    assert packing.unpack(*packed(effects), again)
    assert (again == effects).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_each_column_takes_as_many_bytes_as_its_spread(seed: int) -> None:
    effects = some_effects(seed)
    _, heads, room = packed(effects)
    expected = []
    size = 0
    for operation in np.unique(effects[:, 0]):
        rows = effects[effects[:, 0] == operation, 1:]
        for column in rows.T.tolist():
            width = next(width for width in (0, 1, 2, 4, 8) if max(column) - min(column) < 1 << 8 * width)
            expected += [min(column), width]
            size += width * len(column)
    assert heads.tolist() == expected
    assert room.size == size


def test_parts_that_do_not_fit_are_refused() -> None:
    effects = np.zeros((30, c.EFFECT_WIDTH), dtype=np.int64)
    effects[:, 1] = range(30)
    operations, heads, room = packed(effects)
    again = np.full_like(effects, 7)
    odd_width, odd_operation = heads.copy(), operations.copy()
    odd_width[1], odd_operation[0] = 3, packing.OPERATIONS_MAX
    for parts in (
        (operations, heads, room[:-1]),
        (operations[:-1], heads, room),
        (operations, heads[:-2], room),
        (operations, odd_width, room),
        (odd_operation, heads, room),
    ):
        assert not packing.unpack(*parts, again)
    assert (again == 7).all()
