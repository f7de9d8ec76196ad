"""A ledger that was restored from a backup made under load is brought up to what the store has."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import grpc
import pytest

from chaos.accounts import ACCOUNTS, SETTINGS, open_accounts
from chaos.audit import Books
from chaos.load import Load
from meter.journal.account_sums import AccountSums
from meter.v1.ledger_pb2 import CheckBooksRequest
from support.servers import wait_until
from support.stack import Client, Stack, running_stack

CALLS = 400  # before the backup, and after


def used(stack: Stack) -> dict[str, int]:
    """What each account has used, by the ledger."""
    rows = Books.read(stack.ledger_url).accounts
    return {row.account_id: AccountSums.decode(row.state).used for row in rows}


def serves(client: Client) -> bool:
    try:
        return all(client.balance(account_id) for account_id in ACCOUNTS)
    except grpc.RpcError:
        return False


def swap(stack: Stack, backup: Path) -> None:
    ledger = Path(stack.ledger_url.removeprefix("sqlite:///"))
    for suffix in ("-wal", "-shm"):
        ledger.with_name(ledger.name + suffix).unlink(missing_ok=True)
    shutil.copy(backup, ledger)


@pytest.mark.chaos
def test_a_backup_made_under_load_is_brought_up_and_the_books_are_right(
    tmp_path: Path, seed: int
) -> None:
    backup = tmp_path / "backup.db"
    with running_stack(gates=2, durable=True, **SETTINGS) as stack:
        with closing(stack.client()) as client:
            open_accounts(client)
            with Load(stack.targets, list(ACCOUNTS), seed=seed) as load:
                wait_until(lambda: load.errors or load.answered >= CALLS, 120)
                with (
                    closing(sqlite3.connect(stack.ledger_url.removeprefix("sqlite:///"))) as source,
                    closing(sqlite3.connect(backup)) as copy,
                ):
                    source.backup(copy)
                wait_until(lambda: load.errors or load.answered >= 2 * CALLS, 120)
            assert not load.errors
            assert not client.ledger.CheckBooks(CheckBooksRequest()).findings
        before = used(stack)
        stack.kill()
        swap(stack, backup)
        for process in (*stack.flushers, *stack.billings, *stack.gates):
            process.start()
        print(stack.command("reconcile", "--apply"))
        with closing(stack.client()) as client:
            wait_until(lambda: serves(client), 60)
            findings = client.ledger.CheckBooks(CheckBooksRequest()).findings
            assert not findings, findings
        assert used(stack) == before
        assert "Nothing to do" in stack.command("reconcile", "--dry-run")
