"""The router's scratch: allocated once per thread, never per call, so that routing an order allocates nothing.

Nothing in it needs clearing between calls: what a call left behind carries the call's epoch and is void in the next
one.
"""

from typing import Final, TypeAlias

import numpy as np
from numba import types

from engine.kernels.columns import LEG_WIDTH, LINES_MAX, PACKAGE_WIDTH, PLAN_WIDTH
from engine.kernels.zones import MATRIX, VECTOR, Integers

Work: TypeAlias = tuple[Integers, Integers, Integers, Integers, Integers]
Question: TypeAlias = tuple[Integers, Integers]
Answer: TypeAlias = tuple[Integers, Integers, Integers]

QUESTION: Final = types.Tuple([VECTOR, MATRIX])
WORK: Final = types.UniTuple(MATRIX, 5)
ANSWER: Final = types.Tuple([VECTOR, MATRIX, MATRIX])

SUBSETS_MAX: Final = 1 << LINES_MAX
ZONES_MAX: Final = 256
NEVER: Final = 1 << 60
"""A cost or a key of something that cannot be done. Two of them still add up without overflow."""
COUNT_BITS: Final = 4
"""A key is ``cost << COUNT_BITS | packages``: one addition and one comparison serve both. Costs stay below COST_MAX."""

# Rows of work[0], by node.
SEEN: Final = 0
"""``epoch << EPOCH_SHIFT | zone << LINES_MAX | lines``: the zone (0: not a candidate) and the lines the node can serve
whole."""
MULTI: Final = 1
"""List of the nodes that can serve two lines or more."""
LOAD_MARK: Final = 2
"""LOAD_EPOCH in which LOAD_GRAMS and LOAD_UNITS of the node are valid (splitting by units only, as is all below)."""
LOAD_GRAMS: Final = 3
LOAD_UNITS: Final = 4
OPEN: Final = 5
"""List of the nodes with a load, now or earlier in the call."""
USED: Final = 6
"""Mark of the trial that has already taken from the node."""
AMOUNT: Final = 7
PACKAGE_OF: Final = 8
STOCKED: Final = 9
"""List of the nodes with enough stock for the whole of the line that is being scanned."""
NODE_WORK_ROWS: Final = 10

EPOCH_SHIFT: Final = LINES_MAX + 8
LINES_MASK: Final = SUBSETS_MAX - 1
ZONE_BITS: Final = (ZONES_MAX - 1) << LINES_MAX
PRICE_MASK: Final = ZONES_MAX * SUBSETS_MAX - 1
NODE_MASK: Final = (1 << 31) - 1
"""Changes no node index, and tells the compiler that it is not negative: an index that may be is checked at every
use."""

# Rows of work[1], by subset of the lines (a bit mask).
UNITS: Final = 0
GRAMS: Final = 1
PARCELS: Final = 2
"""Full parcels of the service's heaviest break inside the subset's weight, when it is heavier than that."""
STEP: Final = 3
"""Weight step of the subset, or of what remains beside PARCELS; -1 when nothing remains."""
COST: Final = 4
"""Cheapest way to send the subset as one package, split penalty aside; NEVER when no node can."""
SENDER: Final = 5
"""The node of COST."""
OFFER: Final = 6
"""The package as the partition sees it: cost and penalty, and one package."""
TAKER: Final = 7
"""The node of OFFER."""
TOTAL: Final = 8
"""Key of the best partition of the subset."""
FIRST: Final = 9
"""The package of that partition that holds the subset's lowest line."""
SUBSET_WORK_ROWS: Final = 10

# work[2][0], by zone and subset (zone << lines | subset): micros to carry the subset into the zone, where ZONE_MARK
# says so.

# Rows of work[3], small lists.
SCALARS: Final = 0
LINE_OF: Final = 1
"""Line of the question behind each line routed (lines of no units are left out)."""
PACKAGE_BY_LINE: Final = 2
PICK_COUNT: Final = 3
"""Entries in the pick list of each line that is split by units."""
ZONE_MARK: Final = 4
"""``epoch << 1 | offered`` by zone."""
FRONT_COUNT: Final = 5
"""Nodes by zone in the four rows below: those that no other node seen so far beats in every respect."""
FRONT_LINES: Final = 6
FRONT_PACKAGE: Final = 7
FRONT_UNIT: Final = 8
FRONT_NODE: Final = 9
SEED: Final = 10
"""Nodes with which earlier trials started."""
STEP_OF: Final = 11
"""What that many units of the line being split weigh: ``full parcels << STEP_BITS | 1 + step of the rest`` (0: no
rest)."""
SMALL_WORK_ROWS: Final = 12
FRONT_BITS: Final = 3
FRONT_MAX: Final = 1 << FRONT_BITS
STEP_BITS: Final = 16
STEP_OF_MAX: Final = ZONES_MAX * FRONT_MAX - 1
"""Units that STEP_OF has room for."""

# Positions in the row SCALARS of work[3].
EPOCH: Final = 0
MARK: Final = 1
MULTI_COUNT: Final = 2
LINE_COUNT: Final = 3
WHOLE: Final = 4
"""Lines that some candidate can serve whole, as a bit mask."""
STEP_COUNT: Final = 5
OPEN_COUNT: Final = 6
LOAD_EPOCH: Final = 7

# Rows of work[4], by line and pick (line * nodes_max + pick): units taken from nodes for a line that is split by units.
PICK_NODE: Final = 0
PICK_UNITS: Final = 1
TRIAL_NODE: Final = 2
TRIAL_UNITS: Final = 3
PICK_ROWS: Final = 4


def routing_work(nodes_max: int) -> Work:
    """Scratch of one thread for networks of up to ``nodes_max`` nodes; what is never touched costs no memory."""
    return (
        np.zeros((NODE_WORK_ROWS, nodes_max + 1), np.int64),
        np.zeros((SUBSET_WORK_ROWS, SUBSETS_MAX), np.int64),
        np.zeros((1, ZONES_MAX * SUBSETS_MAX), np.int64),
        np.zeros((SMALL_WORK_ROWS, ZONES_MAX * FRONT_MAX), np.int64),
        np.zeros((PICK_ROWS, LINES_MAX * max(nodes_max, 1)), np.int64),
    )


def routing_answer(legs_max: int) -> Answer:
    """Room for one plan of up to ``legs_max`` legs. Without splitting by units a plan has at most LINES_MAX; with it
    up to LINES_MAX x nodes. A plan that does not fit counts as infeasible.
    """
    return (
        np.zeros(PLAN_WIDTH, np.int64),
        np.zeros((legs_max, LEG_WIDTH), np.int64),
        np.zeros((legs_max, PACKAGE_WIDTH), np.int64),
    )
