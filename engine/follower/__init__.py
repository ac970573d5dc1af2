"""The follower: a process of its own that replays the journal, audits it all the time, and makes snapshots. The writer never waits for it."""

from engine.follower.audit import StateWrong, Wrong
from engine.follower.compaction import NothingToCut, compact
from engine.follower.follower import Follower, Policy

__all__ = ["Follower", "NothingToCut", "Policy", "StateWrong", "Wrong", "compact"]
