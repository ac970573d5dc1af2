"""Orders with a line that no node can serve whole: how many units of it come from where, exactly.

Here a node sends one package for all it gives, and a line that some node can serve whole still is. A state says how many units of every
line are served, as digits of mixed radix: two states for what goes whole, units + 1 for what may be split. Of the nodes that could
send a package of the units g, only the P cheapest can matter when no plan has more than P packages: a plan with a dearer one has
a cheaper one to spare. What is left is a shortest path over the states, one node after the other.

An order of S states takes S x S x P comparisons at most. Where that is more than SPLIT_STEPS_MAX, or P more than SPLIT_PACKAGES_MAX, the
heuristic of ``splitting`` takes over.
"""

import numpy as np

from engine.kernels.columns import (
    LINES_MAX,
    ORDER_PACKAGES_MAX,
    ORDER_SPLIT_PENALTY,
)
from engine.kernels.compiled import inlined, inner
from engine.kernels.loads import carriage, load
from engine.kernels.split_states import is_split, list_holders, look_at, set_codes, set_digits
from engine.kernels.workspace import (
    AMOUNT,
    COUNT_BITS,
    DIGIT,
    DIGIT_GRAMS,
    DIGIT_LINE,
    DIGIT_MOST,
    DIGIT_NOW,
    DIGIT_SHIFT,
    DIGIT_STRIDE,
    LINE_COUNT,
    LOAD_EPOCH,
    MARK,
    NEVER,
    OPEN_COUNT,
    PACK,
    PAIR_COST,
    PAIR_COUNT,
    PAIR_NEXT,
    PAIR_NODE,
    PICK_COUNT,
    PICK_NODE,
    PICK_UNITS,
    PREFIX,
    PREFIX_START,
    RECORD_BEFORE,
    RECORD_PAIR,
    SCALARS,
    SCORE,
    SPLIT_BITS,
    SPLIT_CODE,
    SPLIT_KEY,
    SPLIT_NEVER,
    SPLIT_PACKAGES_MAX,
    SPLIT_RECORD,
    SPLIT_ROOM,
    SPLIT_STEPS_MAX,
    STOCKED,
    TOGETHER,
    UNITS,
    UNSERVED,
    USED,
    WHOLE,
    Question,
    Work,
)
from engine.kernels.zones import Integers, Network, Stock


@inner
def precedes_pair(split: Integers, offer: tuple[int, int], pair: int) -> bool:
    """Whether ``offer`` = (cost, node) comes before a pair."""
    cost = split[PAIR_COST, pair]
    return offer[0] < cost or (offer[0] == cost and offer[1] < split[PAIR_NODE, pair])


@inner
def file_pair(split: Integers, pairs: int, state: int, offer: tuple[int, int]) -> None:
    """Put ``offer`` = (cost, node) among the cheapest for a package of ``state``; of equally cheap nodes the lower one comes first."""
    cost, node = offer
    count = split[PAIR_COUNT, state]
    place = state * pairs + count
    if count == pairs:
        place -= 1
        if not precedes_pair(split, offer, place):
            return
    else:
        split[PAIR_COUNT, state] += 1
    while place > state * pairs and precedes_pair(split, offer, place - 1):
        split[PAIR_COST, place] = split[PAIR_COST, place - 1]
        split[PAIR_NODE, place] = split[PAIR_NODE, place - 1]
        place -= 1
    split[PAIR_COST, place] = cost
    split[PAIR_NODE, place] = node


@inner
def file_packages(network: Network, order: Integers, work: Work, node: int, sizes: tuple[int, int]) -> None:
    """File every package that the node could send, after ``look_at``; ``sizes`` = (digits, pairs)."""
    split = work[5]
    digits, pairs = sizes
    while True:
        digit = np.int64(0)
        while digit < digits and split[DIGIT_NOW, digit] == split[DIGIT_MOST, digit]:
            split[DIGIT_NOW, digit] = 0
            digit += 1
        if digit == digits:
            return
        split[DIGIT_NOW, digit] += 1
        state, grams = np.int64(0), np.int64(0)
        cost = work[0][PACK, node] + order[ORDER_SPLIT_PENALTY]
        for digit in range(digits):
            now = split[DIGIT_NOW, digit]
            if now > 0:
                state += now * split[DIGIT_STRIDE, digit]
                grams += now * split[DIGIT_GRAMS, digit]
                cost += split[PREFIX, split[PREFIX_START, digit] + now]
        file_pair(split, pairs, state, (cost + carriage(network, order, work, (node, grams)), node))


@inner
def chain_pairs(work: Work, states: int, pairs: int) -> int:
    """Chain the pairs by node (AMOUNT, PAIR_NEXT), list the nodes in STOCKED; how many nodes."""
    per_node, split = work[0], work[5]
    work[3][SCALARS, MARK] += 1
    mark = work[3][SCALARS, MARK]
    nodes = np.int64(0)
    for state in range(states - 1, 0, -1):
        for pair in range(state * pairs, state * pairs + split[PAIR_COUNT, state]):
            node = split[PAIR_NODE, pair]
            if per_node[USED, node] != mark:
                per_node[USED, node] = mark
                per_node[AMOUNT, node] = 0
                per_node[STOCKED, nodes] = node
                nodes += 1
            split[PAIR_NEXT, pair] = per_node[AMOUNT, node]
            per_node[AMOUNT, node] = pair + 1
    return nodes


@inner
def add_node(split: Integers, first: int, sizes: tuple[int, int, int], guard: int, records: int) -> int:
    """Let one node, whose pairs begin at ``first``, send a package or not: better ways to reach each state. ``sizes`` = (states, pairs,
    layers). Returns the records there are now; -1 when there is no room for more.
    """
    states, pairs, layers = sizes
    for layer in range(max(layers, 1), 0, -1):
        to, start = (layer * states, (layer - 1) * states) if layers > 0 else (np.int64(0), np.int64(0))
        for state in range(states - 1, 0, -1):
            pair = first
            while pair > 0:
                given = (pair - 1) // pairs
                fits = ((split[SPLIT_CODE, state] | guard) - split[SPLIT_CODE, given]) & guard == guard
                if given <= state and fits:
                    before = split[SPLIT_KEY, start + state - given]
                    key = before + (split[PAIR_COST, pair - 1] << SPLIT_BITS | 1)
                    if before < SPLIT_NEVER and key < split[SPLIT_KEY, to + state]:
                        if records == SPLIT_ROOM:
                            return np.int64(-1)
                        split[SPLIT_KEY, to + state] = key
                        split[RECORD_PAIR, records] = pair - 1
                        split[RECORD_BEFORE, records] = split[SPLIT_RECORD, start + state - given]
                        records += 1
                        split[SPLIT_RECORD, to + state] = records
                pair = split[PAIR_NEXT, pair - 1]
    return np.int64(records)


@inner
def unserved_at(work: Work, digits: int, state: int) -> int:
    """What leaving unserved costs that ``state`` does not serve; NEVER when it serves a line in part, or not one that must be served."""
    small, split = work[3], work[5]
    cost = np.int64(0)
    for digit in range(digits):
        radix = split[DIGIT, digit]
        now = state // split[DIGIT_STRIDE, digit] % radix
        if now == radix - 1 and radix > 1:
            continue
        if now > 0:
            return np.int64(NEVER)
        key = small[UNSERVED, split[DIGIT_LINE, digit]]
        if key >= NEVER:
            return np.int64(NEVER)
        cost += key >> COUNT_BITS
    return cost


@inner
def best_end(work: Work, digits: int, sizes: tuple[int, int, int], penalty: int) -> int:
    """The entry of SPLIT_KEY where the cheapest plan ends, its SCORE set; -1 when there is none. What serves more wins a tie."""
    split, small = work[5], work[3]
    states, _, layers = sizes
    found, best = np.int64(-1), np.int64(NEVER)
    for state in range(states - 1, -1, -1):
        unserved = unserved_at(work, digits, state)
        if unserved >= NEVER:
            continue
        for layer in range(layers + 1):
            key = split[SPLIT_KEY, layer * states + state]
            if key < SPLIT_NEVER:
                cost = (key >> SPLIT_BITS) + unserved - (penalty if state > 0 else 0)
                if cost < best:
                    best, found = cost, layer * states + state
    small[SCALARS, SCORE] = best
    return found


@inner
def load_records(work: Work, end: int, digits: int, pairs: int) -> None:
    """Load the plan that ends at ``end``, every line as a list of picks."""
    subsets, small, picks, split = work[1], work[3], work[4], work[5]
    room = picks.shape[1] // LINES_MAX
    small[SCALARS, LOAD_EPOCH] += 1
    small[SCALARS, OPEN_COUNT] = 0
    for line in range(small[SCALARS, LINE_COUNT]):
        small[PICK_COUNT, line] = 0
    record = split[SPLIT_RECORD, end]
    while record > 0:
        pair = split[RECORD_PAIR, record - 1]
        node, state = split[PAIR_NODE, pair], pair // pairs
        for digit in range(digits):
            now = state // split[DIGIT_STRIDE, digit] % split[DIGIT, digit]
            together = small[TOGETHER, split[DIGIT_LINE, digit]] if now > 0 else np.int64(0)
            for line in range(small[SCALARS, LINE_COUNT]):
                if together >> line & 1:
                    units = now if is_split(work, digit) else subsets[UNITS, np.int64(1) << line]
                    at = line * room + small[PICK_COUNT, line]
                    picks[PICK_NODE, at], picks[PICK_UNITS, at] = node, units
                    small[PICK_COUNT, line] += 1
            if now > 0:
                units = now if is_split(work, digit) else subsets[UNITS, together]
                load(work, node, now * split[DIGIT_GRAMS, digit], units)
        record = split[RECORD_BEFORE, record - 1]
    small[SCALARS, WHOLE] = 0


@inlined
def find_path(work: Work, sizes: tuple[int, int, int], guard: int) -> bool:
    """Fill SPLIT_KEY and SPLIT_RECORD from the pairs. False: too much work."""
    split, per_node = work[5], work[0]
    states, pairs, layers = sizes
    nodes = chain_pairs(work, states, pairs)
    for entry in range((layers + 1) * states):
        split[SPLIT_KEY, entry] = SPLIT_NEVER
        split[SPLIT_RECORD, entry] = 0
    split[SPLIT_KEY, 0] = 0
    records = np.int64(0)
    for position in range(nodes):
        node = per_node[STOCKED, position]
        records = add_node(split, per_node[AMOUNT, node], sizes, guard, records)
        if records < 0:
            return False
    return True


@inlined
def split_exactly(stock: Stock, network: Network, question: Question, work: Work) -> int:
    """Find the cheapest plan and load it; SCORE is NEVER when there is none. To be called after the scan, with every node admitted and
    its PACK and UNIT noted. Returns 1; 0 when the order is too large for it, and nothing was loaded.
    """
    order, small, split = question[0], work[3], work[5]
    digits, states = set_digits(question, work)
    if states == 0:
        return np.int64(0)
    pairs, guard = np.int64(0), np.int64(0)
    for digit in range(digits):
        pairs += split[DIGIT, digit] - 1
        width = np.int64(0)
        while split[DIGIT, digit] >> width != 0:
            width += 1
        guard |= np.int64(1) << split[DIGIT_SHIFT, digit] + width
    pairs = min(pairs, np.int64(network[0].shape[1]))
    layers = order[ORDER_PACKAGES_MAX]
    if layers >= pairs:
        layers = np.int64(0)
    elif layers > 0:
        pairs = layers
    pairs = max(pairs, np.int64(1))
    if pairs > SPLIT_PACKAGES_MAX or states * states * pairs * max(layers, 1) > SPLIT_STEPS_MAX:
        return np.int64(0)
    set_codes(split, digits, states)
    budget = np.int64(SPLIT_STEPS_MAX)
    for position in range(list_holders(stock, question, work, digits)):
        node = work[0][STOCKED, position]
        budget -= look_at(stock, question, work, node, digits)
        if budget < 0:
            return np.int64(0)
        file_packages(network, order, work, node, (digits, pairs))
    sizes = (states, pairs, layers)
    if not find_path(work, sizes, guard):
        return np.int64(0)
    end = best_end(work, digits, sizes, order[ORDER_SPLIT_PENALTY])
    if end >= 0:
        load_records(work, end, digits, pairs)
    else:
        small[SCALARS, SCORE] = NEVER
    return np.int64(1)
