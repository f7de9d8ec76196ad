"""Top-ups in the ledger: each adds its credits once, and only when it has succeeded."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from meter.admin.granting import MAX_LIVE_GRANTS, record_grant
from meter.admin.recorder import OperationRecorder
from meter.admin.top_ups import TopUpRow, TopUps
from meter.database.admin_schema import top_ups
from meter.database.engine import Ledger
from meter.database.errors import RequestIdReused
from meter.errors import AlreadyExists, ServiceError
from meter.journal.operations import NEXT_PURCHASE
from support.recorded_accounts import (
    CREDIT,
    DAY,
    NOON,
    grant,
    grants,
    new_id,
    open_account,
    recorded,
    rows,
    top_up,
)

pytest_plugins = ("support.ledgers",)

YEAR = 365


def top_ups_of(ledger: Ledger) -> TopUps:
    return TopUps(ledger, YEAR, reference_per_account=False)


def refused_as(reason: str, ledger: Ledger, wanted: TopUpRow) -> bool:
    with pytest.raises(ServiceError) as refused:
        top_ups_of(ledger).create(wanted)
    return refused.value.reason == reason


def test_a_succeeded_top_up_is_a_grant_under_its_request_id(ledger: Ledger) -> None:
    open_account(ledger, overage_policy=NEXT_PURCHASE)
    row, operation = top_ups_of(ledger).create(
        top_up(request_id="r", payment_reference="pi_7", non_refundable=True)
    )
    assert operation == recorded(ledger)[-1]
    assert (operation.request_id, row.status, row.currency) == ("r", "SUCCEEDED", "USD")
    [change] = grants(ledger)
    assert (change.grant_id, change.type, change.amount_nanos) == (
        row.grant_id,
        "TOP_UP",
        25 * CREDIT,
    )
    assert (change.non_refundable, change.pays_debt, change.description) == (
        True,
        True,
        "card pi_7",
    )
    assert change.expires_at_ms == row.expires_at_ms == NOON + YEAR * DAY, (
        "a year by the account's own clock"
    )


def test_a_pending_top_up_adds_nothing_until_its_payment_succeeds(ledger: Ledger) -> None:
    open_account(ledger)
    calls = TopUps(ledger, 0, reference_per_account=False)
    row, operation = calls.create(top_up(status="PENDING"))
    assert (row.status, row.grant_id, operation, grants(ledger)) == ("PENDING", "", None, [])
    done, operation = calls.complete("acme", row.top_up_id, "SUCCEEDED")
    [change] = grants(ledger)
    assert (done.status, done.grant_id, change.expires_at_ms) == (
        "SUCCEEDED",
        change.grant_id,
        None,
    )
    assert operation.request_id == f"top-up {row.top_up_id}"
    assert calls.complete("acme", row.top_up_id, "SUCCEEDED") == (done, operation)
    assert len(grants(ledger)) == 1


def test_what_has_ended_stays_as_it_ended(ledger: Ledger) -> None:
    open_account(ledger)
    calls = top_ups_of(ledger)
    failed, _ = calls.create(top_up(status="PENDING"))
    calls.complete("acme", failed.top_up_id, "FAILED")
    assert calls.complete("acme", failed.top_up_id, "FAILED")[0].status == "FAILED"
    succeeded, _ = calls.create(top_up())
    for row, other in ((failed, "SUCCEEDED"), (succeeded, "FAILED")):
        with pytest.raises(ServiceError) as refused:
            calls.complete("acme", row.top_up_id, other)
        assert refused.value.reason == "TOP_UP_FINAL"
    assert len(grants(ledger)) == 1


def test_a_repeat_returns_the_top_up_as_it_is_now(ledger: Ledger) -> None:
    open_account(ledger)
    calls = top_ups_of(ledger)
    wanted = top_up(status="PENDING")
    row, _ = calls.create(wanted)
    assert calls.create(wanted) == (row, None)
    ended = calls.complete("acme", row.top_up_id, "SUCCEEDED")
    assert calls.create(wanted) == ended
    assert refused_as("REQUEST_ID_REUSED", ledger, replace(wanted, fingerprint="another"))
    assert len(rows(ledger, top_ups)) == 1


def test_another_call_under_the_id_of_a_pending_top_up_is_not_taken_for_it(ledger: Ledger) -> None:
    open_account(ledger)
    calls = top_ups_of(ledger)
    wanted = top_up(status="PENDING", request_id="r")
    row, _ = calls.create(wanted)
    OperationRecorder(ledger).grant_credits("acme", grant(1), request_id="r")
    assert calls.create(wanted) == (row, None)
    _, operation = calls.complete("acme", row.top_up_id, "SUCCEEDED")
    assert operation.change.amount_nanos == 25 * CREDIT
    assert calls.create(wanted)[1] == operation


def test_a_payment_is_recorded_once_whatever_the_account(ledger: Ledger) -> None:
    open_account(ledger), open_account(ledger, "other")
    top_ups_of(ledger).create(top_up(payment_reference="pi_1"))
    assert refused_as("PAYMENT_REFERENCE_REUSED", ledger, top_up(payment_reference="pi_1"))
    others = top_up(payment_reference="pi_1", account_id="other")
    assert refused_as("PAYMENT_REFERENCE_REUSED", ledger, others)
    assert not grants(ledger, "other")


def test_a_payment_may_be_recorded_once_in_each_account_if_that_is_allowed(ledger: Ledger) -> None:
    open_account(ledger), open_account(ledger, "other")
    calls = TopUps(ledger, YEAR, reference_per_account=True)
    calls.create(top_up(payment_reference="pi_1"))
    calls.create(top_up(payment_reference="pi_1", account_id="other"))
    with pytest.raises(AlreadyExists):
        calls.create(top_up(payment_reference="pi_1"))
    assert len(grants(ledger)) == len(grants(ledger, "other")) == 1


def test_a_payment_that_many_record_at_once_is_recorded_once(ledger: Ledger) -> None:
    names = [f"account-{number}" for number in range(8)]
    for name in names:
        open_account(ledger, name)

    def record(name: str) -> bool:
        try:
            top_ups_of(ledger).create(top_up(payment_reference="pi_1", account_id=name))
        except AlreadyExists:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(record, names)) == 1


def test_only_the_accounts_own_currency_is_taken(ledger: Ledger) -> None:
    open_account(ledger, currency="JPY")
    assert refused_as("CURRENCY_MISMATCH", ledger, top_up())
    assert top_ups_of(ledger).create(top_up(currency=""))[0].currency == "JPY"


def test_an_id_that_something_else_has_had_is_refused(ledger: Ledger) -> None:
    open_account(ledger)
    OperationRecorder(ledger).grant_credits("acme", grant(), request_id="r")
    assert refused_as("REQUEST_ID_REUSED", ledger, top_up(request_id="r"))
    top_ups_of(ledger).create(top_up(request_id="s"))
    with pytest.raises(RequestIdReused):
        OperationRecorder(ledger).update_account("acme", {"status": "suspended"}, request_id="s")


def test_its_credits_expire_as_asked_and_never_before_they_are_added(ledger: Ledger) -> None:
    open_account(ledger)
    calls = TopUps(ledger, 10, reference_per_account=False)
    assert refused_as("INVALID_FIELD", ledger, top_up(expires_at_ms=NOON))
    slow, _ = calls.create(top_up(status="PENDING", expires_at_ms=NOON + DAY))
    quick, _ = calls.create(top_up(expires_at_ms=NOON + DAY))
    assert quick.expires_at_ms == NOON + DAY
    OperationRecorder(ledger).advance_clock("acme", NOON + DAY, request_id=new_id())
    paid, _ = calls.complete("acme", slow.top_up_id, "SUCCEEDED")
    assert paid.expires_at_ms == NOON + 11 * DAY, (
        "the customer has paid for credits that can be spent"
    )


def test_a_paid_top_up_is_completed_however_many_grants_there_are(ledger: Ledger) -> None:
    open_account(ledger)
    row, _ = top_ups_of(ledger).create(top_up(status="PENDING"))
    with ledger.write() as connection:
        for _ in range(MAX_LIVE_GRANTS):
            record_grant(connection, "acme", grant(1), new_id())
    assert refused_as("TOO_MANY_GRANTS", ledger, top_up())
    assert top_ups_of(ledger).complete("acme", row.top_up_id, "SUCCEEDED")[0].grant_id


def test_an_unknown_top_up_or_another_accounts_is_not_found(ledger: Ledger) -> None:
    open_account(ledger), open_account(ledger, "other")
    row, _ = top_ups_of(ledger).create(top_up(status="PENDING"))
    for account_id, top_up_id in (("acme", "t0"), ("other", row.top_up_id)):
        with pytest.raises(ServiceError) as refused:
            top_ups_of(ledger).complete(account_id, top_up_id, "SUCCEEDED")
        assert refused.value.reason == "TOP_UP_NOT_FOUND"


def test_the_newest_come_first_page_by_page(ledger: Ledger) -> None:
    open_account(ledger)
    calls = top_ups_of(ledger)
    made = [calls.create(top_up())[0] for _ in range(5)]
    made.sort(key=lambda row: (row.create_time_ms, row.top_up_id), reverse=True)
    found = calls.newest("acme", 2, None)
    while page := calls.newest("acme", 2, (found[-1].create_time_ms, found[-1].top_up_id)):
        found += page
    assert found == made


def test_many_at_once_add_the_credits_of_a_payment_once(ledger: Ledger) -> None:
    open_account(ledger)
    calls = top_ups_of(ledger)
    pending = top_up(status="PENDING")
    with ThreadPoolExecutor(8) as threads:
        made = set(threads.map(lambda _: calls.create(pending)[0].top_up_id, range(16)))
        [top_up_id] = made
        ended = list(
            threads.map(lambda _: calls.complete("acme", top_up_id, "SUCCEEDED"), range(16))
        )
    assert all(each == ended[0] for each in ended)
    assert len(grants(ledger)) == 1


@pytest.mark.parametrize("amount", [1, 2**62])
def test_an_amount_beyond_what_an_account_can_hold_leaves_no_trace(
    ledger: Ledger, amount: int
) -> None:
    open_account(ledger)
    OperationRecorder(ledger).grant_credits("acme", grant(2**63 - 1), request_id=new_id())
    assert refused_as("AMOUNT_OUT_OF_RANGE", ledger, top_up(amount_nanos=amount))
    assert rows(ledger, top_ups) == []
