"""How orders of a channel are routed, as data: ordered rules say which nodes may serve and in what form, weights say what is cheapest.

Keys stand here as the merchant wrote them; ``pool.policies`` compiles them to the matrix that the claim kernel reads. Records are
journaled: fields are only ever added at the end, with a default.
"""

from typing import NamedTuple

from engine.model.outcomes import AfterAction, NodeKind

DEFAULT_POLICY = "default"
RULES_MAX = 15
"""Rules of a policy: the verdicts on all of them stand in one int64, four bits each."""
WEIGHT_MAX = 1_000
"""Per cent."""
LATE_DAYS_MAX = 365
"""The most that a rule tolerates."""
NODE_GROUPS_MAX = 56
"""Names of groups in a store: a bit of an int64 each, beside those of the kinds of nodes."""
ANY = -1
"""Days that a package may be late when it may be late at all."""


class Weights(NamedTuple):
    """How much each term of the cost counts, in per cent: 100 as it is, 0 not at all."""

    carrier: int = 100
    handling: int = 100
    price: int = 0
    """What a unit is worth to the network where it lies."""
    performance: int = 0
    """The nodes' performance penalties."""
    capacity: int = 0
    """The nodes' prices of capacity."""
    lateness: int = 0
    """The policy's penalty for each package and day behind the promise."""


class Applies(NamedTuple):
    """Which orders a rule is for: all that is told must hold. A maximum of 0: none."""

    service_keys: tuple[str, ...] = ()
    """Any of them; empty: every service."""
    value_micros_min: int = 0
    """Of the order: Σ units × ``Sku.unit_value_micros``, so that it is the same when it is shown, held and ordered."""
    value_micros_max: int = 0
    units_min: int = 0
    units_max: int = 0
    lines_min: int = 0
    """Different SKUs."""
    lines_max: int = 0
    region_prefixes: tuple[str, ...] = ()
    """Beginnings of region keys; empty: every region."""


class Candidates(NamedTuple):
    """Which nodes may serve: those that pass all that is told."""

    groups_any: tuple[str, ...] = ()
    """In one of them at least; empty: any node."""
    groups_none: tuple[str, ...] = ()
    """In none of them."""
    kinds: tuple[NodeKind, ...] = ()
    """Of one of them; empty: any kind."""
    distance_km_max: int = 0
    """From the centroid of the destination's region; 0: any distance."""
    keep_units: int = 0
    """Units that every cell keeps beyond its safety stock."""
    late_days_max: int = ANY
    """Days that a package may arrive behind the day that was promised; 0: only nodes that can keep it; ANY: late nodes may serve. Of no
    meaning for an order without such a day; else a node whose arrival is not known passes only where it is ANY.
    """


class Form(NamedTuple):
    """How an order may be divided."""

    packages_max: int = 0
    """0: any number."""
    split_value_micros_min: int = 0
    """An order worth less goes in one package."""
    unit_split: bool | None = None
    """Whether a line's units may come from several nodes; ``None``: as the policy says."""


class Rule(NamedTuple):
    """One rule of a policy."""

    name: str
    applies: Applies = Applies()
    candidates: Candidates = Candidates()
    form: Form = Form()
    after: AfterAction = AfterAction.NEXT
    """What happens when the candidates do not serve the order in full."""


class RoutingPolicy(NamedTuple):
    """Rules in the order in which they are tried, and the weights by which the cost decides among a rule's candidates.

    A policy without rules has one that applies to everything, lets every node serve, and ends as the request allows.
    """

    policy_key: str = DEFAULT_POLICY
    split_penalty_micros: int = 0
    allow_unit_split: bool = True
    default_service_key: str = ""
    weights: Weights = Weights()
    late_penalty_micros: int = 0
    """For each package and day behind the promise."""
    rules: tuple[Rule, ...] = ()
    version: int = 0
    """Counts the puts of this key; 0 in what was put before versions were counted."""
    draft: bool = False
    """Not in force: waits to be activated."""
    shadow: bool = False
    """A draft under which the follower asks the router again, beside what is in force, and notes what would be otherwise."""
    grace_ns: int = 0
    """How long the nodes are not asked yet, so that the work of an order can still move to a better one."""
