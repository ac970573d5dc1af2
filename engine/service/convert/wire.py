"""Messages with columns, read and written without a Python object for each number.

The generated classes make an object of every number of a repeated field. On the wire a packed array is a length and bytes, exactly as a field of
type ``bytes`` is. So here are the same messages once more, by the same names in a descriptor pool of their own, in which the arrays of
numbers of every ``…Columns`` message are ``bytes``: protobuf reads and writes all else, and ``kernels.varints`` the numbers.

Both say the same bytes. What is encoded in another way than protobuf's own writers do it (an array in several pieces, or not packed) is read by
the generated class, slower, to the same end.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.unknown_fields import UnknownFieldSet

from engine.kernels.varints import VARINT_BYTES_MAX, read_varints, write_varints
from engine.kernels.zones import Integers
from stockpool.v1 import inventory_pb2, orders_pb2, reservations_pb2

NUMBERS: Final = (FieldDescriptorProto.TYPE_INT32, FieldDescriptorProto.TYPE_INT64, FieldDescriptorProto.TYPE_ENUM)
_REPEATED, _OPTIONAL = FieldDescriptorProto.LABEL_REPEATED, FieldDescriptorProto.LABEL_OPTIONAL
_BATCHES = ("BatchRelease", "BatchAdjustStock", "BatchCommit", "ImportStockRequest")
"""What messages that are columns themselves begin with."""
_POOL = DescriptorPool()


def _add(file: FileDescriptor, added: set[str]) -> None:
    """Put a file of the contract, and what it imports, into the pool."""
    if file.name in added:
        return
    added.add(file.name)
    for needed in file.dependencies:
        _add(needed, added)
    copy = FileDescriptorProto()
    file.CopyToProto(copy)
    for message in copy.message_type:
        for field in message.field:
            if field.label == _REPEATED and (field.type in NUMBERS if _is_columns(message) else _is_rows(field, copy)):
                field.type, field.label = FieldDescriptorProto.TYPE_BYTES, _OPTIONAL
                field.ClearField("type_name")
    _POOL.Add(copy)


def _is_columns(message: DescriptorProto) -> bool:
    return message.name.endswith("Columns") or message.name.startswith(_BATCHES)


def _is_rows(field: FieldDescriptorProto, file: FileDescriptorProto) -> bool:
    """Rows of a request that may come in columns instead: they are not taken apart here."""
    requests = [message for message in file.message_type if message.name.endswith("Request")]
    return field.type == FieldDescriptorProto.TYPE_MESSAGE and any(
        field in request.field and any(other.name == "columns" for other in request.field) for request in requests
    )


def _add_all() -> None:
    added: set[str] = set()
    for file in (reservations_pb2, inventory_pb2, orders_pb2):
        _add(file.DESCRIPTOR, added)


_add_all()


def columnar(message: Any) -> Any:
    """The class of a message, by its descriptor, in which arrays are bytes."""
    return GetMessageClass(_POOL.FindMessageTypeByName(message.full_name))


def reader(generated: Any) -> Callable[[bytes], Any]:
    """Reads a request of columns, or one that has rows or ``columns``: the generated class for rows, its twin for columns."""
    twin = columnar(generated.DESCRIPTOR)
    optional = "columns" in twin.DESCRIPTOR.fields_by_name

    def read(content: bytes) -> Any:
        request = twin.FromString(content)
        if optional and not request.HasField("columns"):
            return generated.FromString(content)
        # Of an array in pieces the twin keeps the last; an array that is not packed is no field that it knows.
        columns = request.columns if optional else request
        whole = request.ByteSize() == len(content) and not len(UnknownFieldSet(columns))
        return request if whole else generated.FromString(content)

    return read


def numbers(column: bytes | Sequence[int]) -> Integers | None:
    """A column of numbers, as either class has it; None when the bytes are none."""
    if not isinstance(column, bytes):
        return np.array(column, dtype=np.int64)
    found = np.empty(len(column), dtype=np.int64)
    count = read_varints(np.frombuffer(column, dtype=np.uint8), found)
    return found[:count] if count >= 0 else None


def packed(column: Integers) -> bytes:
    """A column of numbers for a message in which it is bytes."""
    room = np.empty(column.size * VARINT_BYTES_MAX, dtype=np.uint8)
    return room[: write_varints(np.array(column), room)].tobytes()


def stream_reader() -> Callable[[bytes], Any]:
    """Reads a message of StreamReserve, likewise."""
    generated = reservations_pb2.StreamReserveRequest
    twin = columnar(generated.DESCRIPTOR)

    def read(content: bytes) -> Any:
        request = twin.FromString(content)
        batch = request.batch_reserve
        if not batch.HasField("columns"):
            return generated.FromString(content)
        whole = request.ByteSize() == len(content) and not len(UnknownFieldSet(batch.columns))
        return request if whole else generated.FromString(content)

    return read


StreamReserveResponse: Any = columnar(reservations_pb2.StreamReserveResponse.DESCRIPTOR)
BatchReserveResponse: Any = columnar(reservations_pb2.BatchReserveResponse.DESCRIPTOR)
BatchReleaseResponse: Any = columnar(reservations_pb2.BatchReleaseResponse.DESCRIPTOR)
BatchAdjustStockResponse: Any = columnar(inventory_pb2.BatchAdjustStockResponse.DESCRIPTOR)
BatchCommitResponse: Any = columnar(orders_pb2.BatchCommitResponse.DESCRIPTOR)
