"""How long to search. HYPOTHESIS_PROFILE=long takes an hour; hunt stops at the first failure without making it small."""

from __future__ import annotations

import os

from hypothesis import Phase, settings

settings.register_profile("short", deadline=None, print_blob=True, max_examples=100, stateful_step_count=50)
settings.register_profile("long", deadline=None, print_blob=True, max_examples=2_000, stateful_step_count=120)
settings.register_profile(
    "hunt",
    settings.get_profile("long"),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    report_multiple_bugs=False,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))
