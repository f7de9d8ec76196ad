"""The runner: checks all accounts, or one account, while the system runs.

Each account is read in a database snapshot of its own, a batch of accounts at a time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy import select

from meter.admin.accounts import AccountRow, find_account, list_accounts
from meter.audit.account import AccountCheck
from meter.audit.findings import Findings
from meter.audit.journal import check_invoice_numbers, check_journal
from meter.database.engine import Ledger
from meter.database.errors import AccountNotFound
from meter.database.schema import shards
from meter.journal.redis_snapshot import RedisSnapshot, StoreInspector
from meter.v1 import ledger_pb2 as pb

# accounts inspected in Redis before the ledger catches up; bounds how many snapshots are kept
_BATCH = 200

WaitUntilFlushed = Callable[[str | None], Awaitable[None]]


async def check_books(
    ledger: Ledger,
    redis: StoreInspector,
    wait_until_flushed: WaitUntilFlushed,
    account_id: str | None,
) -> pb.CheckBooksResponse:
    """Returns every difference found, in all accounts or in one account.

    Accounts are inspected in Redis first, then the flusher is awaited: so the ledger holds
    everything up to the inspection, where both must agree. Raises NotFound for an unknown account,
    Unavailable if Redis or the ledger is unavailable.
    """
    findings = Findings()
    response = pb.CheckBooksResponse()
    await wait_until_flushed(account_id)
    await asyncio.to_thread(_check_shards, ledger, account_id, findings)
    after = ""
    while batch := await asyncio.to_thread(_batch, ledger, account_id, after):
        snapshots = await asyncio.gather(
            *(redis.inspect_account(account.shard, account.account_id) for account in batch)
        )
        await wait_until_flushed(account_id)
        await asyncio.to_thread(
            _check_batch,
            ledger,
            batch,
            snapshots,
            findings,
            response,
        )
        after = batch[-1].account_id
        if account_id is not None:
            break
    response.findings.extend(findings.listed())
    return response


def _check_shards(
    ledger: Ledger,
    account_id: str | None,
    findings: Findings,
) -> None:
    """Checks the account's shard; without an account, all shards and the invoices' numbers."""
    with ledger.read() as connection:
        if account_id is None:
            wanted = connection.scalars(select(shards.c.shard).order_by(shards.c.shard)).all()
            check_invoice_numbers(connection, findings)
        else:
            account = find_account(connection, account_id)
            if account is None:
                raise AccountNotFound(account_id)
            wanted = [account.shard]
    for shard in wanted:
        with ledger.read() as connection:
            check_journal(connection, shard, findings)


def _batch(
    ledger: Ledger,
    account_id: str | None,
    after: str,
) -> list[AccountRow]:
    with ledger.read() as connection:
        if account_id is None:
            return list_accounts(connection, after, _BATCH)
        account = find_account(connection, account_id)
        return [account] if account else []


def _check_batch(
    ledger: Ledger,
    batch: Sequence[AccountRow],
    snapshots: Sequence[RedisSnapshot | None],
    findings: Findings,
    response: pb.CheckBooksResponse,
) -> None:
    for known, snapshot in zip(batch, snapshots, strict=True):
        with ledger.read() as connection:
            # Read again: the account may have changed since the batch was read.
            account = find_account(connection, known.account_id)
            assert account is not None, "accounts are never removed"
            checked = AccountCheck(connection, account, snapshot, findings).run()
        response.accounts_checked += 1
        response.entries_checked += checked.entries
        response.invoices_checked += checked.invoices
