"""The calls of gate.v1.Gate: each checks the request, prices it, lets the store decide and replies.

The methods know no gRPC server. A method takes a message, returns a message, and raises a
ServiceError if no decision was made.
"""

from gate import replies, validation
from gate.denial_events import DenialEvents
from gate.errors import refusal
from gate.interleave import in_order
from gate.metrics import GateMetrics
from gate.pricing import Pricer
from gate.server.status import as_service_error, status_of
from gate.store.calls import Outcome, Store
from gate.store.errors import CommandFailed
from gate.store.lost_holds import LostHolds
from gate.v1.gate_pb2 import (
    AuthorizeRequest,
    AuthorizeResponse,
    BatchItem,
    BatchRequest,
    BatchResponse,
    BatchResult,
    DebitRequest,
    DebitResponse,
    EstimateCostRequest,
    EstimateCostResponse,
    ExtendRequest,
    ExtendResponse,
    GetBalanceRequest,
    GetBalanceResponse,
    ReleaseRequest,
    ReleaseResponse,
)
from meter.errors import InvalidField, NotFound, ServiceError
from meter.ids import check_id
from meter.money import NANOS_PER_CREDIT

_Deed = AuthorizeRequest | DebitRequest | ReleaseRequest | ExtendRequest


class GateService:
    """Has a method for each RPC; proto/gate/v1/gate.proto documents the RPCs."""

    def __init__(
        self,
        store: Store,
        lost_holds: LostHolds,
        pricer: Pricer,
        metrics: GateMetrics,
        denial_events: DenialEvents,
    ) -> None:
        self._store = store
        self._lost_holds = lost_holds
        self._pricer = pricer
        self._metrics = metrics
        self._denial_events = denial_events
        self._charged = metrics.buffer.counter(metrics.decisions.charged)

    async def Authorize(self, request: AuthorizeRequest) -> AuthorizeResponse:
        validation.check_authorize(request)
        cost = await self._pricer.cost_of(request)
        outcome = await self._store.authorize(request, cost)
        self._count_decision(request, outcome)
        if outcome.replayed:
            cost = await self._pricer.cost_of(request, outcome.effect.hold_id)
        return replies.authorized(request, cost, outcome)

    async def Debit(self, request: DebitRequest) -> DebitResponse:
        validation.check_debit(request)
        cost = await self._pricer.cost_of(request, request.hold_id)
        try:
            outcome = await self._store.debit(request, cost)
        except NotFound as refused:
            outcome = await self._lost_holds.debit(request, cost, refused)
        self._count_decision(request, outcome)
        if not outcome.replayed and not outcome.denial:
            self._count_charged(outcome)
        return replies.debited(cost, outcome)

    async def Release(self, request: ReleaseRequest) -> ReleaseResponse:
        validation.check_release(request)
        outcome = await self._store.release(request)
        self._count_decision(request, outcome)
        return replies.released(outcome)

    async def Extend(self, request: ExtendRequest) -> ExtendResponse:
        validation.check_extend(request)
        cost = await self._pricer.cost_of(request, request.hold_id)
        outcome = await self._store.extend(request, cost)
        self._count_decision(request, outcome)
        return replies.extended(cost, outcome)

    async def GetBalance(self, request: GetBalanceRequest) -> GetBalanceResponse:
        check_id("account_id", request.account_id)
        view = await self._store.get_balance(request.account_id)
        return replies.overview(request.account_id, view)

    async def EstimateCost(self, request: EstimateCostRequest) -> EstimateCostResponse:
        validation.check_estimate(request)
        cost = await self._pricer.estimate(request)
        if request.HasField("amount_nanos"):
            return replies.estimated(cost, request.amount_nanos)
        if not request.account_id:
            return replies.estimated(cost, None)
        view = await self._store.get_balance(request.account_id)
        if view.currency != cost.currency:
            raise refusal("CURRENCY_MISMATCH")
        available_nanos = view.effect.available_after(view.effect.before)
        return replies.estimated(cost, available_nanos)

    async def Batch(self, request: BatchRequest) -> BatchResponse:
        validation.check_batch(request)
        await self._pricer.prepare(request.items)
        # An item's first step sends its command, so the commands go out in the order of the items.
        results = await in_order(map(self._answer_item, request.items))
        return BatchResponse(results=results)

    async def _answer_item(self, item: BatchItem) -> BatchResult:
        try:
            match item.WhichOneof("request"):
                case "authorize":
                    return BatchResult(authorize=await self.Authorize(item.authorize))
                case "debit":
                    return BatchResult(debit=await self.Debit(item.debit))
                case "release":
                    return BatchResult(release=await self.Release(item.release))
                case "extend":
                    return BatchResult(extend=await self.Extend(item.extend))
                case "get_balance":
                    return BatchResult(get_balance=await self.GetBalance(item.get_balance))
                case _:
                    raise InvalidField(
                        "items",
                        "an item names none of authorize, debit, release, extend, get_balance",
                    )
        except (ServiceError, CommandFailed) as error:
            return BatchResult(error=status_of(as_service_error(error)))

    def _count_decision(self, request: _Deed, outcome: Outcome) -> None:
        if outcome.denial:
            self._metrics.decisions.denials.labels(outcome.denial).inc()
            self._denial_events.note(request.account_id, outcome)
        elif outcome.replayed:
            self._metrics.decisions.replays.inc()

    def _count_charged(self, outcome: Outcome) -> None:
        effect = outcome.effect
        # Prometheus counts in floats: good for graphs, never for accounts.
        self._charged.total += effect.amount / NANOS_PER_CREDIT
        shortfall = effect.shortfall
        if shortfall:
            self._metrics.decisions.shortfall.inc(shortfall / NANOS_PER_CREDIT)
        if effect.flags.late:
            self._metrics.decisions.late_debits.inc()
