"""Tests that an invoice of any history is the sum of the history's entries."""

import asyncio
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meter.database.engine import Ledger
from meter.journal.operations import NEXT_INVOICE, NEXT_PURCHASE
from meter.v1 import ledger_pb2 as pb
from support.histories import (
    DAY,
    FEBRUARY,
    HOUR,
    JANUARY,
    MARCH,
    Scribe,
    compute_invoice,
    service_of,
    usage,
)

pytest_plugins = ("support.ledgers",)

TYPES = ("TOP_UP", "VOUCHER", "PROMOTION", "REFUND", "ADJUSTMENT")
GRANTED = (pb.GRANT, pb.GRANT_STARTED)
EXPIRED = (pb.GRANT_EXPIRED, pb.GRANT_VOIDED)

STEPS = [
    "debit",
    "debit",
    "priced",
    "grant",
    "grant",
    "later",
    "void",
    "policy",
    "repeat",
    "refund",
    "hold",
]
AMOUNTS = st.integers(0, 10**12)
PAUSES_MS = st.integers(-3 * HOUR, 9 * DAY)
steps = st.lists(st.tuples(st.sampled_from(STEPS), AMOUNTS, PAUSES_MS), max_size=25)
_accounts = count(1)


@pytest.fixture
def scribe(ledger: Ledger) -> Scribe:
    return Scribe(ledger)


@pytest.mark.sqlite_first
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=steps)
def test_an_invoice_is_the_sum_of_its_entries_whatever_happened(
    scribe: Scribe, steps: list[tuple[str, int, int]]
) -> None:
    account_id = f"account-{next(_accounts)}"
    _happen(scribe, account_id, steps)
    scribe.flush()
    scribe.now_ms = max(scribe.now_ms, MARCH)
    request = pb.ListEntriesRequest(account_id=account_id, page_size=1000)
    listed = list(asyncio.run(service_of(scribe).ListEntries(request)).entries)
    first = compute_invoice(scribe, JANUARY, FEBRUARY, account_id)
    second = compute_invoice(scribe, FEBRUARY, MARCH, account_id)
    for invoice, start, end in ((first, JANUARY, FEBRUARY), (second, FEBRUARY, MARCH)):
        known = [each for each in listed if each.occurred_at.ToMilliseconds() < end]
        mine = [each for each in known if start <= each.occurred_at.ToMilliseconds()]
        _assert_sums(invoice, mine)
        _assert_unpaid(invoice, known)
    assert first.closing_balance_nanos == second.opening_balance_nanos


def _assert_sums(invoice: pb.Invoice, mine: list[pb.Entry]) -> None:
    charged = [each for each in mine if each.kind == pb.DEBIT and each.request_id]
    assert invoice.total_nanos == -_sum(charged)
    assert invoice.total_nanos == sum(line.amount_nanos for line in invoice.lines)
    assert invoice.entry_count == len(charged)
    burned = {
        kind: sum(b.amount_nanos for each in charged for b in each.burned if b.type == kind)
        for kind in TYPES
    }
    assert {each.type: each.amount_nanos for each in invoice.payments} == {
        kind: nanos for kind, nanos in burned.items() if nanos
    }
    assert invoice.overage_used_nanos == invoice.total_nanos - sum(burned.values())
    assert invoice.credits_granted_nanos == _sum(
        each for each in mine if each.kind in GRANTED and " " not in each.request_id
    )
    assert invoice.credits_expired_nanos == -_sum(each for each in mine if each.kind in EXPIRED)
    assert invoice.closing_balance_nanos == (
        invoice.opening_balance_nanos
        + invoice.credits_granted_nanos
        - invoice.credits_expired_nanos
        - invoice.total_nanos
    )


def _assert_unpaid(invoice: pb.Invoice, known: list[pb.Entry]) -> None:
    """Checks that of the period's overage as much is unpaid as is in use at the period's end.

    Duplicates count as given back.
    """
    debt = sum(b.amount_nanos for each in known for b in each.burned if b.type == "OVERAGE")
    debt -= sum(b.amount_nanos for each in known for b in each.burned if each.kind == pb.DEBT_PAID)
    repeated = -_sum(each for each in known if each.kind == pb.DEBIT and not each.request_id)
    given_back = _sum(each for each in known if each.request_id.startswith("refund "))
    unpaid = min(invoice.overage_used_nanos, max(0, debt - repeated + given_back))
    assert invoice.overage_due_nanos + invoice.overage_carried_nanos == unpaid
    assert 0 in (invoice.overage_due_nanos, invoice.overage_carried_nanos)
    assert invoice.credits_applied_nanos == invoice.total_nanos - unpaid


def _sum(entries: object) -> int:
    return sum(each.amount_nanos for each in entries)


def _happen(scribe: Scribe, account_id: str, steps: list[tuple[str, int, int]]) -> None:
    """Plays the steps; the clock may be set back on the way."""
    scribe.now_ms = JANUARY
    scribe.create(account_id)
    last = grant_id = ""
    for what, amount, pause in steps:
        scribe.now_ms = max(JANUARY, scribe.now_ms + pause)
        kind = TYPES[amount % len(TYPES)]
        if what == "debit":
            last = scribe.debit(amount, account_id=account_id)
        elif what == "priced":
            lines = (
                ("input_tokens", amount % 1000, amount // 3),
                ("output_tokens", 7, amount - amount // 3),
            )
            last = scribe.debit(
                amount, account_id=account_id, pricing=usage(*lines, model=f"m{amount % 2}")
            )
        elif what == "grant":
            expires_ms = None if amount % 3 else scribe.now_ms + amount % (20 * DAY) + 1
            grant_id = scribe.grant(
                amount + 1, account_id, type=kind, priority=amount % 4, expires_at_ms=expires_ms
            )
        elif what == "later":
            scribe.grant(
                amount + 1,
                account_id,
                type=kind,
                effective_at_ms=scribe.now_ms + amount % (20 * DAY),
            )
        elif what == "void" and grant_id:
            scribe.void(grant_id, amount or None, account_id)
        elif what == "policy":
            scribe.update(account_id, overage_policy=(NEXT_INVOICE, NEXT_PURCHASE)[amount % 2])
        elif what == "repeat" and last:
            scribe.debit(amount, account_id=account_id, request_id=last)
        elif what == "refund":
            scribe.flush()
            scribe.apply_pending()
        elif what == "hold":
            scribe.debit(
                amount // 2, account_id=account_id, hold=scribe.authorize(amount + 1, account_id)
            )
