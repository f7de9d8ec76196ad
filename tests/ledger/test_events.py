"""Events in the ledger: written with the fact, once, in one order, and never changed."""

import json
from contextlib import suppress

import pytest

from meter.admin.recorder import OperationRecorder
from meter.admin.top_ups import TopUps
from meter.database import schema
from meter.database.engine import Ledger
from meter.ledger.events import MAX_DATA_BYTES, Event, event_id_of, record_events
from support.recorded_accounts import CREDIT, NOON, new_id, open_account, rows, top_up

pytest_plugins = ("support.ledgers",)

EVENT = Event("acme", "grant.expired", "g1", NOON, {"grant_id": "g1", "expired_nanos": 2**60})


def told(ledger: Ledger) -> list[tuple[int, str]]:
    return [(row.number, row.type) for row in rows(ledger, schema.events)]


def test_an_event_is_recorded_once_whoever_tells_it_again(ledger: Ledger) -> None:
    other = EVENT._replace(account_id="beta")
    for events in ([EVENT], [EVENT, other], [other, EVENT._replace(type="grant.expiring"), EVENT]):
        with ledger.write() as connection:
            record_events(connection, events)
    assert told(ledger) == [(1, "grant.expired"), (2, "grant.expired"), (3, "grant.expiring")]
    first, *_ = rows(ledger, schema.events)
    assert first.event_id == event_id_of(EVENT) == "evt_671642910b3daf790691f554cb34f2a0"
    assert json.loads(first.data) == {"grant_id": "g1", "expired_nanos": "1152921504606846976"}


def test_an_event_of_a_transaction_that_fails_leaves_no_number_behind(ledger: Ledger) -> None:
    with suppress(KeyError), ledger.write() as connection:
        record_events(connection, [EVENT])
        raise KeyError
    with ledger.write() as connection:
        record_events(connection, [EVENT._replace(once_key="g2")])
    assert told(ledger) == [(1, "grant.expired")]


def test_data_that_would_not_fit_are_our_own_mistake(ledger: Ledger) -> None:
    too_long = EVENT._replace(data={"text": "x" * MAX_DATA_BYTES})
    with pytest.raises(AssertionError, match="an event with"), ledger.write() as connection:
        record_events(connection, [too_long])


def test_a_suspension_and_its_end_are_events_and_other_changes_are_none(ledger: Ledger) -> None:
    open_account(ledger)
    recorder = OperationRecorder(ledger)
    repeated = new_id()
    for changes, request_id in (
        ({"status": "suspended"}, repeated),
        ({"status": "suspended"}, repeated),
        ({"status": "suspended", "daily_limit_nanos": 1}, new_id()),
        ({"status": "active"}, new_id()),
        ({"daily_limit_nanos": None}, new_id()),
        ({"status": "suspended"}, new_id()),
    ):
        recorder.update_account("acme", changes, request_id=request_id)
    assert told(ledger) == [
        (1, "account.suspended"),
        (2, "account.resumed"),
        (3, "account.suspended"),
    ]
    assert {row.occurred_at_ms for row in rows(ledger, schema.events)} == {NOON}


def test_a_top_up_is_told_when_it_is_recorded_and_when_it_ends(ledger: Ledger) -> None:
    open_account(ledger)
    calls = TopUps(ledger, 0, reference_per_account=False)
    pending = top_up(status="PENDING", payment_reference="pi_1")
    row, _ = calls.create(pending)
    calls.create(pending)
    for _ in range(2):
        calls.complete("acme", row.top_up_id, "SUCCEEDED")
    failing, _ = calls.create(top_up(status="PENDING"))
    calls.complete("acme", failing.top_up_id, "FAILED")
    calls.create(top_up())
    assert [type_ for _, type_ in told(ledger)] == [
        "top_up.pending",
        "top_up.succeeded",
        "top_up.pending",
        "top_up.failed",
        "top_up.succeeded",
    ]
    assert json.loads(rows(ledger, schema.events)[1].data) == {
        "top_up_id": row.top_up_id,
        "amount_nanos": str(25 * CREDIT),
        "currency": "USD",
        "payment_reference": "pi_1",
    }
