"""The router's scratch: allocated once per thread, never per call, so that routing an order allocates nothing.

Nothing in it needs clearing between calls: what a call left behind carries the call's epoch and is void in the next
one.
"""

from typing import Final, TypeAlias

import numpy as np
from numba import types

from engine.kernels.columns import LEG_WIDTH, LINES_MAX, PACKAGE_WIDTH, PLAN_WIDTH
from engine.kernels.zones import MATRIX, VECTOR, Integers

Work: TypeAlias = tuple[Integers, Integers, Integers, Integers, Integers, Integers]
Question: TypeAlias = tuple[Integers, Integers]
Answer: TypeAlias = tuple[Integers, Integers, Integers]

QUESTION: Final = types.Tuple([VECTOR, MATRIX])
WORK: Final = types.UniTuple(MATRIX, 6)
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
PACK: Final = 10
"""Micros that each package of a candidate costs beside the carrier: handling, capacity and lateness at their weights."""
UNIT: Final = 11
"""Micros that each unit of a candidate costs beside its price: handling and performance at their weights."""
STOCKED_SLOT: Final = 12
"""Slot of each entry of STOCKED, for orders that heed prices."""
VALUE: Final = 13
"""VALUE + line: prices of the whole line at the node at their weight, for orders that heed prices. Of a line that no node can serve
whole: the units that the node can give."""
NODE_WORK_ROWS: Final = VALUE + LINES_MAX

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
SUM: Final = 10
"""Scratch: what one node's package and units of the subset cost beside the carrier."""
ANY: Final = 11
"""ANY + k: key of the best way to serve or leave the lines of the subset in k packages at most."""
SOME: Final = ANY + LINES_MAX + 1
"""SOME + k: the same with one package at least."""
SUBSET_WORK_ROWS: Final = SOME + LINES_MAX + 1

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
CHOSEN: Final = 12
"""The packages of the plan, as subsets, in the order of their lowest lines."""
TOGETHER: Final = 13
"""Lines that travel or stay with each line, itself among them, as a bit mask."""
UNSERVED: Final = 14
"""Key of leaving all of TOGETHER unserved, each line counted like a package; NEVER where one of them must be served."""
SMALL_WORK_ROWS: Final = 15
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
IS_PLAIN: Final = 8
"""1: carrier, handling and penalty alone count, every node may serve, and no cell keeps units: the short roads are open."""
OPTIONAL: Final = 9
"""1: a line may stay unserved."""
CHOSEN_COUNT: Final = 10
GROUPED: Final = 11
"""1: some lines travel together."""
SCORE: Final = 12
"""What the chosen plan costs at the order's weights."""
STAYS: Final = 13
"""Lines that stay unserved where a heuristic splits, as a bit mask."""
ROUTER: Final = 14
"""Address of ``routing.route``; see ``links``."""
SPLITTER: Final = 15
"""Address of ``splits.route_split``."""

# Rows of work[4], by line and pick (line * nodes_max + pick): units taken from nodes for a line that is split by units.
PICK_NODE: Final = 0
PICK_UNITS: Final = 1
TRIAL_NODE: Final = 2
TRIAL_UNITS: Final = 3
PICK_ROWS: Final = 4

# Rows of work[5], for splitting by units exactly. A state says of every digit how many units of its line are served.
SPLIT_KEY: Final = 0
"""``layer * states + state``: ``cost << SPLIT_BITS | packages`` of the cheapest way found so far."""
SPLIT_RECORD: Final = 1
"""1 + the record of that way; 0: nothing is served."""
SPLIT_CODE: Final = 2
"""By state: its digits side by side, each with a spare bit above it, so that one subtraction compares them all."""
PAIR_COST: Final = 3
"""``state * pairs + place``: what the cheapest nodes ask for a package of that many units."""
PAIR_NODE: Final = 4
PAIR_NEXT: Final = 5
"""1 + next pair of the same node."""
PAIR_COUNT: Final = 6
"""By state."""
RECORD_PAIR: Final = 7
RECORD_BEFORE: Final = 8
DIGIT: Final = 9
"""The seven rows below hold, by digit: states, stride, the first of its lines, the bit where its code begins; and of the node that is
looked at: units that it can give, those of the package in the making, and what the whole of it costs there."""
DIGIT_STRIDE: Final = 10
DIGIT_LINE: Final = 11
DIGIT_SHIFT: Final = 12
DIGIT_MOST: Final = 13
DIGIT_NOW: Final = 14
DIGIT_WHOLE: Final = 15
DIGIT_GRAMS: Final = 16
"""Grams of one step of the digit."""
PREFIX: Final = 17
"""``PREFIX_START of the digit + units``: what so many units of the line cost at the node that is looked at."""
PREFIX_START: Final = 18
SPLIT_ROWS: Final = 19
SPLIT_ROOM: Final = 1 << 18
SPLIT_STATES_MAX: Final = 1 << 10
SPLIT_STEPS_MAX: Final = 1 << 22
"""Comparisons beyond which an order is split by the heuristic."""
SPLIT_BITS: Final = 7
SPLIT_PACKAGES_MAX: Final = (1 << SPLIT_BITS) - 1
SPLIT_NEVER: Final = 1 << 62


def blank_work(nodes_max: int) -> Work:
    """Scratch for networks of up to ``nodes_max`` nodes; what is never touched costs no memory. ``links.routing_work`` makes it usable."""
    return (
        np.zeros((NODE_WORK_ROWS, nodes_max + 1), np.int64),
        np.zeros((SUBSET_WORK_ROWS, SUBSETS_MAX), np.int64),
        np.zeros((1, ZONES_MAX * SUBSETS_MAX), np.int64),
        np.zeros((SMALL_WORK_ROWS, ZONES_MAX * FRONT_MAX), np.int64),
        np.zeros((PICK_ROWS, LINES_MAX * max(nodes_max, 1)), np.int64),
        np.zeros((SPLIT_ROWS, SPLIT_ROOM), np.int64),
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
