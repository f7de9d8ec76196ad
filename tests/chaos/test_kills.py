"""kill -9 of each part, under load, again and again: nothing acknowledged is lost, nothing is done twice, the books are right."""

import random
from collections.abc import Callable

import pytest
from audit import Audit
from load import Load
from servers import wait_until
from stack import Client, Process, Stack, running_stack

pytest_plugins = ("ledgers",)

# Six accounts on several shards: one soon runs out of credits, one has a daily limit, one an overage protection.
ACCOUNTS = {
    "rich-1": ("1000", {}),
    "rich-2": ("1000", {}),
    "rich-3": ("1000", {}),
    "poor": ("0.05", {}),
    "limited": ("1000", {"daily_limit_nanos": 200_000_000}),
    "overdrawn": ("0.01", {"overage_protection_nanos": 100_000_000}),
}
CALLS_BETWEEN = (20, 120)  # answered calls from one kill to the next


def open_accounts(client: Client) -> None:
    for account_id, (granted, settings) in ACCOUNTS.items():
        client.open_account(account_id, granted, **settings)


def kill_gate(stack: Stack, dice: random.Random) -> None:
    _kill_and_start(*_some(stack.gates, dice))


def kill_flusher(stack: Stack, dice: random.Random) -> None:
    _kill_and_start(*_some(stack.flushers, dice))


def kill_valkey(stack: Stack, dice: random.Random) -> None:
    stack.valkey.kill()
    stack.valkey.start()


def _some(processes: list[Process], dice: random.Random) -> list[Process]:
    """One of them, or now and then all."""
    return processes if dice.random() < 0.2 else [dice.choice(processes)]


def _kill_and_start(*processes: Process) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.start()


GATE, FLUSHER, VALKEY = [kill_gate], [kill_flusher], [kill_valkey]


@pytest.mark.parametrize(
    ("victims", "kills"),
    [
        pytest.param([*GATE, *FLUSHER, *VALKEY], 3, id="each-3"),
        pytest.param(GATE, 20, id="gate-20", marks=pytest.mark.chaos),
        pytest.param(FLUSHER, 20, id="flusher-20", marks=pytest.mark.chaos),
        pytest.param(VALKEY, 20, id="valkey-20", marks=pytest.mark.chaos),
    ],
)
def test_whatever_is_killed_under_load_no_acknowledged_call_is_lost_or_done_twice(
    ledger_url: str, victims: list[Callable[[Stack, random.Random], None]], kills: int
) -> None:
    dice = random.Random(kills)
    with running_stack(ledger_url, gates=2, flushers=2, durable=True) as stack:
        client = stack.client()
        open_accounts(client)
        with Load(stack.targets, list(ACCOUNTS)) as load:
            for _ in range(kills):
                for kill in victims:
                    mark = load.answered + dice.randint(*CALLS_BETWEEN)
                    wait_until(lambda: load.errors or load.answered >= mark, 60)  # noqa: B023 - it waits here
                    kill(stack, dice)
        print(load.summary())
        assert not load.errors, load.errors
        Audit(stack.ledger_url, client, load.calls).run()
        client.close()
