"""What a call is made of, and the judgement that every response starts with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from engine.model.commands import Command
from engine.model.outcomes import Outcome
from engine.model.queries import Query
from engine.model.replies import Plain, Reply
from engine.pool.names import Names
from engine.service.fields import Rules

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)
Fill = Callable[[Any, Any, Names], None]
"""Puts what a reply says, beside its outcome, into a response."""


def nothing_more(response: Any, reply: Any, names: Names) -> None:
    """For calls whose response is the judgement alone."""


@dataclass(frozen=True, slots=True)
class Entry(Generic[RequestT, ResponseT]):
    """One call: ``work`` checks a request and makes a command or a query of it, ``fill`` fills a fresh response."""

    work: Callable[[RequestT, Rules], Command | Query]
    response: type[ResponseT]
    fill: Fill = nothing_more

    def answer(self, seq: int, reply: Reply, names: Names) -> ResponseT:
        """The response to a reply. The same reply gives the same bytes."""
        response: Any = self.response()
        judge(response.result, reply.outcome, reply.subject, seq)
        if type(reply) is not Plain:
            self.fill(response, reply, names)
        filled: ResponseT = response
        return filled


def judge(result: Any, outcome: Outcome, subject: str, seq: int) -> None:
    """Fill a Result."""
    result.outcome = outcome
    if outcome == Outcome.OK:
        result.detail = "Done."
    else:
        result.subject = subject
        result.detail = _DETAIL[outcome].format(f' "{subject}"' if subject else "")
    result.journal_seq = seq


_DETAIL = {
    Outcome.OK: "Done.",
    Outcome.REQUEST_ID_REUSED: "The request id{} was used before for another request; use a new one.",
    Outcome.UNKNOWN_CHANNEL: "There is no channel{}.",
    Outcome.UNKNOWN_SKU: "There is no SKU{}.",
    Outcome.UNKNOWN_NODE: "There is no node{}.",
    Outcome.UNKNOWN_DESTINATION: "The postal code{} lies in no region of the zone chart.",
    Outcome.UNKNOWN_SERVICE: "There is no rate card for the service{}.",
    Outcome.UNKNOWN_POLICY: "There is no routing policy{}.",
    Outcome.UNKNOWN_RESERVATION: "There is no reservation{}, or it is forgotten.",
    Outcome.UNKNOWN_ORDER: "There is no order{}, or it is forgotten.",
    Outcome.UNKNOWN_LINE: "There is no line{}.",
    Outcome.UNKNOWN_FULFILLMENT_ORDER: "There is no fulfillment order{}, or it is forgotten.",
    Outcome.UNKNOWN_RETURN: "There is no return{}.",
    Outcome.DUPLICATE_ORDER: "The channel already has an order{}.",
    Outcome.RESERVATION_EXPIRED: "The reservation{} has expired; its units are free.",
    Outcome.RESERVATION_COMMITTED: "The reservation{} already became an order.",
    Outcome.RESERVATION_RELEASED: "The reservation{} was already released.",
    Outcome.EXTENSION_LIMIT: "The reservation would be held longer than the limit{} allows.",
    Outcome.NODE_NOT_IN_CHANNEL: "The channel does not sell from the node{}.",
    Outcome.NODE_CLOSED: "The node{} is closed.",
    Outcome.NODE_LACKS_SERVICE: "The node{} does not do what was asked of it.",
    Outcome.STALE_SOURCE: "The feed{} has already said something newer about this cell.",
    Outcome.STALE_QUANTITY: "The units on hand{} are not those that were expected.",
    Outcome.INSUFFICIENT_STOCK: "There are not enough units{}.",
    Outcome.PARTIAL: "Done in part{}.",
    Outcome.NO_PLAN: "There are units, but the routing policy allows no plan for them{}.",
    Outcome.STALE_PLAN: "What was proposed for the order{} cannot be done any more; it stays as it was.",
    Outcome.INVALID_TRANSITION: "The present state{} does not allow this step.",
    Outcome.UNITS_EXCEEDED: "There are fewer units open{} than were asked for.",
    Outcome.NO_RETURN_NODE: "No node may take the goods back{}.",
    Outcome.CAPACITY_EXHAUSTED: "The limit{} of the store is reached.",
    Outcome.BATCH_REFUSED: "Another item of the batch was refused{}.",
}
