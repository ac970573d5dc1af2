"""Routing policies in messages: checked field by field, then for what contradicts itself; and told again."""

from typing import Any

from engine.core.policies import contradictions
from engine.model.commands import ActivateRoutingPolicy, PutRoutingPolicy
from engine.model.limits import SECOND_NS
from engine.model.outcomes import AfterAction, CommandKind, NodeKind
from engine.model.policies import (
    ANY,
    LATE_DAYS_MAX,
    NODE_GROUPS_MAX,
    RULES_MAX,
    WEIGHT_MAX,
    Applies,
    Candidates,
    Form,
    RoutingPolicy,
    Rule,
    Weights,
)
from engine.model.queries import GetEntry
from engine.model.replies import PolicyReply
from engine.pool.names import Names
from engine.service.convert.entry import Entry
from engine.service.convert.wording import fill_money
from engine.service.fields import Check, Rules, allowed, fingerprint, nanoseconds
from stockpool.v1 import network_pb2 as pb

REGION_PREFIXES_MAX = 100
DISTANCE_KM_MAX = 50_000
PACKAGES_MAX = 100
GRACE_NS_MAX = 7 * 86_400 * SECOND_NS

_AFTER = allowed(AfterAction, unspecified=AfterAction.NEXT)
_KINDS = allowed(NodeKind, without=(NodeKind.UNSPECIFIED,))


def put_routing_policy(request: pb.PutRoutingPolicyRequest, rules: Rules) -> PutRoutingPolicy:
    """A routing policy, or its draft."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    policy = routing_policy(check, "policy.", request.policy)
    for path, description in contradictions(policy):
        check.wrong(f"policy.{path}", description)
    check.done()
    return PutRoutingPolicy(request_id, fingerprint(request, CommandKind.PUT_ROUTING_POLICY), policy)


def routing_policy(check: Check, path: str, message: pb.RoutingPolicy) -> RoutingPolicy:
    """A policy, each field checked by itself."""
    check.count(f"{path}rules", len(message.rules), "rules_max", RULES_MAX, least=0)
    return RoutingPolicy(
        check.key(f"{path}policy_key", message.policy_key),
        check.cost(f"{path}split_penalty", message.split_penalty),
        message.allow_unit_split,
        check.optional_key(f"{path}default_service_key", message.default_service_key),
        _weights(check, f"{path}weights.", message.weights) if message.HasField("weights") else Weights(),
        check.cost(f"{path}late_penalty", message.late_penalty),
        rules=tuple([_rule(check, f"{path}rules[{index}].", rule) for index, rule in enumerate(message.rules)]),
        draft=message.draft,
        shadow=message.shadow,
        grace_ns=_grace_ns(check, f"{path}grace_period", message) if message.HasField("grace_period") else 0,
    )


def _grace_ns(check: Check, path: str, message: pb.RoutingPolicy) -> int:
    grace_ns = nanoseconds(message.grace_period)
    if grace_ns < 0:
        check.wrong(path, f"must not be negative, got {grace_ns / SECOND_NS:g} s")
    elif grace_ns > GRACE_NS_MAX:
        check.over(path, f"is {grace_ns / SECOND_NS:g} s", "grace_period_max_ns", GRACE_NS_MAX)
    return grace_ns


def _weights(check: Check, path: str, message: pb.RoutingWeights) -> Weights:
    return Weights(
        *[
            check.whole(f"{path}{name}", getattr(message, name), 0, "weight_percent_max", WEIGHT_MAX)
            for name in Weights._fields
        ]
    )


def _rule(check: Check, path: str, message: pb.RoutingRule) -> Rule:
    return Rule(
        check.key(f"{path}name", message.name),
        _applies(check, f"{path}applies.", message.applies),
        _candidates(check, f"{path}candidates.", message.candidates),
        _form(check, f"{path}form.", message.form),
        check.word(f"{path}after", message.after, _AFTER),
    )


def _applies(check: Check, path: str, message: pb.RuleConditions) -> Applies:
    limits = check.limits
    lines_max = limits.lines_per_order_max
    check.count(f"{path}service_keys", len(message.service_keys), "services_max", limits.services_max, least=0)
    prefixes = len(message.region_prefixes)
    check.count(f"{path}region_prefixes", prefixes, "region_prefixes_max", REGION_PREFIXES_MAX, least=0)
    return Applies(
        check.keys(f"{path}service_keys", message.service_keys),
        check.money(f"{path}value_min", message.value_min),
        check.money(f"{path}value_max", message.value_max),
        check.units(f"{path}units_min", message.units_min, 0),
        check.units(f"{path}units_max", message.units_max, 0),
        check.whole(f"{path}lines_min", message.lines_min, 0, "lines_per_order_max", lines_max),
        check.whole(f"{path}lines_max", message.lines_max, 0, "lines_per_order_max", lines_max),
        check.keys(f"{path}region_prefixes", message.region_prefixes),
    )


def _candidates(check: Check, path: str, message: pb.RuleCandidates) -> Candidates:
    for name in ("groups_any", "groups_none"):
        check.count(f"{path}{name}", len(getattr(message, name)), "node_groups_max", NODE_GROUPS_MAX, least=0)
    check.count(f"{path}kinds", len(message.kinds), "node_kinds_max", len(_KINDS), least=0)
    return Candidates(
        check.keys(f"{path}groups_any", message.groups_any),
        check.keys(f"{path}groups_none", message.groups_none),
        tuple([check.word(f"{path}kinds[{at}]", kind, _KINDS) for at, kind in enumerate(message.kinds)]),
        check.whole(f"{path}distance_km_max", message.distance_km_max, 0, "distance_km_max", DISTANCE_KM_MAX),
        check.units(f"{path}keep_units", message.keep_units, 0),
        check.whole(f"{path}late_days_max", message.late_days_max, 0, "late_days_max", LATE_DAYS_MAX)
        if message.HasField("late_days_max")
        else ANY,
    )


def _form(check: Check, path: str, message: pb.RuleForm) -> Form:
    return Form(
        check.whole(f"{path}packages_max", message.packages_max, 0, "packages_max", PACKAGES_MAX),
        check.money(f"{path}split_value_min", message.split_value_min),
        message.unit_split if message.HasField("unit_split") else None,
    )


def fill_policy(message: pb.RoutingPolicy, policy: RoutingPolicy, names: Names) -> None:
    """A policy as it stands."""
    message.policy_key = policy.policy_key
    fill_money(message.split_penalty, policy.split_penalty_micros, names)
    message.allow_unit_split = policy.allow_unit_split
    message.default_service_key = policy.default_service_key
    for name in Weights._fields:
        setattr(message.weights, name, getattr(policy.weights, name))
    for rule in policy.rules:
        _fill_rule(message.rules.add(), rule, names)
    if policy.late_penalty_micros:
        fill_money(message.late_penalty, policy.late_penalty_micros, names)
    message.version = policy.version
    message.draft = policy.draft
    message.shadow = policy.shadow
    if policy.grace_ns:
        message.grace_period.seconds, message.grace_period.nanos = divmod(policy.grace_ns, SECOND_NS)


def _fill_rule(message: pb.RoutingRule, rule: Rule, names: Names) -> None:
    message.name = rule.name
    message.after = int(rule.after)  # type: ignore[assignment]
    if rule.applies != Applies():
        applies = rule.applies
        message.applies.service_keys.extend(applies.service_keys)
        message.applies.region_prefixes.extend(applies.region_prefixes)
        if applies.value_micros_min:
            fill_money(message.applies.value_min, applies.value_micros_min, names)
        if applies.value_micros_max:
            fill_money(message.applies.value_max, applies.value_micros_max, names)
        for name in ("units_min", "units_max", "lines_min", "lines_max"):
            setattr(message.applies, name, getattr(applies, name))
    if rule.candidates != Candidates():
        candidates = rule.candidates
        message.candidates.groups_any.extend(candidates.groups_any)
        message.candidates.groups_none.extend(candidates.groups_none)
        message.candidates.kinds.extend([int(kind) for kind in candidates.kinds])  # type: ignore[misc]
        message.candidates.distance_km_max = candidates.distance_km_max
        message.candidates.keep_units = candidates.keep_units
        if candidates.late_days_max != ANY:
            message.candidates.late_days_max = candidates.late_days_max
    if rule.form != Form():
        message.form.packages_max = rule.form.packages_max
        if rule.form.split_value_micros_min:
            fill_money(message.form.split_value_min, rule.form.split_value_micros_min, names)
        if rule.form.unit_split is not None:
            message.form.unit_split = rule.form.unit_split


def _fill_version(response: Any, reply: PolicyReply, names: Names) -> None:
    del names
    response.version = reply.version


def activate_routing_policy(request: pb.ActivateRoutingPolicyRequest, rules: Rules) -> ActivateRoutingPolicy:
    """The draft that is to be in force."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    policy_key = check.key("policy_key", request.policy_key)
    version = check.optional_id("version", request.version)
    check.done()
    mark = fingerprint(request, CommandKind.ACTIVATE_ROUTING_POLICY)
    return ActivateRoutingPolicy(request_id, mark, policy_key, version)


def get_routing_policy(request: pb.GetRoutingPolicyRequest, rules: Rules) -> GetEntry:
    """What is in force, or its draft."""
    check = rules.check()
    key = check.key("policy_key", request.policy_key)
    seq = check.min_journal_seq(request.min_journal_seq)
    check.done()
    return GetEntry(seq, "policy_draft" if request.draft else "policy", key)


PUT_ROUTING_POLICY = Entry(put_routing_policy, pb.PutRoutingPolicyResponse, _fill_version)
ACTIVATE_ROUTING_POLICY = Entry(activate_routing_policy, pb.ActivateRoutingPolicyResponse, _fill_version)
