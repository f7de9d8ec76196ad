"""kill -9 of each part, under load, again and again: nothing acknowledged is lost, nothing is done twice, the books are right."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from administration import MILLI, budget
from audit import OPENING, Audit
from load import Load
from servers import wait_until
from stack import Client, Process, Stack, running_stack

from meter.money import parse_credits
from meter.v1.accounts_pb2 import NEXT_PURCHASE, Grace, SetBudgetRequest, Threshold

pytest_plugins = ("ledgers",)

# On several shards: one soon runs out of credits and goes on in grace, one has a daily limit, one an overage protection that is changed
# and debt that is paid by top-ups, one thresholds, one budgets, one little but what is granted for a moment.
ACCOUNTS: dict[str, tuple[str, dict[str, Any]]] = {
    "rich-1": ("1000", {}),
    "rich-2": ("1000", {"spend_management_off": True}),
    "poor": ("0.05", {"graces": [Grace(traffic_class="inbound", amount_nanos=10 * MILLI)]}),
    "limited": ("1000", {"daily_limit_nanos": 200 * MILLI}),
    "overdrawn": ("0.01", {"overage_protection_nanos": 100 * MILLI, "overage_policy": NEXT_PURCHASE}),
    "watched": (
        "0.1",
        {
            "thresholds": [
                Threshold(threshold_id=f"{n}", subject=Threshold.DAILY_USE, amount_nanos=n * MILLI)
                for n in range(1, 40)
            ]
            + [Threshold(threshold_id="low", subject=Threshold.LOW_BALANCE, percent=50)]
        },
    ),
    "budgeted": ("1000", {}),
    "promoted": ("0.001", {}),
}
CALLS_BETWEEN = (20, 120)  # answered calls from one kill to the next
# What an administrator sells is as little as what gateways spend.
SETTINGS = {"top_up_bounds": "{}"}


def open_accounts(client: Client) -> None:
    for account_id, (granted, settings) in ACCOUNTS.items():
        client.open_account(account_id, **settings)
        client.grant(account_id, parse_credits(granted), request_id=f"{OPENING}grant")
    for name in ("hard", "soft"):
        request = SetBudgetRequest(
            account_id="budgeted", request_id=f"{OPENING}{name}", budget=budget(name, 50 * MILLI)
        )
        client.accounts.SetBudget(request)


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
    with running_stack(ledger_url, gates=2, flushers=2, durable=True, **SETTINGS) as stack:
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
