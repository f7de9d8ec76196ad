"""From the version that did not tell grants apart: what it left in the ledger and in Redis, to the letter, and how this one goes on."""

from collections.abc import Iterator
from importlib.resources import files

import pytest
import redis
from alembic import command
from alembic.config import Config
from books import account, assert_books_add_up, assert_redis_agrees, entries, grants, make_flusher
from sqlalchemy import MetaData
from till import CREDIT, Till

from gate.keys import journal_key
from meter.flusher import Flusher
from meter.ledger.engine import Ledger
from meter.ledger.migrate import migrate, open_ledger

pytest_plugins = ("tills",)

SHARD = 2  # of the account
NOON = 1_728_043_200_000

_CREATE = (
    '{"account_id":"acme","change":{"currency":"USD","daily_limit_nanos":50000000000,"overage_protection_nanos":2000000000,'
    '"test_clock_ms":1728043200000},"method":"create","request_id":"create","seq":1}'
)
_GRANT = (
    '{"account_id":"acme","change":{"amount_nanos":%d000000000,"description":"top up","effective_at_ms":null,'
    '"expires_at_ms":null,"grant_id":"%s","priority":50,"refund_of":"","type":"TOP_UP"},"method":"grant","request_id":"%s","seq":%d}'
)
_EPOCH = {"opened_at_ms": NOON, "reason": "first start"}
_HOLD = {"account_id": "acme", "day": 20000, "expires_ms": 1728043800000, "authorized_at_ms": NOON}
_ENTRY = {
    "shard": SHARD, "epoch": 1, "account_id": "acme", "occurred_at_ms": NOON, "usage_day": 20000, "amount_nanos": 0,
    "held_nanos": 0, "shortfall_nanos": 0, "hold_id": "", "model": "", "price_version": "", "usage_lines": "[]",
    "dimensions": "{}", "description": "", "late": False, "incurred": False,
}  # fmt: skip


def _entry(seq: int, kind: str, request_id: str, credits: int, effect: str, **more: object) -> dict[str, object]:
    known = {"seq": seq, "kind": kind, "request_id": request_id, "balance_nanos": credits * CREDIT, "effect": effect}
    return _ENTRY | known | more


_LEDGER = {
    "shards": [{"shard": shard, "epoch": 1, "watermark_seq": 6 if shard == SHARD else 0} for shard in range(4)],
    "epochs": [{"shard": shard, "epoch": 1, **_EPOCH} for shard in range(4)],
    "accounts": [
        {
            "account_id": "acme", "shard": SHARD, "currency": "USD", "status": "active", "overage_protection_nanos": 2 * CREDIT,
            "daily_limit_nanos": 50 * CREDIT, "test_clock_ms": NOON, "create_time_ms": NOON, "granted_nanos": 15 * CREDIT,
            "recorded_op": 3, "applied_op": 2, "applied_status": "active", "applied_clock_ms": NOON, "remaining_nanos": 6 * CREDIT,
            "held_nanos": 5 * CREDIT, "day": 20000,
            "state": "3000000000 5000000000 2000000000 10000000000 4000000000 41000000000 50000000000 0 0",
        }
    ],
    "operations": [
        {"account_id": "acme", "seq": 1, "request_id": "create", "body": _CREATE, "recorded_at_ms": NOON},
        {"account_id": "acme", "seq": 2, "request_id": "grant-1", "body": _GRANT % (10, "g1", "grant-1", 2), "recorded_at_ms": NOON},
        {"account_id": "acme", "seq": 3, "request_id": "grant-5", "body": _GRANT % (5, "g5", "grant-5", 3), "recorded_at_ms": NOON},
    ],
    "grants": [
        {
            "grant_id": "g1", "account_id": "acme", "request_id": "grant-1", "type": "TOP_UP", "amount_nanos": 10 * CREDIT,
            "priority": 50, "description": "top up", "create_time_ms": NOON,
        }
    ],
    "open_holds": [
        _HOLD | {"hold_id": "h2", "amount_nanos": 4 * CREDIT},
        _HOLD | {"hold_id": "h4", "amount_nanos": 1 * CREDIT},
    ],
    "usage_hourly": [
        {
            "account_id": "acme", "start_ms": NOON, "model": "", "unit": "amount", "dimension": "", "value": "", "quantity": 1,
            "amount_nanos": 4 * CREDIT, "requests": 1,
        }
    ],
    "usage_daily": [
        {
            "account_id": "acme", "start_ms": NOON // 86_400_000 * 86_400_000, "model": "", "unit": "amount", "dimension": "",
            "value": "", "quantity": 1, "amount_nanos": 4 * CREDIT, "requests": 1,
        }
    ],
    "entries": [
        _entry(1, "CREATE", "create", 0,
               "C 1728043200000 20000 0 0 - - - - 2000000000 0 2000000000 0 0 50000000000 50000000000 0 0"),
        _entry(2, "GRANT", "grant-1", 10,
               "G 1728043200000 20000 10000000000 0 - - - - 2000000000 0 2000000000 0 0 50000000000 50000000000 0 0",
               amount_nanos=10 * CREDIT, description="top up"),
        _entry(3, "DEBIT", "d1", 6,
               "D 1728043200000 20000 4000000000 0 - - - - 12000000000 0 2000000000 10000000000 0 50000000000 50000000000 0 0",
               amount_nanos=-4 * CREDIT, usage_lines='[["amount",1,4000000000]]'),
        _entry(4, "AUTHORIZE", "a1", 6,
               "A 1728043200000 20000 3000000000 3000000000 20000 1728043800000 - h2"
               " 8000000000 0 2000000000 10000000000 4000000000 46000000000 50000000000 0 0",
               held_nanos=3 * CREDIT, hold_id="h2"),
        _entry(5, "EXTEND", "r3", 6,
               "E 1728043200000 20000 1000000000 3000000000 20000 1728043800000 - h2"
               " 5000000000 3000000000 2000000000 10000000000 4000000000 43000000000 50000000000 0 0",
               held_nanos=CREDIT, hold_id="h2"),
        _entry(6, "AUTHORIZE", "a2", 6,
               "A 1728043200000 20000 1000000000 1000000000 20000 1728043800000 - h4"
               " 4000000000 4000000000 2000000000 10000000000 4000000000 42000000000 50000000000 0 0",
               held_nanos=CREDIT, hold_id="h4"),
    ],
}  # fmt: skip

_JOURNAL = [
    ("grant", _GRANT % (5, "g5", "grant-5", 3),
     "G 1728043200000 20000 5000000000 0 - - - - 3000000000 5000000000 2000000000 10000000000 4000000000 41000000000 50000000000 0 0"),
    ("release", b"\n\x04acme\x12\x02r62\x02h4",
     ("R 1728043200000 20000 1000000000 1000000000 20000 1728043800000 - h4"
     " 8000000000 5000000000 2000000000 15000000000 4000000000 41000000000 50000000000 0 0")),
    ("debit", b"\n\x04acme\x12\x02d2\x18\x80\xe4\x97\xd0\x122\x02h2",
     ("D 1728043200000 20000 5000000000 4000000000 20000 1728043800000 - h2"
     " 9000000000 4000000000 2000000000 15000000000 4000000000 42000000000 50000000000 0 0")),
    ("authorize", b"\n\x04acme\x12\x02a3\x18\x80\xa8\xd6\xb9\x07",
     ("A 1728043200000 20000 2000000000 2000000000 20000 1728043800000 - h7"
     " 8000000000 0 2000000000 15000000000 9000000000 41000000000 50000000000 0 0")),
    ("extend", b"\n\x04acme\x12\x02r8\x18\x80\x94\xeb\xdc\x032\x02h7",
     ("E 1728043200000 20000 1000000000 2000000000 20000 1728043800000 - h7"
     " 6000000000 2000000000 2000000000 15000000000 9000000000 39000000000 50000000000 0 0")),
    ("debit", b"\n\x04acme\x12\x02d3\x18\x80\xd0\xac\xf3\x0e",
     "D 1728043200000 20000 4000000000 0 - - i - 5000000000 3000000000 2000000000 15000000000 9000000000 38000000000 50000000000 0 0"),
]  # fmt: skip

_ACCOUNT = {
    "ep": "1", "op": "3", "st": "active", "cur": "USD", "clk": "1728043200000", "day": "20000", "sp": "1000000000",
    "held": "3000000000", "ovr": "2000000000", "tot": "15000000000", "used": "13000000000", "room": "34000000000",
    "lim": "50000000000", "dbase": "0", "mbase": "0",
}  # fmt: skip


@pytest.fixture
def ledger(empty_ledger_url: str) -> Iterator[Ledger]:
    """Begun by the first version, and migrated."""
    old = Ledger(empty_ledger_url)
    config = Config()
    config.set_main_option("script_location", str(files("meter.ledger") / "migrations"))
    with old.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        tables = MetaData()
        tables.reflect(connection)
        for name, rows in _LEDGER.items():
            connection.execute(tables.tables[name].insert(), rows)
    old.close()
    migrate(empty_ledger_url)
    ledger = open_ledger(empty_ledger_url)
    yield ledger
    ledger.close()


@pytest.fixture
def expires_at_ms() -> str:
    """Of the grant whose entry is in Redis still."""
    return "null"


@pytest.fixture
def till(redis_db: redis.Redis, ledger: Ledger, expires_at_ms: str) -> Till:
    """Over a Redis that the first version has left."""
    till = Till(redis_db, ledger)
    for shard in range(till.shards):
        till.open_epoch(shard, 1)
    for number, (method, request, effect) in enumerate(_JOURNAL, 7):
        sent = (
            request if isinstance(request, bytes) else request.replace('_at_ms":null,"g', f'_at_ms":{expires_at_ms},"g')
        )
        redis_db.xadd(journal_key(SHARD), {"e": effect, "m": method, "q": sent, "p": ""}, id=f"1-{number}")
    redis_db.hset("cg:{02}:a:acme", mapping=_ACCOUNT)
    redis_db.set("cg:{02}:h:acme h7", "1 o 3000000000 20000 1728043800000")
    redis_db.zadd("cg:{02}:holds", {"acme h7": "inf"})
    return till


@pytest.fixture
def flusher(till: Till) -> Flusher:
    return make_flusher(till)


def test_what_was_used_before_is_of_the_grants_there_were(till: Till) -> None:
    assert grants(till, "acme") == {2: ("LIVE", 1, 5, 4, 0, 0)}
    assert [entry["burned"] for entry in entries(till)] == [
        "[]", f"[[2,{10 * CREDIT}]]", f"[[2,{4 * CREDIT}]]", f"[[2,{3 * CREDIT}]]", f"[[2,{CREDIT}]]", f"[[2,{CREDIT}]]",
    ]  # fmt: skip


@pytest.mark.parametrize("expires_at_ms", [str(NOON - 1)])
def test_a_grant_that_would_have_expired_was_used_all_the_same(till: Till, flusher: Flusher) -> None:
    assert flusher.drain(10)
    assert grants(till, "acme") == {2: ("LIVE", 0, 0, 10, 0, 0), 3: ("LIVE", 0, 3, 2, 0, 0)}
    assert account(till, "acme")["remaining_nanos"] == 2 * CREDIT


def test_the_rest_of_the_journal_is_flushed_on_top_of_that(till: Till, flusher: Flusher) -> None:
    assert flusher.drain(10)
    assert grants(till, "acme") == {2: ("LIVE", 0, 1, 9, 0, 0), 3: ("LIVE", 0, 2, 3, 0, 0)}
    assert account(till, "acme")["remaining_nanos"] == 2 * CREDIT
    settled, incurred = entries(till)[8], entries(till)[11]
    assert settled["burned"] == f"[[2,{5 * CREDIT}]]"
    assert (incurred["burned"], incurred["overage_nanos"]) == (f"[[3,{3 * CREDIT}],[0,{CREDIT}]]", CREDIT)
    assert [entry["seq"] for entry in entries(till)] == list(range(1, 13))


def test_the_account_is_loaded_anew_and_its_holds_are_settled(till: Till, flusher: Flusher) -> None:
    assert flusher.drain(10)
    with pytest.raises(AssertionError, match="absent"):
        till.debit("acme", CREDIT)
    till.load("acme")
    assert till.hold("acme", "h7") == b"1 3000000000 0 1728043800000 2:1000000000,3:2000000000"
    effect = till.debit("acme", 2 * CREDIT, hold_id="h7")
    assert effect is not None
    assert [(part.grant, part.amount) for part in effect.taken] == [(2, CREDIT), (3, CREDIT)]
    till.grant("acme", 9 * CREDIT, type="REFUND")
    assert flusher.drain(10)
    assert grants(till, "acme") == {
        2: ("EXHAUSTED", 0, 0, 10, 0, 0),
        3: ("LIVE", 1, 0, 4, 0, 0),
        4: ("LIVE", 8, 0, 1, 0, 0),
    }
    assert account(till, "acme")["remaining_nanos"] == 9 * CREDIT
    assert_books_add_up(till)
    assert_redis_agrees(till, "acme")
