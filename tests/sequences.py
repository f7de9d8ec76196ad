"""Random sequences of operations, each done by the gate and by the model, which must agree on every reply."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from hashlib import blake2b
from itertools import count
from typing import Any

from google.protobuf.message import Message
from hypothesis import note
from in_process import InProcessGate
from model import DAY_MS, MOST, Account, Model, Price, Refused

from gate.v1.gate_pb2 import AuthorizeRequest, DebitRequest, ExtendRequest, GetBalanceRequest, ReleaseRequest, Usage
from meter.errors import ServiceError
from meter.operations import AdvanceClock, Create, GrantCredits, Update

MILLION = 10**6
PRICES = {
    "plain": Price("USD", {
        "input_tokens": Fraction(3, MILLION),
        "cached_input_tokens": Fraction(3, 10 * MILLION),
        "output_tokens": Fraction(15, MILLION),
    }),
    "crumbs": Price("USD", {
        "input_tokens": Fraction(3, 10**10),
        "cached_input_tokens": Fraction(15, 10**11),
        "output_tokens": Fraction(7, 10**10),
    }),
}  # fmt: skip
MIDNIGHT = 19_782 * DAY_MS  # the one before 2024-02-29
CLOCKS = (MIDNIGHT - 1, MIDNIGHT, MIDNIGHT + DAY_MS - 1000, 19_722 * DAY_MS - 500, 47_541 * DAY_MS - 1)  # to 2100-03-01
EDGES = (MOST, 0, 1, 2, 999, 2**53 - 1, 2**53, 2**53 + 1, 2**62, MOST - 1, MOST)
WEIGHTS = {
    "balance": 1, "authorize": 7, "debit": 2, "settle": 4, "incurred": 2, "release": 2, "extend": 3, "expire": 1,
    "repeat": 3, "reuse": 1, "advance": 3, "grant": 3, "update": 2, "suspend": 1, "stranger": 1, "again": 1,
}  # fmt: skip
WHAT = [what for what, weight in WEIGHTS.items() for _ in range(weight)]

Request = AuthorizeRequest | DebitRequest | ReleaseRequest | ExtendRequest | GetBalanceRequest


@dataclass
class Dice:
    """Decides one operation, by a seed; 0 always takes the first choice, so that a failing sequence can be emptied bit by bit."""

    seed: int
    at: int = 0

    def __post_init__(self) -> None:
        self._bytes = blake2b(b"%d" % self.seed).digest() if self.seed else bytes(64)

    def pick(self, choices: Any) -> Any:
        self.at += 1
        return choices[self._bytes[self.at] % len(choices)]

    def number(self, sides: int) -> int:
        return self.pick(range(min(sides, 256)))


@dataclass
class Sequence:
    """One sequence of operations on three accounts of its own, each done by the gate and by the model."""

    gate: InProcessGate
    name: str
    seen: Counter[str]
    model: Model = field(default_factory=lambda: Model(PRICES))
    history: list[Request] = field(default_factory=list)
    ids: Iterator[int] = field(default_factory=count)

    async def play(self, start: list[int], seeds: list[int]) -> None:
        for index, seed in enumerate(start):
            await self._create(f"{self.name}-{index}", Dice(seed))
        for seed in seeds:
            dice = Dice(seed)
            what = dice.pick(WHAT)
            if what != "balance":  # what a failing sequence is padded with
                note(what)
            if what in ("settle", "release", "extend", "expire") and not self._holds() and dice.number(4):
                what = "authorize"
            await getattr(self, f"_{what}")(dice)
            self._check_limits()

    async def _create(self, account_id: str, dice: Dice) -> None:
        clock_ms, overage, limit = (
            dice.pick(CLOCKS),
            dice.pick((0, 0, 50, 10**10)),
            dice.pick((None, None, 100, 10**10, 2**60)),
        )
        currency = dice.pick(("USD", "USD", "USD", "EUR"))
        await self.gate.apply(account_id, Create(currency, overage, limit, clock_ms))
        self.model.create(account_id, Account(currency, clock_ms, overage, limit))
        await self._granted(account_id, dice.pick((1000, 10**10, 2**53 + 1, 1, 2**61)))

    async def _authorize(self, dice: Dice) -> None:
        account_id = self._pick_account(dice)
        request = AuthorizeRequest(
            account_id=account_id, request_id=self._new_id(), hold_ttl_ms=dice.pick((0, 1, 5000, DAY_MS))
        )
        self._fill_cost(request, dice)
        if dice.number(3) == 0:
            request.min_amount_nanos = dice.pick((1, request.amount_nanos, request.amount_nanos // 2, 10**6))
        await self._ask(request)

    async def _debit(self, dice: Dice) -> None:
        request = DebitRequest(account_id=self._pick_account(dice), request_id=self._new_id())
        self._fill_cost(request, dice)
        await self._ask(request)

    async def _incurred(self, dice: Dice) -> None:
        request = DebitRequest(account_id=self._pick_account(dice), request_id=self._new_id(), incurred=True)
        if dice.number(4):
            self._fill_cost(request, dice)
        else:
            request.amount_nanos = dice.pick((MOST, MOST - 1, 2**62, 2**61))
        await self._ask(request)

    async def _settle(self, dice: Dice) -> None:
        account_id, hold_id = self._pick_hold(dice)
        request = DebitRequest(
            account_id=account_id, request_id=self._new_id(), hold_id=hold_id, incurred=dice.number(8) == 0
        )
        self._fill_cost(request, dice)
        await self._ask(request)

    async def _release(self, dice: Dice) -> None:
        account_id, hold_id = self._pick_hold(dice)
        await self._ask(ReleaseRequest(account_id=account_id, request_id=self._new_id(), hold_id=hold_id))

    async def _extend(self, dice: Dice) -> None:
        account_id, hold_id = self._pick_hold(dice)
        request = ExtendRequest(account_id=account_id, request_id=self._new_id(), hold_id=hold_id)
        request.hold_ttl_ms = dice.pick((1, 600_001, DAY_MS))
        if dice.number(4):
            self._fill_cost(request, dice)
        await self._ask(request)

    async def _expire(self, dice: Dice) -> None:
        account_id, hold_id = self._pick_hold(dice)
        expected = self.model.expire(account_id, hold_id)
        assert await self.gate.store.expire(account_id, hold_id) == expected
        self.seen[f"expire {expected}"] += 1

    async def _repeat(self, dice: Dice) -> None:
        if self.history:
            await self._ask(dice.pick(self.history))

    async def _reuse(self, dice: Dice) -> None:
        """Other content under an id that has been used, by the same method or another."""
        used = [r for r in self.history if not isinstance(r, GetBalanceRequest) and r.account_id in self.model.accounts]
        if used:
            first = dice.pick(used)
            other = dice.pick((DebitRequest, AuthorizeRequest))(
                account_id=first.account_id, request_id=first.request_id
            )
            self._fill_cost(other, dice)
            await self._ask(other)

    async def _balance(self, dice: Dice) -> None:
        await self._ask(GetBalanceRequest(account_id=self._pick_account(dice)))

    async def _stranger(self, dice: Dice) -> None:
        if dice.number(4) == 0:
            await self._ask(DebitRequest(account_id=f"{self.name}-nobody", request_id=self._new_id(), amount_nanos=1))
        else:
            usage = Usage(model=dice.pick(("unheard-of", "plain")), input_tokens=1)
            await self._ask(
                AuthorizeRequest(account_id=self._pick_account(dice), request_id=self._new_id(), usage=usage)
            )

    async def _advance(self, dice: Dice) -> None:
        account_id = self._pick_account(dice)
        account = self.model.accounts[account_id]
        now_ms, next_day_ms = account.clock_ms, (account.clock_ms // DAY_MS + 1) * DAY_MS
        ends = [hold.expires_ms for hold in account.holds.values() if hold.expires_ms > now_ms] or [now_ms + 5000]
        to_ms = dice.pick((now_ms + 1, now_ms + 1, next_day_ms - 1, next_day_ms, now_ms + DAY_MS, now_ms + 40 * DAY_MS,
                           min(ends), min(ends), min(ends) - 1, now_ms))  # fmt: skip
        await self.gate.apply(account_id, AdvanceClock(to_ms))
        self.model.advance(account_id, to_ms)

    async def _grant(self, dice: Dice) -> None:
        account_id = self._pick_account(dice)
        account = self.model.accounts[account_id]
        most = MOST - account.overage - sum(account.grants)
        if most < 1:
            return  # the ledger would not record it
        owed = max(1, -account.spendable)
        await self._granted(account_id, max(1, min(most, dice.pick((1, 100, 10**10, owed, owed + 1, 2**53 + 1)))))

    async def _granted(self, account_id: str, amount: int) -> None:
        await self.gate.apply(account_id, GrantCredits("g1", "TOP_UP", amount, 50, None, None, ""))
        self.model.grant(account_id, amount)

    async def _update(self, dice: Dice) -> None:
        overage = dice.pick((0, 7, 50, 10**10, 2**61 - 1))
        limit = dice.pick((None, None, 0, 100, 10**10, 10**11, 2**61 - 1))
        await self._updated(self._pick_account(dice), "active", overage, limit)

    async def _suspend(self, dice: Dice) -> None:
        account_id = self._pick_account(dice)
        account = self.model.accounts[account_id]
        await self._updated(account_id, "active" if account.suspended else "suspended", account.overage, account.limit)

    async def _updated(self, account_id: str, status: str, overage: int, limit: int | None) -> None:
        if sum(self.model.accounts[account_id].grants) + overage > MOST:
            return  # the ledger would not record it
        await self.gate.apply(account_id, Update(status, overage, limit))
        self.model.update(account_id, status == "suspended", overage, limit)

    async def _again(self, dice: Dice) -> None:
        """An operation that is applied already, as after a crash."""
        await self.gate.apply(self._pick_account(dice), GrantCredits("g1", "TOP_UP", 5, 50, None, None, ""), again=True)

    async def _ask(self, request: Request) -> None:
        reply = await self._answer(request)
        if not isinstance(request, GetBalanceRequest):
            note(request)
        expected = self._expected(request, reply)
        assert reply == expected, f"{type(request).__name__} {request}"
        self.history.append(request)
        self.seen[outcome_of(request, reply)] += 1

    async def _answer(self, request: Request) -> Message | str:
        method = getattr(self.gate.service, type(request).__name__.removesuffix("Request"))
        try:
            return await method(request)
        except ServiceError as error:
            return error.reason

    def _expected(self, request: Request, reply: Any) -> Message | str:
        try:
            match request:
                case AuthorizeRequest():
                    return self.model.authorize(request, getattr(reply, "hold_id", ""))
                case DebitRequest():
                    return self.model.debit(request)
                case ReleaseRequest():
                    return self.model.release(request)
                case ExtendRequest():
                    return self.model.extend(request)
                case GetBalanceRequest():
                    return self.model.get_balance(request.account_id)
        except Refused as refused:
            return str(refused)

    def _new_id(self) -> str:
        return f"r{next(self.ids)}"

    def _pick_account(self, dice: Dice) -> str:
        return f"{self.name}-{dice.pick((0, 0, 1, 2))}"

    def _pick_hold(self, dice: Dice) -> tuple[str, str]:
        """A hold of some account, more rarely one that has ended, is another account's, or never was."""
        holds = self._holds()
        if holds and dice.number(8):
            return dice.pick(holds)
        ended = [request.hold_id for request in self.history if getattr(request, "hold_id", "")]
        return self._pick_account(dice), dice.pick([*(hold_id for _, hold_id in holds), *ended, "h-unknown", "-"])

    def _holds(self) -> list[tuple[str, str]]:
        return [
            (account_id, hold_id) for account_id, account in self.model.accounts.items() for hold_id in account.holds
        ]

    def _fill_cost(self, request: Any, dice: Dice) -> None:
        """An amount around what matters to the account now, or a usage."""
        if dice.number(5) == 0:
            request.usage.CopyFrom(Usage(
                model=dice.pick(tuple(PRICES)), input_tokens=dice.pick((1, 0, 7, 12_345)),
                cached_input_tokens=dice.number(100), output_tokens=dice.pick((1, 0, 3, 999_999)),
            ))  # fmt: skip
            return
        account = self.model.accounts[request.account_id]
        held = account.holds[request.hold_id].amount if getattr(request, "hold_id", "") in account.holds else 10
        available = account.available
        amount = dice.pick((available, available + 1, available // 2, available // 3, held, held + 1, held // 2,
                            10, 100, dice.number(256), dice.pick(EDGES), account.spendable, account.room))  # fmt: skip
        least = 1 if isinstance(request, AuthorizeRequest) and dice.number(16) else 0
        request.amount_nanos = max(least, min(MOST, amount))

    def _check_limits(self) -> None:
        """Invariant 4: remaining stays above -overage, but for recorded shortfall and overage protection taken away."""
        for account in self.model.accounts.values():
            assert account.spendable >= -account.excused
            assert account.held >= 0


def outcome_of(request: Request, reply: Any) -> str:
    name = type(request).__name__.removesuffix("Request")
    if isinstance(reply, str):
        return f"{name} {reply}"
    if getattr(reply, "replayed", False):
        return f"{name} replayed"
    if reply.DESCRIPTOR.fields_by_name.get("denial") and reply.HasField("denial"):
        return f"{name} denied {reply.denial.reason}"
    late = getattr(reply, "late", False) * " late" + (getattr(reply, "shortfall_nanos", 0) > 0) * " shortfall"
    return f"{name} ok{late}"
