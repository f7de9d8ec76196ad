"""The calls of the gate: each takes the request that the gate gets, and returns the message that a
client must get.
"""

from typing import TypeVar

from gate.v1.gate_pb2 import (
    ALLOWED,
    DENIED,
    AuthorizeRequest,
    AuthorizeResponse,
    DebitRequest,
    DebitResponse,
    ExtendRequest,
    ExtendResponse,
    GetBalanceResponse,
    ReleaseRequest,
    ReleaseResponse,
)
from meter.journal.operations import Change, Create
from model.account import Account
from model.consequences import exhaust, filled, process_due_grants
from model.days import at
from model.facts import Hold, Labels, Refused
from model.judging import Asked, denial, most, needs_grace, reason
from model.operations import apply, created
from model.prices import Price, counts_of
from model.spending import Charging, begin_grace, give_back, pin

DEFAULT_TTL_MS = 600_000

Request = AuthorizeRequest | DebitRequest | ReleaseRequest | ExtendRequest
Priced = AuthorizeRequest | DebitRequest | ExtendRequest
Reply = AuthorizeResponse | DebitResponse | ReleaseResponse | ExtendResponse
D = TypeVar("D", AuthorizeResponse, DebitResponse, ExtendResponse)
R = TypeVar("R", AuthorizeResponse, DebitResponse, ReleaseResponse, ExtendResponse)


class Model:
    """All accounts."""

    def __init__(self, prices: dict[str, Price]) -> None:
        self.accounts: dict[str, Account] = {}
        self._prices = prices

    def apply(self, account_id: str, number: int, change: Change) -> None:
        if isinstance(change, Create):
            self.accounts[account_id] = created(change)
        else:
            apply(self.accounts[account_id], number, change)

    def authorize(self, request: AuthorizeRequest, new_hold_id: str) -> AuthorizeResponse:
        cost = self._cost(request)
        asks = (
            any(counts_of(request.usage).values())
            if request.HasField("usage")
            else request.amount_nanos > 0
        )
        if not asks or (request.HasField("amount_nanos") and request.min_amount_nanos > cost):
            raise Refused("INVALID_FIELD")
        account, seen = self._begin(request, AuthorizeResponse)
        if seen:
            return seen
        self._check_currency(account, request)
        asked = self._asked(account, request, min(request.min_amount_nanos or cost, cost))
        if reason(account, asked):
            return self._denied(account, asked, request, AuthorizeResponse)
        in_grace = needs_grace(account, asked)
        amount = min(cost, max(0, most(account, asked, in_grace)))
        windows = tuple(budget.now(account.hour) for budget in asked.budgets)
        hold = Hold(
            [], account.day, account.clock_ms + (request.hold_ttl_ms or DEFAULT_TTL_MS), windows
        )
        pin(account, hold, amount, asked, "A", in_grace)
        assert new_hold_id not in account.holds
        account.holds[new_hold_id] = hold
        reply = AuthorizeResponse(
            decision=ALLOWED,
            hold_id=new_hold_id,
            held_nanos=hold.amount,
            expires_at=at(hold.expires_ms),
            balance=account.balance(asked.budgets),
            affordable_output_tokens=self._tokens_for(request, hold.amount),
            in_grace=in_grace,
        )
        return self._done(account, request, reply)

    def debit(self, request: DebitRequest) -> DebitResponse:
        cost = self._cost(request)
        account, seen = self._begin(request, DebitResponse)
        if seen:
            return seen
        hold = self._hold(account, request.hold_id) if request.hold_id else None
        self._check_currency(account, request)
        asked = self._asked(account, request, cost)
        can_be_denied = hold is None and not request.incurred
        if can_be_denied and reason(account, asked):
            return self._denied(account, asked, request, DebitResponse)
        in_grace = can_be_denied and needs_grace(account, asked)
        late = hold is not None and account.is_past(hold)
        funded = filled(account)
        was = account.spendable
        account.holds.pop(request.hold_id, None)
        charging = Charging(account, cost, asked, hold, settles=hold is not None and not late)
        if not can_be_denied and charging.leaves_range(was):
            account.holds |= {} if hold is None else {request.hold_id: hold}
            raise Refused("AMOUNT_OUT_OF_RANGE")
        if in_grace:
            begin_grace(account, asked)
        uncovered = charging.charge(was)
        exhaust(account, funded)
        reply = DebitResponse(
            decision=ALLOWED,
            charged_nanos=cost,
            shortfall_nanos=0 if in_grace else uncovered,
            balance=account.balance(charging.budgets),
            late=late,
            in_grace=in_grace,
        )
        return self._done(account, request, reply)

    def release(self, request: ReleaseRequest) -> ReleaseResponse:
        account, seen = self._begin(request, ReleaseResponse)
        if seen:
            return seen
        hold = self._open_hold(account, request.hold_id)
        del account.holds[request.hold_id]
        give_back(account, hold, "R")
        balance = account.balance(account.budgets_behind(hold.windows))
        return self._done(
            account,
            request,
            ReleaseResponse(decision=ALLOWED, released_nanos=hold.amount, balance=balance),
        )

    def extend(self, request: ExtendRequest) -> ExtendResponse:
        cost = self._cost(request)
        account, seen = self._begin(request, ExtendResponse)
        if seen:
            return seen
        hold = self._open_hold(account, request.hold_id)
        self._check_currency(account, request)
        budgets = account.budgets_behind(hold.windows)
        asked = Asked(cost, self._labels(request), budgets, request.traffic_class)
        if account.suspended or (cost and reason(account, asked)):
            return self._denied(account, asked, request, ExtendResponse)
        in_grace = bool(cost) and needs_grace(account, asked)
        pin(account, hold, cost, asked, "E", in_grace)
        if request.hold_ttl_ms:
            hold.expires_ms = max(hold.expires_ms, account.clock_ms + request.hold_ttl_ms)
        reply = ExtendResponse(
            decision=ALLOWED,
            held_nanos=hold.amount,
            expires_at=at(hold.expires_ms),
            balance=account.balance(budgets),
            in_grace=in_grace,
        )
        return self._done(account, request, reply)

    def get_balance(self, account_id: str) -> GetBalanceResponse:
        account = self._account(account_id)
        process_due_grants(account)
        return GetBalanceResponse(
            account_id=account_id,
            currency=account.currency,
            balance=account.balance(),
            read_at=at(account.clock_ms),
            breakdown=account.breakdown(),
            debt_nanos=account.debt,
            graces=account.graces_told(),
            suspended=account.suspended,
            blocked_nanos=account.blocked,
        )

    def expire(self, account_id: str, hold_id: str) -> bool:
        """What the reaper does; whether the hold's time was over."""
        account = self._account(account_id)
        hold = account.holds.get(hold_id)
        if hold is None or not hold.open or not account.is_past(hold):
            return False
        process_due_grants(account)
        hold.open = False
        give_back(account, hold, "X")
        return True

    def process_due_grants(self, account_id: str) -> None:
        process_due_grants(self.accounts[account_id])

    def _account(self, account_id: str) -> Account:
        if account_id not in self.accounts:
            raise Refused("ACCOUNT_NOT_FOUND")
        return self.accounts[account_id]

    def _begin(self, request: Request, kind: type[R]) -> tuple[Account, R | None]:
        """The account in its present; and the reply, if this request took effect before."""
        account = self._account(request.account_id)
        if request.request_id not in account.replies:
            process_due_grants(account)
            return account, None
        first, reply = account.replies[request.request_id]
        if type(first) is not type(request) or first != request:
            raise Refused("REQUEST_ID_REUSED")
        replayed = kind()
        replayed.CopyFrom(reply)
        replayed.replayed = True
        return account, replayed

    def _done(self, account: Account, request: Request, reply: R) -> R:
        copy = type(request)()
        copy.CopyFrom(request)
        account.replies[request.request_id] = (copy, reply)
        return reply

    def _hold(self, account: Account, hold_id: str) -> Hold:
        if hold_id not in account.holds:
            raise Refused("HOLD_NOT_FOUND")
        return account.holds[hold_id]

    def _open_hold(self, account: Account, hold_id: str) -> Hold:
        hold = self._hold(account, hold_id)
        if account.is_past(hold):
            raise Refused("HOLD_EXPIRED")
        return hold

    def _asked(
        self, account: Account, request: AuthorizeRequest | DebitRequest, need: int
    ) -> Asked:
        labels = self._labels(request)
        return Asked(need, labels, account.budgets_of(labels), request.traffic_class)

    def _labels(self, request: Priced) -> Labels:
        named = {} if isinstance(request, ExtendRequest) else dict(request.dimensions)
        if request.HasField("usage"):
            named["model"] = request.usage.model
        return frozenset(f"{key}={value}" for key, value in named.items())

    def _price(self, request: Priced) -> Price | None:
        if not request.HasField("usage"):
            return None
        if request.usage.model not in self._prices:
            raise Refused("UNKNOWN_MODEL")
        return self._prices[request.usage.model]

    def _cost(self, request: Priced) -> int:
        price = self._price(request)
        return price.cost(request.usage) if price else request.amount_nanos

    def _check_currency(self, account: Account, request: Priced) -> None:
        price = self._price(request)
        if price is not None and price.currency != account.currency:
            raise Refused("CURRENCY_MISMATCH")

    def _tokens_for(self, request: Priced, nanos: int) -> int | None:
        price = self._price(request)
        return None if price is None else price.output_tokens_for(request.usage, nanos)

    def _denied(self, account: Account, asked: Asked, request: Priced, reply: type[D]) -> D:
        told = denial(account, asked)
        tokens = self._tokens_for(request, told.affordable_nanos)
        if tokens is not None:
            told.affordable_output_tokens = tokens
        return reply(decision=DENIED, denial=told, balance=account.balance(asked.budgets))
