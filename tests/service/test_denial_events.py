"""Denied requests leave events: one for each account, reason or budget, and window."""

import os
import signal
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from google.protobuf import json_format

from gate.v1.gate_pb2 import DENIED, BatchItem, BatchRequest, DebitRequest
from meter.database.migrate import open_ledger
from meter.v1.accounts_pb2 import DAILY, HOURLY, SUSPENDED, Threshold
from support.customer import CREDIT, Customer, another_gate, at
from support.ledger_state import events_locked
from support.servers import wait_until
from support.stack import Client, Stack
from support.terminal import ONE_TRANSPORT

pytest_plugins = ("support.running_stack",)
pytestmark = ONE_TRANSPORT

Open = Callable[..., Customer]

NOON = "2026-03-15T12:00:00Z"
MIDNIGHT = "2026-03-16T00:00:00Z"
ADA = {"user": "ada"}


def denial(reason: str, **fields: Any) -> dict[str, object]:
    """Returns the event's data as they must be: of that noon, unless told otherwise."""
    usual = {
        "budget_id": "",
        "budget_values": [],
        "window": "2026-03-15",
        "affordable_nanos": "0",
    }
    return {"reason": reason, **usual, **fields}


def data_of(event: Any) -> dict[str, object]:
    return json_format.MessageToDict(event.data)


def events_once_there_are(count: int, customer: Customer) -> list[Any]:
    """Returns the denials and crossings, which come beside the calls, once there are so many."""
    wait_until(lambda: len(told(customer)) >= count)
    return told(customer)


def told(customer: Customer) -> list[Any]:
    types = ("request.denied", "threshold.crossed")
    return [event for event in customer.events() if event.type in types]


def debit_is_denied(customer: Customer, nanos: int, **fields: Any) -> None:
    assert customer.debit(nanos, **fields).decision == DENIED


def suspend(customer: Customer) -> None:
    customer.update(status=SUSPENDED)


def test_a_request_beyond_the_daily_limit_leaves_an_event_though_no_threshold_was_crossed(
    open_account: Open,
) -> None:
    full = Threshold(threshold_id="full", subject=Threshold.DAILY_USE, percent=100)
    customer = open_account(
        "100", daily_limit_nanos=10 * CREDIT, test_clock_time=at(NOON), thresholds=[full]
    )
    customer.debit(9 * CREDIT + CREDIT // 2)
    debit_is_denied(customer, 2 * CREDIT)
    [event] = events_once_there_are(1, customer)
    assert event.type == "request.denied"
    assert event.occurred_at == at(NOON)
    assert data_of(event) == denial("DAILY_LIMIT_EXCEEDED", affordable_nanos=str(CREDIT // 2))
    customer.debit(CREDIT // 2)
    _, crossed = events_once_there_are(2, customer)
    assert crossed.data["threshold_id"] == "full"


def test_a_hundred_denials_make_one_event_of_the_first(open_account: Open) -> None:
    customer = open_account("1", test_clock_time=at(NOON))
    debit_is_denied(customer, 2 * CREDIT)
    customer.advance("2026-03-15T13:00:00Z")
    items = [BatchItem(debit=customer.asks(DebitRequest, 3 * CREDIT)) for _ in range(99)]
    results = customer.client.gate.Batch(BatchRequest(items=items)).results
    assert {result.debit.decision for result in results} == {DENIED}
    customer.update(daily_limit_nanos=1)
    debit_is_denied(customer, CREDIT)
    first, last = events_once_there_are(2, customer)
    assert (first.data["reason"], first.occurred_at) == ("INSUFFICIENT_CREDITS", at(NOON))
    assert last.data["reason"] == "DAILY_LIMIT_EXCEEDED"


def test_a_denial_of_the_next_day_is_another_event(open_account: Open) -> None:
    customer = open_account("1", test_clock_time=at(NOON))
    debit_is_denied(customer, 2 * CREDIT)
    customer.advance(MIDNIGHT)
    debit_is_denied(customer, 2 * CREDIT)
    events = events_once_there_are(2, customer)
    assert [(event.data["window"], event.occurred_at) for event in events] == [
        ("2026-03-15", at(NOON)),
        ("2026-03-16", at(MIDNIGHT)),
    ]


def test_two_gates_make_one_event(open_account: Open, other_client: Client) -> None:
    customer = open_account("1", test_clock_time=at(NOON))
    for gate in (customer, customer.at(other_client)):
        debit_is_denied(gate, 2 * CREDIT)
    suspend(customer)
    for gate in (customer.at(other_client), customer):
        debit_is_denied(gate, 2 * CREDIT)
    # Each gate records in the order of its calls: behind these no earlier denial is left to record.
    customer.advance(MIDNIGHT)
    debit_is_denied(customer, 1)
    customer.advance("2026-03-17T00:00:00Z")
    debit_is_denied(customer.at(other_client), 1)
    events = events_once_there_are(4, customer)
    assert sorted((event.data["window"], event.data["reason"]) for event in events) == [
        ("2026-03-15", "ACCOUNT_SUSPENDED"),
        ("2026-03-15", "INSUFFICIENT_CREDITS"),
        ("2026-03-16", "ACCOUNT_SUSPENDED"),
        ("2026-03-17", "ACCOUNT_SUSPENDED"),
    ]


def test_a_suspended_accounts_denial_says_that_nothing_could_be_spent(open_account: Open) -> None:
    customer = open_account("1", test_clock_time=at(NOON))
    suspend(customer)
    assert customer.authorize(1).decision == DENIED
    [event] = events_once_there_are(1, customer)
    assert data_of(event) == denial("ACCOUNT_SUSPENDED")


def test_each_budget_that_denies_has_an_event_in_its_own_window(open_account: Open) -> None:
    customer = open_account("100", test_clock_time=at(NOON))
    customer.set_budget("ada", 2 * CREDIT, ADA)
    customer.set_budget("bob", CREDIT, {"user": "bob"}, window=DAILY)
    for day in ("2026-03-16T12:00:00Z", "2026-03-17T12:00:00Z"):
        customer.advance(day)
        debit_is_denied(customer, 3 * CREDIT, dimensions=ADA)
        debit_is_denied(customer, 3 * CREDIT, dimensions={"user": "bob"})
    events = events_once_there_are(3, customer)
    two = str(2 * CREDIT)
    one = str(CREDIT)
    assert [data_of(event) for event in events] == [
        denial("BUDGET_EXCEEDED", budget_id="ada", window="2026-03-01", affordable_nanos=two),
        denial("BUDGET_EXCEEDED", budget_id="bob", window="2026-03-16", affordable_nanos=one),
        denial("BUDGET_EXCEEDED", budget_id="bob", window="2026-03-17", affordable_nanos=one),
    ]


def test_a_denied_extension_leaves_an_event_too(open_account: Open) -> None:
    customer = open_account("1", test_clock_time=at(NOON))
    hold = customer.authorize(CREDIT)
    assert customer.extend(hold.hold_id, CREDIT).decision == DENIED
    [event] = events_once_there_are(1, customer)
    assert data_of(event) == denial("INSUFFICIENT_CREDITS")


@pytest.mark.parametrize("incurred", [True, False])
def test_what_is_not_denied_leaves_no_event(open_account: Open, incurred: bool) -> None:
    customer = open_account("1", test_clock_time=at(NOON))
    customer.debit(CREDIT, incurred=incurred)
    suspend(customer)
    debit_is_denied(customer, 1)
    [event] = events_once_there_are(1, customer)
    assert event.data["reason"] == "ACCOUNT_SUSPENDED"


def test_a_gate_that_stops_records_the_denials_that_still_wait(
    stack: Stack, open_account: Open
) -> None:
    customer = open_account("10", test_clock_time=at(NOON))
    customer.set_budget("ada", CREDIT, ADA)
    with (
        another_gate(stack) as (gate, client),
        closing(open_ledger(stack.ledger_url)) as ledger,
    ):
        with events_locked(ledger):
            debit_is_denied(customer.at(client), 11 * CREDIT)
            debit_is_denied(customer.at(client), 2 * CREDIT, dimensions=ADA)
            os.kill(gate.pid, signal.SIGTERM)
            wait_until(lambda: "denial_events_rest" in gate.log.read_text())
        assert gate.wait() == 0
    reasons = [event.data["reason"] for event in told(customer)]
    assert reasons == ["INSUFFICIENT_CREDITS", "BUDGET_EXCEEDED"]


def test_each_value_that_has_used_something_leaves_an_event_of_its_own(open_account: Open) -> None:
    customer = open_account("100", test_clock_time=at(NOON))
    customer.set_budget("each", 10 * CREDIT, {"user": "*"}, window=HOURLY)
    for user in ("ada", "bob"):
        customer.debit(9 * CREDIT, dimensions={"user": user})
    for user in ("ada", "bob", "ada", "new", "newer"):
        debit_is_denied(customer, 11 * CREDIT, dimensions={"user": user})
    events = events_once_there_are(3, customer)
    assert [list(event.data["budget_values"]) for event in events] == [["ada"], ["bob"], []]
    assert {event.data["window"] for event in events} == {"2026-03-15T12:00"}
    assert [int(event.data["affordable_nanos"]) for event in events] == [
        CREDIT,
        CREDIT,
        10 * CREDIT,
    ]
