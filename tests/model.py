"""The gate in plain Python, by its contract alone: accounts, holds, replays, a clock, and nothing kept that can be summed up.

It knows no store and no script. A call returns the message that a client must get, or raises Refused with the reason. Only the ids of
holds come from outside, since nobody can foretell them.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from gate.v1 import gate_pb2
from gate.v1.gate_pb2 import (
    ALLOWED,
    DENIED,
    AuthorizeRequest,
    AuthorizeResponse,
    Balance,
    DebitRequest,
    DebitResponse,
    Denial,
    ExtendRequest,
    ExtendResponse,
    GetBalanceResponse,
    ReleaseRequest,
    ReleaseResponse,
    Usage,
)

DAY_MS = 86_400_000
DEFAULT_TTL_MS = 600_000
MOST = 2**63 - 1
DEBT_FLOOR = (
    -MOST + 2**61 - 1
)  # what may be spent goes no lower, nor does a day's room: a changed setting must still fit
NANOS_PER_CREDIT = 10**9

Request = AuthorizeRequest | DebitRequest | ReleaseRequest | ExtendRequest
Reply = AuthorizeResponse | DebitResponse | ReleaseResponse | ExtendResponse
R = TypeVar("R", AuthorizeResponse, DebitResponse, ReleaseResponse, ExtendResponse)


class Refused(Exception):
    """No decision was made; `str()` is the reason."""


@dataclass
class Hold:
    amount: int
    day: int
    expires_ms: int
    open: bool = True  # False: expired, and its credits given back


@dataclass(frozen=True)
class Charge:
    amount: int
    day: int  # on whose limit it counts
    month: tuple[int, int]  # in which it was charged


@dataclass
class Account:
    """What happened to one account."""

    currency: str
    clock_ms: int
    overage: int = 0
    limit: int | None = None
    suspended: bool = False
    today: int = 0  # never goes back
    grants: list[int] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)
    holds: dict[str, Hold] = field(default_factory=dict)
    replies: dict[str, tuple[Request, Reply]] = field(default_factory=dict)
    effects: list[tuple[str, int]] = field(default_factory=list)  # everything that took effect: what, and its amount
    excused: int = 0  # how far below -overage remaining may be: shortfalls recorded, and overage protection taken away

    @property
    def day(self) -> int:
        self.today = max(self.today, self.clock_ms // DAY_MS)
        return self.today

    @property
    def month(self) -> tuple[int, int]:
        date = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=self.day)
        return date.year, date.month

    @property
    def used(self) -> int:
        return sum(charge.amount for charge in self.charges)

    @property
    def remaining(self) -> int:
        return sum(self.grants) - self.used

    @property
    def held(self) -> int:
        return sum(hold.amount for hold in self.holds.values() if hold.open)

    @property
    def spendable(self) -> int:
        return self.remaining + self.overage - self.held

    @property
    def used_today(self) -> int:
        return sum(charge.amount for charge in self.charges if charge.day == self.day)

    @property
    def held_today(self) -> int:
        return sum(hold.amount for hold in self.holds.values() if hold.open and hold.day == self.day)

    @property
    def room(self) -> int:
        return (self.limit or 0) - self.used_today - self.held_today

    @property
    def available(self) -> int:
        return max(0, self.spendable if self.limit is None else min(self.spendable, self.room))

    def balance(self) -> Balance:
        return Balance(
            total_credits_nanos=sum(self.grants),
            period_usage_nanos=sum(charge.amount for charge in self.charges if charge.month == self.month),
            remaining_nanos=self.remaining,
            overage_protection_nanos=self.overage,
            held_nanos=self.held,
            daily_limit_nanos=self.limit,
            daily_used_nanos=self.used_today,
            available_nanos=self.available,
        )

    def denial(self, needed: int) -> str:
        """Why so much may not be spent; empty if it may."""
        if self.suspended:
            return "ACCOUNT_SUSPENDED"
        if needed > self.spendable:
            return "INSUFFICIENT_CREDITS"
        if self.limit is not None and needed > self.room:
            return "DAILY_LIMIT_EXCEEDED"
        return ""

    def is_over(self, hold: Hold) -> bool:
        return not hold.open or self.clock_ms >= hold.expires_ms


@dataclass(frozen=True)
class Price:
    """Credits per token, exact; a model not listed here is unknown."""

    currency: str
    per_token: dict[str, Fraction]

    def nanos(self, counts: dict[str, int]) -> Fraction:
        return sum((self.per_token[unit] * count for unit, count in counts.items()), Fraction(0)) * NANOS_PER_CREDIT

    def output_tokens_for(self, counts: dict[str, int], nanos: int) -> int:
        """The most output tokens that, after the other counts, cost `nanos` at most."""
        rest = {unit: count for unit, count in counts.items() if unit != "output_tokens"}
        if round(self.nanos(rest)) > nanos:
            return 0
        guess = int((nanos - self.nanos(rest)) / (self.per_token["output_tokens"] * NANOS_PER_CREDIT))
        near = (n for n in range(guess + 2, guess - 3, -1) if round(self.nanos(rest | {"output_tokens": n})) <= nanos)
        return min(2**53, next(near))


class Model:
    """All accounts. Each method takes the request that the gate gets."""

    def __init__(self, prices: dict[str, Price]) -> None:
        self.accounts: dict[str, Account] = {}
        self._prices = prices

    def authorize(self, request: AuthorizeRequest, new_hold_id: str) -> AuthorizeResponse:
        cost = self._cost(request)
        if request.HasField("amount_nanos") and request.min_amount_nanos > cost:
            raise Refused("INVALID_FIELD")
        account, seen = self._begin(request, AuthorizeResponse)
        if seen:
            return seen
        self._check_currency(account, request)
        least = min(request.min_amount_nanos or cost, cost)
        if account.denial(least):
            return AuthorizeResponse(
                decision=DENIED, denial=self._denial(account, request, least), balance=account.balance()
            )
        amount = cost if account.limit is None else min(cost, account.room)
        hold = Hold(
            min(amount, account.spendable), account.day, account.clock_ms + (request.hold_ttl_ms or DEFAULT_TTL_MS)
        )
        assert new_hold_id not in account.holds
        account.holds[new_hold_id] = hold
        reply = AuthorizeResponse(
            decision=ALLOWED,
            hold_id=new_hold_id,
            held_nanos=hold.amount,
            expires_at=at(hold.expires_ms),
            balance=account.balance(),
            affordable_output_tokens=self._tokens_for(request, hold.amount),
        )
        return self._done(account, request, "A", hold.amount, reply)

    def debit(self, request: DebitRequest) -> DebitResponse:
        cost = self._cost(request)
        account, seen = self._begin(request, DebitResponse)
        if seen:
            return seen
        hold = self._hold(account, request.hold_id) if request.hold_id else None
        self._check_currency(account, request)
        if hold is None and not request.incurred:
            if account.denial(cost):
                return DebitResponse(
                    decision=DENIED, denial=self._denial(account, request, cost), balance=account.balance()
                )
        elif self._leaves_range(account, hold, cost):
            raise Refused("AMOUNT_OUT_OF_RANGE")
        late = hold is not None and account.is_over(hold)
        covered = max(0, account.spendable) + (hold.amount if hold and hold.open else 0)
        shortfall = max(0, cost - covered)
        account.excused += shortfall
        account.charges.append(Charge(cost, hold.day if hold and not late else account.day, account.month))
        account.holds.pop(request.hold_id, None)
        reply = DebitResponse(
            decision=ALLOWED, charged_nanos=cost, shortfall_nanos=shortfall, balance=account.balance(), late=late
        )
        return self._done(account, request, "D", cost, reply)

    def _leaves_range(self, account: Account, hold: Hold | None, cost: int) -> bool:
        returned = hold.amount if hold and hold.open else 0
        returned_today = returned if hold and hold.day == account.day else 0
        counts_today = hold is None or account.is_over(hold) or hold.day == account.day
        if account.used + cost > MOST:
            return True
        if cost <= (returned_today if counts_today else returned):
            return False  # no more than the hold gives back
        floor = -MOST if account.limit is None else DEBT_FLOOR
        return account.spendable + returned - cost < DEBT_FLOOR or (
            counts_today and account.room + returned_today - cost < floor
        )

    def release(self, request: ReleaseRequest) -> ReleaseResponse:
        account, seen = self._begin(request, ReleaseResponse)
        if seen:
            return seen
        hold = self._open_hold(account, request.hold_id)
        del account.holds[request.hold_id]
        reply = ReleaseResponse(decision=ALLOWED, released_nanos=hold.amount, balance=account.balance())
        return self._done(account, request, "R", hold.amount, reply)

    def extend(self, request: ExtendRequest) -> ExtendResponse:
        cost = self._cost(request)
        account, seen = self._begin(request, ExtendResponse)
        if seen:
            return seen
        hold = self._open_hold(account, request.hold_id)
        self._check_currency(account, request)
        if account.suspended or (cost and account.denial(cost)):
            return ExtendResponse(
                decision=DENIED, denial=self._denial(account, request, cost), balance=account.balance()
            )
        hold.amount += cost
        if request.hold_ttl_ms:
            hold.expires_ms = max(hold.expires_ms, account.clock_ms + request.hold_ttl_ms)
        reply = ExtendResponse(
            decision=ALLOWED, held_nanos=hold.amount, expires_at=at(hold.expires_ms), balance=account.balance()
        )
        return self._done(account, request, "E", cost, reply)

    def get_balance(self, account_id: str) -> GetBalanceResponse:
        account = self._account(account_id)
        read_at = at(account.clock_ms)
        return GetBalanceResponse(
            account_id=account_id, currency=account.currency, balance=account.balance(), read_at=read_at
        )

    def expire(self, account_id: str, hold_id: str) -> bool:
        """What the reaper does; whether the hold's time was over."""
        account = self._account(account_id)
        hold = account.holds.get(hold_id)
        if hold is None or not hold.open or not account.is_over(hold):
            return False
        hold.open = False
        account.effects.append(("X", hold.amount))
        return True

    def create(self, account_id: str, account: Account) -> None:
        self.accounts[account_id] = account
        account.effects.append(("C", 0))

    def grant(self, account_id: str, amount: int) -> None:
        account = self.accounts[account_id]
        account.grants.append(amount)
        account.effects.append(("G", amount))

    def update(self, account_id: str, suspended: bool, overage: int, limit: int | None) -> None:
        account = self.accounts[account_id]
        account.excused += max(0, account.overage - overage)
        account.suspended, account.overage, account.limit = suspended, overage, limit
        account.effects.append(("U", 0))

    def advance(self, account_id: str, clock_ms: int) -> None:
        account = self.accounts[account_id]
        account.clock_ms = clock_ms
        account.effects.append(("K", 0))

    def _account(self, account_id: str) -> Account:
        if account_id not in self.accounts:
            raise Refused("ACCOUNT_NOT_FOUND")
        return self.accounts[account_id]

    def _begin(self, request: Request, kind: type[R]) -> tuple[Account, R | None]:
        """The account; and the reply, if this request took effect before."""
        account = self._account(request.account_id)
        if request.request_id not in account.replies:
            return account, None
        first, reply = account.replies[request.request_id]
        if type(first) is not type(request) or first != request:
            raise Refused("REQUEST_ID_REUSED")
        replayed = kind()
        replayed.CopyFrom(reply)
        replayed.replayed = True
        return account, replayed

    def _done(self, account: Account, request: Request, effect: str, amount: int, reply: R) -> R:
        copy = type(request)()
        copy.CopyFrom(request)
        account.replies[request.request_id] = (copy, reply)
        account.effects.append((effect, amount))
        return reply

    def _hold(self, account: Account, hold_id: str) -> Hold:
        if hold_id not in account.holds:
            raise Refused("HOLD_NOT_FOUND")
        return account.holds[hold_id]

    def _open_hold(self, account: Account, hold_id: str) -> Hold:
        hold = self._hold(account, hold_id)
        if account.is_over(hold):
            raise Refused("HOLD_EXPIRED")
        return hold

    def _price(self, request: AuthorizeRequest | DebitRequest | ExtendRequest) -> Price | None:
        if not request.HasField("usage"):
            return None
        if request.usage.model not in self._prices:
            raise Refused("UNKNOWN_MODEL")
        return self._prices[request.usage.model]

    def _cost(self, request: AuthorizeRequest | DebitRequest | ExtendRequest) -> int:
        asks = any(counts_of(request.usage).values()) if request.HasField("usage") else request.amount_nanos > 0
        if isinstance(request, AuthorizeRequest) and not asks:
            raise Refused("INVALID_FIELD")
        price = self._price(request)
        if price is None:
            return request.amount_nanos
        return round(price.nanos(counts_of(request.usage)))  # of a Fraction: half-even, exact

    def _check_currency(self, account: Account, request: AuthorizeRequest | DebitRequest | ExtendRequest) -> None:
        price = self._price(request)
        if price is not None and price.currency != account.currency:
            raise Refused("CURRENCY_MISMATCH")

    def _tokens_for(self, request: AuthorizeRequest | DebitRequest | ExtendRequest, nanos: int) -> int | None:
        price = self._price(request)
        return price and price.output_tokens_for(counts_of(request.usage), nanos)

    def _denial(
        self, account: Account, request: AuthorizeRequest | DebitRequest | ExtendRequest, needed: int
    ) -> Denial:
        reason = account.denial(needed)
        affordable = 0 if account.suspended else account.available
        heals = reason == "DAILY_LIMIT_EXCEEDED" and account.limit is not None and needed <= account.limit
        return Denial(
            reason=gate_pb2.Reason.Value(reason),
            shortfall_nanos=max(0, needed - affordable),
            affordable_nanos=affordable,
            resets_at=at((account.day + 1) * DAY_MS) if heals else None,
            affordable_output_tokens=self._tokens_for(request, affordable),
        )


def at(ms: int) -> Timestamp:
    return Timestamp(seconds=ms // 1000, nanos=ms % 1000 * 1_000_000)


def counts_of(usage: Usage) -> dict[str, int]:
    return {
        "input_tokens": usage.input_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "output_tokens": usage.output_tokens,
    }
