"""kill -9 of each part, under load, again and again: nothing acknowledged is lost, nothing is done
twice, the books are right.
"""

import random
from collections.abc import Callable

import pytest

from chaos.accounts import ACCOUNTS, CALLS_BETWEEN, SETTINGS, open_accounts
from chaos.audit import Audit
from chaos.load import Load
from support.servers import wait_until
from support.stack import Process, Stack, running_stack

pytest_plugins = ("support.ledgers",)


def kill_gate(stack: Stack, random_values: random.Random) -> None:
    _kill_and_start(*_some(stack.gates, random_values))


def kill_flusher(stack: Stack, random_values: random.Random) -> None:
    _kill_and_start(*_some(stack.flushers, random_values))


def kill_billing(stack: Stack, random_values: random.Random) -> None:
    _kill_and_start(*_some(stack.billings, random_values))


def kill_valkey(stack: Stack, random_values: random.Random) -> None:
    stack.valkey.kill()
    stack.valkey.start()


def _some(processes: list[Process], random_values: random.Random) -> list[Process]:
    """One of them, or now and then all."""
    return processes if random_values.random() < 0.2 else [random_values.choice(processes)]


def _kill_and_start(*processes: Process) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.start()


GATE = [kill_gate]
FLUSHER = [kill_flusher]
BILLING = [kill_billing]
VALKEY = [kill_valkey]


@pytest.mark.parametrize(
    ("victims", "kills"),
    [
        pytest.param([*GATE, *FLUSHER, *BILLING, *VALKEY], 1, id="each-1"),
        pytest.param([*GATE, *FLUSHER, *BILLING, *VALKEY], 3, id="each-3", marks=pytest.mark.chaos),
        pytest.param(GATE, 20, id="gate-20", marks=pytest.mark.chaos),
        pytest.param(FLUSHER, 20, id="flusher-20", marks=pytest.mark.chaos),
        pytest.param(VALKEY, 20, id="valkey-20", marks=pytest.mark.chaos),
    ],
)
def test_whatever_is_killed_under_load_no_acknowledged_call_is_lost_or_done_twice(
    ledger_url: str, victims: list[Callable[[Stack, random.Random], None]], kills: int
) -> None:
    random_values = random.Random(kills)
    with running_stack(ledger_url, gates=2, flushers=2, durable=True, **SETTINGS) as stack:
        client = stack.client()
        open_accounts(client)
        with Load(stack.targets, list(ACCOUNTS)) as load:
            for _ in range(kills):
                for kill in victims:
                    mark = load.answered + random_values.randint(*CALLS_BETWEEN)
                    wait_until(lambda: load.errors or load.answered >= mark, 60)  # noqa: B023 - it waits here
                    kill(stack, random_values)
        print(load.summary())
        assert not load.errors, load.errors
        Audit(stack.ledger_url, client, load.calls).run()
        client.close()
