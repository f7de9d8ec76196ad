"""Checking books of any history that the rules of credits allow: nothing is found."""

import asyncio
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meter.admin.budgets import BudgetRow, BudgetThreshold
from meter.database.engine import Ledger
from meter.journal.operations import NEXT_INVOICE, NEXT_PURCHASE, Grace, Threshold
from meter.v1 import ledger_pb2 as pb
from model.judging import Asked, most
from support.histories import (
    DAY,
    FEBRUARY,
    HOUR,
    JANUARY,
    MARCH,
    InRedis,
    Scribe,
    compute_invoice,
    service_of,
    usage,
)

pytest_plugins = ("support.ledgers",)

WHAT = (
    "debit", "debit", "priced", "graced", "grant", "grant", "expiring", "scoped", "later", "void", "hold", "hold", "extend",
    "settle", "settle", "release", "expire", "wait", "wait", "budget", "unbudget", "settings", "repeat", "draw", "flush",
)  # fmt: skip
TYPES = ("TOP_UP", "VOUCHER", "PROMOTION", "ADJUSTMENT")
WHO = ({}, {"user": "ada"}, {"service": "chat"}, {"user": "ada", "service": "chat"})
HALF = (BudgetThreshold("half", None, 50),)

steps = st.lists(st.tuples(st.sampled_from(WHAT), st.integers(0, 300)), max_size=40)
_accounts = count(1)


@pytest.fixture
def scribe(ledger: Ledger) -> Scribe:
    return Scribe(ledger)


@pytest.mark.sqlite_first
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=steps)
def test_nothing_is_found_whatever_happened(scribe: Scribe, steps: list[tuple[str, int]]) -> None:
    story = Story(scribe, f"account-{next(_accounts)}")
    story.begin()
    for what, number in steps:
        story.go_on(what, number)
    request = pb.CheckBooksRequest(account_id=story.account_id)
    response = asyncio.run(service_of(scribe, InRedis(scribe)).CheckBooks(request))
    assert [f"{each.invariant}: {each.detail}" for each in response.findings] == []


class Story:
    """One account's; what is spent without having been used before is no more than there is."""

    def __init__(self, scribe: Scribe, account_id: str) -> None:
        self.scribe = scribe
        self.account_id = account_id
        self.holds: list[str] = []
        self.grants: list[str] = []
        self.last = ""
        self.scheduled: set[str] = set()

    def begin(self) -> None:
        self.scribe.now_ms = JANUARY
        self.scribe.create(self.account_id, overage=100, limit=2000)

    def go_on(self, what: str, number: int) -> None:
        getattr(self, f"_{what}")(number)

    def _debit(self, number: int) -> None:
        self.last = self.scribe.debit(
            number, account_id=self.account_id, dimensions=WHO[number % 4]
        )

    def _priced(self, number: int) -> None:
        pricing = usage(("input_tokens", 5, number), model="a/b")
        who = WHO[number % 4]
        self.last = self.scribe.debit(
            number, account_id=self.account_id, dimensions=who, pricing=pricing
        )

    def _graced(self, number: int) -> None:
        amount = self._affordable(number, {}, "inbound")
        if amount:
            self.scribe.debit(
                amount, account_id=self.account_id, incurred=False, traffic_class="inbound"
            )

    def _grant(self, number: int) -> None:
        self._give(number, priority=number % 4)

    def _expiring(self, number: int) -> None:
        self._give(number, expires_at_ms=self.scribe.now_ms + 1 + number * HOUR // 4)

    def _scoped(self, number: int) -> None:
        self._give(number, scope=("service=chat",) if number % 2 else ("model=a/b", "service=chat"))

    def _later(self, number: int) -> None:
        self._give(number, effective_at_ms=self.scribe.now_ms + 1 + number * HOUR // 4)
        self.scheduled.add(self.grants[-1])

    def _void(self, number: int) -> None:
        if self.grants:
            grant_id = self.grants[number % len(self.grants)]
            amount = None if number % 2 or grant_id in self.scheduled else number + 1
            self.scribe.void(grant_id, amount, self.account_id)

    def _hold(self, number: int) -> None:
        who = WHO[number % 4]
        amount = self._affordable(number, who, "inbound")
        if amount:
            hold_id = self.scribe.authorize(
                amount, self.account_id, dimensions=who, traffic_class="inbound"
            )
            self.holds.append(hold_id)

    def _extend(self, number: int) -> None:
        account = self.scribe.turned(self.account_id).account
        open_holds = self._in_time()
        if open_holds:
            hold_id = open_holds[number % len(open_holds)]
            asked = Asked(
                number, frozenset(), account.budgets_behind(account.holds[hold_id].windows), ""
            )
            self.scribe.extend(hold_id, max(0, min(number, most(account, asked, False))))

    def _settle(self, number: int) -> None:
        if self.holds:
            hold_id = self.holds.pop(number % len(self.holds))
            self.last = self.scribe.debit(
                number, account_id=self.account_id, hold=hold_id, dimensions=WHO[number % 3]
            )

    def _release(self, number: int) -> None:
        open_holds = self._in_time()
        if open_holds:
            hold_id = open_holds[number % len(open_holds)]
            self.holds.remove(hold_id)
            self.scribe.release(hold_id)

    def _expire(self, number: int) -> None:
        account = self.scribe.accounts[self.account_id].account
        over = [
            hold_id
            for hold_id in self.holds
            if hold_id not in self._in_time() and account.holds[hold_id].open
        ]
        if over:
            self.scribe.expire(over[number % len(over)])

    def _wait(self, number: int) -> None:
        self.scribe.now_ms += number * HOUR // 4

    def _budget(self, number: int) -> None:
        labels = (("user=ada",), ("service=*",), ("service=chat", "user=*"))[number % 3]
        window = ("day", "week", "month", "hour")[number % 4]
        budget = BudgetRow(
            f"b{number % 4}",
            labels,
            window,
            bool(number % 2),
            100 + number,
            HALF if number % 5 else (),
        )
        self.scribe.set_budget(budget, self.account_id)

    def _unbudget(self, number: int) -> None:
        budgets = list(self.scribe.accounts[self.account_id].account.budgets)
        if budgets:
            self.scribe.delete_budget(budgets[number % len(budgets)], self.account_id)

    def _settings(self, number: int) -> None:
        changes = (
            {"overage_protection_nanos": number},
            {"daily_limit_nanos": None if number % 2 else number * 10},
            {"overage_policy": (NEXT_INVOICE, NEXT_PURCHASE)[number % 2]},
            {"spend_management": number % 3 == 0},
            {"graces": (Grace("inbound", HOUR, number),) if number % 3 else ()},
            {
                "thresholds": (
                    Threshold("day", "daily_use", 1 + number),
                    Threshold("low", "low_balance", percent=40),
                )
            },
        )
        self.scribe.update(self.account_id, **changes[number % len(changes)])

    def _repeat(self, number: int) -> None:
        if self.last:
            self.scribe.debit(number, account_id=self.account_id, request_id=self.last)
            self.scribe.flush()
            if number % 2:
                self.scribe.apply_pending()

    def _flush(self, _: int) -> None:
        self.scribe.flush()

    def _draw(self, number: int) -> None:
        days = (JANUARY, JANUARY + 2 * DAY, FEBRUARY, MARCH)
        start, end = days[number % 3 : number % 3 + 2]
        if start <= self.scribe.now_ms:
            compute_invoice(self.scribe, start, end, self.account_id)

    def _in_time(self) -> list[str]:
        """Holds that have not expired."""
        account = self.scribe.turned(self.account_id).account
        return [hold_id for hold_id in self.holds if not account.is_past(account.holds[hold_id])]

    def _give(self, number: int, **terms: object) -> None:
        self.grants.append(
            self.scribe.grant(number + 1, self.account_id, type=TYPES[number % 4], **terms)
        )

    def _affordable(self, number: int, who: dict[str, str], traffic_class: str) -> int:
        """As much of `number` as may be spent, grace included."""
        account = self.scribe.turned(self.account_id).account
        labels = frozenset(f"{key}={value}" for key, value in who.items())
        asked = Asked(number, labels, account.budgets_of(labels), traffic_class)
        covered = most(account, asked, False)
        return max(0, min(number, covered if covered > 0 else most(account, asked, True)))
