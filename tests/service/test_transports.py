"""What a client meets below the services' own words is the same on every transport; and how a
transport is chosen.
"""

import os
import signal
import socket
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gate.address import parse_address
from gate.v1.gate_pb2 import ALLOWED, BatchItem, BatchRequest, DebitRequest, GetBalanceRequest
from meter.v1.accounts_pb2 import Account, UpdateAccountRequest
from support.customer import CREDIT, Customer, another_gate, refusal, silent_redis
from support.processes import run
from support.scraping import Metrics
from support.servers import wait_until
from support.stack import Client, Process, Stack, free_port

pytest_plugins = ("support.running_stack",)
pytestmark = pytest.mark.every_transport

Open = Callable[..., Customer]


@pytest.fixture
def transport(request: pytest.FixtureRequest) -> str:
    """The one that this try is with."""
    return str(request.node.callspec.params["stack"])


@contextmanager
def measured_gate(stack: Stack, **settings: str) -> Iterator[tuple[Process, Client, Metrics]]:
    metrics = Metrics(free_port())
    with another_gate(stack, metrics_listen=metrics.address, **settings) as (gate, client):
        yield gate, client, metrics


@pytest.fixture
def socket_path() -> Iterator[str]:
    """Where a unix socket may be. Its path must be short."""
    with tempfile.TemporaryDirectory(prefix="cg-") as folder:
        yield f"{folder}/gate"


def bytes_to(client: Client, method: str, message: bytes, **options: Any) -> bytes:
    """A call of bytes, whatever they are."""
    return bytes(client._channel.unary_unary(method)(message, **options))


def health_of(target: str) -> int:
    with grpc.insecure_channel(target) as channel:
        return int(
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest()).status
        )


def code_of_a_short_call(customer: Customer) -> grpc.StatusCode:
    """How a call ends that does not wait for Redis to speak again."""
    call = customer.client.gate.Debit.future(customer.asks(DebitRequest, 1), timeout=0.2)
    return grpc.StatusCode(call.code())


def last_words(stack: Stack, **settings: str) -> str:
    """Of a gate that must not start."""
    names = {f"CREDITGATE_{name.upper()}": value for name, value in settings.items()}
    environment = stack.environment(f"127.0.0.1:{free_port()}") | names
    done = run(["serve"], environment)
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr


def test_a_gate_says_what_it_serves_by(stack: Stack, transport: str) -> None:
    assert f"transport {transport}" in stack.gates[0].printed


def test_bytes_that_are_no_message_are_an_error_and_the_connection_goes_on(
    client: Client, open_account: Open
) -> None:
    customer = open_account("1")
    with pytest.raises(grpc.RpcError) as caught:
        bytes_to(client, "/gate.v1.Gate/Debit", b"\xff" * 10)
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert customer.debit(1).decision == ALLOWED


@pytest.mark.parametrize("method", ["/gate.v1.Gate/Refund", "/gate.v2.Gate/Debit", "/nothing"])
def test_a_method_that_does_not_exist_is_unimplemented(client: Client, method: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        bytes_to(client, method, b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_the_ledger_is_served_by_billing_alone(
    stack: Stack, open_account: Open, transport: str
) -> None:
    customer = open_account("1")
    assert f"transport {transport}" in stack.billings[0].printed
    assert customer.entries()
    at_the_gate = Client(stack.targets[1], stack.targets[0])
    at_billing = Client(stack.billing_targets[0])
    for call in (customer.at(at_the_gate).entries, customer.at(at_billing).balance):
        with pytest.raises(grpc.RpcError) as caught:
            call()
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    at_the_gate.close()
    at_billing.close()


def test_a_compressed_request_is_read(client: Client, open_account: Open) -> None:
    account_id = open_account("1").account_id
    request = GetBalanceRequest(account_id=account_id)
    reply = client.gate.GetBalance(request, compression=grpc.Compression.Gzip)
    assert reply.balance.remaining_nanos == CREDIT


def test_a_request_compressed_by_deflate_is_read_by_grpcio_and_refused_by_native(
    client: Client, open_account: Open, transport: str
) -> None:
    request = GetBalanceRequest(account_id=open_account("1").account_id)
    call = client.gate.GetBalance.future(request, compression=grpc.Compression.Deflate)
    outcomes = {"native": grpc.StatusCode.UNIMPLEMENTED, "grpcio": grpc.StatusCode.OK}
    assert call.code() is outcomes[transport]


def test_the_largest_message_that_may_be_sent_arrives(client: Client, open_account: Open) -> None:
    request = open_account("1").asks(DebitRequest, 1)
    request.description = "x" * (4 * 1024 * 1024 - request.ByteSize() - 5)
    assert refusal(client.gate.Debit, request).field == "description"


def test_what_an_error_says_arrives_in_any_language(client: Client, open_account: Open) -> None:
    account = Account(account_id=open_account().account_id)
    request = UpdateAccountRequest(account=account, update_mask=FieldMask(paths=["größe 100% „x“"]))
    refused = refusal(client.accounts.UpdateAccount, request)
    assert refused.field == "update_mask"
    assert "größe 100% „x“" in refused.message


@pytest.mark.parametrize("way", ["cancelled", "late"])
def test_a_call_whose_client_has_gone_is_given_up(
    stack: Stack, open_account: Open, way: str
) -> None:
    customer = open_account("1")
    with measured_gate(stack) as (_, client, metrics), silent_redis(stack):
        call = client.gate.Debit.future(
            customer.asks(DebitRequest, 1), timeout=1.5 if way == "late" else None
        )
        wait_until(lambda: metrics.value("creditgate_in_flight") == 1)
        if way == "cancelled":
            call.cancel()
        wait_until(lambda: metrics.value("creditgate_in_flight") == 0)
        assert metrics.value("creditgate_requests_total", method="Debit", outcome="CANCELLED") == 1


def test_one_connection_carries_thousands_of_calls_at_once(
    stack: Stack, open_account: Open
) -> None:
    customer = open_account("10")
    with measured_gate(stack) as (_, client, metrics):
        with silent_redis(stack):
            calls = [client.gate.Debit.future(customer.asks(DebitRequest, 1)) for _ in range(1500)]
            wait_until(lambda: metrics.value("creditgate_in_flight") == 1500, 30)
        assert Counter(call.result().decision for call in calls) == {ALLOWED: 1500}


def test_once_it_drains_new_calls_are_unavailable(stack: Stack, open_account: Open) -> None:
    customer = open_account("1")
    with measured_gate(stack) as (gate, client, metrics):
        with silent_redis(stack):
            call = client.gate.Debit.future(customer.asks(DebitRequest, 1))
            wait_until(lambda: metrics.value("creditgate_in_flight") == 1)
            os.kill(gate.pid, signal.SIGTERM)
            wait_until(
                lambda: code_of_a_short_call(customer.at(client)) is grpc.StatusCode.UNAVAILABLE
            )
        assert call.result().decision == ALLOWED
        assert gate.stop() == 0


def test_no_reply_is_lost_when_a_gate_stops_that_answers_many(
    stack: Stack, open_account: Open
) -> None:
    customer = open_account("10")
    with measured_gate(stack) as (gate, client, metrics):
        with silent_redis(stack):
            items = [BatchItem(get_balance=GetBalanceRequest(account_id=customer.account_id))] * 100
            calls = [client.gate.Batch.future(BatchRequest(items=items)) for _ in range(100)]
            wait_until(lambda: metrics.value("creditgate_in_flight") == 100)
            os.kill(gate.pid, signal.SIGTERM)
            wait_until(lambda: "draining" in gate.log.read_text())
        assert Counter(call.code() for call in calls) == {grpc.StatusCode.OK: 100}


@pytest.mark.parametrize("other", [0, 1], ids=["by the same transport", "by the other"])
def test_a_port_that_another_serves_on_is_refused(stack: Stack, other: int) -> None:
    target = stack.targets[other]
    assert f"creditgate: cannot listen on {target}" in last_words(stack, listen=target)


def test_an_address_that_this_machine_does_not_have_is_refused(stack: Stack) -> None:
    assert "creditgate: cannot listen on 192.0.2.1:50051" in last_words(
        stack, listen="192.0.2.1:50051", allow_unauthenticated="true"
    )


def test_a_gate_serves_on_a_unix_socket(stack: Stack, socket_path: str, open_account: Open) -> None:
    customer = open_account("1")
    target = f"unix:{socket_path}"
    with another_gate(stack, listen=target) as (gate, _):
        client = Client(target)
        assert customer.at(client).debit(1).decision == ALLOWED
        assert health_of(target) == health_pb2.HealthCheckResponse.SERVING
        client.close()
        assert "another process serves there" in last_words(stack, listen=target)
        assert health_of(target) == health_pb2.HealthCheckResponse.SERVING
        assert gate.stop() == 0
    assert not Path(socket_path).exists()


def test_the_path_of_a_unix_socket_may_have_any_characters(stack: Stack, socket_path: str) -> None:
    address = parse_address(f"unix:{socket_path} a%20#?é")
    with another_gate(stack, listen=str(address)):
        assert Path(address.path).is_socket()
        assert health_of(address.grpc_target) == health_pb2.HealthCheckResponse.SERVING


def test_a_unix_socket_that_a_killed_gate_left_behind_is_taken_over(
    stack: Stack, socket_path: str
) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(socket_path)
    with another_gate(stack, listen=f"unix:{socket_path}"):
        assert health_of(f"unix:{socket_path}") == health_pb2.HealthCheckResponse.SERVING


def test_a_file_that_is_no_socket_is_left_alone(stack: Stack, socket_path: str) -> None:
    Path(socket_path).write_text("precious")
    assert f"cannot listen on unix:{socket_path}" in last_words(stack, listen=f"unix:{socket_path}")
    assert Path(socket_path).read_text() == "precious"


@pytest.fixture
def machine_without_native(tmp_path: Path) -> str:
    """A PYTHONPATH on which the native server's package cannot be loaded."""
    (tmp_path / "pygrpc_native.py").write_text("raise ImportError('no build for this machine')")
    return os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))


@pytest.mark.parametrize("stack", ["native"], indirect=True)
def test_by_default_a_gate_serves_by_the_native_transport(stack: Stack) -> None:
    with another_gate(stack, transport="auto") as (gate, _):
        assert "transport native" in gate.printed


@pytest.mark.parametrize("stack", ["native"], indirect=True)
def test_where_native_cannot_be_had_grpcio_serves(
    stack: Stack, machine_without_native: str, monkeypatch: pytest.MonkeyPatch, open_account: Open
) -> None:
    monkeypatch.setenv("PYTHONPATH", machine_without_native)
    with another_gate(stack, transport="auto") as (gate, client):
        assert "transport grpcio" in gate.printed
        assert "native_transport_unavailable" in gate.log.read_text()
        assert open_account("1").at(client).debit(1).decision == ALLOWED


@pytest.mark.parametrize("stack", ["native"], indirect=True)
def test_native_where_it_cannot_be_had_is_refused_by_the_settings_name(
    stack: Stack, machine_without_native: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", machine_without_native)
    words = last_words(stack, transport="native")
    assert (
        "CREDITGATE_TRANSPORT='native': it cannot be loaded on this machine (no build for this machine)"
        in words
    )
