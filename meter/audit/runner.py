"""The runner: checks all accounts, or one account, while the system runs.

Each account is read in a database snapshot of its own, a batch of accounts at a time.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from sqlalchemy import Connection, select

from meter.admin.accounts import AccountRow, find_account, list_accounts
from meter.audit.account import AccountCheck, Checked
from meter.audit.deliveries import check_deliveries
from meter.audit.findings import Findings
from meter.audit.journal import check_event_numbers, check_invoice_numbers, check_journal
from meter.database.engine import Ledger
from meter.database.errors import AccountNotFound
from meter.database.schema import shards
from meter.journal.redis_snapshot import RedisSnapshot, StoreInspector
from meter.ledger.projections.holds import open_hold_ids
from meter.v1 import ledger_pb2 as pb

# accounts inspected in Redis before the ledger catches up; bounds how many snapshots are kept
_BATCH = 200
_MOST_HOLDS = 500  # of an account; bounds how long Redis is kept busy by a single inspection

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
    async for batch in _batches(ledger, account_id):
        hold_ids = await asyncio.to_thread(_hold_ids, ledger, batch)
        inspected = []
        for account in batch:
            of_account = hold_ids[account.account_id]
            inspected.append(redis.inspect_account(account.shard, account.account_id, of_account))
        snapshots = await asyncio.gather(*inspected)
        await wait_until_flushed(account_id)
        await asyncio.to_thread(
            _check_batch,
            ledger,
            batch,
            snapshots,
            findings,
            response,
        )
    response.findings.extend(findings.listed())
    return response


def _check_shards(
    ledger: Ledger,
    account_id: str | None,
    findings: Findings,
) -> None:
    """Checks the account's shard; without an account, all shards, numbers and deliveries."""
    with ledger.read() as connection:
        wanted = _shards(connection, account_id)
        if account_id is None:
            check_invoice_numbers(connection, findings)
            check_event_numbers(connection, findings)
            check_deliveries(connection, findings)
    for shard in wanted:
        with ledger.read() as connection:
            check_journal(connection, shard, findings)


def _shards(connection: Connection, account_id: str | None) -> Sequence[int]:
    if account_id is None:
        query = select(shards.c.shard).order_by(shards.c.shard)
        return connection.scalars(query).all()
    account = find_account(connection, account_id)
    if account is None:
        raise AccountNotFound(account_id)
    return [account.shard]


async def _batches(
    ledger: Ledger,
    account_id: str | None,
) -> AsyncIterator[list[AccountRow]]:
    after = ""
    while batch := await asyncio.to_thread(_batch, ledger, account_id, after):
        yield batch
        if account_id is not None:
            return
        after = batch[-1].account_id


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


def _hold_ids(ledger: Ledger, batch: Sequence[AccountRow]) -> dict[str, list[str]]:
    """Returns the open holds of each account, the earliest to expire first, up to a bound."""
    with ledger.read() as connection:
        return {
            account.account_id: open_hold_ids(connection, account.account_id, _MOST_HOLDS)
            for account in batch
        }


def _check_batch(
    ledger: Ledger,
    batch: Sequence[AccountRow],
    snapshots: Sequence[RedisSnapshot | None],
    findings: Findings,
    response: pb.CheckBooksResponse,
) -> None:
    for account, snapshot in zip(batch, snapshots, strict=True):
        checked = _check_account(ledger, account.account_id, snapshot, findings)
        response.accounts_checked += 1
        response.entries_checked += checked.entries
        response.invoices_checked += checked.invoices


def _check_account(
    ledger: Ledger,
    account_id: str,
    snapshot: RedisSnapshot | None,
    findings: Findings,
) -> Checked:
    with ledger.read() as connection:
        # Read again: the account may have changed since the batch was read.
        account = find_account(connection, account_id)
        assert account is not None, "accounts are never removed"
        return AccountCheck(connection, account, snapshot, findings).run()
