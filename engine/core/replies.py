"""The log of requests: what was asked under which id, and what was answered first."""

from collections import OrderedDict
from typing import Any, NamedTuple

from msgspec import msgpack

from engine.model.decisions import Run
from engine.model.outcomes import CommandKind
from engine.model.replies import REPLY_OF

encode_reply = msgpack.Encoder().encode
_DECODERS = {kind: msgpack.Decoder(reply) for kind, reply in REPLY_OF.items()}


class Entry(NamedTuple):
    """One remembered request. The reply is kept encoded: a fifth of the memory, and beyond anybody's reach to change."""

    fingerprint: int
    seq: int
    kind: int
    encoded: bytes

    def reply(self) -> Any:
        """The first answer."""
        return _DECODERS[CommandKind(self.kind)].decode(self.encoded)


class RequestLog:
    """The latest ``maximum`` requests by id; the oldest is forgotten first."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, request_id: str) -> Entry | None:
        """What is remembered of a request."""
        return self._entries.get(request_id)

    def put(self, request_id: str, entry: Entry) -> None:
        """Remember a request that was decided."""
        self._entries[request_id] = entry
        if len(self._entries) > self._maximum:
            self._entries.popitem(last=False)

    def put_run(self, run: Run) -> None:
        """Remember all requests of a run; the engine's own decisions have no id."""
        seqs = range(run.first_seq, run.first_seq + len(run.kinds))
        entries = zip(run.request_ids, map(Entry, run.fingerprints, seqs, run.kinds, run.replies), strict=True)
        ids = set(run.request_ids)
        ids.discard("")
        anonymous = run.request_ids.count("")
        if len(ids) + anonymous < len(run.request_ids) or not self._entries.keys().isdisjoint(ids):
            # An id that was forgotten and used anew within the run: whoever was forgotten in between decides its place.
            for request_id, entry in entries:
                if request_id:
                    self.put(request_id, entry)
            return
        self._entries.update(entries)
        self._entries.pop("", None)
        while len(self._entries) > self._maximum:
            self._entries.popitem(last=False)

    def rows(self) -> list[tuple[str, Entry]]:
        """Everything remembered, oldest first."""
        return list(self._entries.items())
