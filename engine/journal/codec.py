"""A group of decisions as bytes, and back.

The body of a record is one msgpack array (``Body``): a column for each property of the decisions, so that replay never makes an
object for each. Effects are joined into one matrix and packed by operation: each column of an operation is a base and
unsigned differences of 0, 1, 2, 4 or 8 bytes (``kernels.packing``). ``VERSION`` stands first; a later version reads this one.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
from msgspec import msgpack
from numpy.typing import NDArray

from engine.journal.journal import JournalDamaged, JournalVersion, Record
from engine.kernels import packing
from engine.model import decisions as d
from engine.model.decisions import Decision, Document, Run, Stored
from engine.model.growth import short_form
from engine.model.orders import FulfillmentOrder, Order, Return
from engine.model.outcomes import CommandKind
from engine.pool.replies import decode_reply

T = TypeVar("T")

VERSION: Final = 1
WIDTH: Final = 6
"""Columns of an effect."""
PACK_FROM_ROWS: Final = 24
"""Fewer rows are kept as they are: packing them would cost more than it saves."""

_DOCUMENT_TYPES: Final[tuple[type[Any], ...]] = (
    d.NodePut, d.SkuPut, d.ChannelPut, d.RateCardPut, d.ZoneChartPut, d.PolicyPut, d.SourcePut, Order, FulfillmentOrder, Return,
    d.PricePlanPut,
)  # fmt: skip
"""The position is the code in the journal: append only."""
_DOCUMENT_CODE = {document: code for code, document in enumerate(_DOCUMENT_TYPES)}
_LIVES = (Order, FulfillmentOrder, Return)
"""They come again and again, each time with what they tell of in another state: replay looks into the last alone."""
_LIFE_CODES = tuple(_DOCUMENT_CODE[document] for document in _LIVES)
_DOCUMENT_DECODERS = [msgpack.Decoder(document) for document in _DOCUMENT_TYPES]


StoredRow = tuple[int, int, int, int, bytes]
"""(decision, type code, id, state, record) of a document; id and state are 0 but for ``_LIVES``."""


class Body(msgspec.Struct, array_like=True):
    """What a record holds. The columns have an entry a decision, ``documents`` one a document."""

    version: int
    now_ns: list[int]
    kinds: list[int]
    request_ids: list[str]
    fingerprints: list[int]
    references: dict[int, str]
    replies: list[bytes]
    documents: list[StoredRow]
    effect_counts: list[int]
    operations: bytes
    """The operation of each effect row, one byte each; empty when ``rows`` has them raw."""
    heads: list[int]
    """By operation, for the other five columns of its rows: base, bytes a difference."""
    packed: bytes
    """The differences, little-endian."""
    rows: bytes
    """The whole matrix, little-endian int64, when it is short."""


_encoder = msgpack.Encoder()
_decoder = msgpack.Decoder(Body)


def encode(decisions: Sequence[Decision]) -> Record:
    """One record of consecutive decisions."""
    operations, heads, packed, rows = _pack([each.effects for each in decisions if each.effects is not None])
    body = Body(
        VERSION,
        [decision.now_ns for decision in decisions],
        [decision.kind for decision in decisions],
        [decision.request_id for decision in decisions],
        [decision.fingerprint for decision in decisions],
        {at: decision.reference for at, decision in enumerate(decisions) if decision.reference},
        [decision.encoded for decision in decisions],
        [
            (at, _DOCUMENT_CODE[type(document)], document[0], document.state, _encoder.encode(short_form(document)))
            if isinstance(document, _LIVES)
            else (at, _DOCUMENT_CODE[type(document)], 0, 0, _encoder.encode(document))
            for at, decision in enumerate(decisions)
            for document in decision.documents
        ],
        [0 if decision.effects is None else len(decision.effects) for decision in decisions],
        operations,
        heads,
        packed,
        rows,
    )
    return Record(decisions[0].seq, len(decisions), _encoder.encode(body))


def _pack(matrices: list[NDArray[np.int64]]) -> tuple[bytes, list[int], bytes, bytes]:
    if not matrices:
        return b"", [], b"", b""
    effects = np.concatenate(matrices) if len(matrices) > 1 else matrices[0]
    if len(effects) < PACK_FROM_ROWS:
        return b"", [], b"", effects.astype("<i8", copy=False).tobytes()
    operations = np.empty(len(effects), dtype=np.uint8)
    heads = np.empty(packing.HEADS_MAX, dtype=np.int64)
    packed = np.empty(len(effects) * packing.OPERANDS * 8, dtype=np.uint8)
    head_count, size = packing.pack(effects, operations, heads, packed)
    return operations.tobytes(), heads[:head_count].tolist(), packed[:size].tobytes(), b""


def _unpack(records: Sequence[Record], bodies: Sequence[Body]) -> NDArray[np.int64] | None:
    """The effects of consecutive records as one matrix."""
    parts: list[Any] = [
        body.rows or _unpacked(body, record.first_seq)
        for record, body in zip(records, bodies, strict=True)
        if body.rows or body.operations
    ]
    if not parts:
        return None
    return np.frombuffer(bytearray().join(parts), dtype="<i8").reshape(-1, WIDTH).astype(np.int64, copy=False)


def _unpacked(body: Body, seq: int) -> NDArray[np.int64]:
    operations = np.frombuffer(body.operations, dtype=np.uint8)
    effects = np.empty((len(operations), WIDTH), dtype=np.int64)
    heads = np.array(body.heads, dtype=np.int64)
    if not packing.unpack(operations, heads, np.frombuffer(body.packed, dtype=np.uint8), effects):
        raise JournalDamaged(seq, "the effects of the record do not fit together")
    return effects.astype("<i8", copy=False)


def _body(record: Record) -> Body:
    try:
        body = _decoder.decode(record.body)
    except msgspec.DecodeError as error:
        raise JournalDamaged(record.first_seq, f"the record's body cannot be read ({error})") from error
    if body.version > VERSION:
        raise JournalVersion(body.version, VERSION)
    if len(body.kinds) != record.count:
        raise JournalDamaged(record.first_seq, f"the record says {record.count} decisions and holds {len(body.kinds)}")
    return body


def decode_run(records: Sequence[Record]) -> Run:
    """Consecutive records as one run, for replay: nothing is made for a decision, and of documents little is read."""
    bodies = [_body(record) for record in records]
    documents, orders, work, returns = _documents(bodies)
    return Run(
        records[0].first_seq,
        _column([body.now_ns for body in bodies]),
        _column([body.kinds for body in bodies]),
        _column([body.request_ids for body in bodies]),
        _column([body.fingerprints for body in bodies]),
        _column([body.replies for body in bodies]),
        documents,
        orders,
        work,
        returns,
        _unpack(records, bodies),
    )


def _column(parts: list[list[T]]) -> list[T]:
    return list(chain.from_iterable(parts))


def _documents(bodies: list[Body]) -> tuple[tuple[Document, ...], Stored, Stored, Stored]:
    """Documents about the network, orders, fulfillment orders, returns."""
    lives: dict[int, list[StoredRow]] = {code: [] for code in _LIFE_CODES}
    others: list[StoredRow] = []
    for body in bodies:
        for row in body.documents:
            lives.get(row[1], others).append(row)
    orders, work, returns = map(_stored, lives.values())
    return tuple(_DOCUMENT_DECODERS[row[1]].decode(row[4]) for row in others), orders, work, returns


def _stored(rows: list[StoredRow]) -> Stored:
    if not rows:
        return Stored((), (), ())
    _, _, ids, states, encoded = zip(*rows, strict=True)
    return Stored(ids, states, encoded)


def decode(record: Record) -> list[Decision]:
    """A record as decisions, for readers of events."""
    return list(_decisions(record, _body(record)))


def decode_requests(record: Record) -> list[tuple[int, str, str]]:
    """(Sequence, request id, reference) of each decision of a record: a twentieth of the work of ``decode``."""
    body = _body(record)
    named = enumerate(body.request_ids)
    return [(record.first_seq + at, request_id, body.references.get(at, "")) for at, request_id in named]


def _decisions(record: Record, body: Body) -> Iterator[Decision]:
    effects = _unpack([record], [body])
    documents: dict[int, list[Any]] = {}
    for at, code, _, _, encoded in body.documents:
        documents.setdefault(at, []).append(_DOCUMENT_DECODERS[code].decode(encoded))
    first = 0
    for at, kind in enumerate(map(CommandKind, body.kinds)):
        last = first + body.effect_counts[at]
        yield Decision(
            record.first_seq + at,
            body.now_ns[at],
            kind,
            body.request_ids[at],
            body.fingerprints[at],
            decode_reply(kind, body.replies[at]),
            body.replies[at],
            effects[first:last] if effects is not None and last > first else None,
            tuple(documents.get(at, ())),
            body.references.get(at, ""),
        )
        first = last
