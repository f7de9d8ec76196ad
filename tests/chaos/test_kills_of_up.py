"""kill -9 of `creditgate up` itself, alone or with all its children, and its start on the same data
directory.
"""

import os
import random
import signal
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from chaos.accounts import ACCOUNTS, CALLS_BETWEEN, SETTINGS, open_accounts
from chaos.audit import Audit
from chaos.load import Load
from support.servers import wait_until
from support.stack import Client, Process, free_port

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="finds the children in /proc"
)


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's tmp_path: the path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="cg-up-") as folder:
        yield Path(folder)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def kill_all(pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.chaos
@pytest.mark.parametrize("kills", [1, 20])
def test_up_started_again_after_a_kill_goes_on_where_it_was(folder: Path, kills: int) -> None:
    random_values = random.Random(kills)
    target = f"127.0.0.1:{free_port()}"
    billing = f"127.0.0.1:{free_port()}"
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith("CREDITGATE_")
    }
    clean |= {f"CREDITGATE_{name.upper()}": value for name, value in SETTINGS.items()}
    words = ["up", "--listen", target, "--billing-listen", billing]
    words += ["--metrics-listen", "", "--data-dir", f"{folder}/data"]
    service = Process(words, clean, folder / "up.log")
    children: list[int] = []
    try:
        service.start()
        client = Client(target, billing)
        open_accounts(client)
        with Load([target], list(ACCOUNTS)) as load:
            for number in range(kills):
                mark = load.answered + random_values.randint(*CALLS_BETWEEN)
                wait_until(lambda: load.errors or load.answered >= mark, 60)  # noqa: B023 - it waits here
                children = children_of(service.pid)
                service.kill()
                if number % 2:
                    kill_all(
                        children
                    )  # else they end by themselves, or are ended by who comes next
                service.start()
        print(load.summary())
        assert not load.errors, load.errors
        children = children_of(service.pid)
        Audit(f"sqlite:///{folder}/data/ledger.db", client, load.calls).run()
        client.close()
        assert service.stop() == 0
    finally:
        service.kill()
        kill_all(children)
