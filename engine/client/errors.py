"""What a failed call raises."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

__all__ = ["FieldProblem", "StockpoolError"]


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One field that the server refused: its path in the request, and what is wrong with it."""

    field: str
    description: str


class StockpoolError(Exception):
    """A call that failed. ``reason`` is an ErrorReason of the contract without its prefix, or empty when no server answered."""

    reason: str = ""
    fields: tuple[FieldProblem, ...] = ()
    retry_after_s: float | None = None

    def __init__(self, call: str, error: grpc.RpcError) -> None:
        code, message, trailers = _parts(error)
        self.call = call
        self.code: grpc.StatusCode = code
        self.message = message
        self.metadata: dict[str, str] = {}
        self._read(trailers)
        others = "".join(f"\n  {one.field}: {one.description}" for one in self.fields[1:])
        label = f"{code.name} ({self.reason})" if self.reason else code.name
        super().__init__(f"{call}: {label}: {message}{others}")

    def _read(self, trailers: Iterable[tuple[str, str | bytes]]) -> None:
        """Take what the error's details say; unknown ones are skipped."""
        for key, value in trailers:
            if key != "grpc-status-details-bin" or not isinstance(value, bytes):
                continue
            try:
                details = status_pb2.Status.FromString(value).details
            except DecodeError:
                continue
            for detail in details:
                if detail.Unpack(info := error_details_pb2.ErrorInfo()):
                    self.reason, self.metadata = info.reason, dict(info.metadata)
                elif detail.Unpack(bad := error_details_pb2.BadRequest()):
                    self.fields = tuple(FieldProblem(one.field, one.description) for one in bad.field_violations)
                elif detail.Unpack(retry := error_details_pb2.RetryInfo()):
                    self.retry_after_s = retry.retry_delay.ToNanoseconds() / 1e9


def _parts(error: grpc.RpcError) -> tuple[grpc.StatusCode, str, Iterable[tuple[str, str | bytes]]]:
    call: Any = error  # every RpcError that a call raises is also the call; the base class does not say so
    return call.code(), call.details() or "", call.trailing_metadata() or ()
