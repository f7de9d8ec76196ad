"""The keys in Redis: every kind, its type, and what it means.

All keys of a shard share the hash tag `{NN}`, so one call's keys live on one node of a Redis Cluster. Ids have no spaces, so a space
joins them without ambiguity.

| key                            | type   | meaning                                                                          |
|--------------------------------|--------|----------------------------------------------------------------------------------|
| `cg:{07}:journal`              | stream | what has happened, until the ledger has it; ids are epoch-seq (meter/journal.py) |
| `cg:{07}:holds`                | zset   | "account hold" of every open hold, by expiry in ms (+inf on a test clock)        |
| `cg:{07}:a:ACCOUNT`            | hash   | the account; its fields below                                                    |
| `cg:{07}:h:ACCOUNT HOLD`       | string | a hold: "epoch state amount day expiry"; gone when settled or released           |
| `cg:{07}:r:ACCOUNT REQUEST`    | string | what a request did: "fingerprint effect"; lives for the replay window            |

| account field | meaning                                                                     |
|---------------|-----------------------------------------------------------------------------|
| ep            | epoch in which it was written; of another epoch: as if missing              |
| op            | number of the last operation applied                                        |
| st            | active or suspended                                                         |
| cur           | currency                                                                    |
| clk           | test clock in ms, or -                                                      |
| day           | UTC day number that `room` and `dbase` are of                               |
| sp            | spendable: remaining + overage - held                                       |
| held          | in open holds                                                               |
| ovr           | overage protection                                                          |
| tot           | credits ever granted                                                        |
| used          | credits ever used                                                           |
| room          | daily limit (0 if none) - used today - held today                           |
| lim           | daily limit, or -                                                           |
| dbase         | of `used`: what does not count as used today                                |
| mbase         | `used` when the month began                                                 |
"""

from zlib import crc32

from meter.journal import journal_key

__all__ = ["account_key", "expiries_key", "hold_key", "hold_member", "journal_key", "replay_key", "shard_of"]


def shard_of(account_id: str, shards: int) -> int:
    """The account's shard: fixed for good once the first account exists."""
    return crc32(account_id.encode()) % shards


def account_key(shard: int, account_id: str) -> str:
    return f"cg:{{{shard:02}}}:a:{account_id}"


def hold_key(shard: int, account_id: str, hold_id: str) -> str:
    return f"cg:{{{shard:02}}}:h:{account_id} {hold_id}"


def hold_member(account_id: str, hold_id: str) -> str:
    return f"{account_id} {hold_id}"


def replay_key(shard: int, account_id: str, request_id: str) -> str:
    return f"cg:{{{shard:02}}}:r:{account_id} {request_id}"


def expiries_key(shard: int) -> str:
    return f"cg:{{{shard:02}}}:holds"
