"""The log of requests: what was asked under which id, and what was answered first."""

from collections import deque
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from engine.model.decisions import Run
from engine.model.outcomes import CommandKind
from engine.pool.replies import decode_reply

MARKS: Final = 500
"""Into so many parts the log divides the time that it remembers."""


class Entry(NamedTuple):
    """One remembered request. The reply is kept encoded: a fifth of the memory, and beyond anybody's reach to change."""

    fingerprint: int
    seq: int
    kind: int
    encoded: bytes

    def reply(self) -> Any:
        """The first answer."""
        return decode_reply(CommandKind(self.kind), self.encoded)


class RequestsImage(NamedTuple):
    """Everything that a log of requests knows, as columns: the fields of ``Entry`` by request id, oldest first."""

    request_ids: Sequence[str]
    fingerprints: Sequence[int]
    seqs: Sequence[int]
    kinds: Sequence[int]
    encoded: Sequence[bytes]
    forgotten_seq: int
    marks: Sequence[tuple[int, int]]


class RequestLog:
    """The latest ``maximum`` requests by id; the oldest is forgotten first."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        # Entries are plain tuples of numbers and bytes, which the garbage collector need not look at again and again.
        self._entries: dict[str, tuple[int, int, int, bytes]] = {}
        # The keys of the above. The first key of a dict is found only behind all that were deleted before it.
        self._oldest_first: deque[str] = deque()
        self._forgotten_seq = 0  # of the newest entry that was forgotten
        # (seq, time) of every so many decisions, from the last before the oldest entry on: when something was forgotten.
        self._mark_step = max(1, maximum // MARKS)
        self._marks: deque[tuple[int, int]] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, request_id: str) -> Entry | None:
        """What is remembered of a request."""
        found = self._entries.get(request_id)
        return None if found is None else Entry._make(found)

    def note(self, seq: int, now_ns: int) -> None:
        """Tell the time of each decision, before it is remembered."""
        if not seq % self._mark_step:
            self._marks.append((seq, now_ns))

    def forgotten_ns(self, now_ns: int) -> int:
        """No request that was decided after this instant has been forgotten; 0: none has been. Late by a 500th of the window at most."""
        if not self._forgotten_seq:
            return 0
        return next((time_ns for seq, time_ns in self._marks if seq >= self._forgotten_seq), now_ns)

    def put(self, request_id: str, entry: tuple[int, int, int, bytes]) -> None:
        """Remember a request that was decided, by the fields of its ``Entry``."""
        if request_id not in self._entries:
            self._oldest_first.append(request_id)
        self._entries[request_id] = entry
        self._forget()

    def put_run(self, run: Run) -> None:
        """Remember all requests of a run; the engine's own decisions have no id."""
        seqs = range(run.first_seq, run.first_seq + len(run.kinds))
        step = self._mark_step
        for seq in range(-(-run.first_seq // step) * step, seqs.stop, step):
            self._marks.append((seq, run.times_ns[seq - run.first_seq]))
        rows = list(zip(run.fingerprints, seqs, run.kinds, run.replies, strict=True))
        entries = dict(zip(run.request_ids, rows, strict=True))
        entries.pop("", None)
        named = len(run.request_ids) - run.request_ids.count("")
        if len(entries) < named or not self._entries.keys().isdisjoint(entries):
            # An id that was forgotten and used anew within the run: whoever was forgotten in between decides its place.
            for request_id, entry in zip(run.request_ids, rows, strict=True):
                if request_id:
                    self.put(request_id, entry)
            return
        self._entries.update(entries)
        self._oldest_first.extend(entries)
        self._forget()

    def rows(self) -> list[tuple[str, Entry]]:
        """Everything remembered, oldest first."""
        return [(request_id, Entry._make(row)) for request_id, row in self._entries.items()]

    def image(self) -> RequestsImage:
        """Everything, for ``put_image``."""
        fingerprints, seqs, kinds, encoded = zip(*self._entries.values(), strict=True) if self._entries else ((),) * 4
        return RequestsImage(
            list(self._entries),
            fingerprints,
            seqs,
            [int(kind) for kind in kinds],
            encoded,
            self._forgotten_seq,
            list(self._marks),
        )

    def put_image(self, image: RequestsImage) -> None:
        """Become what the image tells; the log is empty before."""
        rows = zip(image.fingerprints, image.seqs, image.kinds, image.encoded, strict=True)
        self._entries = dict(zip(image.request_ids, rows, strict=True))
        self._oldest_first.extend(self._entries)
        self._forgotten_seq = image.forgotten_seq
        self._marks.extend(image.marks)
        self._forget()

    def _forget(self) -> None:
        if len(self._entries) <= self._maximum:
            return
        while len(self._entries) > self._maximum:
            self._forgotten_seq = self._entries.pop(self._oldest_first.popleft())[1]
        while self._marks and self._marks[0][0] < self._forgotten_seq:
            self._marks.popleft()
