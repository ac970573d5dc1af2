"""AdminService: state, audit."""

from typing import Any

from engine.model.answers import StatusAnswer
from engine.model.queries import Audit, AuditReport, GetStatus
from engine.service.convert.planning import fill_plan
from engine.service.convert.wording import fill_time
from engine.service.fields import Rules
from stockpool.v1 import admin_pb2 as pb

FINDINGS_TOLD_MAX = 100


def get_status(request: pb.GetStatusRequest, rules: Rules) -> GetStatus:
    """Counts and totals."""
    check = rules.check()
    query = GetStatus(check.min_journal_seq(request.min_journal_seq))
    check.done()
    return query


def status_response(reply: StatusAnswer, seq: int, start_ns: int) -> pb.GetStatusResponse:
    """Counts and totals, which have the names of the message, and the prices in force."""
    response = pb.GetStatusResponse(journal_seq=seq, **reply.report._asdict())
    if reply.price_plan is not None:
        fill_plan(response.price_plan, reply.price_plan, reply.price_age_ns)
    fill_time(response.start_time, start_ns)
    return response


def audit(request: pb.AuditInvariantsRequest, rules: Rules) -> Audit:
    """Recompute and compare."""
    del request, rules
    return Audit(0, digest=True)


def audit_response(report: AuditReport, seq: int) -> pb.AuditInvariantsResponse:
    """What the audit found; ``ok`` when that is nothing."""
    response = pb.AuditInvariantsResponse(
        ok=not report.findings,
        journal_seq=seq,
        cell_count=report.cell_count,
        reservation_count=report.reservation_count,
        fulfillment_order_count=report.fulfillment_order_count,
        digest=report.digest,
    )
    for finding in report.findings[:FINDINGS_TOLD_MAX]:
        add_finding(response, finding)
    return response


def add_finding(response: pb.AuditInvariantsResponse, finding: Any) -> None:
    """One broken invariant more."""
    response.findings.add(
        invariant=finding.invariant, subject=finding.subject, expected=finding.expected, actual=finding.actual
    )
    response.ok = False


def check_events(request: pb.StreamEventsRequest, rules: Rules) -> None:
    """Where a stream of events begins.

    Raises:
        InvalidRequest: before the beginning.
    """
    check = rules.check()
    if request.from_seq < 0:
        check.wrong("from_seq", f"must be at least 0, got {request.from_seq}")
    check.done()
