"""The two programs of a wave over the plans known so far: the linear one that prices stock, the integer one that chooses.

Columns are plans, and for each order one that leaves it unserved. Rows are orders (one plan each), and those cells of which the
plans of all orders together could take more than there is: no other cell can ever be short.
"""

import numpy as np
from numpy.typing import NDArray

from engine.kernels import waves as kernels
from engine.kernels.zones import Integers
from engine.planning.plans import Plans
from engine.planning.programs import Entries, Floats, LinearProgram, WholeProgram

MICROS = 1_000_000
"""Programs count in units of the currency, so that the solvers' tolerances mean the same in every wave."""


class Master:
    """The linear program: minimise Σ score × x over shares x ≥ 0 of plans, one in all for each order, within the stock."""

    def __init__(self, plans: Plans) -> None:
        self._plans = plans
        orders = plans.count
        self._program = LinearProgram(orders)
        self._row_of = np.full(len(plans.free), -1)
        self._known = 0
        everyone = plans.everyone
        self._program.grow(np.zeros(0), plans.penalties / MICROS, Entries(everyone, everyone, np.ones(orders)))
        self.shares = np.zeros(0)
        """Share of each plan in the latest solution."""
        self.score = 0.0
        """Score of the latest solution, micros."""

    def solve(self) -> Integers | None:
        """Take in what is new among the plans, solve, and tell what a unit of each cell is worth, micros ≥ 0; None: no solution."""
        self._take_in()
        solution = self._program.solve()
        if solution is None:
            return None
        self.shares, self.score = solution.values[self._plans.count :], solution.objective * MICROS
        duals = np.zeros(len(self._row_of), np.int64)
        rows = np.flatnonzero(self._row_of >= 0)
        worth = -solution.duals[self._row_of[rows]] * MICROS
        duals[rows] = np.rint(np.maximum(worth, 0)).astype(np.int64)
        return duals

    def _take_in(self) -> None:
        plans, program = self._plans, self._program
        short = np.flatnonzero((plans.wanted > plans.free) & (self._row_of < 0))
        is_new = np.zeros(len(self._row_of), np.bool_)
        is_new[short] = True
        self._row_of[short] = program.rows + np.arange(len(short))
        slots, units, of = plans.takes
        wanted = (self._row_of[slots] >= 0) & ((of >= self._known) | is_new[slots])
        fresh = np.arange(self._known, plans.used)
        entries = Entries(
            np.concatenate([plans.rows[kernels.PLANS_ORDER, fresh], self._row_of[slots[wanted]]]),
            np.concatenate([fresh, of[wanted]]) + plans.count,
            np.concatenate([np.ones(len(fresh)), units[wanted].astype(np.float64)]),
        )
        scores = plans.rows[kernels.PLANS_SCORE, fresh] / MICROS
        program.grow(plans.free[short].astype(np.float64), scores, entries)
        self._known = plans.used


def rechosen(
    plans: Plans, chosen: Integers, loose: NDArray[np.bool_], limits: tuple[int, float]
) -> tuple[Integers, bool]:
    """The best choice that SCIP finds when the orders ``loose`` may change their plans and all others keep theirs.

    ``limits``: nodes of its search, seconds. Never worse than ``chosen``; the second answer tells whether time alone ended it.
    """
    kept = chosen.copy()
    kept[loose] = -1
    left = plans.free - plans.usage(kept)
    orders = np.flatnonzero(loose)
    row_of_order = np.full(plans.count, -1)
    row_of_order[orders] = np.arange(len(orders))
    columns = np.flatnonzero(loose[plans.rows[kernels.PLANS_ORDER]])
    column_of = np.full(plans.used, -1)
    column_of[columns] = len(orders) + np.arange(len(columns))
    slots, units, of = plans.takes[:, column_of[plans.takes[kernels.TAKE_PLAN]] >= 0]
    rows, row_of_take = np.unique(slots, return_inverse=True)
    entries = Entries(
        np.concatenate(
            [np.arange(len(orders)), row_of_order[plans.rows[kernels.PLANS_ORDER, columns]], len(orders) + row_of_take]
        ),
        np.concatenate([np.arange(len(orders)), column_of[columns], column_of[of]]),
        np.concatenate([np.ones(len(orders) + len(columns)), units.astype(np.float64)]),
    )
    costs: Floats = np.concatenate([plans.penalties[orders], plans.rows[kernels.PLANS_SCORE, columns]]) / MICROS
    start = np.zeros(len(costs), np.int64)
    served = chosen[orders] >= 0
    start[np.where(served, column_of[chosen[orders]], np.arange(len(orders)))] = 1
    program = WholeProgram(costs, len(orders), left[rows].astype(np.float64), entries, start)
    found, timed_out = program.solve(*limits)
    if found is None:
        return chosen.copy(), timed_out
    better = kept
    picked = columns[found[len(orders) :] > 0.5]
    better[plans.rows[kernels.PLANS_ORDER, picked]] = picked
    if np.any(plans.usage(better) > plans.free) or plans.scores(better).sum() >= plans.scores(chosen).sum():
        return chosen.copy(), timed_out
    return better, timed_out
