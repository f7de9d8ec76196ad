"""Bytes in Redis: what `used_memory` grows by for each of many accounts, holds and debits, and what
MEMORY USAGE says of one.
"""

from contextlib import closing

import redis
from ceiling import fill
from commands import debits, holds
from population import clear_journals, delete_all, populate
from processes import Stack
from templates import ACCOUNT

_CHUNK = 1000

Bytes = dict[str, float]


def crowd(stack: Stack, accounts: int, open_holds: int, debited: int) -> Bytes:
    """Fills an empty stack with accounts and open holds; bytes of each kind of thing, with its
    share of Redis's tables.
    """
    with closing(stack.redis()) as client:
        used = [_used(client)]
        populate(stack, accounts)
        used.append(_used(client))
        sizes = {"account": (used[1] - used[0]) / accounts} | _one_of(
            client, account=b"cg:*:a:%b" % ACCOUNT.encode()
        )
        sizes |= _debits(stack, client, debited)
        return sizes | _holds(stack, client, accounts, open_holds)


def _debits(stack: Stack, client: redis.Redis, count: int) -> Bytes:
    """Debits leave a replay record and an entry; both are taken away again."""
    fill(stack, debits(stack), count)
    sizes = _one_of(client, replay_record=b"cg:*:r:*")
    full = _used(client)
    clear_journals(stack)
    trimmed = _used(client)
    delete_all(client, b"cg:*:r:*")
    return sizes | {
        "unflushed_entry": (full - trimmed) / count,
        "replay_record": (trimmed - _used(client)) / count,
    }


def _holds(stack: Stack, client: redis.Redis, accounts: int, count: int) -> Bytes:
    """Holds stay; the rest of what Authorize leaves does not."""
    supply = holds(stack, accounts)
    before = _used(client)
    fill(stack, supply, count)
    sizes = _one_of(client, open_hold=b"cg:*:h:*")
    clear_journals(stack)
    delete_all(client, b"cg:*:r:*")
    return sizes | {"open_hold": (_used(client) - before) / count}


def _one_of(client: redis.Redis, **patterns: bytes) -> Bytes:
    """What MEMORY USAGE says of one key of each pattern."""
    keys = {
        name: next(client.scan_iter(match=pattern, count=_CHUNK))
        for name, pattern in patterns.items()
    }
    return {
        f"{name}_key": float(client.memory_usage(key, samples=0) or 0) for name, key in keys.items()
    }


def _used(client: redis.Redis) -> int:
    return int(client.info("memory")["used_memory"])
