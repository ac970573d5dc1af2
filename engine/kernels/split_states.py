"""Orders to be split by units as digits of mixed radix: what a state is, who could send what, and what that costs at a node."""

import numpy as np

from engine.kernels.columns import (
    INDEX_COUNT,
    INDEX_START,
    LINE_GRAMS,
    LINE_SKU,
    ORDER_KEEP_UNITS,
    ORDER_PRICE_WEIGHT,
)
from engine.kernels.compiled import inner
from engine.kernels.splitting import spare
from engine.kernels.terms import value_of
from engine.kernels.workspace import (
    DIGIT,
    DIGIT_GRAMS,
    DIGIT_LINE,
    DIGIT_MOST,
    DIGIT_NOW,
    DIGIT_SHIFT,
    DIGIT_STRIDE,
    GRAMS,
    LINE_COUNT,
    LINE_OF,
    MARK,
    NODE_MASK,
    PAIR_COUNT,
    PREFIX,
    PREFIX_START,
    SCALARS,
    SEEN,
    SPLIT_CODE,
    SPLIT_STATES_MAX,
    STOCKED,
    TOGETHER,
    UNIT,
    UNITS,
    USED,
    VALUE,
    WHOLE,
    ZONE_BITS,
    Question,
    Work,
)
from engine.kernels.zones import SLOT_BITS, SLOT_MASK, Integers, Stock, locate


@inner
def set_digits(question: Question, work: Work) -> tuple[int, int]:
    """Digits of the order: how many, and how many states they make; (0, 0): too many states. Lines that travel together share one digit;
    it has one state when they cannot travel at all.
    """
    subsets, small, split = work[1], work[3], work[5]
    digits, states, shift = np.int64(0), np.int64(1), np.int64(0)
    for line in range(small[SCALARS, LINE_COUNT]):
        together, bit = small[TOGETHER, line], np.int64(1) << line
        if together & (bit - 1) != 0:
            continue
        whole = together & ~small[SCALARS, WHOLE] == 0
        radix = np.int64(2 if whole else 1)
        if not whole and together == bit:
            radix = subsets[UNITS, bit] + 1
        if radix > SPLIT_STATES_MAX // states:
            return np.int64(0), np.int64(0)
        split[DIGIT, digits] = radix
        split[DIGIT_STRIDE, digits] = states
        split[DIGIT_LINE, digits] = line
        split[DIGIT_SHIFT, digits] = shift
        split[DIGIT_GRAMS, digits] = subsets[GRAMS, together]
        if radix > 2 or not whole:
            split[DIGIT_GRAMS, digits] = question[1][small[LINE_OF, line], LINE_GRAMS]
        split[PREFIX_START, digits] = (split[PREFIX_START, digits - 1] + split[DIGIT, digits - 1]) if digits > 0 else 0
        while radix >> shift - split[DIGIT_SHIFT, digits] != 0:
            shift += 1
        shift += 1
        states *= radix
        digits += 1
    return digits, states


@inner
def is_split(work: Work, digit: int) -> bool:
    """Whether the digit counts units of a line that no node can serve whole."""
    return work[3][SCALARS, WHOLE] >> work[5][DIGIT_LINE, digit] & 1 == 0


@inner
def set_codes(split: Integers, digits: int, states: int) -> None:
    """SPLIT_CODE of every state, and no pairs yet."""
    for state in range(states):
        code = np.int64(0)
        for digit in range(digits):
            code |= state // split[DIGIT_STRIDE, digit] % split[DIGIT, digit] << split[DIGIT_SHIFT, digit]
        split[SPLIT_CODE, state] = code
        split[PAIR_COUNT, state] = 0


@inner
def list_holders(stock: Stock, question: Question, work: Work, digits: int) -> int:
    """List in STOCKED the candidates that hold a SKU of the order, and write VALUE of every line to be split: the units that each of
    them can give. Returns how many there are.
    """
    cells, skus, index = stock
    per_node, small = work[0], work[3]
    small[SCALARS, MARK] += 1
    mark, count = small[SCALARS, MARK], np.int64(0)
    for line in range(small[SCALARS, LINE_COUNT]):
        sku = question[1][small[LINE_OF, line], LINE_SKU]
        start = skus[INDEX_START, sku]
        for position in range(start, start + skus[INDEX_COUNT, sku]):
            node = (index[position] >> SLOT_BITS) & NODE_MASK
            if per_node[USED, node] != mark and per_node[SEEN, node] & ZONE_BITS != 0:
                per_node[USED, node] = mark
                per_node[STOCKED, count] = node
                count += 1
                for digit in range(digits):
                    if is_split(work, digit):
                        per_node[VALUE + work[5][DIGIT_LINE, digit], node] = 0
    for digit in range(digits):
        if not is_split(work, digit):
            continue
        line, most = work[5][DIGIT_LINE, digit], work[5][DIGIT, digit] - 1
        sku = question[1][small[LINE_OF, line], LINE_SKU]
        start = skus[INDEX_START, sku]
        for position in range(start, start + skus[INDEX_COUNT, sku]):
            free = spare(cells, index[position] & SLOT_MASK, question[0][ORDER_KEEP_UNITS])
            per_node[VALUE + line, (index[position] >> SLOT_BITS) & NODE_MASK] = min(max(free, 0), most)
    return count


@inner
def look_at(stock: Stock, question: Question, work: Work, node: int, digits: int) -> int:
    """Fill DIGIT_MOST, DIGIT_WHOLE and PREFIX for a node; the packages that it could send, the empty one among them."""
    per_node, subsets, small, split = work[0], work[1], work[3], work[5]
    priced = question[0][ORDER_PRICE_WEIGHT] != 0
    packages = np.int64(1)
    for digit in range(digits):
        line = split[DIGIT_LINE, digit]
        together = small[TOGETHER, line]
        split[DIGIT_NOW, digit] = 0
        if split[DIGIT, digit] == 1:
            most = np.int64(0)
        elif is_split(work, digit):
            most = per_node[VALUE + line, node]
            routed = small[LINE_OF, line]
            slot = locate(stock, question[1][routed, LINE_SKU], node) if priced and most > 0 else np.int64(0)
            for units in range(1, most + 1):
                cost = per_node[UNIT, node] * units
                if priced:
                    cost += value_of(stock, question, routed, (slot, units))
                split[PREFIX, split[PREFIX_START, digit] + units] = cost
        else:
            most = np.int64(per_node[SEEN, node] & together == together)
            cost = per_node[UNIT, node] * subsets[UNITS, together]
            for other in range(small[SCALARS, LINE_COUNT] if priced and most == 1 else 0):
                if together >> other & 1:
                    cost += per_node[VALUE + other, node]
            split[PREFIX, split[PREFIX_START, digit] + 1] = cost
        split[DIGIT_MOST, digit] = most
        packages *= most + 1
    return packages
