"""The client for threads: the same calls, results and errors, without an event loop."""

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from gate.client import ALLOWED, CallFailed, Client, Denied, NotSent, Usage
from support.client_gates import counting_gate
from support.customer import CREDIT, Customer, silent_redis
from support.servers import wait_until
from support.stack import Stack

pytest_plugins = ("support.running_stack",)

Open = Callable[..., Customer]


def test_every_call_is_there(open_account: Open, stack: Stack) -> None:
    account_id = open_account("10").account_id
    with Client(stack.targets[0]) as client:
        hold = client.authorize(account_id=account_id, amount_nanos=CREDIT)
        assert hold.decision == ALLOWED
        assert (
            client.extend(account_id=account_id, hold_id=hold.hold_id, amount_nanos=1).held_nanos
            == CREDIT + 1
        )
        assert (
            client.release(account_id=account_id, hold_id=hold.hold_id).released_nanos == CREDIT + 1
        )
        assert client.debit(account_id=account_id, amount_nanos=7).charged_nanos == 7
        assert client.get_balance(account_id=account_id).balance.remaining_nanos == 10 * CREDIT - 7


def test_errors_are_those_of_the_other_client(open_account: Open, stack: Stack) -> None:
    account_id = open_account("1").account_id
    with Client(stack.targets[0]) as client:
        with pytest.raises(CallFailed) as unknown:
            client.debit(account_id=account_id, usage=Usage(model="no-such-model"))
        assert (unknown.value.reason, unknown.value.field) == ("UNKNOWN_MODEL", "usage.model")
        with (
            pytest.raises(Denied),
            client.authorized(account_id=account_id, amount_nanos=2 * CREDIT),
        ):
            raise AssertionError("never entered")


def test_a_hold_is_settled_or_given_back(open_account: Open, stack: Stack) -> None:
    customer = open_account("10")
    with Client(stack.targets[0]) as client:
        with client.authorized(
            account_id=customer.account_id, request_id="r-1", amount_nanos=CREDIT
        ) as hold:
            assert hold.extend(amount_nanos=CREDIT).held_nanos == 2 * CREDIT
            assert hold.settle(amount_nanos=5).charged_nanos == 5
        with client.authorized(account_id=customer.account_id, amount_nanos=CREDIT):
            assert customer.balance().held_nanos == CREDIT
        assert customer.balance().held_nanos == 0
        with (
            pytest.raises(ZeroDivisionError),
            client.authorized(account_id=customer.account_id, amount_nanos=CREDIT),
        ):
            raise ZeroDivisionError
    balance = customer.balance()
    assert (balance.held_nanos, balance.remaining_nanos) == (0, 10 * CREDIT - 5)


def test_threads_share_one_client_and_its_rpcs(open_account: Open, stack: Stack) -> None:
    customer = open_account("10")
    with (
        counting_gate(stack) as gate,
        Client(gate.target, timeout_s=20) as client,
        ThreadPoolExecutor(20) as threads,
    ):
        with silent_redis(stack):
            calls = [
                threads.submit(client.debit, account_id=customer.account_id, amount_nanos=number)
                for number in range(20)
            ]
            wait_until(lambda: gate.in_flight() == 1)
        assert [call.result().charged_nanos for call in calls] == list(range(20))
        assert gate.calls("Debit") + gate.calls("Batch") < 20
    assert customer.balance().remaining_nanos == 10 * CREDIT - sum(range(20))


def test_closing_fails_what_waits_in_other_threads_and_lets_the_rest_end(
    open_account: Open, stack: Stack
) -> None:
    customer = open_account("10")
    with counting_gate(stack) as gate, ThreadPoolExecutor(3) as threads:
        client = Client(gate.target, timeout_s=20).__enter__()
        with silent_redis(stack):
            under_way = threads.submit(client.debit, account_id=customer.account_id, amount_nanos=1)
            wait_until(lambda: gate.in_flight() == 1)
            waiting = threads.submit(
                client.debit, account_id=customer.account_id, amount_nanos=CREDIT
            )
            closing = threads.submit(client.__exit__, None, None, None)
            with pytest.raises(NotSent, match="CLIENT_CLOSED"):
                waiting.result()
        assert under_way.result().charged_nanos == 1
        closing.result()
        with pytest.raises(NotSent, match="CLIENT_CLOSED"):
            client.debit(account_id=customer.account_id, amount_nanos=CREDIT)
    assert "creditgate-client" not in {thread.name for thread in threading.enumerate()}
    assert customer.balance().remaining_nanos == 10 * CREDIT - 1


def test_two_clients_in_one_process_do_not_disturb_each_other(
    open_account: Open, stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    customer = open_account("10")

    def spend(client: Client) -> None:
        for _ in range(100):
            client.debit(account_id=customer.account_id, amount_nanos=1)

    with (
        Client(stack.targets[0]) as one,
        Client(stack.targets[1]) as other,
        ThreadPoolExecutor(2) as threads,
    ):
        for done in [threads.submit(spend, client) for client in (one, other)]:
            done.result()
    assert customer.balance().remaining_nanos == 10 * CREDIT - 200
    assert caplog.text == ""


def test_a_target_that_is_none_is_told_at_once() -> None:
    with pytest.raises(ValueError, match="write host:port"):
        Client("localhost")


def test_a_client_needs_no_block_and_can_be_closed_twice(open_account: Open, stack: Stack) -> None:
    account_id = open_account("1").account_id
    client = Client(stack.targets[0])
    assert client.debit(account_id=account_id, amount_nanos=7).charged_nanos == 7
    client.close()
    client.close()
    with pytest.raises(NotSent, match="CLIENT_CLOSED"):
        client.debit(account_id=account_id, amount_nanos=7)
    assert "creditgate-client" not in {thread.name for thread in threading.enumerate()}


def test_a_client_that_was_closed_is_not_opened_again(stack: Stack) -> None:
    client = Client(stack.targets[0])
    with client:
        pass
    with pytest.raises(RuntimeError, match="this client was closed; make another Client"), client:
        raise AssertionError("never entered")


# What programs do that forget something: each prints what a debit of 7 charged, and ends by itself.
PROGRAMS = {
    "a client that nobody closes": """
client = Client(target)
print(client.debit(account_id=account_id, amount_nanos=7).charged_nanos)
""",
    "a block that is never left": """
client = Client(target).__enter__()
print(client.debit(account_id=account_id, amount_nanos=7).charged_nanos)
""",
    "a client that is closed at exit": """
client = Client(target)
atexit.register(client.close)
print(client.debit(account_id=account_id, amount_nanos=7).charged_nanos)
""",
    "a client made before a fork and opened after": """
client = Client(target)
in_a_child(lambda: print(client.debit(account_id=account_id, amount_nanos=7).charged_nanos))
""",
    "a client opened before a fork": """
client = Client(target)
print(client.debit(account_id=account_id, amount_nanos=7).charged_nanos)
def debit_again():
    try:
        client.debit(account_id=account_id, amount_nanos=7)
    except RuntimeError as error:
        assert "before this process was forked" in str(error)
in_a_child(debit_again)
""",
    "another client made after a fork": """
with Client(target) as client:
    print(client.debit(account_id=account_id, amount_nanos=7).charged_nanos)
def debit_by_another():
    try:
        Client(target).debit(account_id=account_id, amount_nanos=7)
    except RuntimeError as error:
        assert "before this process was forked" in str(error)
in_a_child(debit_by_another)
""",
    "proxies in the environment": """
for name in ("http_proxy", "https_proxy", "grpc_proxy"):
    os.environ[name] = "http://127.0.0.1:9"
client = Client(target)
print(client.debit(account_id=account_id, amount_nanos=7).charged_nanos)
""",
}
PREAMBLE = """
import atexit, os, sys
from gate.client import Client
target, account_id = sys.argv[1:]
def in_a_child(work):
    pid = os.fork()
    if pid == 0:
        work()
        sys.exit()
    assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_a_program_ends_whatever_it_forgets(open_account: Open, stack: Stack, program: str) -> None:
    account_id = open_account("1").account_id
    words = [sys.executable, "-c", PREAMBLE + program, stack.targets[0], account_id]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "7\n"), done.stderr
