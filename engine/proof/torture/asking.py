"""How a client of the torture asks: with one request id until it has an answer, and every answer goes into the ledger."""

import asyncio
from typing import Any

from engine.client import AsyncClient, StockpoolError
from engine.proof.torture.ledger import Entry, Ledger, digest, method_of
from stockpool.v1 import types_pb2 as types

_PASSING = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "CANCELLED"})
"""Status codes that a server which is killed, starts or drains may give. Whoever gets one repeats."""
_REPEAT_AFTER_S = 0.05
_STALE_PATIENCE_S = 8.0
"""A server that another one took over from says so after a moment."""


class WrongAnswerError(Exception):
    """The server gave an answer that it must never give; it is noted in the ledger."""


class Asker:
    """Asks over one client and keeps the ledger."""

    def __init__(self, client: AsyncClient, ledger: Ledger) -> None:
        self.client = client
        self.ledger = ledger

    async def ask(self, call: str, request: Any) -> Any:
        """The answer to a command, however often it takes to get one."""
        self.ledger.begin(call, request)
        response = await self._answer(call, request)
        self.ledger.note(call, request, response)
        return response

    async def ask_twice_at_once(self, call: str, request: Any) -> Any:
        """The answer to a command that is sent twice at the same time: both are told the same."""
        self.ledger.begin(call, request)
        first, second = await asyncio.gather(self._answer(call, request), self._answer(call, request))
        if digest(first) != digest(second):
            self.ledger.find("duplicate", f"{call} {request.request_id} was answered twice: {first} and {second}")
        self.ledger.note(call, request, first)
        return first

    async def repeat(self, entry: Entry) -> None:
        """Asks again for something that was answered before: the answer must be the same, byte for byte."""
        response = await self._answer(entry.call, entry.request)
        if digest(response) != entry.digest:
            name = types.Outcome.Name(entry.outcome)
            self.ledger.find(
                "lost",
                f"{entry.call} {entry.request.request_id} was answered {name} at seq {entry.seq}, and asked again: {response.result}",
            )

    async def reuse(self, call: str, request: Any) -> None:
        """Uses the id of an earlier request for another body: it must be refused."""
        response = await self._answer(call, request)
        if response.result.outcome != types.OUTCOME_REQUEST_ID_REUSED:
            self.ledger.find(
                "duplicate", f"{call} took the id {request.request_id} for another body: {response.result}"
            )

    async def read(self, call: str, request: Any) -> Any:
        """The answer to a query that asks for a state at least as new as anybody was told of."""
        request.min_journal_seq = self.ledger.newest_seq
        response = await self._answer(call, request)
        self.ledger.saw(response.result.journal_seq)
        return response

    async def _answer(self, call: str, request: Any) -> Any:
        method = getattr(self.client, method_of(call))
        begun = asyncio.get_running_loop().time()
        while True:
            try:
                return await method(request)
            except StockpoolError as error:
                waited = asyncio.get_running_loop().time() - begun
                is_stale = error.reason == "SEQ_NOT_REACHED"
                if error.code.name not in _PASSING and not (is_stale and waited < _STALE_PATIENCE_S):
                    self.ledger.waiting.pop(getattr(request, "request_id", ""), None)
                    self.ledger.find("lost" if is_stale else "other", f"{call} failed: {error}; asked: {request}")
                    raise WrongAnswerError from error
                self.ledger.passing[error.reason or error.code.name] += 1
            await asyncio.sleep(_REPEAT_AFTER_S)
