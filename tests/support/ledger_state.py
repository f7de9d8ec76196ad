"""What a test reads in the books, and what must be true of them after anything."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import redis
from prometheus_client import CollectorRegistry
from sqlalchemy import RowMapping, Table, select, text

from gate.store.keys import (
    account_key,
    budgets_key,
    due_key,
    expiries_key,
    grants_key,
    hold_key,
    hold_member,
    journal_key,
)
from meter.audit import check_books
from meter.database import schema
from meter.database.engine import Ledger
from meter.flush_requests import FlushRequests
from meter.flusher import Flusher
from meter.journal.allocation import decode_parts
from meter.journal.entry import Pricing
from meter.journals import Journals
from meter.metrics import FlusherMetrics
from support.gate_store import STORE_NAME
from support.lua_account import canonical
from support.store_harness import CREDIT, StoreHarness

PRICED = Pricing(
    "openai/gpt-4o",
    "abcdef012345",
    (("input_tokens", 1200, 3_000_000), ("output_tokens", 500, 5_000_000)),
)
PRICED_NANOS = sum(nanos for _, _, nanos in PRICED.lines)


# What the product's check says where entries were lost: that, what was not fit for the books as
# they are without them, and what should have happened if they had been all. It says nothing else:
# no sum may be wrong.
_FOLLOWS_FROM_LOSS = re.compile(
    r"(journal|chain|operations|redis|admission|overage|budgets|thresholds): "
    r"|grants: .*(was to pay debt|used up|were to expire before|did not expire with the rest|was to begin before|not for such a request)"
    r"|holds: .*is not open"
)
_STATE = re.compile("'(LIVE|EXHAUSTED|EXPIRED|VOIDED)'")


def make_flusher(
    harness: StoreHarness,
    journals: redis.Redis | None = None,
    registry: CollectorRegistry | None = None,
    ledger: Ledger | None = None,
    interval_ms: int = 10,
) -> Flusher:
    """A flusher of the harness's journals and ledger, or of those that are given."""
    client = journals or harness.redis
    return Flusher(
        Journals(client, harness.shards),
        FlushRequests(client),
        ledger or harness.ledger,
        interval_ms,
        FlusherMetrics(registry or CollectorRegistry()),
        STORE_NAME,
    )


def rows(ledger: Ledger, table: Table) -> list[RowMapping]:
    with ledger.read() as connection:
        return list(
            connection.execute(select(table).order_by(*table.primary_key.columns)).mappings()
        )


def entries(harness: StoreHarness, account_id: str = "") -> list[RowMapping]:
    return [
        row for row in rows(harness.ledger, schema.entries) if account_id in ("", row["account_id"])
    ]


def account(harness: StoreHarness, account_id: str) -> RowMapping:
    return next(
        row for row in rows(harness.ledger, schema.accounts) if row["account_id"] == account_id
    )


def usage(
    harness: StoreHarness, table: Table = schema.usage_hourly
) -> dict[tuple[str, str, str, str], tuple[int, int, int]]:
    """Quantity, nanos and requests by model, unit, dimension and value."""
    return {
        (row["model"], row["unit"], row["dimension"], row["value"]): (
            row["quantity"],
            row["amount_nanos"],
            row["requests"],
        )
        for row in rows(harness.ledger, table)
    }


def journal_length(harness: StoreHarness) -> int:
    return sum(harness.redis.xlen(journal_key(shard)) for shard in range(harness.shards))


def grants(
    harness: StoreHarness, account_id: str
) -> dict[int, tuple[str, int, int, int, int, int]]:
    """State, left, held, spent, expired and voided credits, by number."""
    sums = ("left_nanos", "held_nanos", "spent_nanos", "expired_nanos", "voided_nanos")
    return {
        row["number"]: (row["state"], *(row[name] // CREDIT for name in sums))
        for row in rows(harness.ledger, schema.grants)
        if row["account_id"] == account_id
    }


def events(harness: StoreHarness, account_id: str = "") -> list[tuple[str, str, str, int, int]]:
    """Subject, budget, threshold, level and value in credits of each crossing, in order."""
    told = [
        json.loads(row["data"])
        for row in rows(harness.ledger, schema.events)
        if account_id in ("", row["account_id"]) and row["type"] == "threshold.crossed"
    ]
    return [
        (
            data["subject"],
            data["budget_id"],
            data["threshold_id"],
            int(data["level_nanos"]) // CREDIT,
            int(data["value_nanos"]) // CREDIT,
        )
        for data in told
    ]


def assert_books_add_up(harness: StoreHarness, account_id: str = "", lost: bool = False) -> None:
    """Each account's sums are those of its entries, line by line; the journal is in the books once,
    and trimmed.

    `lost`: entries were lost; the product's own check may say so, and what follows from that.
    """
    assert journal_length(harness) == 0
    for row in rows(harness.ledger, schema.accounts):
        if account_id not in ("", row["account_id"]):
            continue
        balance = held = 0
        for entry in entries(harness, row["account_id"]):
            balance = balance + entry["amount_nanos"]
            held = held + entry["held_nanos"]
            assert entry["balance_nanos"] == balance
        assert (row["remaining_nanos"], row["held_nanos"]) == (balance, held)
        holds = [
            hold
            for hold in rows(harness.ledger, schema.open_holds)
            if hold["account_id"] == row["account_id"]
        ]
        assert sum(hold["amount_nanos"] for hold in holds) == held
        _assert_grants_add_up(harness, row, holds)
    found = findings(harness, account_id)
    if lost:
        found = [
            each
            for each in found
            if not (_FOLLOWS_FROM_LOSS.match(each) or _is_of_state_alone(each))
        ]
    assert not found, found


def _is_of_state_alone(found: str) -> bool:
    """Whether it is no more than that a grant is over in another way than the entries that are left
    tell.
    """
    recorded, _, said = (
        _STATE.sub("", found).partition(" is recorded as ")[2].partition(", the entries say ")
    )
    return bool(said) and recorded == said


def _assert_grants_add_up(
    harness: StoreHarness, account: RowMapping, holds: list[RowMapping]
) -> None:
    """Each grant is somewhere, whole; and whatever the entries took of it, and holds have pinned of
    it, is there.
    """
    burned: dict[tuple[int, str], int] = defaultdict(int)
    for entry in entries(harness, account["account_id"]):
        for number, nanos in json.loads(entry["burned"]):
            burned[number, entry["kind"]] += nanos
    pinned: dict[int, int] = defaultdict(int)
    for hold in holds:
        for part in decode_parts(hold["pins"]):
            pinned[part.grant] += part.amount
    remaining = 0
    own = [
        row
        for row in rows(harness.ledger, schema.grants)
        if row["account_id"] == account["account_id"]
    ]
    for row in own:
        left = row["left_nanos"]
        held = row["held_nanos"]
        number = row["number"]
        assert (
            left + held + row["spent_nanos"] + row["expired_nanos"] + row["voided_nanos"]
            == row["amount_nanos"]
        )
        assert min(left, held, row["spent_nanos"], row["expired_nanos"], row["voided_nanos"]) >= 0
        assert row["spent_nanos"] == burned[number, "DEBIT"] + burned[number, "DEBT_PAID"]
        assert row["expired_nanos"] == burned[number, "GRANT_EXPIRED"]
        assert held == pinned[number]
        remaining += 0 if row["state"] == "SCHEDULED" else left + held
    debt = burned[0, "DEBIT"] - sum(burned[row["number"], "DEBT_PAID"] for row in own)
    assert remaining - debt == account["remaining_nanos"]


def findings(harness: StoreHarness, account_id: str = "") -> list[str]:
    """What the product's own check finds, as `invariant: detail`."""

    async def wait_until_flushed(_account_id: str | None) -> None:
        assert journal_length(harness) == 0

    found = harness.check(
        lambda view: check_books(harness.ledger, view, wait_until_flushed, account_id or None)
    ).findings
    return [f"{each.invariant}: {each.account_id} {each.detail}" for each in found]


def assert_redis_agrees(harness: StoreHarness, account_id: str) -> None:
    """The books know all that Redis does: from them alone the account comes to stand there as it
    stood, to the letter.
    """
    before = _in_redis(harness, account_id)
    _forget(harness, account_id)
    harness.load(account_id)
    harness.process_due_grants(
        account_id
    )  # that a grant is over of which only holds have something, no entry has told
    after = _in_redis(harness, account_id)
    assert after == before, f"{after} was {before}"


def _in_redis(harness: StoreHarness, account_id: str) -> dict[str, Any]:
    """The account, its grants, budgets and open holds.

    What holds that have expired leave behind is not of the account.
    """
    shard = harness.shard(account_id)
    client = harness.redis
    found: dict[str, Any] = {"due": client.zscore(due_key(shard), account_id)}
    for key in _hashes(harness, account_id):
        fields = {name.decode(): text.decode() for name, text in client.hgetall(key).items()}
        found[key] = canonical(fields)
    for hold_id, expires_ms in _open_holds(harness, account_id).items():
        *record, counted = f"{harness.hold(account_id, hold_id).decode()} -".split(" ")[:6]
        found[hold_id] = (
            expires_ms,
            record,
            _still_there(counted, found[budgets_key(shard, account_id)]),
        )
    return found


def _still_there(counted: str, budgets: dict[str, str]) -> list[str]:
    """Of the budgets in which a hold counts, those that have not ended nor been made anew since."""
    lines = [
        line for name, text in budgets.items() if name.startswith("d ") for line in text.split("\n")
    ]
    made = {line.partition(",")[0]: line.split(" ")[3] for line in lines}
    each = [matched.split(",") for matched in counted.split(";") if matched != "-"]
    return [
        f"{name},{start}"
        for name, start, number in each
        if made.get(name.partition(":")[0]) == number
    ]


def _forget(harness: StoreHarness, account_id: str) -> None:
    shard = harness.shard(account_id)
    for hold_id in _open_holds(harness, account_id):
        harness.redis.delete(hold_key(shard, account_id, hold_id))
        harness.redis.zrem(expiries_key(shard), hold_member(account_id, hold_id))
    harness.redis.zrem(due_key(shard), account_id)
    harness.redis.delete(*_hashes(harness, account_id))


def _hashes(harness: StoreHarness, account_id: str) -> list[str]:
    shard = harness.shard(account_id)
    budgets = budgets_key(shard, account_id)
    counters = harness.redis.scan_iter(f"{budgets} *")
    return [
        account_key(shard, account_id),
        grants_key(shard, account_id),
        budgets,
        *sorted(key.decode() for key in counters),
    ]


def _open_holds(harness: StoreHarness, account_id: str) -> dict[str, float]:
    """Those of the account's epoch: what is left over from an older one is not there for
    any script.
    """
    members = harness.redis.zrange(expiries_key(harness.shard(account_id)), 0, -1, withscores=True)
    holds = [(*member.decode().split(" "), expires_ms) for member, expires_ms in members]
    epoch = b"%d " % harness.epoch(account_id)
    return {
        hold_id: expires_ms
        for owner, hold_id, expires_ms in holds
        if owner == account_id and (harness.hold(account_id, hold_id) or b"").startswith(epoch)
    }


@contextmanager
def running(*flushers: Flusher) -> Iterator[None]:
    stop = Event()
    threads = [Thread(target=flusher.run, args=(stop,)) for flusher in flushers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@contextmanager
def events_locked(ledger: Ledger) -> Iterator[None]:
    """Lets nobody else write events meanwhile; nor anything else, on SQLite."""
    with ledger.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("LOCK TABLE events"))
        yield


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    found = registry.get_sample_value(name, labels)
    assert found is not None, f"no metric {name}"
    return found
