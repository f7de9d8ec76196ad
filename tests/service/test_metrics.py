"""A running gate serves metrics: every event moves its own counter, and no id is ever a label."""

import json
from collections.abc import Callable, Iterator

import grpc
import pytest

from gate.v1.gate_pb2 import BatchItem, BatchRequest, DebitRequest, Usage
from support.customer import CREDIT, Customer, another_gate, at, holds_in, new_id, silent_redis
from support.scraping import Metrics
from support.servers import wait_until
from support.stack import Client, Process, Stack, free_port

pytest_plugins = ("support.running_stack",)
pytestmark = pytest.mark.every_transport

Open = Callable[..., Customer]

# Every label there may be, and what it may say.
LABELS = {"method", "outcome", "script", "reason", "why", "shard", "kind", "child", "le"}


@pytest.fixture(scope="module")
def measured(stack: Stack) -> Iterator[tuple[Metrics, Client]]:
    """A gate that serves its metrics, and a client of it."""
    metrics = Metrics(free_port())
    with another_gate(stack, metrics_listen=metrics.address) as (_, client):
        yield metrics, client


@pytest.fixture
def metrics(measured: tuple[Metrics, Client]) -> Metrics:
    return measured[0]


@pytest.fixture
def customer(open_account: Open, measured: tuple[Metrics, Client]) -> Customer:
    """With one credit, by a test clock, calling the gate that is measured."""
    return open_account("1", test_clock_time=at("2026-03-15T12:00:00Z")).at(measured[1])


@pytest.fixture
def moved(metrics: Metrics) -> Callable[..., float]:
    """By how much a counter has moved since the test began."""
    before = metrics.samples()

    def by(name: str, **labels: str) -> float:
        return metrics.value(name, **labels) - before.get(
            (name, tuple(sorted(labels.items()))), 0.0
        )

    return by


def test_calls_are_counted_by_method_and_outcome(
    customer: Customer, moved: Callable[..., float]
) -> None:
    customer.debit(1)
    customer.debit(1)
    customer.debit(2 * CREDIT)
    customer.authorize(2 * CREDIT)
    for wrong in ({"hold_id": "none"}, {"request_id": ""}):
        with pytest.raises(grpc.RpcError):
            customer.debit(1, **wrong)
    calls = "creditgate_requests_total"
    assert moved(calls, method="Debit", outcome="OK") == 2
    assert moved(calls, method="Debit", outcome="DENIED") == 1
    assert moved(calls, method="Authorize", outcome="DENIED") == 1
    assert moved(calls, method="Debit", outcome="NOT_FOUND") == 1
    assert moved(calls, method="Debit", outcome="INVALID_ARGUMENT") == 1
    assert moved("creditgate_denials_total", reason="INSUFFICIENT_CREDITS") == 2
    assert moved("creditgate_refusals_total", reason="HOLD_NOT_FOUND") == 1
    assert moved("creditgate_refusals_total", reason="INVALID_FIELD") == 1


def test_time_is_measured_by_method_and_by_script(
    customer: Customer, moved: Callable[..., float]
) -> None:
    customer.release(customer.authorize(1).hold_id)
    assert moved("creditgate_rpc_seconds_count", method="Authorize") == 1
    assert moved("creditgate_script_seconds_count", script="authorize") == 1
    assert moved("creditgate_script_seconds_count", script="release") == 1
    assert moved("creditgate_rpc_seconds_bucket", method="Release", le="5.0") == 1
    assert 0 < moved("creditgate_rpc_seconds_sum", method="Release") < 5


def test_charges_and_shortfall_are_counted_in_credits_and_replays_not_again(
    customer: Customer, moved: Callable[..., float]
) -> None:
    request_id = new_id()
    for _ in range(3):
        customer.debit(3 * CREDIT, incurred=True, request_id=request_id)
    assert moved("creditgate_charged_credits_total") == 3
    assert moved("creditgate_shortfall_credits_total") == 2
    assert moved("creditgate_replays_total") == 2
    assert moved("creditgate_requests_total", method="Debit", outcome="OK") == 3


def test_what_a_batch_does_is_counted_as_if_it_had_come_alone(
    customer: Customer, moved: Callable[..., float]
) -> None:
    denied, allowed = (
        BatchItem(debit=customer.asks(DebitRequest, nanos)) for nanos in (2 * CREDIT, CREDIT)
    )
    customer.client.gate.Batch(BatchRequest(items=[denied, allowed]))
    assert moved("creditgate_denials_total", reason="INSUFFICIENT_CREDITS") == 1
    assert moved("creditgate_charged_credits_total") == 1
    assert moved("creditgate_requests_total", method="Batch", outcome="OK") == 1


def test_usage_objects_that_contradict_themselves_are_counted(
    customer: Customer, moved: Callable[..., float]
) -> None:
    for cached in (4, 11):
        reported = {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": cached}}
        customer.debit(usage=Usage(model="tiny", reported_json=json.dumps(reported)))
    assert moved("creditgate_usage_inconsistent_total") == 1


def test_late_debits_and_expired_holds_are_counted(
    customer: Customer, moved: Callable[..., float]
) -> None:
    hold = customer.authorize(1, hold_ttl_ms=1)
    customer.advance("2026-03-15T12:00:01Z")
    customer.debit(1, hold_id=hold.hold_id)
    assert (
        moved("creditgate_holds_expired_total") >= 1
    )  # others' holds may have had their time, too
    assert moved("creditgate_late_debits_total") == 1


def test_open_holds_are_shown_with_the_age_of_the_oldest(
    customer: Customer, metrics: Metrics, stack: Stack
) -> None:
    wait_until(lambda: metrics.value("creditgate_shards_closed") == 0)
    holds = [customer.authorize(1).hold_id for _ in range(3)]
    assert holds_in(stack) >= 3
    wait_until(lambda: metrics.value("creditgate_holds_open") == holds_in(stack))
    assert metrics.value("creditgate_holds_oldest_seconds") >= 0
    for hold_id in holds:
        customer.release(hold_id)
    wait_until(lambda: metrics.value("creditgate_holds_open") == holds_in(stack))


def test_an_account_loaded_from_the_ledger_is_counted(
    customer: Customer, moved: Callable[..., float], stack: Stack
) -> None:
    customer.entries()  # waits until its operations are flushed: no sweeper is after them any more
    with stack.valkey.client() as redis:
        redis.delete(*redis.keys(f"cg:*:a:{customer.account_id}"))
    customer.balance()
    assert moved("creditgate_accounts_restored_total") == 1


def test_calls_in_flight_are_shown(customer: Customer, metrics: Metrics, stack: Stack) -> None:
    assert metrics.value("creditgate_in_flight") == 0
    with silent_redis(stack):
        calls = [
            customer.client.gate.Debit.future(customer.asks(DebitRequest, 1)) for _ in range(7)
        ]
        wait_until(lambda: metrics.value("creditgate_in_flight") == 7)
    assert [call.result().charged_nanos for call in calls] == [1] * 7
    wait_until(lambda: metrics.value("creditgate_in_flight") == 0)


def test_no_id_is_ever_a_label(customer: Customer, metrics: Metrics) -> None:
    hold = customer.authorize(1, request_id="secret-request", dimensions={"user": "secret-user"})
    customer.debit(
        usage=Usage(model="tiny", input_tokens=1), description="secret-text", hold_id=hold.hold_id
    )
    for wrong in (
        {"account_id": "secret-account"},
        {"usage": Usage(model="secret-model", input_tokens=1)},
    ):
        with pytest.raises(grpc.RpcError):
            customer.debit(**({"nanos": 1} if "usage" not in wrong else {}), **wrong)
    text = metrics.text()
    for word in ("secret", customer.account_id, hold.hold_id, "tiny"):
        assert word not in text
    assert {name for _, labels in metrics.samples() for name, _ in labels} <= LABELS


def test_a_flusher_serves_its_own(stack: Stack, open_account: Open) -> None:
    metrics = Metrics(free_port())
    environment = stack.environment() | {"CREDITGATE_METRICS_LISTEN": metrics.address}
    flusher = Process(["flush"], environment, stack.folder / "measured-flusher.log")
    flusher.start()
    try:
        customer = open_account("1")

        def has_flushed() -> bool:
            customer.debit(1)  # either flusher may take it
            return metrics.value("creditgate_flushed_rows_total", kind="DEBIT") > 0

        wait_until(has_flushed)
        samples = metrics.samples()
        names = {name for name, _ in samples}
        assert {
            "creditgate_flush_lag_seconds",
            "creditgate_journal_length",
            "creditgate_ledger_failures_total",
        } <= names
        assert {name for _, labels in samples for name, _ in labels} <= LABELS
        assert customer.account_id not in metrics.text()
    finally:
        assert flusher.stop() == 0
