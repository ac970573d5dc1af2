"""The vocabulary of the arrays: which row of which matrix holds what.

Every matrix is C-contiguous int64 (``zones`` alone is uint8), one row a quantity, one column an entity, allocated once at its
maximum. Kernels and the Python face of the pool share these names and nothing else.
"""

from typing import Final

# cells[row, slot]: one SKU at one node, in units.
ON_HAND: Final = 0
DAMAGED: Final = 1
QUALITY_CONTROL: Final = 2
DISPLAY: Final = 3
IN_RETURN: Final = 4
RESERVED: Final = 5
ALLOCATED: Final = 6
SAFETY_STOCK: Final = 7
INCOMING: Final = 8
ATF: Final = 9
"""Available to fulfill; derived, kept current by every effect (see ``ATF_SIGN``) so that a scan reads one row, not eight."""
PENDING: Final = 10
"""Scratch: units granted earlier in the batch that is being decided. Zero between decisions."""
KEY: Final = 11
"""``sku_index << 32 | node_index``; what the slot stands for."""
MOVED: Final = 12
"""1 + position of the newest entry of the movement ring for this cell; 0 when there is none."""
PRICE: Final = 13
"""Micros: what one unit here is worth to the network, set by planning; 0: nothing was found."""
DEMAND: Final = 14
"""Units that walk-ins are expected to want of this cell until its next receipt, in 1/1024; set by planning, 0: none."""
CELL_ROWS: Final = 15

ATF_SIGN: Final = (1, -1, -1, -1, -1, -1, -1, -1, 0)
"""What one more unit of the quantity in row i (ON_HAND .. INCOMING) does to ATF."""
QUANTITY_ROWS: Final = 9
PHYSICAL_ROWS: Final = 5
"""Rows below this one hold units one can touch; a change of them is a stock movement."""

# skus[row, sku]: where a SKU's cells lie.
INDEX_START: Final = 0
INDEX_COUNT: Final = 1
INDEX_CAPACITY: Final = 2
EXTENT_NEXT: Final = 3
EXTENT_END: Final = 4
SKU_MARGIN: Final = 5
"""Micros that are lost with each unit that a walk-in wants and does not find."""
SKU_ROWS: Final = 6

# nodes[row, node]
NODE_FLAGS: Final = 0
NODE_PACKAGE_COST: Final = 1
"""Micros a package leaving the node, beside the carrier."""
NODE_UNIT_COST: Final = 2
"""Micros a unit handled at the node."""
NODE_CHANNELS: Final = 3
"""Bit c is set when the node serves channel c."""
NODE_GROUPS: Final = 4
"""Bit g is set when the node belongs to group g; from KIND_GROUP on, the bit of its kind."""
NODE_PERFORMANCE: Final = 5
"""Micros a unit: the penalty of a node that works badly."""
NODE_CAPACITY_PRICE: Final = 6
"""Micros a package: what a place in the node's day is worth."""
NODE_ROWS: Final = 7

KIND_GROUP: Final = 56
"""The bit of ``NodeKind`` 0; the bits below are those of named groups."""

FLAG_OPEN: Final = 1
FLAG_SHIPS: Final = 2
FLAG_PICKUP: Final = 4
FLAG_RETURNS: Final = 8

CHANNELS_MAX: Final = 62
"""A channel is one bit of an int64; the sign bit and one spare stay clear."""
LINES_MAX: Final = 10
"""Lines of one order after duplicates were merged: the router works on 2**lines subsets."""
COST_MAX: Final = 1 << 55
"""Micros that no plan costs: 36 thousand million of the currency. Below it no sum of costs leaves 64 bits."""
EXCLUDED_MAX: Final = 16
"""Nodes that one routing question can rule out (those that already rejected the order)."""

# order[field]: one routing question, int64 vector.
ORDER_CHANNEL: Final = 0
ORDER_REGION: Final = 1
ORDER_SERVICE: Final = 2
ORDER_NEEDS: Final = 3
"""Flags a node must carry, all of them, to be a candidate."""
ORDER_SPLIT_PENALTY: Final = 4
"""Micros for each package beyond the first."""
ORDER_UNIT_SPLIT: Final = 5
"""1: a line that no node can serve whole may be split by units over several nodes."""
ORDER_EXCLUDED_COUNT: Final = 6
ORDER_CARRIER_WEIGHT: Final = 7
"""Weights in per cent of what a term costs: 100 takes it as it is, 0 leaves it out."""
ORDER_HANDLING_WEIGHT: Final = 8
"""Of NODE_PACKAGE_COST and NODE_UNIT_COST."""
ORDER_PRICE_WEIGHT: Final = 9
ORDER_PERFORMANCE_WEIGHT: Final = 10
ORDER_CAPACITY_WEIGHT: Final = 11
ORDER_LATE_WEIGHT: Final = 12
ORDER_PACKAGES_MAX: Final = 13  # 0: any number
ORDER_GROUPS_ANY: Final = 14
"""A candidate belongs to one of these groups at least; 0: to any or none."""
ORDER_GROUPS_NONE: Final = 15
"""A candidate belongs to none of these groups."""
ORDER_DISTANCE_MAX: Final = 16  # kilometres between a candidate and the region; 0: any
ORDER_KEEP_UNITS: Final = 17
"""Units that every cell keeps for others, beside its safety stock."""
ORDER_DUE_DAY: Final = 18
"""Day number by which a package should have arrived; 0: no promise, or nobody asks how late it is."""
ORDER_LATE_DAYS_MAX: Final = 19  # days after ORDER_DUE_DAY that a candidate may be late
ORDER_LATE_COST: Final = 20  # micros a package and day late
ORDER_EXCLUDED: Final = 21
ORDER_WIDTH: Final = ORDER_EXCLUDED + EXCLUDED_MAX

# lines[line, field]: the merged lines of one routing question.
LINE_SKU: Final = 0
LINE_UNITS: Final = 1
LINE_GRAMS: Final = 2  # of one unit
LINE_UNSERVED: Final = 3
"""Micros for leaving the whole line unserved; below 0: it must be served."""
LINE_GROUP: Final = 4
"""Lines of one group travel in one package; 0: the line belongs to none."""
LINE_WIDTH: Final = 5

# legs[leg, field]: the router's answer.
LEG_LINE: Final = 0
LEG_SLOT: Final = 1
LEG_UNITS: Final = 2
LEG_PACKAGE: Final = 3  # index into packages
LEG_DAY: Final = 4
"""When (see WHEN_DAY) the units leave the node, or are ready for collection; 0: not known. Written by ``plan_claims``."""
LEG_WIDTH: Final = 5

# packages[package, field]
PACKAGE_NODE: Final = 0
PACKAGE_ZONE: Final = 1
PACKAGE_GRAMS: Final = 2
PACKAGE_CARRIER: Final = 3
PACKAGE_HANDLING: Final = 4
"""Node package cost + node unit cost x units, micros."""
PACKAGE_PRICE: Final = 5  # prices of the units in it, micros
PACKAGE_OTHER: Final = 6
"""Performance, capacity and lateness, weighted, micros."""
PACKAGE_SHIP_DAY: Final = 7
PACKAGE_ARRIVAL_DAY: Final = 8  # 0: not known
PACKAGE_LATE: Final = 9  # lateness inside PACKAGE_OTHER
PACKAGE_WIDTH: Final = 10

# plan[field]: the summary of the router's answer.
PLAN_STATUS: Final = 0
PLAN_LEGS: Final = 1
PLAN_PACKAGES: Final = 2
PLAN_COST: Final = 3
PLAN_SPLIT: Final = 4  # split penalties inside PLAN_COST
PLAN_EXACT: Final = 5
"""1: proven optimal over all nodes; 0: a line had to be split by units and a heuristic chose how."""
PLAN_SCORE: Final = 6
"""What was minimised: every term at its weight, micros. PLAN_COST is money alone: carrier, handling, split penalty."""
PLAN_WIDTH: Final = 7

STATUS_ROUTED: Final = 1
STATUS_INFEASIBLE: Final = 0

# reservations[row, id % capacity]: the latest reservation whose id maps to the column.
RES_ID: Final = 0
RES_STATE: Final = 1
RES_EXPIRES: Final = 2
RES_CREATED: Final = 3
RES_CHANNEL: Final = 4
RES_DESTINATION: Final = 5
"""Region index for shipping, node index for pickup."""
RES_META: Final = 6
"""Kind, and from the shifts below on: 1 + service, due day, 1 + the store to which it is shipped for collection (0: none)."""
RES_LEG: Final = 7
"""1 + the first leg; 0 when there is none (closed)."""
RES_ROWS: Final = 8
META_KIND_MASK: Final = 0xFF
META_SERVICE_SHIFT: Final = 8
META_SERVICE_MASK: Final = 0xFFFF
META_DUE_SHIFT: Final = 24
META_DUE_MASK: Final = 0xFFFFF
META_STORE_SHIFT: Final = 44

# held[row, leg]: units of open reservations, chained by HELD_NEXT (1 + next leg, 0 at the end); free ones are chained too.
HELD_SLOT: Final = 0
HELD_UNITS: Final = 1
HELD_LINE: Final = 2
HELD_NEXT: Final = 3
HELD_WORK: Final = 4
"""What the leg takes of its node's capacity: ``when << 1 | whether it is the first leg of its node``, see OP_LEG; 0: nothing."""
HELD_ROWS: Final = 5

# expiry[row, position]: a binary heap by (time, id). An entry is stale when its reservation is closed or ends at another time.
EXPIRY_NS: Final = 0
EXPIRY_ID: Final = 1
EXPIRY_ROWS: Final = 2

# movements[row, position % capacity]: the ring of physical movements.
MOVEMENT_SEQ: Final = 0
MOVEMENT_NS: Final = 1
MOVEMENT_SLOT: Final = 2
MOVEMENT_QUANTITY: Final = 3
"""Row of ``cells``."""
MOVEMENT_DELTA: Final = 4
MOVEMENT_BALANCE: Final = 5
MOVEMENT_REASON: Final = 6
MOVEMENT_PREVIOUS: Final = 7
"""1 + position of the cell's movement before this one."""
MOVEMENT_ROWS: Final = 8

# When goods are promised: ``day | (1 + hour of the day) << WHEN_HOUR``, without the hour where hours are not counted.
WHEN_DAY: Final = (1 << 32) - 1
WHEN_HOUR: Final = 32

# capacity[row, node * CAPACITY_WIDTH + at]: what a node has promised for a local day, at day % CAPACITY_DAYS; and behind the days for an hour, at
# CAPACITY_DAYS + (24 * day + hour) % CAPACITY_HOURS. A later day, or hour, takes the column over.
CAPACITY_DAYS: Final = 64
CAPACITY_HOURS: Final = 256
CAPACITY_WIDTH: Final = CAPACITY_DAYS + CAPACITY_HOURS
CAPACITY_DAY: Final = 0
"""The day that the column is about, or 24 * day + hour."""
CAPACITY_ORDERS: Final = 1
"""Orders of open reservations and open fulfillment orders."""
CAPACITY_UNITS: Final = 2
CAPACITY_ORDERS_DONE: Final = 3
"""Orders that have left: the work was done, hence the day has no more room than before."""
CAPACITY_UNITS_DONE: Final = 4
CAPACITY_STATE_ROWS: Final = 5
"""Rows below this one are state; those from it on are scratch."""
CAPACITY_ORDERS_PENDING: Final = 5
"""Orders granted earlier in the batch that is being decided. Zero between decisions."""
CAPACITY_UNITS_PENDING: Final = 6
CAPACITY_TOUCHED: Final = 7
"""Entry 0: how many nodes the entries behind it list, those whose capacity has changed since days were last settled."""
CAPACITY_ROWS: Final = 8

# counters[field]: every scalar of the state.
SEQ: Final = 0
NOW_NS: Final = 1
SLOTS_USED: Final = 2
INDEX_USED: Final = 3
CELLS_OPEN: Final = 4
RESERVATION_NEXT: Final = 5
"""Id that the next reservation gets unless its column is still held."""
RESERVATIONS_OPEN: Final = 6
HELD_USED: Final = 7
"""Legs ever touched: those beyond have never been used."""
HELD_FREE: Final = 8
"""1 + first leg of the free chain."""
HELD_OPEN: Final = 9
EXPIRY_COUNT: Final = 10
MOVEMENT_NEXT: Final = 11
TOTAL_FIRST: Final = 12
"""TOTAL_FIRST + row: sum of that quantity over all cells, rows ON_HAND .. INCOMING."""
AVAILABLE: Final = TOTAL_FIRST + QUANTITY_ROWS
"""Sum of max(0, ATF)."""
SHORTAGE: Final = AVAILABLE + 1
"""Sum of max(0, -ATF)."""
SHORTAGE_CELLS: Final = SHORTAGE + 1
CHUNK_FREE: Final = SHORTAGE_CELLS + 1
"""CHUNK_FREE + k: 1 + first free index chunk of CHUNK_MIN << k entries."""
CHUNK_CLASSES: Final = 24
COUNTERS: Final = CHUNK_FREE + CHUNK_CLASSES
CHUNK_MIN: Final = 4
EXTENT_MIN: Final = 4

# effects[n, 6]: operation and operands.
EFFECT_WIDTH: Final = 6
OP_AT: Final = 0
"""seq, now_ns: the effects that follow belong to this decision."""
OP_OPEN_CELL: Final = 1
"""sku, node, slot, extent_end."""
OP_MOVE: Final = 2
"""slot, row, delta, reason."""
OP_HOLD: Final = 3
"""id, expires_ns, channel, destination, meta."""
OP_LEG: Final = 4
"""id, slot, units, line, work: follows its OP_HOLD. Work is HELD_WORK: the leg also takes capacity of its node."""
OP_CLOSE: Final = 5
"""id, state."""
OP_EXTEND: Final = 6
"""id, expires_ns."""
OP_FEED: Final = 7
"""source, slot, source_seq."""
OP_PRICE: Final = 8
"""slot, price, demand: what planning says of a cell; both as they are from now on, not differences."""
OP_CAPACITY: Final = 9
"""node, when, orders, units, done: 1 when they have left, so that what is open becomes what is done."""

# items[item, field]: what a batch asks, one routing question an item.
ITEM_KIND: Final = 0
"""1 ship, 2 pickup (``FulfillmentKind``)."""
ITEM_CHANNEL: Final = 1
ITEM_DESTINATION: Final = 2
"""Region index for shipping, node index for pickup."""
ITEM_SERVICE: Final = 3
ITEM_FIRST_LINE: Final = 4
ITEM_LINE_COUNT: Final = 5
ITEM_PARTIAL: Final = 6
ITEM_THRESHOLD: Final = 7
"""Units of every SKU that the channel never sees."""
ITEM_FIRST_RULE: Final = 8
"""Row of ``rules`` with the first rule of the item's policy (shipping alone)."""
ITEM_RULE_COUNT: Final = 9
ITEM_EXPIRES: Final = 10
ITEM_OUTCOME: Final = 11
"""Already refused before stock was looked at: the outcome; else 0."""
ITEM_FACT: Final = 12  # 1: threshold does not apply and nothing to grant is no refusal
ITEM_EXCLUDED: Final = 13  # 1 + first entry of ``excluded``; 0: none
ITEM_EXCLUDED_COUNT: Final = 14
ITEM_VALUE: Final = 15
"""Micros that rules take the item's units to be worth."""
ITEM_BOOKS: Final = 16  # 1: an order, which may be booked without units, on hold or on backorder
ITEM_DUE_DAY: Final = 17  # day by which the buyer was promised arrival; 0: none
ITEM_STORE: Final = 18  # 1 + the store to which it is shipped for collection; 0: none
ITEM_WIDTH: Final = 19

# rules[rule, field]: a routing rule, the rules of a policy one after the other. Behind the fields stand sets, see ``kernels.rules``.
RULE_SERVICES: Final = 0
"""Where in the row the set of services begins; 0: any service."""
RULE_REGIONS: Final = 1
RULE_VALUE_MIN: Final = 2
RULE_VALUE_MAX: Final = 3
RULE_UNITS_MIN: Final = 4
RULE_UNITS_MAX: Final = 5
RULE_LINES_MIN: Final = 6
RULE_LINES_MAX: Final = 7
RULE_GROUPS_ANY: Final = 8
RULE_GROUPS_NONE: Final = 9
RULE_DISTANCE_MAX: Final = 10
RULE_KEEP_UNITS: Final = 11
RULE_LATE_DAYS_MAX: Final = 12
RULE_LATE_COST: Final = 13
RULE_PACKAGES_MAX: Final = 14
RULE_SPLIT_VALUE_MIN: Final = 15
RULE_UNIT_SPLIT: Final = 16
RULE_SPLIT_PENALTY: Final = 17
RULE_CARRIER_WEIGHT: Final = 18
RULE_HANDLING_WEIGHT: Final = 19
RULE_PRICE_WEIGHT: Final = 20
RULE_PERFORMANCE_WEIGHT: Final = 21
RULE_CAPACITY_WEIGHT: Final = 22
RULE_LATE_WEIGHT: Final = 23
RULE_AFTER: Final = 24
RULE_WIDTH: Final = 25

AFTER_REQUEST: Final = 0
"""What there is when the request allows that, else a refusal: a policy without rules, or behind the last rule."""
AFTER_NEXT: Final = 1
AFTER_PARTIAL: Final = 2
AFTER_REFUSE: Final = 3
AFTER_HOLD: Final = 4
AFTER_BACKORDER: Final = 5
"""Numbers of ``model.outcomes.AfterAction``."""

VERDICT_BITS: Final = 4
"""Of RESULT_VERDICTS for each rule of the policy, the first rule lowest. The numbers are those of ``model.outcomes.RuleVerdict``."""
VERDICT_NOT_ASKED: Final = 0
VERDICT_SERVED: Final = 1
VERDICT_SERVED_IN_PART: Final = 2
VERDICT_OTHER_SERVICE: Final = 3
VERDICT_OTHER_VALUE: Final = 4
VERDICT_OTHER_UNITS: Final = 5
VERDICT_OTHER_LINES: Final = 6
VERDICT_OTHER_REGION: Final = 7
VERDICT_TOO_FEW_UNITS: Final = 8
VERDICT_NO_PLAN: Final = 9

# results[item, field]: what a batch got.
RESULT_OUTCOME: Final = 0
RESULT_ID: Final = 1
RESULT_LINE: Final = 2
"""First line that did not get everything, -1: none."""
RESULT_AVAILABLE: Final = 3
RESULT_FIRST_LEG: Final = 4
RESULT_LEG_COUNT: Final = 5
RESULT_FIRST_PACKAGE: Final = 6
RESULT_PACKAGE_COUNT: Final = 7
RESULT_COST: Final = 8
RESULT_SPLIT: Final = 9
RESULT_EXACT: Final = 10
RESULT_RULE: Final = 11
"""1 + the rule that decided, counted within the policy: the one that served, else the last that was tried; 0: none is for the item."""
RESULT_AFTER: Final = 12
"""What followed when that rule did not serve in full: AFTER_...; AFTER_NEXT when it did."""
RESULT_VERDICTS: Final = 13
"""What each rule said, VERDICT_BITS each."""
RESULT_SCORE: Final = 14  # PLAN_SCORE
RESULT_WIDTH: Final = 15

# Outcomes that kernels give; the numbers are those of ``model.outcomes.Outcome``.
OUTCOME_OK: Final = 1
OUTCOME_INSUFFICIENT_STOCK: Final = 52
OUTCOME_PARTIAL: Final = 53
OUTCOME_NO_PLAN: Final = 54
OUTCOME_CAPACITY: Final = 70
STATE_HELD: Final = 1
KIND_SHIP: Final = 1
KIND_PICKUP: Final = 2
