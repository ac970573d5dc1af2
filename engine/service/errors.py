"""What a call that fails is told: a gRPC status with the details that a program can act on.

Every status carries a google.rpc.ErrorInfo with domain "stockpool.v1" and an ErrorReason of the contract, without its prefix.
"""

import logging
import uuid
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from engine.journal import JournalCut
from engine.model.commands import Malformed, TooOld
from engine.service.crowd import Crowded
from engine.writer import DeadlinePassed, JournalLost, NotServing, Overloaded, SeqNotReached

DOMAIN = "stockpool.v1"
NOT_SERVING_RETRY_NS = 1_000_000_000
"""When to try again a server that is starting or draining."""
DETAIL_CHARACTERS_MAX = 3_000
"""A status travels in the trailers of HTTP/2, which peers cut off at 8 KiB: what is wrong beyond this is only counted."""

_log = logging.getLogger("engine.service")


class Problem(NamedTuple):
    """What is wrong with one field. ``limit`` is the name in GetLimits of the limit that it is over, else empty."""

    field: str
    description: str
    limit: str = ""
    limit_value: int = 0


class InvalidRequest(Exception):
    """The request is malformed or over a limit; nothing was asked of the engine."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems


class BadPageToken(Exception):
    """The page token was not made by this call."""


class PlanningFailed(Exception):
    """No new prices are in force; the message says why."""


class Unauthenticated(Exception):
    """No credentials, or wrong ones."""


class PermissionDenied(Exception):
    """The credentials do not cover what was asked; the message says what."""


def status_of(error: BaseException) -> status_pb2.Status:
    """The status of a failed call. What is not foreseen is INTERNAL: logged with its stack, told by an incident number alone."""
    match error:
        case InvalidRequest():
            return _invalid(error.problems)
        case Malformed():
            return _invalid([Problem(error.field, error.description)])
        case TooOld():
            message = (
                f"The request was first sent {error.age_ns / 1e9:.0f} s ago: it may have been decided and forgotten since. Look whether "
                "it took effect; if not, send it under a new request id."
            )
            return _status(code_pb2.FAILED_PRECONDITION, "REQUEST_TOO_OLD", message)
        case Overloaded():
            message = "The server has more work waiting than it takes; repeat with the same request id."
            return _exhausted(message, error.limit, error.value, error.retry_after_ns)
        case Crowded():
            message = f"{error.whose} has {error.value} of these under way and may have no more; repeat later."
            return _exhausted(message, error.limit, error.value, error.retry_after_ns)
        case NotServing():
            message = "The server is starting or draining; repeat with the same request id."
            return _status(code_pb2.UNAVAILABLE, "NOT_SERVING", message, retry_ns=NOT_SERVING_RETRY_NS)
        case JournalLost():
            return _journal_lost(error)
        case SeqNotReached():
            message = f"The decision that was asked for lies beyond journal_seq {error.last_seq}, the newest that this server has."
            metadata = {"journal_seq": str(error.last_seq)}
            return _status(code_pb2.FAILED_PRECONDITION, "SEQ_NOT_REACHED", message, metadata=metadata)
        case JournalCut():
            message = (
                f"The journal begins at journal_seq {error.first_seq}; what came before was cut off behind a snapshot."
            )
            metadata = {"first_seq": str(error.first_seq)}
            return _status(code_pb2.OUT_OF_RANGE, "SEQ_CUT", message, metadata=metadata)
        case BadPageToken():
            message = "page_token was not made by this call; leave it empty for the first page."
            return _status(code_pb2.OUT_OF_RANGE, "BAD_PAGE_TOKEN", message)
        case PlanningFailed():
            return _status(code_pb2.ABORTED, "PLANNING_FAILED", str(error))
        case DeadlinePassed():
            message = "The deadline passed before the request was decided; it was dropped undecided."
            return _status(code_pb2.DEADLINE_EXCEEDED, "DEADLINE", message)
        case Unauthenticated():
            return _status(code_pb2.UNAUTHENTICATED, "UNAUTHENTICATED", str(error))
        case PermissionDenied():
            return _status(code_pb2.PERMISSION_DENIED, "PERMISSION_DENIED", str(error))
        case _:
            return _internal(error)


async def abort(context: Any, error: BaseException) -> NoReturn:
    """End the call with the status of ``error``."""
    await context.abort_with_status(rpc_status.to_status(status_of(error)))
    raise AssertionError("abort_with_status raises")


def _status(
    code: int,
    reason: str,
    message: str,
    *,
    metadata: dict[str, str] | None = None,
    retry_ns: int = 0,
    details: Iterable[Message] = (),
) -> status_pb2.Status:
    status = status_pb2.Status(code=code, message=message)
    status.details.append(_packed(error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata)))
    if retry_ns:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(retry_ns)
        status.details.append(_packed(retry))
    status.details.extend(map(_packed, details))
    return status


def _exhausted(message: str, limit: str, value: int, retry_ns: int) -> status_pb2.Status:
    metadata = {"limit": limit, "value": str(value)}
    return _status(code_pb2.RESOURCE_EXHAUSTED, "OVERLOADED", message, metadata=metadata, retry_ns=retry_ns)


def _packed(message: Message) -> Packed:
    packed = Packed()
    packed.Pack(message)
    return packed


def _invalid(problems: Sequence[Problem]) -> status_pb2.Status:
    first = problems[0]
    over = all(problem.limit for problem in problems)
    bad = error_details_pb2.BadRequest()
    room = DETAIL_CHARACTERS_MAX
    for told, problem in enumerate(problems):
        room -= len(problem.field) + len(problem.description) + 16
        if room < 0:
            bad.field_violations.add(field="", description=f"and {len(problems) - told} more problems")
            break
        bad.field_violations.add(field=problem.field, description=problem.description)
    return _status(
        code_pb2.INVALID_ARGUMENT,
        "LIMIT_EXCEEDED" if over else "INVALID_FIELD",
        f"{first.field}: {first.description}",
        metadata={"limit": first.limit, "value": str(first.limit_value)} if over else None,
        details=(bad,),
    )


def _journal_lost(error: JournalLost) -> status_pb2.Status:
    if error.fenced:
        message = "Another writer has taken over the journal; follow the address and repeat with the same request id."
        return _status(code_pb2.UNAVAILABLE, "FENCED", message, retry_ns=NOT_SERVING_RETRY_NS)
    message = (
        "The journal could not be written, it is unknown whether the request was kept; repeat with the same request id."
    )
    return _status(code_pb2.UNAVAILABLE, "JOURNAL_UNAVAILABLE", message, retry_ns=NOT_SERVING_RETRY_NS)


def _internal(error: BaseException) -> status_pb2.Status:
    incident = str(uuid.uuid4())
    _log.error("incident %s: a call failed unexpectedly", incident, exc_info=error)
    message = f"A defect of the engine; incident {incident} in the server's log tells more."
    return _status(code_pb2.INTERNAL, "INTERNAL", message, metadata={"incident": incident})


CODES = {code.value[0]: code for code in grpc.StatusCode}
"""gRPC's own names of the codes, by number."""
