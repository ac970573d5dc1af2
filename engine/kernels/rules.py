"""Routing rules: which of a policy's rules is for an item, and what it makes of the router's question.

A rule is a row of the matrix ``rules``: int64[rules, RULE_WIDTH + words of its sets], see ``columns``. The rules of a policy stand
one after the other, ITEM_FIRST_RULE and ITEM_RULE_COUNT say where. Sets of services and regions are bits, 64 a word, behind the
fields; RULE_SERVICES and RULE_REGIONS say where in the row they begin (0: there is none, everything is in it).
"""

from typing import Final

import numpy as np

from engine.kernels import columns as c
from engine.kernels.compiled import inner
from engine.kernels.terms import LATE_DAYS_MAX
from engine.kernels.zones import Integers

WORD_SHIFT: Final = 6
"""A word holds 64 members of a set."""
WORD_MASK: Final = 63


@inner
def contains(rules: Integers, rule: int, start: int, member: int) -> bool:
    """Whether ``member`` is in the set that begins at ``start`` in the row of ``rule``; 0: everything is."""
    if start == 0:
        return True
    return rules[rule, start + (member >> WORD_SHIFT)] >> (member & WORD_MASK) & 1 == 1


@inner
def verdict_before(rules: Integers, rule: int, item: Integers, size: tuple[int, int]) -> int:
    """Why a rule is not for an item, before any stock is looked at; VERDICT_NOT_ASKED when it is for it.

    ``size``: units and different SKUs of the item. The conditions are looked at in the order of their verdicts' numbers.
    """
    units, lines = size
    if not contains(rules, rule, rules[rule, c.RULE_SERVICES], item[c.ITEM_SERVICE]):
        return np.int64(c.VERDICT_OTHER_SERVICE)
    if not rules[rule, c.RULE_VALUE_MIN] <= item[c.ITEM_VALUE] <= rules[rule, c.RULE_VALUE_MAX]:
        return np.int64(c.VERDICT_OTHER_VALUE)
    if not rules[rule, c.RULE_UNITS_MIN] <= units <= rules[rule, c.RULE_UNITS_MAX]:
        return np.int64(c.VERDICT_OTHER_UNITS)
    if not rules[rule, c.RULE_LINES_MIN] <= lines <= rules[rule, c.RULE_LINES_MAX]:
        return np.int64(c.VERDICT_OTHER_LINES)
    if not contains(rules, rule, rules[rule, c.RULE_REGIONS], item[c.ITEM_DESTINATION]):
        return np.int64(c.VERDICT_OTHER_REGION)
    return np.int64(c.VERDICT_NOT_ASKED)


@inner
def next_rule(rules: Integers, item: Integers, size: tuple[int, int], rule: int, result: Integers) -> int:
    """The first rule from ``rule`` on, counted within the policy, that is for the item; −1 when there is none.

    Notes why those on the way are not.
    """
    for at in range(rule, item[c.ITEM_RULE_COUNT]):
        verdict = verdict_before(rules, item[c.ITEM_FIRST_RULE] + at, item, size)
        if verdict == c.VERDICT_NOT_ASKED:
            return np.int64(at)
        result[c.RESULT_VERDICTS] |= verdict << at * c.VERDICT_BITS
    return np.int64(-1)


@inner
def write_rule(rules: Integers, rule: int, item: Integers, order: Integers) -> None:
    """What a rule makes of the router's question: its candidates, its form, its weights."""
    order[c.ORDER_GROUPS_ANY] = rules[rule, c.RULE_GROUPS_ANY]
    order[c.ORDER_GROUPS_NONE] = rules[rule, c.RULE_GROUPS_NONE]
    order[c.ORDER_DISTANCE_MAX] = rules[rule, c.RULE_DISTANCE_MAX]
    order[c.ORDER_KEEP_UNITS] = rules[rule, c.RULE_KEEP_UNITS]
    # Where nobody asks how late a package is, a promise makes no order slower to route.
    tolerant = rules[rule, c.RULE_LATE_DAYS_MAX] >= LATE_DAYS_MAX
    free = rules[rule, c.RULE_LATE_COST] == 0 or rules[rule, c.RULE_LATE_WEIGHT] == 0
    order[c.ORDER_DUE_DAY] = np.int64(0) if tolerant and free else item[c.ITEM_DUE_DAY]
    order[c.ORDER_LATE_DAYS_MAX] = rules[rule, c.RULE_LATE_DAYS_MAX]
    order[c.ORDER_LATE_COST] = rules[rule, c.RULE_LATE_COST]
    order[c.ORDER_SPLIT_PENALTY] = rules[rule, c.RULE_SPLIT_PENALTY]
    order[c.ORDER_CARRIER_WEIGHT] = rules[rule, c.RULE_CARRIER_WEIGHT]
    order[c.ORDER_HANDLING_WEIGHT] = rules[rule, c.RULE_HANDLING_WEIGHT]
    order[c.ORDER_PRICE_WEIGHT] = rules[rule, c.RULE_PRICE_WEIGHT]
    order[c.ORDER_PERFORMANCE_WEIGHT] = rules[rule, c.RULE_PERFORMANCE_WEIGHT]
    order[c.ORDER_CAPACITY_WEIGHT] = rules[rule, c.RULE_CAPACITY_WEIGHT]
    order[c.ORDER_LATE_WEIGHT] = rules[rule, c.RULE_LATE_WEIGHT]
    packages = rules[rule, c.RULE_PACKAGES_MAX]
    if item[c.ITEM_VALUE] < rules[rule, c.RULE_SPLIT_VALUE_MIN]:
        packages = np.int64(1)
    order[c.ORDER_PACKAGES_MAX] = packages
    # One package comes from one node.
    order[c.ORDER_UNIT_SPLIT] = np.int64(0) if packages == 1 else rules[rule, c.RULE_UNIT_SPLIT]


@inner
def after_of(rules: Integers, rule: int, last: bool) -> int:
    """What follows when the rule's candidates do not serve the item in full; behind the last rule the request decides."""
    after = rules[rule, c.RULE_AFTER]
    return np.int64(c.AFTER_REQUEST) if last and after == c.AFTER_NEXT else after


@inner
def grants_part(item: Integers, after: int) -> bool:
    """Whether an item gets what there is when that is not everything."""
    if after == c.AFTER_NEXT:
        return False
    if after == c.AFTER_PARTIAL:
        return True
    if after == c.AFTER_HOLD and item[c.ITEM_BOOKS] == 1:
        return False
    if after == c.AFTER_BACKORDER and item[c.ITEM_BOOKS] == 1:
        return True
    if after == c.AFTER_REFUSE:
        return item[c.ITEM_FACT] == 1
    return item[c.ITEM_PARTIAL] == 1
