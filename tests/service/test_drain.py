"""Calls are in flight when something else happens: the service ends, the client goes away, too many
come, Redis is silent.
"""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gate.v1.gate_pb2 import ALLOWED, DebitRequest
from support.customer import CREDIT, Customer, another_gate, refusal, silent_redis
from support.scraping import Metrics
from support.servers import wait_until
from support.stack import Client, Process, Stack, free_port, running_stack

pytest_plugins = ("support.running_stack",)
pytestmark = pytest.mark.every_transport

Open = Callable[..., Customer]
NICENESS_MAX = 19  # the kernel's


@contextmanager
def gate_of_ones_own(stack: Stack, **settings: str) -> Iterator[tuple[Process, Client, Metrics]]:
    metrics = Metrics(free_port())
    with another_gate(stack, metrics_listen=metrics.address, **settings) as (gate, client):
        yield gate, client, metrics


def in_flight(metrics: Metrics) -> float:
    return metrics.value("creditgate_in_flight")


def is_answered(customer: Customer, request: DebitRequest) -> bool:
    """Whether the debit was made, now or before; whoever is not sure asks again."""
    try:
        return bool(customer.client.gate.Debit(request).charged_nanos)
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise
        return False


def test_on_sigterm_calls_in_flight_finish_and_the_gate_ends_with_0(
    open_account: Open, stack: Stack
) -> None:
    customer = open_account("10")
    with gate_of_ones_own(stack) as (gate, client, metrics):
        health = health_pb2_grpc.HealthStub(client._channel).Watch(
            health_pb2.HealthCheckRequest(service="gate.v1.Gate")
        )
        assert next(health).status == health_pb2.HealthCheckResponse.SERVING
        with silent_redis(stack):
            calls = [
                client.gate.Debit.future(customer.asks(DebitRequest, CREDIT)) for _ in range(10)
            ]
            wait_until(lambda: in_flight(metrics) == 10)
            os.kill(gate.pid, signal.SIGTERM)
            assert next(health).status == health_pb2.HealthCheckResponse.NOT_SERVING
        health.cancel()
        assert [call.result().decision for call in calls] == [ALLOWED] * 10
        assert gate.stop() == 0
    assert customer.balance().remaining_nanos == 0
    assert len(customer.entries()) == 11


def test_calls_that_outlast_the_drain_can_be_repeated_and_take_effect_once(
    open_account: Open, stack: Stack
) -> None:
    customer = open_account("10")
    request = customer.asks(DebitRequest, CREDIT)
    with (
        gate_of_ones_own(stack, drain_timeout_ms="50") as (gate, client, metrics),
        silent_redis(stack),
    ):
        call = client.gate.Debit.future(request)
        wait_until(lambda: in_flight(metrics) == 1)
        assert gate.stop() == 0
        assert call.code() is grpc.StatusCode.UNAVAILABLE
    wait_until(lambda: is_answered(customer, request))
    assert customer.balance().remaining_nanos == 9 * CREDIT


def test_more_calls_than_may_be_in_flight_are_refused_at_once(
    open_account: Open, stack: Stack
) -> None:
    customer = open_account("10")
    with gate_of_ones_own(stack, max_in_flight="5") as (_, client, metrics):
        with silent_redis(stack):
            calls = [
                client.gate.Debit.future(customer.asks(DebitRequest, CREDIT)) for _ in range(20)
            ]
            wait_until(lambda: sum(call.done() for call in calls) == 15)
            refused = refusal(client.gate.Debit, customer.asks(DebitRequest, 1))
            assert (refused.code, refused.reason, refused.field) == (
                "UNAVAILABLE",
                "OVERLOADED",
                "",
            )
        assert Counter(call.code() for call in calls) == {
            grpc.StatusCode.OK: 5,
            grpc.StatusCode.UNAVAILABLE: 15,
        }
        assert customer.balance().remaining_nanos == 5 * CREDIT, "what was refused took no effect"
        wait_until(lambda: in_flight(metrics) == 0)
        assert client.gate.Debit(customer.asks(DebitRequest, CREDIT)).decision == ALLOWED
        assert metrics.value("creditgate_refusals_total", reason="OVERLOADED") == 16


def test_a_client_that_went_away_finds_its_debit_done_once(
    open_account: Open, stack: Stack
) -> None:
    customer = open_account("10")
    gate = customer.client.gate
    requests = [customer.asks(DebitRequest, CREDIT) for _ in range(3)]
    with silent_redis(stack):
        cancelled = [gate.Debit.future(request) for request in requests[:2]]
        with pytest.raises(grpc.RpcError) as late:
            gate.Debit(requests[2], timeout=0.3)
        for call in cancelled:
            call.cancel()
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert customer.debit(1).charged_nanos == 1, "nobody reads a reply that was another's"
    assert [gate.Debit(request).replayed for request in requests] == [True] * 3
    assert customer.balance().remaining_nanos == 7 * CREDIT - 1


def test_while_redis_is_silent_calls_are_unavailable_and_can_be_repeated(
    open_account: Open, stack: Stack
) -> None:
    customer = open_account("10")
    with another_gate(stack, redis_timeout_ms="100") as (_, client):
        request = customer.asks(DebitRequest, CREDIT)
        with silent_redis(stack):
            for _ in range(3):
                refused = refusal(client.gate.Debit, request)
                assert (refused.code, refused.reason) == ("UNAVAILABLE", "REDIS_UNAVAILABLE")
        wait_until(lambda: is_answered(customer.at(client), request))
    assert customer.balance().remaining_nanos == 9 * CREDIT


def test_on_sigterm_a_flusher_flushes_what_is_left_and_ends_with_0() -> None:
    with running_stack(flush_interval_ms="60000") as stack:
        client = stack.client()
        client.open_account("acme", "10")
        customer = Customer(client, "acme")
        for _ in range(50):
            customer.debit(1)
        assert stack.flushers[0].stop() == 0
        assert len(customer.entries()) == 51
        client.close()


def test_on_the_same_cores_calls_go_before_the_flusher(stack: Stack) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)

    def niceness(process: Process) -> int:
        return os.getpriority(os.PRIO_PROCESS, process.pid)

    def nicer_by(niceness: int) -> int:
        return min(own + niceness, NICENESS_MAX)

    assert [niceness(gate) for gate in stack.gates] == [own, own]
    assert [niceness(flusher) for flusher in stack.flushers] == [nicer_by(5)]
    assert [niceness(billing) for billing in stack.billings] == [nicer_by(10), nicer_by(10)]
