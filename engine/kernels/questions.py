"""What an item asks of the router: its question, its lines with each SKU once, and how large it is."""

from typing import Final

import numpy as np

from engine.kernels import columns as c
from engine.kernels.compiled import inner
from engine.kernels.zones import Integers

SHIP_NEEDS: Final = c.FLAG_OPEN | c.FLAG_SHIPS


@inner
def write_question(item: Integers, excluded: Integers, order: Integers) -> None:
    """The router's question for a shipped item, but for what the rules make of it."""
    order[c.ORDER_CHANNEL] = item[c.ITEM_CHANNEL]
    order[c.ORDER_REGION] = item[c.ITEM_DESTINATION]
    order[c.ORDER_SERVICE] = item[c.ITEM_SERVICE]
    order[c.ORDER_NEEDS] = SHIP_NEEDS
    count = min(item[c.ITEM_EXCLUDED_COUNT], c.EXCLUDED_MAX)
    order[c.ORDER_EXCLUDED_COUNT] = count
    for i in range(count):
        order[c.ORDER_EXCLUDED + i] = excluded[item[c.ITEM_EXCLUDED] - 1 + i]


@inner
def merge_lines(item: Integers, lines: Integers, merged: Integers, merged_of: Integers) -> int:
    """Add up lines of one SKU; ``merged_of[line]`` tells where a line went. Returns the number of merged lines."""
    count = 0
    for line in range(item[c.ITEM_LINE_COUNT]):
        at = item[c.ITEM_FIRST_LINE] + line
        found = count
        for other in range(count):
            if merged[other, c.LINE_SKU] == lines[at, c.LINE_SKU]:
                found = other
                break
        if found == count:
            merged[count, c.LINE_SKU] = lines[at, c.LINE_SKU]
            merged[count, c.LINE_UNITS] = 0
            for field in range(c.LINE_GRAMS, c.LINE_WIDTH):
                merged[count, field] = lines[at, field]
            count += 1
        merged[found, c.LINE_UNITS] += lines[at, c.LINE_UNITS]
        merged_of[line] = found
    return count


@inner
def size_of(item: Integers, lines: Integers, count: int) -> tuple[int, int]:
    """Units and different SKUs of an item."""
    units = np.int64(0)
    for line in range(item[c.ITEM_FIRST_LINE], item[c.ITEM_FIRST_LINE] + item[c.ITEM_LINE_COUNT]):
        units += lines[line, c.LINE_UNITS]
    return units, count
