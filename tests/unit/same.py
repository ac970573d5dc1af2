"""Two machines compared to the last entry of their last index."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.kernels import columns as c
from tests.builders import Store

DERIVED = {5: "the heap of expiries, whose stale entries depend on when it was tidied"}


def same(store: Store, replayed: Any) -> None:
    assert replayed.digest() == store.machine.digest()
    for at, (mine, theirs) in enumerate(zip(store.machine.pool.state, replayed.pool.state, strict=True)):
        if at == 8:
            mine, theirs = mine.copy(), theirs.copy()  # noqa: PLW2901
            for counters in (mine, theirs):
                counters[[c.SEQ, c.NOW_NS, c.EXPIRY_COUNT]] = 0
        if at == 9:
            mine, theirs = (each[: c.CAPACITY_STATE_ROWS] for each in (mine, theirs))  # noqa: PLW2901
        if at not in DERIVED:
            assert np.array_equal(mine, theirs), f"array {at}"
    for name in ("orders", "fulfillment_orders", "returns"):
        mine, theirs = getattr(store.machine.pool.orders, name), getattr(replayed.pool.orders, name)
        assert list(mine.items()) == list(theirs.items()), name
    for name in (
        "_order_of_key",
        "_closed_orders",
        "_closed_returns",
        "short_units",
        "open_order_count",
        "open_fulfillment_order_count",
    ):
        assert getattr(store.machine.pool.orders, name) == getattr(replayed.pool.orders, name), name
    for node, work in store.machine.pool.orders._open_work.items():
        assert list(replayed.pool.orders._open_work.get(node, ())) == list(work)
    assert store.machine.requests.rows() == replayed.requests.rows()
    assert (store.machine.seq, store.machine.now_ns) == (replayed.seq, replayed.now_ns)
