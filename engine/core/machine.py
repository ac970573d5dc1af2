"""The state machine: ``decide`` judges a command, ``apply`` folds a decision into the state, ``answer`` answers a query.

No I/O, no clock, no chance: time comes in, ids are counters of the state. Decide never writes; apply never decides.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from engine.core import (
    audit,
    batch_commands,
    fulfillment,
    network,
    options,
    orders,
    policies,
    prices,
    queries,
    rerouting,
    reservations,
    returns,
    stock,
    waiting,
)
from engine.core.claims import Planner, Question
from engine.core.draft import Draft
from engine.core.explanations import explain
from engine.core.image import copy_of
from engine.core.replies import RequestLog
from engine.core.shadow import Compared, compare
from engine.kernels import columns as c
from engine.kernels.zones import Integers
from engine.model import commands as m
from engine.model import queries as q
from engine.model.answers import StatusAnswer
from engine.model.decisions import Decision, Run
from engine.model.explanations import Replayed
from engine.model.limits import CLOCK_STEP_NS, Limits
from engine.model.outcomes import CommandKind, Outcome
from engine.model.replies import REPLY_OF, Plain, Reply
from engine.pool.pool import Pool, effect_matrix
from engine.pool.replies import encode_reply
from engine.pool.stock import CapacityExhausted


@dataclass(frozen=True, slots=True)
class Repeated:
    """The request id is known: the first answer again, or REQUEST_ID_REUSED. Nothing is journaled."""

    seq: int
    reply: Any


class _Case(NamedTuple):
    kind: CommandKind
    decide: Callable[[Any, int], Draft]


def _cases(pool: Pool, planner: Planner) -> dict[type[m.Command], _Case]:
    """Who decides which command."""
    kind = CommandKind
    return {
        m.PutNodes: _Case(kind.PUT_NODES, lambda x, _: network.decide_put_nodes(pool, x)),
        m.PutSkus: _Case(kind.PUT_SKUS, lambda x, _: network.decide_put_skus(pool, x)),
        m.PutChannels: _Case(kind.PUT_CHANNELS, lambda x, _: network.decide_put_channels(pool, x)),
        m.PutRateCard: _Case(kind.PUT_RATE_CARD, lambda x, _: network.decide_put_rate_card(pool, x)),
        m.PutZoneChart: _Case(kind.PUT_ZONE_CHART, lambda x, _: network.decide_put_zone_chart(pool, x)),
        m.PutRoutingPolicy: _Case(kind.PUT_ROUTING_POLICY, lambda x, _: policies.decide_put_policy(pool, x)),
        m.ActivateRoutingPolicy: _Case(
            kind.ACTIVATE_ROUTING_POLICY, lambda x, _: policies.decide_activate_policy(pool, x)
        ),
        m.AdjustStock: _Case(kind.ADJUST_STOCK, lambda x, _: stock.decide_adjust(pool, x)),
        m.SetStock: _Case(kind.SET_STOCK, lambda x, _: stock.decide_set(pool, x)),
        m.ReceiveStock: _Case(kind.RECEIVE_STOCK, lambda x, _: stock.decide_receive(pool, x)),
        m.RecordSale: _Case(kind.RECORD_SALE, lambda x, now: stock.decide_sale(pool, planner, x, now)),
        m.ImportStock: _Case(kind.IMPORT_STOCK, lambda x, _: stock.decide_import(pool, x)),
        m.Reserve: _Case(kind.RESERVE, lambda x, now: reservations.decide_reserve(pool, planner, x, now)),
        m.BatchReserve: _Case(
            kind.BATCH_RESERVE, lambda x, now: reservations.decide_batch_reserve(pool, planner, x, now)
        ),
        m.ExtendReservation: _Case(kind.EXTEND_RESERVATION, lambda x, now: reservations.decide_extend(pool, x, now)),
        m.ReleaseReservation: _Case(kind.RELEASE_RESERVATION, lambda x, _: reservations.decide_release(pool, x)),
        m.BatchRelease: _Case(kind.BATCH_RELEASE, lambda x, _: batch_commands.decide_batch_release(pool, x)),
        m.BatchAdjustStock: _Case(kind.BATCH_ADJUST_STOCK, lambda x, _: batch_commands.decide_batch_adjust(pool, x)),
        m.BatchCommit: _Case(kind.BATCH_COMMIT, lambda x, now: batch_commands.decide_batch_commit(pool, x, now)),
        m.PlaceOrder: _Case(kind.PLACE_ORDER, lambda x, now: orders.decide_place(pool, planner, x, now)),
        m.IngestOrder: _Case(kind.INGEST_ORDER, lambda x, now: orders.decide_ingest(pool, planner, x, now)),
        m.ReleaseOrder: _Case(kind.RELEASE_ORDER, lambda x, now: waiting.decide_release(pool, planner, x, now)),
        m.RerouteOrder: _Case(kind.REROUTE_ORDER, lambda x, now: rerouting.decide_reroute(pool, planner, x, now)),
        m.CancelOrder: _Case(kind.CANCEL_ORDER, lambda x, now: orders.decide_cancel(pool, x, now)),
        m.Accept: _Case(kind.ACCEPT, lambda x, now: fulfillment.decide_accept(pool, x, now)),
        m.Reject: _Case(kind.REJECT, lambda x, now: fulfillment.decide_reject(pool, planner, x, now)),
        m.Ship: _Case(kind.SHIP, lambda x, now: fulfillment.decide_ship(pool, x, now)),
        m.MarkReady: _Case(kind.MARK_READY, lambda x, now: fulfillment.decide_mark_ready(pool, x, now)),
        m.HandOver: _Case(kind.HAND_OVER, lambda x, now: fulfillment.decide_hand_over(pool, x, now)),
        m.AuthorizeReturn: _Case(kind.AUTHORIZE_RETURN, lambda x, now: returns.decide_authorize(pool, x, now)),
        m.ReceiveReturn: _Case(kind.RECEIVE_RETURN, lambda x, _: returns.decide_receive(pool, x)),
        m.SetPrices: _Case(kind.SET_PRICES, lambda x, now: prices.decide_set_prices(pool, x, now)),
    }


def _answers(pool: Pool, planner: Planner, requests: RequestLog) -> dict[type[q.Query], Callable[[Any, int], Any]]:
    """Who answers which query."""
    return {
        q.GetAvailability: lambda x, _: queries.get_availability(pool, x),
        q.GetIndexes: lambda x, _: queries.get_indexes(pool, x),
        q.GetFulfillmentOptions: lambda x, now: options.get_options(pool, planner, x, now),
        q.GetReservation: lambda x, _: queries.get_reservation(pool, x),
        q.GetOrder: lambda x, _: queries.get_order(pool, x),
        q.ListFulfillmentOrders: lambda x, now: queries.list_work(pool, x, now),
        q.FindOwners: lambda x, _: queries.find_owners(pool, x),
        q.ListMovements: lambda x, _: queries.list_movements(pool, x),
        q.GetPrices: lambda x, now: prices.get_prices(pool, x, now),
        q.GetEntry: lambda x, _: queries.get_entry(pool, x),
        q.ListEntries: lambda x, _: queries.list_entries(pool, x),
        q.GetStatus: lambda _, now: queries.get_status(pool, now),
        q.Look: lambda x, now: StatusAnswer(Outcome.OK, "", x.take(pool, now)),
        q.Audit: lambda x, _: audit.audit(pool, requests, x),
    }


class Machine:
    """One pool and the rules that change it."""

    def __init__(self, limits: Limits) -> None:
        self.pool = Pool(limits)
        self.requests = RequestLog(limits.request_ids_remembered)
        self.now_ns = 0
        # The tables below do not point back to the machine: one that is no longer needed is freed at once.
        pool, planner, requests = self.pool, Planner(self.pool), self.requests
        self._planner = planner
        self._cases = _cases(pool, planner)
        self._answers = _answers(pool, planner, requests)

    @property
    def seq(self) -> int:
        """Sequence of the last decision."""
        return self.pool.seq

    @seq.setter
    def seq(self, seq: int) -> None:
        self.pool.seq = seq

    def knows(self, request_id: str) -> bool:
        """Whether a request with this id was decided and is remembered."""
        return self.requests.find(request_id) is not None

    def decide(self, command: m.Command, now_ns: int) -> Decision | Repeated:
        """Judge one command at an instant not before the last decision. Changes nothing.

        Raises:
            Malformed: the command was well-formed in an earlier state only.
        """
        case = self._cases[type(command)]
        known = self.requests.find(command.request_id)
        if known is not None:
            same = known.fingerprint == command.fingerprint and known.kind == case.kind
            reused = REPLY_OF[case.kind](Outcome.REQUEST_ID_REUSED, command.request_id)
            return Repeated(known.seq, known.reply() if same else reused)
        if command.age_ns:
            self._require_window(command, now_ns)
        self.pool.promises.refresh(now_ns)
        draft = case.decide(command, now_ns)
        return self._decision(case.kind, command, draft, now_ns)

    def _require_window(self, command: m.Command, now_ns: int) -> None:
        """Of a request that was sent before, and is unknown, it must be certain that it was never decided."""
        window_ns = self.pool.limits.request_window_ns
        forgotten_ns = self.requests.forgotten_ns(now_ns)
        sent_ns = now_ns - command.age_ns - CLOCK_STEP_NS
        if command.age_ns > window_ns or (forgotten_ns and sent_ns <= forgotten_ns):
            raise m.TooOld(command.age_ns)

    def decide_reserves(self, commands: Sequence[m.Reserve], now_ns: int) -> tuple[list[Decision], Integers] | None:
        """Judge consecutive Reserves whose request ids are new and differ: one kernel call for all.

        The decisions are those that ``decide`` and ``apply`` by turns give, but that only the first with effects carries an OP_AT.
        Returned with their effects as one matrix, for ``apply_reserves``. ``None`` when they do not fit together.
        """
        self.pool.promises.refresh(now_ns)
        try:
            claims = [command.claim for command in commands]
            judged = reservations.decide_reserves(self.pool, self._planner, claims, now_ns)
        except CapacityExhausted:
            return None
        if any(reply.outcome == Outcome.CAPACITY_EXHAUSTED for reply in judged.replies):
            return None
        if any(reservations.might_displace(self.pool, *each) for each in zip(claims, judged.replies, strict=True)):
            return None
        decisions = []
        row = 0
        seq = self.seq
        for command, reply, count in zip(commands, judged.replies, judged.row_counts, strict=True):
            seq += 1
            effects = None
            if count:
                start, row = row, row + count
                if start == 0:
                    judged.effects[0] = (c.OP_AT, seq, now_ns, 0, 0, 0)
                    row += 1
                effects = judged.effects[start:row]
            decisions.append(
                Decision(
                    seq,
                    now_ns,
                    CommandKind.RESERVE,
                    command.request_id,
                    command.fingerprint,
                    reply,
                    encode_reply(reply),
                    effects,
                    (),
                    "",
                )
            )
        return decisions, judged.effects

    def _decision(self, kind: CommandKind, command: m.Command | None, draft: Draft, now_ns: int) -> Decision:
        seq = self.seq + 1
        rows = draft.effects if isinstance(draft.effects, np.ndarray) else list(draft.effects)
        return Decision(
            seq,
            now_ns,
            kind,
            command.request_id if command else "",
            command.fingerprint if command else 0,
            draft.reply,
            encode_reply(draft.reply),
            effect_matrix(seq, now_ns, rows),
            draft.documents,
            draft.reference,
        )

    def expire(self, now_ns: int) -> Decision | None:
        """The decision that ends every reservation, and the prices, due by ``now_ns``; ``None`` when there is none.

        Called before anything is decided or answered, hence a hold that has expired is free at that instant. At most DUE_MAX
        end at once: call again until there is none.
        """
        ids = self.pool.reservations.due(now_ns)
        documents = prices.expiry_documents(self.pool, now_ns)
        if not (ids.size or documents):
            return None
        draft = Draft(Plain(Outcome.OK), reservations.expiry_effects(ids), documents)
        return self._decision(CommandKind.EXPIRE, None, draft, now_ns)

    def apply(self, decision: Decision) -> None:
        """Fold one decision into the state."""
        self.pool.changes.note(decision.seq, decision.effects, decision.documents)
        self.pool.apply(decision.effects, decision.documents)
        self._note(decision)

    def apply_reserves(self, decisions: Sequence[Decision], effects: Integers) -> None:
        """Fold what ``decide_reserves`` gave into the state."""
        self.pool.changes.note(decisions[-1].seq, effects, ())
        self.pool.apply(effects if len(effects) > 1 else None, ())
        for decision in decisions:
            self._note(decision)

    def _note(self, decision: Decision) -> None:
        self.requests.note(decision.seq, decision.now_ns)
        if decision.request_id:
            entry = (decision.fingerprint, decision.seq, decision.kind, decision.encoded)
            self.requests.put(decision.request_id, entry)
        self.seq = decision.seq
        self.now_ns = decision.now_ns

    def apply_run(self, run: Run) -> None:
        """Fold consecutive decisions into the state: the same as ``apply`` on each, in one kernel call."""
        self.pool.changes.end()
        self.pool.apply_run(run)
        self.requests.put_run(run)
        self.seq = run.first_seq + len(run.kinds) - 1
        self.now_ns = run.times_ns[-1]

    def answer(self, query: q.Query, now_ns: int) -> Reply:
        """Answer a query about the present. Changes nothing."""
        if isinstance(query, q.TakeImage):
            return StatusAnswer(Outcome.OK, "", copy_of(self))
        self.pool.promises.refresh(now_ns)
        reply: Reply = self._answers[type(query)](query, now_ns)
        return reply

    def explain(
        self, question: Question, granted: dict[int, int], taken: dict[int, int], now_ns: int, *, proposed: bool = False
    ) -> Replayed:
        """Why the router answers ``question`` as it does in the present state, see ``core.explanations``.

        ``granted``: units by slot that it gave; ``taken``: those that the same decision had given away before, below zero where it had given
        them back; ``now_ns``: when it was asked.
        """
        with self._without(taken, now_ns):
            told = explain(self.pool, self._planner, question, granted, proposed=proposed)
            return told._replace(now_ns=now_ns)

    def compare(self, question: Question, rules: Integers, taken: dict[int, int], now_ns: int) -> Compared:
        """What the router answers under the policy in force, and under other compiled ``rules``; see ``explain``. Changes nothing."""
        with self._without(taken, now_ns):
            return compare(self.pool, self._planner, question, rules)

    @contextmanager
    def _without(self, taken: dict[int, int], now_ns: int) -> Iterator[None]:
        """The present state at an instant, less units by slot."""
        self.pool.promises.refresh(now_ns)
        free = self.pool.state[0][c.ATF]
        slots, units = np.array([*taken], dtype=np.int64), np.array([*taken.values()], dtype=np.int64)
        free[slots] -= units
        try:
            yield
        finally:
            free[slots] += units

    def digest(self) -> str:
        """Hash of the whole state, hexadecimal: equal states have equal digests."""
        return audit.digest(self.pool, self.requests)
