"""Accounts by the thousand: one of each kind is made as an administrator makes it, and copied, with
all it has in Redis and its rows in the ledger.

A copy has no history. What it may spend is in the ledger as in Redis, so the gate and the flusher
treat it as any other account.
"""

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

import redis
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from http2 import ask
from processes import Stack
from sqlalchemy import RowMapping, select
from templates import account_id
from workloads import DIMENSIONS

from gate.store.keys import journal_key, shard_of
from meter.database.engine import Ledger, insert_many
from meter.database.migrate import open_ledger
from meter.database.schema import accounts, applied_budgets, grants
from meter.money import NANOS_PER_CREDIT
from meter.v1.accounts_pb2 import (
    DAILY,
    LIFETIME,
    MONTHLY,
    WEEKLY,
    Account,
    Budget,
    BudgetWindow,
    CreateAccountRequest,
    Grant,
    GrantCreditsRequest,
    SetBudgetRequest,
)

_CREDITS_NANOS = 1_000_000 * NANOS_PER_CREDIT
_CHUNK = 10_000
_NEW_YEAR_2100_S = 4_102_444_800
USUAL = "acct"
POOR = "poor"
POOR_ACCOUNTS = 16


@dataclass(frozen=True, slots=True)
class Kind:
    """What accounts of a kind have besides a daily limit; names of kinds are four letters."""

    grants: int = 1  # each of another expiry
    budgets: Sequence[Budget] = ()


def _budget(budget_id: str, window: BudgetWindow, *keys: str) -> Budget:
    scope = {key: DIMENSIONS[key] for key in keys}
    return Budget(budget_id=budget_id, scope=scope, window=window, limit_nanos=_CREDITS_NANOS)


_BUDGETS = (
    _budget("key", MONTHLY, "api_key"),
    _budget("user", DAILY, "user"),
    _budget("project", WEEKLY, "project"),
    _budget("both", LIFETIME, "api_key", "project"),
)
KINDS = {
    USUAL: Kind(),
    POOR: Kind(grants=0),
    "many": Kind(grants=5),
    "bud1": Kind(budgets=_BUDGETS[:1]),
    "bud4": Kind(budgets=_BUDGETS),
}


def populate(stack: Stack, count: int, kinds: Collection[str] = (USUAL, POOR)) -> None:
    """Accounts 0 to `count` - 1 of each of the kinds, but a few without credits.

    Everything is flushed afterwards.
    """
    stack.start_flusher()
    for kind in kinds:
        _create(stack, account_id(0, kind).decode(), KINDS[kind])
    stack.stop_flusher()
    with (
        closing(open_ledger(stack.settings.ledger_url)) as ledger,
        closing(stack.redis()) as client,
    ):
        for kind in kinds:
            _copy(
                stack.settings.shards,
                ledger,
                client,
                kind,
                POOR_ACCOUNTS if kind == POOR else count,
            )


def shard_tag(account: bytes, shards: int) -> bytes:
    """The hash tag of the account's keys."""
    return b"{%02d}" % shard_of(account.decode(), shards)


def clear_journals(stack: Stack) -> None:
    """Forgets what is journaled, as a flusher does that has flushed it: where none runs, journals
    would fill the memory.
    """
    with closing(stack.redis()) as client:
        for shard in range(stack.settings.shards):
            client.xtrim(journal_key(shard), maxlen=0, approximate=False)
        delete_all(client, b"bench:*:journal")  # of reference.lua


def forget_replays(stack: Stack) -> None:
    """Takes replay records away, as their time does; those of reference.lua too."""
    with closing(stack.redis()) as client:
        delete_all(client, b"*:r:*")


def delete_all(client: redis.Redis, pattern: bytes) -> None:
    """Deletes the keys that match."""
    found = client.scan_iter(match=pattern, count=_CHUNK)
    while chunk := list(islice(found, _CHUNK)):
        client.delete(*chunk)


def rewrite_aof(stack: Stack) -> None:
    """Has Valkey rewrite its AOF, and waits until it has."""
    with closing(stack.redis()) as client:
        client.bgrewriteaof()
        while any(
            client.info("persistence")[f"aof_rewrite_{which}"]
            for which in ("in_progress", "scheduled")
        ):
            time.sleep(0.05)


def journaled(client: redis.Redis, shards: int) -> int:
    """How many entries the journals have had in all."""
    return sum(client.xinfo_stream(journal_key(shard))["entries-added"] for shard in range(shards))


def unflushed(client: redis.Redis, shards: int) -> int:
    """How many entries the journals have now."""
    pipeline = client.pipeline(transaction=False)
    for shard in range(shards):
        pipeline.xlen(journal_key(shard))
    return sum(pipeline.execute())


def _create(stack: Stack, name: str, kind: Kind) -> None:
    account = Account(account_id=name, currency="USD", daily_limit_nanos=_CREDITS_NANOS)
    _ask(stack, "CreateAccount", CreateAccountRequest(account=account))
    for number in range(kind.grants):
        expires = Timestamp(seconds=_NEW_YEAR_2100_S + number)
        grant = Grant(amount_nanos=_CREDITS_NANOS, expires_at=expires if number else None)
        _ask(
            stack,
            "GrantCredits",
            GrantCreditsRequest(account_id=name, request_id=f"grant-{number}", grant=grant),
        )
    for budget in kind.budgets:
        _ask(stack, "SetBudget", SetBudgetRequest(account_id=name, budget=budget))


def _ask(stack: Stack, method: str, request: Message) -> None:
    ask(stack.address, f"/meter.v1.Accounts/{method}", request.SerializeToString())


def _copy(shards: int, ledger: Ledger, client: redis.Redis, kind: str, count: int) -> None:
    original = account_id(0, kind)
    tag = shard_tag(original, shards)
    # Its own hashes; what its operations' request ids did is not its copies'.
    keys = [
        key for key in client.scan_iter(match=b"*%b*" % original, count=_CHUNK) if b":r:" not in key
    ]
    dumps = [(key, client.dump(key) or b"") for key in keys]
    for numbers in _chunks(count):
        pipeline = client.pipeline(transaction=False)
        for number in numbers:
            copy = account_id(number, kind)
            for key, dump in dumps:
                own = key.replace(original, copy).replace(tag, shard_tag(copy, shards))
                pipeline.restore(own, 0, dump)
        pipeline.execute()
    with ledger.write() as connection:
        for table in (accounts, grants, applied_budgets):
            rows = (
                connection.execute(select(table).where(table.c.account_id == original.decode()))
                .mappings()
                .all()
            )
            for numbers in _chunks(count):
                names = [account_id(number, kind).decode() for number in numbers]
                insert_many(
                    connection, table, [_of(row, name, shards) for name in names for row in rows]
                )


def _of(row: RowMapping, account_id: str, shards: int) -> dict[str, object]:
    """The row as another account's."""
    copy = {**row, "account_id": account_id}
    if "shard" in row:
        copy["shard"] = shard_of(account_id, shards)
    if "grant_id" in row:
        copy["grant_id"] = f"{account_id} {row['number']}"
    return copy


def _chunks(count: int) -> Iterator[range]:
    """The numbers 1 to `count` - 1."""
    return (range(start, min(start + _CHUNK, count)) for start in range(1, count, _CHUNK))
