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
CELL_ROWS: Final = 13

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
SKU_ROWS: Final = 5

# nodes[row, node]
NODE_FLAGS: Final = 0
NODE_PACKAGE_COST: Final = 1
"""Micros a package leaving the node, beside the carrier."""
NODE_UNIT_COST: Final = 2
"""Micros a unit handled at the node."""
NODE_CHANNELS: Final = 3
"""Bit c is set when the node serves channel c."""
NODE_ROWS: Final = 4

FLAG_OPEN: Final = 1
FLAG_SHIPS: Final = 2
FLAG_PICKUP: Final = 4
FLAG_RETURNS: Final = 8

CHANNELS_MAX: Final = 62
"""A channel is one bit of an int64; the sign bit and one spare stay clear."""
LINES_MAX: Final = 10
"""Lines of one order after duplicates were merged: the router works on 2**lines subsets."""
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
ORDER_EXCLUDED: Final = 7
ORDER_WIDTH: Final = ORDER_EXCLUDED + EXCLUDED_MAX

# lines[line, field]: the merged lines of one routing question.
LINE_SKU: Final = 0
LINE_UNITS: Final = 1
LINE_GRAMS: Final = 2
"""Grams of one unit."""
LINE_WIDTH: Final = 3

# legs[leg, field]: the router's answer.
LEG_LINE: Final = 0
LEG_SLOT: Final = 1
LEG_UNITS: Final = 2
LEG_PACKAGE: Final = 3
"""Index into packages."""
LEG_WIDTH: Final = 4

# packages[package, field]
PACKAGE_NODE: Final = 0
PACKAGE_ZONE: Final = 1
PACKAGE_GRAMS: Final = 2
PACKAGE_CARRIER: Final = 3
PACKAGE_HANDLING: Final = 4
"""Node package cost + node unit cost x units, micros."""
PACKAGE_WIDTH: Final = 5

# plan[field]: the summary of the router's answer.
PLAN_STATUS: Final = 0
PLAN_LEGS: Final = 1
PLAN_PACKAGES: Final = 2
PLAN_COST: Final = 3
PLAN_SPLIT: Final = 4
"""Split penalties inside PLAN_COST."""
PLAN_EXACT: Final = 5
"""1: proven optimal over all nodes; 0: a line had to be split by units and a heuristic chose how."""
PLAN_WIDTH: Final = 6

STATUS_ROUTED: Final = 1
STATUS_INFEASIBLE: Final = 0
