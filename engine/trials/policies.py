"""Policies that a trial can be asked for by name, and those of files."""

import json
import tomllib
from pathlib import Path
from typing import NamedTuple

from google.protobuf.json_format import Parse, ParseError

from engine.model.limits import Limits
from engine.model.network import RoutingPolicy
from engine.pool.pool import Pool
from engine.service.convert.policies import put_routing_policy
from engine.service.errors import InvalidRequest
from engine.service.fields import Rules
from stockpool.v1 import network_pb2 as network

BUILT_IN: dict[str, dict[str, object]] = {
    "cheapest": {"allow_unit_split": True},
    "few-packages": {"allow_unit_split": True, "split_penalty": {"micros": 5_000_000}},
    "whole-lines": {"allow_unit_split": False},
    "priced": {"allow_unit_split": True, "weights": {"carrier": 100, "handling": 100, "price": 100}},
}
"""By name, as the contract writes them in JSON: carrier and handling alone; each package after the first 5.00 dearer; the units of a line
from one node only; what a unit may still earn where it lies counts as well, by prices that are found anew every midnight."""
EXAMPLE = '{"policy_key": "default", "split_penalty": {"micros": 1500000}, "allow_unit_split": true}'
_SUFFIXES = (".json", ".toml")


class PolicyUnreadable(Exception):
    """What was named is no policy; the message says which field, and why."""


class Contender(NamedTuple):
    """A policy under its name, and the file that it came from, which a trial keeps: suffix and text."""

    name: str
    policy: RoutingPolicy
    suffix: str
    text: str


def contender(asked: str) -> Contender:
    """A built-in policy, or the policy of a file (JSON or TOML), named as the file is without its suffix.

    Raises:
        PolicyUnreadable: it is neither, or no policy that the server would take.
    """
    if asked in BUILT_IN:
        text = json.dumps({"policy_key": asked} | BUILT_IN[asked], indent=2) + "\n"
        return Contender(asked, _checked(text, asked), ".json", text)
    path = Path(asked)
    if path.suffix not in _SUFFIXES:
        raise PolicyUnreadable(
            f"{asked} is no policy: name a file that ends with {' or '.join(_SUFFIXES)}, or one of {', '.join(BUILT_IN)}"
        )
    try:
        text = path.read_text(encoding="utf-8")
        told = json.dumps(tomllib.loads(text)) if path.suffix == ".toml" else text
    except (OSError, ValueError, TypeError) as error:
        raise PolicyUnreadable(f"{path}: {error}") from None
    return Contender(path.stem, _checked(told, asked), path.suffix, text)


def _checked(text: str, asked: str) -> RoutingPolicy:
    """A policy by the same checks as on the wire."""
    try:
        request = network.PutRoutingPolicyRequest(request_id="trial", policy=Parse(text, network.RoutingPolicy()))
        limits = Limits()
        return put_routing_policy(request, Rules(limits, Pool(limits).names)).policy
    except ParseError as error:
        why = str(error)
    except InvalidRequest as error:
        why = "; ".join(f"{problem.field}: {problem.description}" for problem in error.problems)
    raise PolicyUnreadable(f"{asked}: {why}")
