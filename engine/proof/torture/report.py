"""What a run of the torture found, as figures."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of a run.

    ``kills`` are blows at the server, its database or the cable between them; ``acknowledged`` answers to commands that clients were
    given; ``lost`` of these, how many are not in the journal as they were told; ``oversold`` units that were promised and not there;
    ``duplicates`` requests and orders that were decided twice; ``unanswered`` clients that got no answer;
    ``starts_from_snapshots`` starts that did not replay the whole journal.
    """

    kills: int
    acknowledged: int
    lost: int
    oversold: int
    duplicates: int
    unanswered: int
    elapsed_s: float
    journal: str
    seed: int
    clients: int
    decisions: int
    asked_again: int
    takeovers: int
    snapshots: int
    starts_from_snapshots: int
    blows: Counter[str]
    endings: Counter[str]
    passing_errors: Counter[str]
    recoveries_ms: Sequence[float]
    finding_count: int
    findings: Sequence[str]

    @property
    def is_ok(self) -> bool:
        """Whether nothing at all is wrong."""
        return not (self.lost or self.oversold or self.duplicates or self.unanswered or self.finding_count)

    def as_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        return {
            "ok": self.is_ok,
            "kills": self.kills,
            "acknowledged": self.acknowledged,
            "lost": self.lost,
            "oversold": self.oversold,
            "duplicates": self.duplicates,
            "unanswered": self.unanswered,
            "elapsed_s": round(self.elapsed_s, 1),
            "journal": self.journal,
            "recovery_ms": {"p50": self.recovery_ms_p50, "max": self.recovery_ms_max},
            "seed": self.seed,
            "clients": self.clients,
            "decisions": self.decisions,
            "asked_again": self.asked_again,
            "takeovers": self.takeovers,
            "snapshots": self.snapshots,
            "starts_from_snapshots": self.starts_from_snapshots,
            "blows": dict(self.blows),
            "endings": dict(self.endings),
            "passing_errors": dict(self.passing_errors),
            "finding_count": self.finding_count,
            "findings": list(self.findings),
        }

    @property
    def recovery_ms_p50(self) -> int:
        """Median time from an ending to the next answer."""
        return round(median(self.recoveries_ms)) if self.recoveries_ms else 0

    @property
    def recovery_ms_max(self) -> int:
        """Longest time from an ending to the next answer."""
        return round(max(self.recoveries_ms, default=0))
