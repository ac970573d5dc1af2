"""One hand on the telephone: every call of the demo goes through here, is timed, counted, and its answer judged."""

from collections import Counter
from collections.abc import Awaitable, Callable
from time import perf_counter_ns
from typing import Any, Protocol, TypeVar

from engine.client import AsyncClient, StockpoolError
from engine.demo.latency import Latencies
from stockpool.v1 import types_pb2 as types

RequestT = TypeVar("RequestT")

OK = types.OUTCOME_OK
PARTIAL = types.OUTCOME_PARTIAL

_FORESEEN = {
    "Reserve": {OK, types.OUTCOME_INSUFFICIENT_STOCK},
    "GetFulfillmentOptions": {OK, types.OUTCOME_INSUFFICIENT_STOCK},
    "IngestOrder": {OK, PARTIAL},
    "Reject": {OK, PARTIAL},
    "ReleaseReservation": {OK, types.OUTCOME_RESERVATION_EXPIRED},
    "AuthorizeReturn": {OK, types.OUTCOME_NO_RETURN_NODE},
}
"""Answers that belong to a day's business. Every call may be answered OK; anything else is a surprise."""


class Answer(Protocol):
    """What the responses of calls that are judged have in common."""

    @property
    def result(self) -> types.Result:
        """The judgement."""


AnswerT = TypeVar("AnswerT", bound=Answer)


class Caller:
    """Makes calls over one client, and keeps how long they took and what was answered.

    ``outcomes`` counts (call, outcome); ``surprises`` those that no caller foresees, with one example each; ``errors`` counts
    (call, status code) of calls that failed after all retries.
    """

    def __init__(self, client: AsyncClient, request_prefix: str) -> None:
        """``request_prefix`` and a running number make the request ids: unique as long as no other player of the store uses it."""
        self.client = client
        self.latencies = Latencies()
        self.outcomes: Counter[tuple[str, int]] = Counter()
        self.surprises: dict[tuple[str, int], str] = {}
        self.errors: Counter[tuple[str, str]] = Counter()
        self.example_of_error = ""
        self._prefix = request_prefix
        self._number = 0

    @property
    def call_count(self) -> int:
        """Calls that were answered."""
        return self.outcomes.total()

    def next_id(self) -> str:
        """A request id that was not used before."""
        self._number += 1
        return f"{self._prefix}-{self._number}"

    async def ask(self, call: str, method: Callable[[RequestT], Awaitable[AnswerT]], request: RequestT) -> AnswerT:
        """Makes the call named ``call`` by ``method``.

        Raises:
            StockpoolError: it failed, after all retries.
        """
        begun_ns = perf_counter_ns()
        try:
            answer = await method(request)
        except StockpoolError as error:
            self.errors[call, error.code.name] += 1
            self.example_of_error = self.example_of_error or str(error)
            raise
        self.latencies.of(call).record((perf_counter_ns() - begun_ns) // 1_000)
        outcome = answer.result.outcome
        self.outcomes[call, outcome] += 1
        if outcome != OK and outcome not in _FORESEEN.get(call, ()) and (call, outcome) not in self.surprises:
            self.surprises[call, outcome] = _sentence(answer.result, request)
        return answer


def _sentence(result: types.Result, request: Any) -> str:
    what = result.detail or types.Outcome.Name(result.outcome)
    about = f" ({result.subject})" if result.subject and result.subject not in what else ""
    return f"{what}{about}, asked with request id {request.request_id or 'none'}"
