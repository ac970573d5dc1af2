"""Replies as bytes, for the journal and for the log of requests.

The columns of a batch are packed there: what its items have in common, which is nearly everything when all were granted, takes no room.
"""

from typing import Any

import numpy as np
from msgspec import msgpack

from engine.kernels.packing import OPERANDS, pack_rows, unpack_rows
from engine.model.outcomes import CommandKind
from engine.model.replies import REPLY_OF, BatchReply, BatchReserveReply

_BATCHES = (BatchReserveReply, BatchReply)
_encode = msgpack.Encoder().encode
_DECODERS = {kind: msgpack.Decoder(reply) for kind, reply in REPLY_OF.items()}


def encode_reply(reply: Any) -> bytes:
    """The bytes of a reply. The same reply gives the same bytes."""
    if type(reply) in _BATCHES and reply.columns:
        rows = np.frombuffer(reply.columns, dtype="<i8").reshape(-1, OPERANDS)
        reply = reply._replace(columns=b"", packed=pack_rows(rows))
    return _encode(reply)


def decode_reply(kind: CommandKind, encoded: bytes) -> Any:
    """The reply of a command of this kind. Raises ValueError when these are not its bytes."""
    reply = _DECODERS[kind].decode(encoded)
    if type(reply) in _BATCHES and reply.packed:
        columns = unpack_rows(reply.packed).astype("<i8").tobytes()
        reply = reply._replace(columns=columns, packed=b"")
    return reply
