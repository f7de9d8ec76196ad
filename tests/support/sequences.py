"""Random sequences of operations, each done by the gate and by the model, which must agree on every
reply.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from google.protobuf.message import Message
from hypothesis import note

from gate.v1.gate_pb2 import (
    AuthorizeRequest,
    DebitRequest,
    ExtendRequest,
    GetBalanceRequest,
    ReleaseRequest,
    Usage,
)
from meter.errors import ServiceError
from model import DAY_MS, MOST, OVERAGE, Refused
from support.administrator import Administrator
from support.random_values import CLASSES, DIMENSIONS, EDGES, PRICES, RandomValues

WEIGHTS = {
    "balance": 2, "authorize": 12, "debit": 7, "settle": 10, "incurred": 2, "release": 4, "extend": 6, "expire": 2,
    "repeat": 2, "reuse": 1, "advance": 9, "grant": 8, "void": 2, "update": 4, "budget": 4, "suspend": 1, "stranger": 1,
    "again": 1, "process_due_grants": 1,
}  # fmt: skip
WHAT = [what for what, weight in WEIGHTS.items() for _ in range(weight)]

Request = AuthorizeRequest | DebitRequest | ReleaseRequest | ExtendRequest | GetBalanceRequest


@dataclass
class Sequence(Administrator):
    """One sequence of operations on three accounts of its own."""

    seen: Counter[str]
    history: list[Request] = field(default_factory=list)
    ids: Iterator[int] = field(default_factory=count)

    async def play(self, start: list[int], seeds: list[int]) -> None:
        for index, seed in enumerate(start):
            await self._create(f"{self.name}-{index}", RandomValues(seed))
        for seed in seeds:
            random_values = RandomValues(seed)
            what = random_values.pick(WHAT)
            if what != "balance":  # what a failing sequence is padded with
                note(what)
            if (
                what in ("settle", "release", "extend", "expire")
                and not self._holds()
                and random_values.number(4)
            ):
                what = "authorize"
            await getattr(self, f"_{what}")(random_values)
            self._check_limits()

    async def _authorize(self, random_values: RandomValues) -> None:
        account_id = self._pick_account(random_values)
        request = AuthorizeRequest(
            account_id=account_id,
            request_id=self._new_id(),
            hold_ttl_ms=random_values.pick((0, 1, 5000, DAY_MS)),
        )
        self._fill_who(request, random_values)
        self._fill_cost(request, random_values)
        if random_values.number(3) == 0:
            request.min_amount_nanos = random_values.pick(
                (1, request.amount_nanos, request.amount_nanos // 2, 1, 10**6)
            )
        await self._ask(request)

    async def _debit(self, random_values: RandomValues) -> None:
        request = DebitRequest(
            account_id=self._pick_account(random_values), request_id=self._new_id()
        )
        self._fill_who(request, random_values)
        self._fill_cost(request, random_values)
        await self._ask(request)

    async def _incurred(self, random_values: RandomValues) -> None:
        request = DebitRequest(
            account_id=self._pick_account(random_values), request_id=self._new_id(), incurred=True
        )
        self._fill_who(request, random_values)
        if random_values.number(4):
            self._fill_cost(request, random_values)
        else:
            request.amount_nanos = random_values.pick((MOST, MOST - 1, 2**62, 2**61))
        await self._ask(request)

    async def _settle(self, random_values: RandomValues) -> None:
        account_id, hold_id = self._pick_hold(random_values)
        request = DebitRequest(
            account_id=account_id,
            request_id=self._new_id(),
            hold_id=hold_id,
            incurred=random_values.number(8) == 0,
        )
        self._fill_who(request, random_values)
        self._fill_cost(request, random_values)
        await self._ask(request)

    async def _release(self, random_values: RandomValues) -> None:
        account_id, hold_id = self._pick_hold(random_values)
        await self._ask(
            ReleaseRequest(account_id=account_id, request_id=self._new_id(), hold_id=hold_id)
        )

    async def _extend(self, random_values: RandomValues) -> None:
        account_id, hold_id = self._pick_hold(random_values)
        request = ExtendRequest(account_id=account_id, request_id=self._new_id(), hold_id=hold_id)
        request.hold_ttl_ms = random_values.pick((1, 600_001, DAY_MS))
        request.traffic_class = random_values.pick(CLASSES)
        if random_values.number(4):
            self._fill_cost(request, random_values)
        await self._ask(request)

    async def _expire(self, random_values: RandomValues) -> None:
        account_id, hold_id = self._pick_hold(random_values)
        expected = self.model.expire(account_id, hold_id)
        assert await self.gate.store.expiry.expire(account_id, hold_id) == expected
        self.seen[f"expire {expected}"] += 1

    async def _repeat(self, random_values: RandomValues) -> None:
        if self.history:
            await self._ask(random_values.pick(self.history))

    async def _reuse(self, random_values: RandomValues) -> None:
        """Other content under an id that has been used, by the same method or another."""
        used = [
            r
            for r in self.history
            if not isinstance(r, GetBalanceRequest) and r.account_id in self.model.accounts
        ]
        if used:
            first = random_values.pick(used)
            other = random_values.pick((DebitRequest, AuthorizeRequest))(
                account_id=first.account_id, request_id=first.request_id
            )
            self._fill_cost(other, random_values)
            await self._ask(other)

    async def _balance(self, random_values: RandomValues) -> None:
        await self._ask(GetBalanceRequest(account_id=self._pick_account(random_values)))

    async def _stranger(self, random_values: RandomValues) -> None:
        if random_values.number(4) == 0:
            await self._ask(
                DebitRequest(
                    account_id=f"{self.name}-nobody", request_id=self._new_id(), amount_nanos=1
                )
            )
        else:
            usage = Usage(model=random_values.pick(("unheard-of", "plain")), input_tokens=1)
            await self._ask(
                AuthorizeRequest(
                    account_id=self._pick_account(random_values),
                    request_id=self._new_id(),
                    usage=usage,
                )
            )

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

    def _pick_hold(self, random_values: RandomValues) -> tuple[str, str]:
        """A hold of some account, more rarely one that has ended, is another account's, or
        never was.
        """
        holds = self._holds()
        if holds and random_values.number(8):
            return random_values.pick(holds)
        ended = [request.hold_id for request in self.history if getattr(request, "hold_id", "")]
        return self._pick_account(random_values), random_values.pick(
            [*(hold_id for _, hold_id in holds), *ended, "h-unknown", "-"]
        )

    def _holds(self) -> list[tuple[str, str]]:
        return [
            (account_id, hold_id)
            for account_id, account in self.model.accounts.items()
            for hold_id in account.holds
        ]

    def _fill_who(self, request: Any, random_values: RandomValues) -> None:
        request.traffic_class = random_values.pick(CLASSES)
        for key, value in random_values.pick(DIMENSIONS).items():
            request.dimensions[key] = value

    def _fill_cost(self, request: Any, random_values: RandomValues) -> None:
        """An amount around what matters to the account now, or a usage."""
        if random_values.number(5) == 0:
            request.usage.CopyFrom(Usage(
                model=random_values.pick(tuple(PRICES)), input_tokens=random_values.pick((1, 0, 7, 12_345)),
                cached_input_tokens=random_values.number(100), output_tokens=random_values.pick((1, 0, 3, 999_999)),
            ))  # fmt: skip
            return
        account = self.model.accounts[request.account_id]
        held = (
            account.holds[request.hold_id].amount
            if getattr(request, "hold_id", "") in account.holds
            else 10
        )
        left = account.left()
        remaining = [account.remaining_of(budget) for budget in account.budgets.values()] or [10]
        covered = account.covered(
            frozenset(f"{key}={value}" for key, value in _dimensions_of(request))
        )
        available = max(
            0,
            min(
                [
                    covered,
                    *(remaining[:1]),
                    *([] if account.limit is None else [account.day_remaining]),
                ]
            ),
        )
        graced = covered + max(
            (grace.amount_nanos or 100 for grace in account.graces.values()), default=0
        )
        amount = random_values.pick((available, available + 1, available // 2, available // 3, held, held + 1, held // 2, graced, 3,
                            10, 30, 100, random_values.number(256), random_values.pick(EDGES), covered, covered + 5, graced + 1, account.day_remaining,
                            random_values.pick(remaining), random_values.pick(remaining) + 1, random_values.pick(sorted(left.values())), random_values.number(40)))  # fmt: skip
        least = 1 if isinstance(request, AuthorizeRequest) and random_values.number(16) else 0
        request.amount_nanos = max(least, min(MOST, amount))

    def _check_limits(self) -> None:
        """Invariants 1, 2 and 4: sums are what they are made of, and overage is used no further
        than it may be.
        """
        for account in self.model.accounts.values():
            left = account.left()
            pinned = account.pinned()
            assert account.remaining == sum(left.values()) + sum(pinned.values()) - account.overage
            assert (
                sum(kind.remaining_nanos for kind in account.breakdown()) - account.debt
                == account.remaining
            )
            assert left.pop(OVERAGE) >= -account.excused
            assert all(amount >= 0 for amount in (*left.values(), *pinned.values()))


def _dimensions_of(request: Any) -> list[tuple[str, str]]:
    return list(getattr(request, "dimensions", {}).items())


def outcome_of(request: Request, reply: Any) -> str:
    name = type(request).__name__.removesuffix("Request")
    if isinstance(reply, str):
        return f"{name} {reply}"
    if getattr(reply, "replayed", False):
        return f"{name} replayed"
    if reply.DESCRIPTOR.fields_by_name.get("denial") and reply.HasField("denial"):
        return f"{name} denied {reply.denial.reason}"
    late = (
        getattr(reply, "late", False) * " late"
        + (getattr(reply, "shortfall_nanos", 0) > 0) * " shortfall"
    )
    return f"{name} ok{late}" + getattr(reply, "in_grace", False) * " in grace"
