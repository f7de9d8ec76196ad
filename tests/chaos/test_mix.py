"""All faults mixed, under load: whatever has failed, nothing acknowledged is lost, nothing is done
twice, the books are right.
"""

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from sqlalchemy.engine import make_url

from chaos.accounts import ACCOUNTS, CALLS_BETWEEN, SETTINGS, open_accounts
from chaos.audit import Audit
from chaos.faults import OF_ANY_LEDGER, OF_POSTGRESQL, OF_SQLITE, Faults
from chaos.load import Load
from support.servers import wait_until
from support.stack import Stack, running_stack
from support.tcp_proxy import TcpProxy, tcp_proxy

pytest_plugins = ("support.ledgers",)

LONG_S = 600.0


@contextmanager
def stack_behind_proxies(
    ledger_url: str,
) -> Iterator[tuple[Stack, TcpProxy, TcpProxy | None]]:
    """Two gates, two flushers and billing, which reach Valkey and PostgreSQL through proxies."""
    nothing = {"gates": 0, "flushers": 0, "billings": 0}
    with (
        ExitStack() as opened,
        running_stack(ledger_url, durable=True, **nothing, **SETTINGS) as stack,
    ):
        redis_proxy = opened.enter_context(tcp_proxy(str(stack.valkey.socket)))
        stack.settings["CREDITGATE_REDIS_URL"] = f"redis://127.0.0.1:{redis_proxy.port}"
        ledger_proxy = None
        if ledger_url.startswith("postgresql"):
            url = make_url(ledger_url)
            ledger_proxy = opened.enter_context(tcp_proxy(f"{url.query['host']}/.s.PGSQL.5432"))
            by_proxy = f"postgresql://postgres@127.0.0.1:{ledger_proxy.port}/{url.database}"
            stack.settings["CREDITGATE_LEDGER_URL"] = by_proxy
        for _ in range(2):
            stack.add_flusher()
            stack.add_gate()
        stack.add_billing()
        yield stack, redis_proxy, ledger_proxy


@pytest.mark.chaos
@pytest.mark.timeout(3600)
def test_of_all_faults_mixed_under_load_nothing_is_lost_and_nothing_is_done_twice(
    ledger_url: str, is_long: bool, seed: int
) -> None:
    random_values = random.Random(seed)
    own = OF_POSTGRESQL if ledger_url.startswith("postgresql") else OF_SQLITE
    kinds = [*OF_ANY_LEDGER, *own]
    done: Counter[str] = Counter()
    with stack_behind_proxies(ledger_url) as (stack, redis_proxy, ledger_proxy):
        client = stack.client()
        open_accounts(client)
        faults = Faults(stack, random_values, redis_proxy, ledger_proxy)
        with Load(stack.targets, list(ACCOUNTS), seed=seed) as load:
            end = time.monotonic() + (LONG_S if is_long else 0)
            while not load.errors and (not done or time.monotonic() < end):
                for fault in random_values.sample(kinds, len(kinds)):
                    mark = load.answered + random_values.randint(*CALLS_BETWEEN)
                    wait_until(lambda: load.errors or load.answered >= mark, 120)  # noqa: B023 - it waits here
                    if load.errors:
                        break
                    fault(faults)
                    done[fault.__name__] += 1
        print(f"seed {seed}: {sum(done.values())} faults of {len(done)} kinds; {load.summary()}")
        assert not load.errors, (load.errors, done)
        Audit(stack.ledger_url, client, load.calls).run()
        print("lost 0, doubled 0")
        client.close()
