"""Accounts by the thousand: one is made as an administrator makes it, and copied, with all it has in Redis and its row in the ledger.

A copy has no history. What it may spend is in the ledger as in Redis, so the gate and the flusher treat it as any other account.
"""

from collections.abc import Callable, Iterator
from contextlib import closing

import redis
from http2 import ask
from processes import Stack
from sqlalchemy import select
from templates import ACCOUNT, account_id, poor_account_id
from workloads import POOR_ACCOUNTS

from gate.keys import journal_key, shard_of
from meter.ledger.engine import Ledger, insert_many
from meter.ledger.migrate import open_ledger
from meter.ledger.schema import accounts
from meter.money import NANOS_PER_CREDIT
from meter.v1.accounts_pb2 import Account, CreateAccountRequest, Grant, GrantCreditsRequest

_CREDITS_NANOS = 1_000_000 * NANOS_PER_CREDIT
_CHUNK = 10_000


def populate(stack: Stack, count: int) -> None:
    """Accounts 0 to `count` - 1 with credits and a daily limit, and a few without credits. Everything is flushed afterwards."""
    stack.start_flusher()
    _create(stack, ACCOUNT, _CREDITS_NANOS)
    _create(stack, poor_account_id(0).decode(), 0)
    stack.stop_flusher()
    with closing(open_ledger(stack.settings.ledger_url)) as ledger, closing(stack.redis()) as client:
        _copy(stack.settings.shards, ledger, client, poor_account_id, POOR_ACCOUNTS)
        _copy(stack.settings.shards, ledger, client, account_id, count)


def shard_tag(account: bytes, shards: int) -> bytes:
    """The hash tag of the account's keys."""
    return b"{%02d}" % shard_of(account.decode(), shards)


def clear_journals(stack: Stack) -> None:
    """Forgets what is journaled, as a flusher does that has flushed it: where none runs, journals would fill the memory."""
    with closing(stack.redis()) as client:
        for shard in range(stack.settings.shards):
            client.xtrim(journal_key(shard), maxlen=0, approximate=False)


def journaled(client: redis.Redis, shards: int) -> int:
    """How many entries the journals have had in all."""
    return sum(client.xinfo_stream(journal_key(shard))["entries-added"] for shard in range(shards))


def unflushed(client: redis.Redis, shards: int) -> int:
    """How many entries the journals have now."""
    pipeline = client.pipeline(transaction=False)
    for shard in range(shards):
        pipeline.xlen(journal_key(shard))
    return sum(pipeline.execute())


def _create(stack: Stack, name: str, credit_nanos: int) -> None:
    account = Account(account_id=name, currency="USD", daily_limit_nanos=_CREDITS_NANOS)
    create = CreateAccountRequest(account=account)
    ask(stack.address, "/meter.v1.Accounts/CreateAccount", create.SerializeToString())
    if credit_nanos:
        grant = GrantCreditsRequest(account_id=name, request_id="grant", grant=Grant(amount_nanos=credit_nanos))
        ask(stack.address, "/meter.v1.Accounts/GrantCredits", grant.SerializeToString())


def _copy(shards: int, ledger: Ledger, client: redis.Redis, name: Callable[[int], bytes], count: int) -> None:
    original = name(0)
    tag = shard_tag(original, shards)
    keys = list(client.scan_iter(match=b"*%b*" % original, count=_CHUNK))
    dumps = [(key, client.dump(key) or b"") for key in keys]
    for numbers in _chunks(count):
        pipeline = client.pipeline(transaction=False)
        for copy in map(name, numbers):
            for key, dump in dumps:
                own = key.replace(original, copy).replace(tag, shard_tag(copy, shards))
                pipeline.restore(own, 0, dump)
        pipeline.execute()
    with ledger.write() as connection:
        row = connection.execute(select(accounts).where(accounts.c.account_id == original.decode())).mappings().one()
        for numbers in _chunks(count):
            names = [name(number).decode() for number in numbers]
            copies = [{**row, "account_id": each, "shard": shard_of(each, shards)} for each in names]
            insert_many(connection, accounts, copies)


def _chunks(count: int) -> Iterator[range]:
    """The numbers 1 to `count` - 1."""
    return (range(start, min(start + _CHUNK, count)) for start in range(1, count, _CHUNK))
