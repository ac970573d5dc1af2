"""Records by id, of which those that replay brings are read when somebody asks for them."""

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import msgpack

from engine.model.growth import short_form

T = TypeVar("T")
_encode = msgpack.Encoder().encode


class Shelf(NamedTuple):
    """Records as columns, all of them encoded; those that ``open_ids`` names are decoded when they are put back."""

    ids: Sequence[int]
    encoded: Sequence[bytes]
    open_ids: Sequence[int]


class Records(MutableMapping[int, T]):
    """Records of one type by id, in the order in which their ids first came.

    One that is kept ``encoded`` is decoded when it is first read. After a replay most are orders that ended long ago: nobody
    asks for them again, and as bytes they take less memory and no time of the garbage collector.
    """

    def __init__(self, record: type[T]) -> None:
        self._kept: dict[int, T | bytes] = {}
        self.decode = msgpack.Decoder(record).decode

    def __getitem__(self, key: int) -> T:
        kept = self._kept[key]
        if isinstance(kept, bytes):
            kept = self._kept[key] = self.decode(kept)
        return kept

    def __setitem__(self, key: int, record: T) -> None:
        self._kept[key] = record

    def __delitem__(self, key: int) -> None:
        del self._kept[key]

    def __contains__(self, key: object) -> bool:
        return key in self._kept

    def __iter__(self) -> Iterator[int]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, key: int, encoded: bytes) -> None:
        """The record is now this, in MessagePack."""
        self._kept[key] = encoded

    def peek(self, key: int) -> T | bytes | None:
        """The record as it is kept."""
        return self._kept.get(key)

    def each(self, *, encoded: bool) -> Iterator[T]:
        """Every record; what is kept encoded is decoded for the moment, or left out."""
        for kept in self._kept.values():
            if not isinstance(kept, bytes):
                yield kept
            elif encoded:
                yield self.decode(kept)

    def encodable(self) -> dict[int, Any]:
        """All of them for an encoder of MessagePack, which takes what is encoded as it is: the same bytes, read or not."""
        return {
            key: msgspec.Raw(kept) if isinstance(kept, bytes) else short_form(kept) for key, kept in self._kept.items()
        }

    def shelf(self, is_open: Callable[[T], bool]) -> Shelf:
        """All of them as columns. What is kept encoded is not open."""
        kept = self._kept.values()
        return Shelf(
            list(self._kept),
            [each if isinstance(each, bytes) else _encode(short_form(each)) for each in kept],
            [key for key, each in self._kept.items() if not isinstance(each, bytes) and is_open(each)],
        )

    def put_shelf(self, shelf: Shelf) -> None:
        """Become what the columns tell."""
        self._kept = dict(zip(shelf.ids, shelf.encoded, strict=True))
        for key in shelf.open_ids:
            self[key]
