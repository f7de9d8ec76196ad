"""Tests what ListEntries says of credits: whose credits paid, grants' own entries, and grace."""

import asyncio

import pytest

from meter.database.engine import Ledger
from meter.journal.operations import Grace, Threshold
from meter.ledger import portions as portions_module
from meter.v1 import ledger_pb2 as pb
from support.histories import DAY, FEBRUARY, HOUR, JANUARY, MARCH, Scribe, service_of
from support.sample_ledger import credit_books

pytest_plugins = ("support.ledgers",)

OF_CREDITS = ["DEBIT", "DEBT_PAID", "GRANT", "GRANT_EXPIRED", "GRANT_STARTED", "GRANT_VOIDED"]
ALL = pb.EntryKind.values()[1:]


@pytest.fixture
def scribe(ledger: Ledger) -> Scribe:
    scribe = Scribe(ledger)
    scribe.create("acme", overage=100, graces=(Grace("inbound", None, 50),))
    return scribe


def entries(scribe: Scribe, *kinds: int, **query: object) -> list[pb.Entry]:
    """Returns the account's entries, oldest first."""
    request = pb.ListEntriesRequest(
        **{"account_id": "acme", "kinds": kinds, "page_size": 1000, **query}
    )
    return list(asyncio.run(service_of(scribe).ListEntries(request)).entries)[::-1]


def burned(entry: pb.Entry) -> list[tuple[str, str, int]]:
    return [(each.grant_id, each.type, each.amount_nanos) for each in entry.burned]


def test_a_debit_says_whose_credits_it_took_in_burn_order_and_overage_last(scribe: Scribe) -> None:
    paid = scribe.grant(10)
    given = scribe.grant(20, type="VOUCHER")
    scribe.debit(45)
    [debit] = entries(scribe, pb.DEBIT)
    assert burned(debit) == [(given, "VOUCHER", 20), (paid, "TOP_UP", 10), ("", "OVERAGE", 15)]
    assert debit.amount_nanos == -45


def test_a_settlement_takes_what_its_hold_had_pinned_and_then_in_burn_order(scribe: Scribe) -> None:
    pinned = scribe.grant(10)
    hold = scribe.authorize(4)
    first = scribe.grant(3, priority=1)
    scribe.debit(9, hold=hold)
    held, debit = entries(scribe, pb.AUTHORIZE, pb.DEBIT)
    assert burned(held) == [(pinned, "TOP_UP", 4)]
    assert burned(debit) == [(pinned, "TOP_UP", 6), (first, "TOP_UP", 3)]


def test_usage_of_nothing_took_nothing(scribe: Scribe) -> None:
    scribe.grant(10)
    scribe.debit(0)
    assert burned(entries(scribe, pb.DEBIT)[0]) == []


def test_what_is_listed_unless_kinds_are_named_is_all_that_moved_credits(ledger: Ledger) -> None:
    scribe = credit_books(ledger)
    listed = entries(scribe)
    assert sorted({pb.EntryKind.Name(each.kind) for each in listed}) == OF_CREDITS
    everything = entries(scribe, *ALL)
    assert {each.entry_id for each in everything if each.amount_nanos} < {
        each.entry_id for each in listed
    }
    balance = 0
    for each in everything:
        balance += each.amount_nanos
        assert each.balance_nanos == balance


def test_the_parts_of_every_debit_add_up_to_its_charge(ledger: Ledger) -> None:
    debits = entries(credit_books(ledger), pb.DEBIT)
    assert len(debits) == 10
    assert all(
        sum(each.amount_nanos for each in debit.burned) == -debit.amount_nanos for debit in debits
    )


def test_what_a_grant_is_followed_by_names_it(scribe: Scribe) -> None:
    scribe.debit(30)
    soon = scribe.grant(50, expires_at_ms=JANUARY + DAY)
    later = scribe.grant(60, effective_at_ms=JANUARY + DAY)
    paying = scribe.grant(100, type="ADJUSTMENT")
    scribe.now_ms = JANUARY + DAY
    scribe.void(paying, 25)
    scribe.debit(45)
    found = [
        (pb.EntryKind.Name(each.kind), each.amount_nanos, burned(each))
        for each in entries(scribe, *ALL)[2:]
    ]
    assert found == [
        ("GRANT", 50, [(soon, "TOP_UP", 50)]),
        ("GRANT", 0, [(later, "TOP_UP", 0)]),
        ("GRANT", 100, [(paying, "ADJUSTMENT", 100)]),
        ("DEBT_PAID", 0, [(paying, "ADJUSTMENT", 30)]),
        ("GRANT_STARTED", 60, [(later, "TOP_UP", 60)]),
        ("GRANT_EXPIRED", -50, [(soon, "TOP_UP", 50)]),
        ("GRANT_VOIDED", -25, [(paying, "ADJUSTMENT", 25)]),
        ("DEBIT", -45, [(later, "TOP_UP", 45)]),
    ]


def test_a_grant_that_is_used_up_or_voided_before_it_began_is_named_with_nothing(
    scribe: Scribe,
) -> None:
    used = scribe.grant(10)
    withdrawn = scribe.grant(5, effective_at_ms=FEBRUARY)
    scribe.debit(10)
    scribe.void(withdrawn)
    exhausted, voided = entries(scribe, pb.GRANT_EXHAUSTED, pb.GRANT_VOIDED)
    assert (burned(exhausted), exhausted.amount_nanos) == ([(used, "TOP_UP", 0)], 0)
    assert (burned(voided), voided.amount_nanos, voided.description) == (
        [(withdrawn, "TOP_UP", 0)],
        0,
        "by mistake",
    )


def test_consequences_have_no_request_and_stand_behind_what_they_follow_from(
    scribe: Scribe,
) -> None:
    scribe.grant(10)
    request_id = scribe.debit(10)
    debit, exhausted = entries(scribe, pb.DEBIT, pb.GRANT_EXHAUSTED)
    assert (debit.request_id, exhausted.request_id) == (request_id, "")
    assert exhausted.occurred_at == debit.occurred_at
    sequences = [int(each.entry_id.rpartition("-")[2]) for each in (debit, exhausted)]
    assert sequences[1] == sequences[0] + 1


def test_what_comes_back_too_late_expires_at_once(scribe: Scribe) -> None:
    grant_id = scribe.grant(50, expires_at_ms=JANUARY + HOUR)
    scribe.now_ms = JANUARY + HOUR - 1
    hold = scribe.authorize(40)
    scribe.debit(15, hold=hold)
    found = [(each.kind, each.amount_nanos, burned(each)) for each in entries(scribe)[1:]]
    assert found == [
        (pb.GRANT_EXPIRED, -10, [(grant_id, "TOP_UP", 10)]),
        (pb.DEBIT, -15, [(grant_id, "TOP_UP", 15)]),
        (pb.GRANT_EXPIRED, -25, [(grant_id, "TOP_UP", 25)]),
    ]


def test_what_grace_carried_is_told_and_is_no_shortfall(scribe: Scribe) -> None:
    scribe.grant(20)
    scribe.debit(130, incurred=False, traffic_class="inbound")
    scribe.authorize(7, traffic_class="inbound")
    scribe.debit(9)
    graced, held, incurred = entries(scribe, pb.DEBIT, pb.AUTHORIZE)
    assert (graced.grace_nanos, graced.shortfall_nanos, graced.incurred) == (10, 0, False)
    assert (held.grace_nanos, held.held_nanos) == (7, 7)
    assert (incurred.grace_nanos, incurred.shortfall_nanos, incurred.incurred) == (0, 9, True)


def test_thresholds_are_in_the_history(ledger: Ledger) -> None:
    scribe = Scribe(ledger)
    scribe.create("acme", thresholds=(Threshold("some", "daily_use", 5),))
    scribe.debit(6)
    [threshold] = entries(scribe, pb.THRESHOLD)
    assert (threshold.amount_nanos, threshold.held_nanos, burned(threshold)) == (0, 0, [])


def test_entries_of_a_time_are_listed_with_the_names_of_older_grants(scribe: Scribe) -> None:
    grant_id = scribe.grant(10)
    scribe.now_ms = FEBRUARY
    scribe.debit(3)
    span = {"start_time": {"seconds": FEBRUARY // 1000}, "end_time": {"seconds": MARCH // 1000}}
    assert [burned(each) for each in entries(scribe, **span)] == [[(grant_id, "TOP_UP", 3)]]


def test_another_accounts_grants_of_the_same_number_do_not_lend_their_names(scribe: Scribe) -> None:
    scribe.create("other")
    own = scribe.grant(10)
    others = scribe.grant(10, "other", type="VOUCHER")
    for account_id, grant_id, kind in (("acme", own, "TOP_UP"), ("other", others, "VOUCHER")):
        scribe.debit(1, account_id=account_id)
        assert burned(entries(scribe, pb.DEBIT, account_id=account_id)[0]) == [(grant_id, kind, 1)]


def test_a_page_with_many_grants_names_them_all(
    scribe: Scribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert portions_module.KEYS_PER_QUERY == 500
    monkeypatch.setattr(portions_module, "KEYS_PER_QUERY", 3)
    granted = [scribe.grant(2) for _ in range(8)]
    scribe.debit(16)
    assert burned(entries(scribe, pb.DEBIT)[0]) == [(grant_id, "TOP_UP", 2) for grant_id in granted]
