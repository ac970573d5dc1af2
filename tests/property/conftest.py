"""How long to search. HYPOTHESIS_PROFILE=long takes an hour; hunt stops at the first failure without making it small."""

from __future__ import annotations

import os

import pytest
from hypothesis import Phase, settings

_BASE = settings.get_profile("stockpool")
settings.register_profile("short", _BASE, max_examples=100, stateful_step_count=50)
settings.register_profile("long", _BASE, max_examples=2_000, stateful_step_count=120)
settings.register_profile(
    "hunt",
    settings.get_profile("long"),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    report_multiple_bugs=False,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Time to make a failure small: cut short, it would be reported as something else."""
    for item in items:
        if item.nodeid.startswith("tests/property/"):
            item.add_marker(pytest.mark.timeout(900))
