"""The keys in Redis: every kind, its type, and what it means.

All keys of a shard share the hash tag `{NN}`, so one call's keys live on one node of a Redis
Cluster. Ids have no spaces, so a space joins them without ambiguity.

| key                            | type   | meaning                                                                          |
|--------------------------------|--------|----------------------------------------------------------------------------------|
| `cg:{07}:journal`              | stream | what has happened, until the ledger has it; ids are epoch-seq (meter/journal/entry.py) |
| `cg:{07}:holds`                | zset   | "account hold" of every open hold, by expiry in ms (+inf on a test clock)        |
| `cg:{07}:a:ACCOUNT`            | hash   | the account; its fields below                                                    |
| `cg:{07}:g:ACCOUNT`            | hash   | its grants; below. Absent while it has none                                      |
| `cg:{07}:b:ACCOUNT`            | hash   | its budgets; below. Absent while it has none                                     |
| `cg:{07}:due`                  | zset   | accounts by the ms at which a grant begins or expires (+inf on a test clock)     |
| `cg:{07}:h:ACCOUNT HOLD`       | string | a hold (gate/lua/lib/hold.lua); gone when settled or released                |
| `cg:{07}:r:ACCOUNT REQUEST`    | string | what a request did: "fingerprint brief" (meter/journal/replay_record.py), or "operation"       |

What changes seldom in an account stands in one field, so that the usual call reads few.

| account field | meaning                                                                                                   |
|---------------|-----------------------------------------------------------------------------------------------------------|
| s             | "EP ST CLK DAY DUE FLAGS G OP CUR TOT LIM OVR EXP DBASE MBASE YBASE", below                               |
| gl            | left of the grant being burned (0: of overage)                                                            |
| gh            | held from it                                                                                              |
| gm            | what it is, as `N m` below; absent for overage                                                            |
| ol            | left of the other effective, unscoped grants and of overage: spendable = gl + ol                           |
| oh            | held from all others: held = gh + oh                                                                      |
| used          | credits ever used                                                                                         |
| room          | daily limit (0 if none) - used today - held today                                                         |
| lv            | thresholds: "id,subject,nanos;..."; absent: none                                                          |
| gr            | graces: "duration_ms amount began_ms class", a line each, - for no time; absent: none                      |

| of `s`  | meaning                                                                                                         |
|---------|-----------------------------------------------------------------------------------------------------------------|
| EP      | epoch in which it was written; of another epoch: as if missing                                                  |
| ST      | active or suspended                                                                                             |
| CLK     | test clock in ms, or -                                                                                          |
| DAY     | UTC day number that `room` and DBASE are of                                                                     |
| DUE     | when a grant begins or expires next, ms, or -: nothing is decided from then on before process_due_grants               |
| FLAGS   | b has budgets, g has graces, o spend management is off, s has scoped grants, t has thresholds; - none           |
| G       | number of the grant being burned: the first in burn order that any request may use; 0: overage                  |
| OP      | number of the last operation applied                                                                            |
| CUR     | currency                                                                                                        |
| TOT     | credits ever granted                                                                                            |
| LIM     | daily limit, or -                                                                                               |
| OVR     | overage protection                                                                                              |
| EXP     | of TOT: expired or voided                                                                                       |
| DBASE   | of `used`: what does not count as used today                                                                    |
| MBASE   | `used` when the month began                                                                                     |
| YBASE   | of `used`: what counts neither as used today nor yesterday                                                      |
|         | with flag b, on lines of their own: the keys that its budgets go by, of each scope one or two, a line each; a   |
|         | tab between scopes                                                                                              |

| grants' field | meaning (N: number of the operation that made the grant; 0: overage)                                      |
|---------------|-----------------------------------------------------------------------------------------------------------|
| N             | left, unless it is the one being burned; absent: 0                                                        |
| N h           | held from it, unless it is the one being burned; absent: 0                                                |
| N m           | the same: "STATE PAYS TYPE PRIORITY EXPIRES EFFECTIVE SCOPE"; p scheduled, a effective, x over but held;  |
|               | PAYS 1 if it pays debt; scope: labels, a line each, or -                                                  |

| budgets' field | meaning (LABELS: one or two "key=value", sorted, a line each)                                            |
|----------------|----------------------------------------------------------------------------------------------------------|
| d LABELS       | the budgets of this scope, by id, a line each, "ID,START,END LIMIT,HARD LEVELS NUMBER WINDOW": days of   |
|                | the window, h or s, "id:nanos|..." or -, operation that made it                                            |
| f ID           | its LABELS                                                                                               |
| r LABELS       | of the first of them: limit - used - held in the window; of the second r2 LABELS, and so on              |
| h LABELS       | held in the window, likewise; absent: 0                                                                  |
"""

from functools import cache
from zlib import crc32

from meter.journal.entry import journal_key

__all__ = [
    "account_key",
    "budgets_key",
    "due_key",
    "expiries_key",
    "grants_key",
    "hold_key",
    "hold_member",
    "journal_key",
    "replay_key",
    "shard_of",
]


def shard_of(account_id: str, shards: int) -> int:
    """The account's shard: fixed for good once the first account exists."""
    return crc32(account_id.encode()) % shards


def account_key(shard: int, account_id: str) -> str:
    return f"{_tag(shard)}a:{account_id}"


def grants_key(shard: int, account_id: str) -> str:
    return f"{_tag(shard)}g:{account_id}"


def budgets_key(shard: int, account_id: str) -> str:
    return f"{_tag(shard)}b:{account_id}"


def due_key(shard: int) -> str:
    return f"{_tag(shard)}due"


def hold_key(shard: int, account_id: str, hold_id: str) -> str:
    return f"{_tag(shard)}h:{account_id} {hold_id}"


def hold_member(account_id: str, hold_id: str) -> str:
    return f"{account_id} {hold_id}"


def replay_key(shard: int, account_id: str, request_id: str) -> str:
    return f"{_tag(shard)}r:{account_id} {request_id}"


def expiries_key(shard: int) -> str:
    return f"{_tag(shard)}holds"


@cache
def _tag(shard: int) -> str:
    return f"cg:{{{shard:02}}}:"
