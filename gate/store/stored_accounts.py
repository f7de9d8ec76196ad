"""Reads whole accounts of a shard that is closed: nothing changes in between."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from redis import Redis

from gate.store.account_codec import AccountField
from gate.store.account_decoding import StoredAccount, decode_account
from gate.store.budget_codec import ids_for_each_value
from gate.store.keys import (
    account_key,
    budgets_key,
    counters_key,
    expiries_key,
    grants_key,
    hold_key,
)
from meter.ledger.reconciliation.difference import FoundAccount

_SCAN = 1000

HoldIds = dict[str, list[str]]  # by account


def read_accounts(redis: Redis, shard: int) -> Iterator[FoundAccount]:
    """Yields the shard's accounts in the order of their ids. May raise RedisError.

    An account of an earlier epoch is read too: the ledger may be older still.
    """
    prefix = account_key(shard, "")
    pattern = prefix.replace("[", "\\[") + "*"
    names = {key.decode() for key in redis.scan_iter(pattern, count=_SCAN)}
    holds = _hold_ids(redis, shard)
    for account_id in sorted(name.removeprefix(prefix) for name in names):
        stored = _read(redis, shard, account_id, holds[account_id])
        if AccountField.SETTINGS in stored.account:
            yield decode_account(stored)


def _hold_ids(redis: Redis, shard: int) -> HoldIds:
    found: HoldIds = defaultdict(list)
    members: Any = redis.zrange(expiries_key(shard), 0, -1)
    for member in members:
        account_id, hold_id = member.decode().split(" ")
        found[account_id].append(hold_id)
    return found


def _read(
    redis: Redis,
    shard: int,
    account_id: str,
    hold_ids: list[str],
) -> StoredAccount:
    pipeline = redis.pipeline(transaction=False)
    for name in (account_key, grants_key, budgets_key):
        pipeline.hgetall(name(shard, account_id))
    for hold_id in hold_ids:
        pipeline.get(hold_key(shard, account_id, hold_id))
    account, grants, stored_budgets, *holds = pipeline.execute()
    records = zip(hold_ids, holds, strict=True)
    budgets = _decoded(stored_budgets)
    return StoredAccount(
        account_id,
        _decoded(account),
        _decoded(grants),
        budgets,
        _read_counters(redis, shard, account_id, ids_for_each_value(budgets)),
        {hold_id: record.decode() for hold_id, record in records if record is not None},
    )


def _read_counters(
    redis: Redis,
    shard: int,
    account_id: str,
    budget_ids: list[str],
) -> dict[str, dict[str, str]]:
    pipeline = redis.pipeline(transaction=False)
    for budget_id in budget_ids:
        pipeline.hgetall(counters_key(shard, account_id, budget_id))
    found = map(_decoded, pipeline.execute())
    return dict(zip(budget_ids, found, strict=True))


def _decoded(fields: dict[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in fields.items()}
