"""What the follower says of itself, in a file beside its snapshots: for the server's status, and for whoever looks into the folder."""

from __future__ import annotations

import json
from typing import Any, Final

from engine.follower.audit import Wrong
from engine.snapshots import SnapshotFolder

STATUS: Final = "follower.json"


def write_status(folder: SnapshotFolder, status: dict[str, Any]) -> None:
    """Note how far the follower is; a disk that fails is the business of snapshots."""
    path = folder.path / STATUS
    new = path.with_suffix(".json.new")
    try:
        new.write_text(json.dumps(status, indent=2) + "\n", encoding="utf-8")
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)


def write_wrong(folder: SnapshotFolder, wrong: Wrong) -> None:
    """Note what the audit found."""
    findings = [one._asdict() for one in wrong.findings]
    write_status(folder, read_status(folder) | {"wrong": wrong._asdict() | {"findings": findings}})


def read_status(folder: SnapshotFolder) -> dict[str, Any]:
    """What the follower said last; empty when it never said anything that can be read."""
    try:
        status = json.loads((folder.path / STATUS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return status if isinstance(status, dict) else {}


def audited_seq(folder: SnapshotFolder) -> int:
    """The last decision that the follower has replayed and audited, 0 when that is not known."""
    seq = read_status(folder).get("audited_seq", 0)
    return seq if isinstance(seq, int) else 0
