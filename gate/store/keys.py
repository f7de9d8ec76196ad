"""The keys in Redis: every kind, its type, and its meaning.

All keys of a shard share the hash tag `{NN}`, so the keys of a call live on one node of a Redis
Cluster. Ids have no spaces, so a space joins two ids without ambiguity. The fields of the hashes
and the text in them stand in gate/store/account_codec.py and gate/store/budget_codec.py.

| key                         | type   | meaning                                               |
|-----------------------------|--------|-------------------------------------------------------|
| `cg:{07}:journal`           | stream | effects that the ledger does not have yet; an id is   |
|                             |        | epoch-seq (meter/journal/entry.py)                    |
| `cg:{07}:shard`             | hash   | the ledger, and the store, that the shard belongs to  |
|                             |        | (meter/journal/owner.py)                              |
| `cg:{07}:holds`             | zset   | "account hold" of every open hold, by expiry in ms    |
|                             |        | (+inf on a test clock)                                |
| `cg:{07}:due`               | zset   | accounts, by the ms at which a grant begins or        |
|                             |        | expires next (+inf on a test clock)                   |
| `cg:{07}:reaper`            | string | the process whose reaper looks at the shard, for 5 s  |
| `cg:{07}:a:ACCOUNT`         | hash   | the account                                           |
| `cg:{07}:g:ACCOUNT`         | hash   | the account's grants; absent while there is none      |
| `cg:{07}:b:ACCOUNT`         | hash   | the account's budgets; absent while there is none     |
| `cg:{07}:b:ACCOUNT BUDGET`  | hash   | the counters of a budget for each value, of its       |
|                             |        | present window; a script makes up the key by itself   |
| `cg:{07}:h:ACCOUNT HOLD`    | string | a hold; removed when the hold is settled or released  |
| `cg:{07}:r:ACCOUNT REQUEST` | string | the reply to a request: "fingerprint record"          |
|                             |        | (meter/journal/replay_record.py), or "operation"      |
"""

from functools import cache
from zlib import crc32

from gate.store.contracts import DEBIT_HOLD_KEYS, KEYS
from meter.journal.entry import journal_key

__all__ = [
    "account_key",
    "budgets_key",
    "call_keys",
    "counters_key",
    "due_key",
    "expiries_key",
    "grants_key",
    "hold_key",
    "hold_member",
    "journal_key",
    "reaper_key",
    "replay_key",
    "shard_of",
]


def shard_of(account_id: str, shards: int) -> int:
    """Returns the account's shard, fixed for good once the first account exists."""
    return crc32(account_id.encode()) % shards


def account_key(shard: int, account_id: str) -> str:
    return _key("account", shard, account_id)


def grants_key(shard: int, account_id: str) -> str:
    return _key("grants", shard, account_id)


def budgets_key(shard: int, account_id: str) -> str:
    return _key("budgets", shard, account_id)


def counters_key(shard: int, account_id: str, budget_id: str) -> str:
    return _key("budgets", shard, f"{account_id} {budget_id}")


def hold_key(shard: int, account_id: str, hold_id: str) -> str:
    return _key("hold", shard, f"{account_id} {hold_id}")


def replay_key(shard: int, account_id: str, request_id: str) -> str:
    return _key("replay", shard, f"{account_id} {request_id}")


def expiries_key(shard: int) -> str:
    return _key("holds_by_expiry", shard)


def reaper_key(shard: int) -> str:
    return _key("reaper", shard)


def due_key(shard: int) -> str:
    return _key("accounts_by_due", shard)


def hold_member(account_id: str, hold_id: str) -> str:
    """Returns the member of a hold in the holds by expiry."""
    return f"{account_id} {hold_id}"


def call_keys(
    script: str,
    shard: int,
    account_id: str = "",
    request_id: str = "",
    hold_id: str = "",
) -> list[str]:
    """Returns the KEYS of a script, in the order of its contract.

    A debit has the keys of a hold only if `hold_id` names one.
    """
    subjects = ("", account_id, f"{account_id} {request_id}", f"{account_id} {hold_id}")
    if hold_id and script == "debit":
        script = _SETTLING_DEBIT
    return [start + subjects[subject] for start, subject in _starts(script, shard)]


def _key(name: str, shard: int, subject: str = "") -> str:
    prefix, _ = _FORMS[name]
    return f"{_tag(shard)}{prefix}{subject}"


@cache
def _tag(shard: int) -> str:
    return f"cg:{{{shard:02}}}:"


# What follows the shard's tag: a prefix, and a place in the subjects of `call_keys`.
_SHARD, _ACCOUNT, _REQUEST, _HOLD = range(4)
_FORMS = {
    "account": ("a:", _ACCOUNT),
    "replay": ("r:", _REQUEST),
    "journal": ("journal", _SHARD),
    "grants": ("g:", _ACCOUNT),
    "budgets": ("b:", _ACCOUNT),
    "hold": ("h:", _HOLD),
    "holds_by_expiry": ("holds", _SHARD),
    "accounts_by_due": ("due", _SHARD),
    "shard": ("shard", _SHARD),
    "reaper": ("reaper", _SHARD),
}
_SETTLING_DEBIT = "settling debit"
_NAMES = {**KEYS, _SETTLING_DEBIT: KEYS["debit"] + DEBIT_HOLD_KEYS}


@cache
def _starts(script: str, shard: int) -> list[tuple[str, int]]:
    """Returns how each key of a script begins, and its place in the subjects of `call_keys`."""
    starts = []
    for name in _NAMES[script]:
        prefix, subject = _FORMS[name]
        starts.append((f"{_tag(shard)}{prefix}", subject))
    return starts
