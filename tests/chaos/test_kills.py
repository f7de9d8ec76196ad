"""kill -9 of each part, under load, again and again: nothing acknowledged is lost, nothing is done
twice, the books are right.
"""

import random
from collections.abc import Callable

import pytest

from chaos.accounts import ACCOUNTS, CALLS_BETWEEN, SETTINGS, open_accounts
from chaos.audit import Audit
from chaos.faults import Faults
from chaos.load import Load
from support.servers import wait_until
from support.stack import running_stack

pytest_plugins = ("support.ledgers",)


GATE = [Faults.kill_gate]
FLUSHER = [Faults.kill_flusher]
BILLING = [Faults.kill_billing]
VALKEY = [Faults.kill_valkey]


@pytest.mark.sqlite_first
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
    ledger_url: str, victims: list[Callable[[Faults], None]], kills: int
) -> None:
    random_values = random.Random(kills)
    with running_stack(ledger_url, gates=2, flushers=2, durable=True, **SETTINGS) as stack:
        client = stack.client()
        open_accounts(client)
        faults = Faults(stack, random_values)
        with Load(stack.targets, list(ACCOUNTS)) as load:
            for _ in range(kills):
                for kill in victims:
                    mark = load.answered + random_values.randint(*CALLS_BETWEEN)
                    wait_until(lambda: load.errors or load.answered >= mark, 60)  # noqa: B023 - it waits here
                    kill(faults)
        print(load.summary())
        assert not load.errors, load.errors
        Audit(stack.ledger_url, client, load.calls).run()
        client.close()
