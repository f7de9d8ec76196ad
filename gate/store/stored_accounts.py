"""Reads whole accounts of a shard that is closed: nothing changes in between."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from redis import Redis

from gate.store.account_codec import AccountField
from gate.store.account_decoding import Fields, StoredAccount, decode_account
from gate.store.budget_codec import BudgetField
from gate.store.keys import account_key, budgets_key, expiries_key, grants_key, hold_key
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
    account, grants, budgets, *holds = pipeline.execute()
    records = zip(hold_ids, holds, strict=True)
    return StoredAccount(
        account_id,
        _decoded(account),
        _decoded(grants),
        _decoded(budgets),
        _counters(redis, budgets_key(shard, account_id), _decoded(budgets)),
        {hold_id: record.decode() for hold_id, record in records if record is not None},
    )


def _counters(redis: Redis, key: str, budgets: Fields) -> dict[str, Fields]:
    """Returns the counters' fields by budget; none where the budget is not for each value."""
    prefix = f"{BudgetField.LABELS} "
    names = [name.removeprefix(prefix) for name in budgets if name.startswith(prefix)]
    pipeline = redis.pipeline(transaction=False)
    for budget_id in names:
        pipeline.hgetall(f"{key} {budget_id}")
    return dict(zip(names, map(_decoded, pipeline.execute()), strict=True))


def _decoded(fields: dict[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in fields.items()}
