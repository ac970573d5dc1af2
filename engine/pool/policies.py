"""Routing policies, in force and as drafts, and their rules as the matrix that the claim kernel reads."""

from collections.abc import Iterable

import numpy as np

from engine.kernels import columns as c
from engine.kernels.rules import WORD_MASK, WORD_SHIFT
from engine.kernels.zones import Integers
from engine.model.limits import Limits
from engine.model.outcomes import NodeKind
from engine.model.policies import ANY, DEFAULT_POLICY, RoutingPolicy, Rule
from engine.pool.names import Names, Registry

UNBOUNDED = np.iinfo(np.int64).max
_WORD_BITS = 1 << WORD_SHIFT
_EVERYTHING = Rule("")
"""The rule of a policy that has none."""
_NOBODY = 1 << 61
"""The bit of a group in which no node is."""
_KINDS = sum(1 << c.KIND_GROUP + kind for kind in NodeKind)


class Rulebook:
    """Policies by key. ``put`` is apply: it trusts what was decided.

    ``rules`` int64[rules, RULE_WIDTH + words of sets] holds the rules of every policy in force, those of a policy one after the other.
    """

    def __init__(self, limits: Limits, names: Names) -> None:
        self._names = names
        self._service_words = -(-limits.services_max // _WORD_BITS)
        self._region_words = -(-limits.regions_max // _WORD_BITS)
        self.active: dict[str, RoutingPolicy] = {DEFAULT_POLICY: RoutingPolicy()}
        self.prices_count = False
        """Whether prices are in force: else their weight is 0 for every rule, and routing is myopic."""
        self.drafts: dict[str, RoutingPolicy] = {}
        """The latest draft of a key that is newer than what is in force."""
        self.rules = self.compiled(RoutingPolicy())
        self.asks_value = False
        """Whether any rule in force looks at what an order is worth: else nobody needs to add it up."""
        self._span: dict[str, tuple[int, int]] = {DEFAULT_POLICY: (0, 1)}

    def put(self, policy: RoutingPolicy) -> None:
        """This is now the draft of its key, or in force."""
        key = policy.policy_key
        if policy.draft:
            self.drafts[key] = policy
            return
        self.active[key] = policy
        if key in self.drafts and self.drafts[key].version == policy.version:
            del self.drafts[key]
        self.compile()

    def count_prices(self, count: bool) -> None:
        """Prices are in force from now on, or no longer."""
        if count != self.prices_count:
            self.prices_count = count
            self.compile()

    def span(self, policy_key: str) -> tuple[int, int]:
        """The first row of a policy's rules, and how many there are."""
        return self._span[policy_key]

    def next_version(self, policy_key: str) -> int:
        """The number of the next put of this key."""
        known = [each[policy_key].version for each in (self.active, self.drafts) if policy_key in each]
        return max(known, default=0) + 1

    # Compiling

    def compile(self) -> None:
        """Write ``rules`` anew: a policy, or what it names, has changed."""
        parts = [self.compiled(policy) for policy in self.active.values()]
        self._span, first = {}, 0
        for key, part in zip(self.active, parts, strict=True):
            self._span[key] = first, len(part)
            first += len(part)
        self.rules = np.concatenate(parts)
        values = self.rules[:, [c.RULE_VALUE_MIN, c.RULE_VALUE_MAX, c.RULE_SPLIT_VALUE_MIN]]
        self.asks_value = bool((values != [0, UNBOUNDED, 0]).any())

    def compiled(self, policy: RoutingPolicy) -> Integers:
        """The rules of one policy, in force or not; regions, services and groups that are not known are in no set."""
        rules = policy.rules or (_EVERYTHING,)
        rows = np.zeros((len(rules), c.RULE_WIDTH + self._service_words + self._region_words), dtype=np.int64)
        for row, rule in zip(rows, rules, strict=True):
            self._write(row, policy, rule)
            row[c.RULE_AFTER] = rule.after if policy.rules else c.AFTER_REQUEST
        return rows

    def _write(self, row: Integers, policy: RoutingPolicy, rule: Rule) -> None:
        applies, candidates, form, weights = rule.applies, rule.candidates, rule.form, policy.weights
        if applies.service_keys:
            row[c.RULE_SERVICES] = c.RULE_WIDTH
            _add(row[c.RULE_WIDTH :], map(self._names.services.find, applies.service_keys))
        if applies.region_prefixes:
            row[c.RULE_REGIONS] = start = c.RULE_WIDTH + self._service_words
            _add(row[start:], regions_of(self._names, applies.region_prefixes))
        row[c.RULE_VALUE_MIN], row[c.RULE_VALUE_MAX] = applies.value_micros_min, applies.value_micros_max or UNBOUNDED
        row[c.RULE_UNITS_MIN], row[c.RULE_UNITS_MAX] = applies.units_min, applies.units_max or UNBOUNDED
        row[c.RULE_LINES_MIN], row[c.RULE_LINES_MAX] = applies.lines_min, applies.lines_max or UNBOUNDED
        if candidates.groups_any:
            row[c.RULE_GROUPS_ANY] = group_bits(self._names.groups, candidates.groups_any) or _NOBODY
        row[c.RULE_GROUPS_NONE] = group_bits(self._names.groups, candidates.groups_none)
        if candidates.kinds:
            row[c.RULE_GROUPS_NONE] |= _KINDS & ~sum(1 << c.KIND_GROUP + kind for kind in candidates.kinds)
        row[c.RULE_DISTANCE_MAX], row[c.RULE_KEEP_UNITS] = candidates.distance_km_max, candidates.keep_units
        row[c.RULE_LATE_DAYS_MAX] = UNBOUNDED if candidates.late_days_max == ANY else candidates.late_days_max
        row[c.RULE_LATE_COST] = policy.late_penalty_micros
        row[c.RULE_PACKAGES_MAX], row[c.RULE_SPLIT_VALUE_MIN] = form.packages_max, form.split_value_micros_min
        row[c.RULE_UNIT_SPLIT] = policy.allow_unit_split if form.unit_split is None else form.unit_split
        row[c.RULE_SPLIT_PENALTY] = policy.split_penalty_micros
        row[c.RULE_CARRIER_WEIGHT : c.RULE_LATE_WEIGHT + 1] = weights
        if not self.prices_count:
            row[c.RULE_PRICE_WEIGHT] = 0


def _add(words: Integers, members: Iterable[int]) -> None:
    """Put members into the set that begins here; what is unknown (−1) is in none."""
    unsigned = words.view(np.uint64)
    for member in members:
        if member >= 0:
            unsigned[member >> WORD_SHIFT] |= np.uint64(1 << (member & WORD_MASK))


def regions_of(names: Names, prefixes: Iterable[str]) -> list[int]:
    """Regions whose keys begin with one of the prefixes."""
    beginnings = tuple(prefixes)
    return [index for index, key in enumerate(names.regions.keys) if key.startswith(beginnings)]


def group_bits(groups: Registry, names: Iterable[str]) -> int:
    """A bit for each group that is known."""
    return sum(1 << index for index in {groups.find(name) for name in names} if index >= 0)


def node_bits(groups: Registry, names: Iterable[str], kind: NodeKind) -> int:
    """The bits of a node: its groups and its kind."""
    return group_bits(groups, names) | 1 << c.KIND_GROUP + kind
