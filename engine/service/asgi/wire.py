"""gRPC as it travels in HTTP: messages behind a head of five bytes, metadata, deadlines, statuses.

See https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.
"""

import binascii
import zlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from urllib.parse import quote_from_bytes

import grpc

Headers = Sequence[tuple[bytes, bytes]]
Metadata = tuple[tuple[str, str | bytes], ...]

HEAD_BYTES = 5
CONTENT_TYPE = b"application/grpc"
IDENTITY, GZIP, DEFLATE = b"identity", b"gzip", b"deflate"
_WINDOW_BITS = {GZIP: 16 + zlib.MAX_WBITS, DEFLATE: zlib.MAX_WBITS}
_TRANSPORT = frozenset(
    b"accept-encoding connection content-length content-type expect grpc-accept-encoding grpc-encoding grpc-timeout host te "
    b"transfer-encoding x-envoy-expected-rq-timeout-ms x-envoy-external-address x-envoy-internal x-forwarded-proto x-request-id".split()
)
"""Headers that are the transport's, and no metadata."""
_UNIT_S = {72: 3_600.0, 77: 60.0, 83: 1.0, 109: 1e-3, 117: 1e-6, 110: 1e-9}
"""Of a deadline, by its last byte: hours, minutes, seconds, milli-, micro- and nanoseconds."""
_DIGITS_MAX = 8
_PRINTABLE = bytes(byte for byte in range(0x20, 0x7F) if byte != 0x25)


class Refused(Exception):
    """What came over the wire ends the call with a status."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details


def framed(message: bytes, encoding: bytes = IDENTITY) -> bytes:
    """A message behind its head, compressed unless the encoding is identity."""
    if encoding == IDENTITY:
        return b"\0" + len(message).to_bytes(4, "big") + message
    packer = zlib.compressobj(wbits=_WINDOW_BITS[encoding])
    packed = packer.compress(message) + packer.flush()
    return b"\1" + len(packed).to_bytes(4, "big") + packed


class Reader:
    """Takes messages out of the bytes of a request as they come."""

    __slots__ = ("_bytes_max", "_encoding", "_held")

    def __init__(self, bytes_max: int, encoding: bytes) -> None:
        """``bytes_max``: longest message, unpacked; ``encoding``: of those that are compressed, by the header grpc-encoding.

        Raises:
            Refused: there is no such encoding.
        """
        if encoding != IDENTITY and encoding not in _WINDOW_BITS:
            shown = encoding.decode("ascii", "replace")
            text = f"Compression algorithm '{shown}' is not supported; use gzip, deflate or identity."
            raise Refused(grpc.StatusCode.UNIMPLEMENTED, text)
        self._bytes_max = bytes_max
        self._encoding = encoding
        self._held = bytearray()

    def feed(self, content: bytes) -> None:
        """Bytes that have come."""
        self._held += content

    def take(self) -> bytes | None:
        """The next message, unpacked; None while it is not there as a whole.

        Raises:
            Refused: it is too long, or damaged. Told as soon as its head is there.
        """
        held = self._held
        if len(held) < HEAD_BYTES:
            return None
        length = int.from_bytes(held[1:HEAD_BYTES], "big")
        if length > self._bytes_max:
            raise self._too_long(length)
        if len(held) < HEAD_BYTES + length:
            return None
        flag, message = held[0], bytes(held[HEAD_BYTES : HEAD_BYTES + length])
        del held[: HEAD_BYTES + length]
        if flag == 0:
            return message
        if flag != 1 or self._encoding == IDENTITY:
            text = f"A message says by its first byte, {flag}, that it is compressed in a way that no header names."
            raise Refused(grpc.StatusCode.INTERNAL, text)
        return self._unpacked(message)

    @property
    def is_empty(self) -> bool:
        """Nothing is held: a request may end here, and nowhere else."""
        return not self._held

    def _unpacked(self, message: bytes) -> bytes:
        """Never more than the limit is unpacked: a megabyte may become a gigabyte."""
        unpacker = zlib.decompressobj(_WINDOW_BITS[self._encoding])
        try:
            content = unpacker.decompress(message, self._bytes_max + 1)
        except zlib.error:
            raise Refused(grpc.StatusCode.INTERNAL, "A compressed message cannot be unpacked.") from None
        if len(content) > self._bytes_max:
            raise self._too_long(len(content))
        if not unpacker.eof:
            raise Refused(grpc.StatusCode.INTERNAL, "A compressed message is cut off.")
        return content

    def _too_long(self, length: int) -> Refused:
        text = f"SERVER: Received message larger than max ({length} vs. {self._bytes_max})"
        return Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, text)


def timeout_s(header: bytes) -> float | None:
    """Seconds that the caller waits, by the header grpc-timeout; what cannot be read is no deadline, as with grpcio."""
    digits = header[:-1]
    if not digits.isdigit() or len(digits) > _DIGITS_MAX or header[-1] not in _UNIT_S:
        return None
    return int(digits) * _UNIT_S[header[-1]]


def metadata_of(headers: Headers) -> Metadata:
    """What the caller sent along: bytes where the key ends with -bin, else text."""
    others = [header for header in headers if header[0] not in _TRANSPORT]
    found: list[tuple[str, str | bytes]] = []
    for name, value in others:
        if name.endswith(b"-bin"):
            found.extend((name.decode("ascii"), _binary(part)) for part in value.split(b","))
        else:
            found.append((name.decode("ascii", "replace"), value.decode("latin-1")))
    return tuple(found)


def _binary(value: bytes) -> bytes:
    try:
        return binascii.a2b_base64(value + b"=" * (-len(value) % 4))
    except binascii.Error:
        return value  # none that a library of gRPC has made; nothing of ours reads it


def headers_of(metadata: Iterable[tuple[str, str | bytes]] | None) -> list[tuple[bytes, bytes]]:
    """Metadata as headers or trailers."""
    made: list[tuple[bytes, bytes]] = []
    for key, value in metadata or ():
        if isinstance(value, str):
            value = value.encode()  # noqa: PLW2901
        if key.endswith("-bin"):
            value = binascii.b2a_base64(value, newline=False).rstrip(b"=")  # noqa: PLW2901
        made.append((key.encode("ascii"), value))
    return made


def status_headers(code: grpc.StatusCode, details: str) -> list[tuple[bytes, bytes]]:
    """A status as trailers; what a header cannot hold is escaped by percent signs."""
    made = [(b"grpc-status", b"%d" % code.value[0])]
    if details:
        made.append((b"grpc-message", quote_from_bytes(details.encode(), safe=_PRINTABLE).encode()))
    return made


@lru_cache(maxsize=1_024)
def peer_of(client: tuple[str, int] | None) -> str:
    """Whose connection it is, in gRPC's way of saying it. Asked for every call, and always of the same few."""
    if not client:
        return "unknown"
    host, port = client
    return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"
