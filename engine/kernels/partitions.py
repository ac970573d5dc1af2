"""How to put an order's lines into packages: the best partition over the subsets, exactly.

A subset is a bit mask over the lines routed; ``subsets`` says what each costs as one package.
"""

import numpy as np

from engine.kernels.compiled import inner
from engine.kernels.workspace import (
    ANY,
    CHOSEN,
    CHOSEN_COUNT,
    COST,
    COUNT_BITS,
    FIRST,
    LINE_COUNT,
    NEVER,
    OFFER,
    SCALARS,
    SCORE,
    SENDER,
    SOME,
    TAKER,
    TOGETHER,
    TOTAL,
    UNSERVED,
    Work,
)
from engine.kernels.zones import Integers


@inner
def offer(work: Work, penalty: int) -> None:
    """Turn the cheapest packages into keys: each carries the penalty, which the plan refunds once."""
    subsets = work[1]
    for subset in range(1, 1 << work[3][SCALARS, LINE_COUNT]):
        cost = subsets[COST, subset]
        subsets[OFFER, subset] = ((cost + penalty) << COUNT_BITS | 1) if cost < NEVER else NEVER
        subsets[TAKER, subset] = subsets[SENDER, subset]


@inner
def node_in(subsets: Integers, subset: int, package: int, bit: int) -> int:
    """Node of the line ``bit`` when ``subset`` is served by ``package`` first and the rest at its best."""
    rest = subset ^ package
    while package & bit == 0:
        package = subsets[FIRST, rest]
        rest ^= package
    return subsets[TAKER, package]


@inner
def precedes(subsets: Integers, subset: int, package: int, other: int) -> bool:
    """Whether starting ``subset`` with ``package`` gives the smaller list of nodes by line than starting it with
    ``other``.
    """
    left = subset
    while left != 0:
        bit = left & -left
        one, two = node_in(subsets, subset, package, bit), node_in(subsets, subset, other, bit)
        if one != two:
            return one < two
        left ^= bit
    return False


@inner
def choose(subsets: Integers, subset: int) -> None:
    """Best partition of ``subset``, given those of all its remainders: which package holds its lowest line."""
    keys, totals = subsets[OFFER], subsets[TOTAL]
    lowest = subset & -subset
    rest = subset ^ lowest
    best, first = np.int64(NEVER), lowest
    others = rest
    while True:
        key = keys[others | lowest] + totals[rest ^ others]
        if key < best or (key == best and key < NEVER and precedes(subsets, subset, others | lowest, first)):
            best, first = key, others | lowest
        if others == 0:
            break
        others = (others - 1) & rest
    totals[subset] = best
    subsets[FIRST, subset] = first


@inner
def partition(subsets: Integers, whole: int) -> None:
    """Best partition of the lines ``whole`` into packages, readable from FIRST. Remainders never hold the lowest
    line.
    """
    subsets[TOTAL, 0] = 0
    rest = whole & (whole - 1)
    subset = (0 - rest) & rest
    while subset != 0:
        choose(subsets, subset)
        subset = (subset - rest) & rest
    if whole != 0:
        choose(subsets, whole)


@inner
def choose_packages(work: Work, whole: int, penalty: int) -> None:
    """Read the packages of ``partition`` into CHOSEN, and what they cost into SCORE; NEVER when there is no way."""
    subsets, small = work[1], work[3]
    small[SCALARS, CHOSEN_COUNT] = 0
    key = subsets[TOTAL, whole]
    small[SCALARS, SCORE] = NEVER
    if key >= NEVER:
        return
    left, count = whole, 0
    while left != 0:
        small[CHOSEN, count] = subsets[FIRST, left]
        left ^= subsets[FIRST, left]
        count += 1
    small[SCALARS, CHOSEN_COUNT] = count
    small[SCALARS, SCORE] = (key >> COUNT_BITS) - (penalty if count > 0 else 0)


@inner
def line_of(bit: int) -> int:
    """The line of a subset that holds one only."""
    line = np.int64(0)
    while bit >> line != 1:
        line += 1
    return line


@inner
def choose_layer(work: Work, subset: int, layer: int, below: int) -> None:
    """ANY and SOME of a subset in ``layer`` packages at most, given those of all its remainders; ``below``: the layer that is left when
    a package was sent.
    """
    subsets, small = work[1], work[3]
    keys, rests = subsets[OFFER], subsets[ANY + below]
    lowest = subset & -subset
    line = line_of(lowest)
    stays = subset & ~small[TOGETHER, line]
    some = small[UNSERVED, line] + subsets[SOME + layer, stays]
    most = small[UNSERVED, line] + subsets[ANY + layer, stays]
    if layer > 0:
        rest = subset ^ lowest
        others = rest
        while True:
            some = min(some, keys[others | lowest] + rests[rest ^ others])
            if others == 0:
                break
            others = (others - 1) & rest
    subsets[SOME + layer, subset] = min(some, NEVER)
    subsets[ANY + layer, subset] = min(min(most, some), NEVER)


@inner
def fill_layers(work: Work, whole: int, layers: int) -> None:
    """ANY and SOME of ``whole`` and of all its remainders. ``layers``: packages at most; 0: any number, which takes one layer only."""
    subsets = work[1]
    for layer in range(0 if layers > 0 else 1, max(layers, 1) + 1):
        below = layer - 1 if layers > 0 else layer
        subsets[ANY + layer, 0] = 0
        subsets[SOME + layer, 0] = NEVER
        rest = whole & (whole - 1)
        subset = (0 - rest) & rest
        while subset != 0:
            choose_layer(work, subset, layer, below)
            subset = (subset - rest) & rest
        if whole != 0:
            choose_layer(work, whole, layer, below)


@inner
def next_package(work: Work, subset: int, rows: tuple[int, int]) -> int:
    """The package that holds the subset's lowest line in its best plan, 0 when that line stays: of equal plans the lower node, then the
    greater set, then leaving it. ``rows``: those of this plan and of what follows a package.
    """
    subsets = work[1]
    lowest = subset & -subset
    rest = subset ^ lowest
    best, found = np.int64(-1), np.int64(0)
    others = rest
    while True:
        package = others | lowest
        key = subsets[OFFER, package]
        if key < NEVER and key + subsets[rows[1], rest ^ others] == subsets[rows[0], subset]:
            node = subsets[TAKER, package]
            if found == 0 or node < best:
                best, found = node, package
        if others == 0:
            break
        others = (others - 1) & rest
    return found


@inner
def choose_within(work: Work, whole: int, penalty: int, packages_max: int) -> None:
    """Best plan of ``whole`` in ``packages_max`` packages at most (0: any number), where lines may stay unserved: CHOSEN and SCORE.

    Two states, nothing sent yet and one package at least: the first package costs no penalty, but only where there is one. At equal
    cost what is served wins.
    """
    subsets, small = work[1], work[3]
    layers = min(packages_max, small[SCALARS, LINE_COUNT])
    fill_layers(work, whole, layers)
    nothing = np.int64(0)
    for line in range(small[SCALARS, LINE_COUNT]):
        if small[TOGETHER, line] & ((np.int64(1) << line) - 1) == 0:
            nothing = min(nothing + small[UNSERVED, line], NEVER)
    layer = max(layers, np.int64(1))
    something = subsets[SOME + layer, whole] if whole != 0 else np.int64(NEVER)
    small[SCALARS, CHOSEN_COUNT] = 0
    small[SCALARS, SCORE] = NEVER if nothing >= NEVER else nothing >> COUNT_BITS
    if something >= NEVER or something - (penalty << COUNT_BITS) > nothing:
        return
    small[SCALARS, SCORE] = (something >> COUNT_BITS) - penalty
    left, count, row = whole, 0, SOME + layer
    while left != 0:
        below = layer - 1 if layers > 0 else layer
        package = next_package(work, left, (row, ANY + below)) if below >= 0 else np.int64(0)
        if package == 0:
            left &= ~small[TOGETHER, line_of(left & -left)]
            continue
        small[CHOSEN, count] = package
        count += 1
        left ^= package
        layer = below
        row = ANY + layer
    small[SCALARS, CHOSEN_COUNT] = count
