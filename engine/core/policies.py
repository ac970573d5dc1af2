"""Deciding routing policies: what contradicts itself, what the store does not know, drafts and versions."""

from collections.abc import Iterator, Sequence

from engine.core.draft import Draft
from engine.model.commands import ActivateRoutingPolicy, Malformed, PutRoutingPolicy
from engine.model.decisions import PolicyPut
from engine.model.outcomes import AfterAction, Outcome
from engine.model.policies import Applies, Candidates, Form, RoutingPolicy, Rule
from engine.model.replies import PolicyReply
from engine.pool.names import Names
from engine.pool.policies import regions_of
from engine.pool.pool import Pool

Problem = tuple[str, str]
"""The path of a field within the policy, and what is wrong with it."""


def decide_put_policy(pool: Pool, command: PutRoutingPolicy) -> Draft:
    """Add or replace a routing policy, or its draft.

    Raises:
        Malformed: it contradicts itself, or one of its rules names what the store does not know.
    """
    policy = command.policy
    for path, description in (*contradictions(policy), *unknowns(pool.names, policy)):
        raise Malformed(f"policy.{path}", description)
    service_key = policy.default_service_key
    if service_key and pool.names.services.find(service_key) < 0:
        return Draft(PolicyReply(Outcome.UNKNOWN_SERVICE, service_key))
    policy = policy._replace(version=pool.network.rulebook.next_version(policy.policy_key))
    return Draft(PolicyReply(Outcome.OK, "", policy.version), (), (PolicyPut(policy),))


def decide_activate_policy(pool: Pool, command: ActivateRoutingPolicy) -> Draft:
    """Put the draft of a key in force. What it names is never forgotten, hence it is as sound as when it was put."""
    key, draft = command.policy_key, pool.network.rulebook.drafts.get(command.policy_key)
    if draft is None:
        return Draft(PolicyReply(Outcome.UNKNOWN_POLICY, key))
    if command.version not in (0, draft.version):
        return Draft(PolicyReply(Outcome.UNKNOWN_POLICY, f"{key} version {command.version}"))
    return Draft(
        PolicyReply(Outcome.OK, "", draft.version), (), (PolicyPut(draft._replace(draft=False, shadow=False)),)
    )


# What contradicts itself, whatever the store is


def contradictions(policy: RoutingPolicy) -> Iterator[Problem]:
    """What of a policy can never hold, in the order of its fields."""
    weights = policy.weights
    if not any(weights):
        yield "weights", "are all 0: nothing decides among the nodes; give one of them a value, or leave weights out"
    if weights.lateness and not policy.late_penalty_micros:
        yield "weights.lateness", "counts the late_penalty, which is 0; set late_penalty, or this to 0"
    if policy.late_penalty_micros and not weights.lateness:
        yield (
            "late_penalty",
            "counts for nothing while weights.lateness is 0; set that to 100, or leave late_penalty out",
        )
    if policy.shadow and not policy.draft:
        yield "shadow", "is for drafts: what is in force decides anyway; set draft, or leave shadow out"
    names = [rule.name for rule in policy.rules]
    for index, rule in enumerate(policy.rules):
        path = f"rules[{index}]."
        if rule.name in names[:index]:
            yield f"{path}name", f"{rule.name!r} is already in rules[{names.index(rule.name)}]"
        yield from _never_applies(f"{path}applies.", rule.applies)
        yield from _never_serves(f"{path}candidates.", rule.candidates)
        yield from _never_divides(f"{path}form.", rule.form, rule.applies)
        yield from _never_reached(path, policy.rules[:index], rule)


def _never_applies(path: str, applies: Applies) -> Iterator[Problem]:
    for name, least, most in (
        ("value_max", applies.value_micros_min, applies.value_micros_max),
        ("units_max", applies.units_min, applies.units_max),
        ("lines_max", applies.lines_min, applies.lines_max),
    ):
        if 0 < most < least:
            least_name = name.replace("max", "min")
            yield f"{path}{name}", f"is {most}, below {least_name}, which is {least}: no order is both"


def _never_serves(path: str, candidates: Candidates) -> Iterator[Problem]:
    barred = set(candidates.groups_none)
    if candidates.groups_any and barred.issuperset(candidates.groups_any):
        yield f"{path}groups_any", "are all in groups_none as well: no node is a candidate"


def _never_divides(path: str, form: Form, applies: Applies) -> Iterator[Problem]:
    if form.packages_max == 1 and form.unit_split:
        yield (
            f"{path}unit_split",
            "is true, but packages_max is 1, and units from several nodes come in several packages",
        )
    if form.packages_max == 1 and form.split_value_micros_min:
        yield f"{path}split_value_min", "is of no use: packages_max is 1, hence no order is split, whatever it is worth"
    elif 0 < applies.value_micros_max < form.split_value_micros_min:
        yield f"{path}split_value_min", "is above applies.value_max: no order is worth so much; set packages_max to 1"


def _never_reached(path: str, earlier: Sequence[Rule], rule: Rule) -> Iterator[Problem]:
    for index, before in enumerate(earlier):
        if before.after != AfterAction.NEXT and _covers(before.applies, rule.applies):
            why = f"rules[{index}], {before.name!r}, is for every order that this one is for, and ends with {before.after.name}"
            yield path.rstrip("."), f"is never reached: {why}; set its after to NEXT, or move or drop one of the two"
            return


def _covers(wide: Applies, narrow: Applies) -> bool:
    """Whether whatever ``narrow`` is for ``wide`` is for as well."""

    def spans(wide_range: tuple[int, int], narrow_range: tuple[int, int]) -> bool:
        (wide_min, wide_max), (narrow_min, narrow_max) = wide_range, narrow_range
        return wide_min <= narrow_min and (not wide_max or 0 < narrow_max <= wide_max)

    def ranges(applies: Applies) -> tuple[tuple[int, int], ...]:
        return (
            (applies.value_micros_min, applies.value_micros_max),
            (applies.units_min, applies.units_max),
            (applies.lines_min, applies.lines_max),
        )

    services = not wide.service_keys or (
        bool(narrow.service_keys) and set(narrow.service_keys) <= set(wide.service_keys)
    )
    regions = not wide.region_prefixes or (
        bool(narrow.region_prefixes)
        and all(prefix.startswith(wide.region_prefixes) for prefix in narrow.region_prefixes)
    )
    return services and regions and all(map(spans, ranges(wide), ranges(narrow)))


# What the store does not know


def unknowns(names: Names, policy: RoutingPolicy) -> Iterator[Problem]:
    """What the rules of a policy name and the store has never heard of."""
    for index, rule in enumerate(policy.rules):
        applies, candidates = f"rules[{index}].applies.", f"rules[{index}].candidates."
        for at, key in enumerate(rule.applies.service_keys):
            if names.services.find(key) < 0:
                yield (
                    f"{applies}service_keys[{at}]",
                    f"{key!r} has no rate card; {_told('services', names.services.keys)}",
                )
        for at, prefix in enumerate(rule.applies.region_prefixes):
            if not regions_of(names, (prefix,)):
                yield (
                    f"{applies}region_prefixes[{at}]",
                    f"no region of the zone chart has a key that begins with {prefix!r}",
                )
        for field in ("groups_any", "groups_none"):
            for at, group in enumerate(getattr(rule.candidates, field)):
                if names.groups.find(group) < 0:
                    told = _told("groups", names.groups.keys)
                    yield f"{candidates}{field}[{at}]", f"no node was ever in a group {group!r}; {told}"


def _told(noun: str, keys: Sequence[str], most: int = 8) -> str:
    if not keys:
        return f"there are no {noun} yet"
    return f"the {noun} are {', '.join(keys[:most])}{' …' if len(keys) > most else ''}"
