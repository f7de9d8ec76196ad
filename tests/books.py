"""What a test reads in the books, and what must be true of them after anything."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import redis
from prometheus_client import CollectorRegistry
from sqlalchemy import RowMapping, Table, select
from till import Till

from gate.keys import account_key, journal_key
from meter.effect import State
from meter.flusher import Flusher
from meter.journal import Pricing
from meter.ledger import schema
from meter.ledger.engine import Ledger
from meter.ledger.operations import Operations
from meter.metrics import FlusherMetrics

PRICED = Pricing(
    "openai/gpt-4o", "abcdef012345", (("input_tokens", 1200, 3_000_000), ("output_tokens", 500, 5_000_000))
)


def make_flusher(till: Till, journals: redis.Redis | None = None, registry: CollectorRegistry | None = None) -> Flusher:
    return Flusher(
        journals or till.redis, till.ledger, till.shards, 10, FlusherMetrics(registry or CollectorRegistry())
    )


def rows(ledger: Ledger, table: Table) -> list[RowMapping]:
    with ledger.read() as connection:
        return list(connection.execute(select(table).order_by(*table.primary_key.columns)).mappings())


def entries(till: Till, account_id: str = "") -> list[RowMapping]:
    return [row for row in rows(till.ledger, schema.entries) if account_id in ("", row["account_id"])]


def account(till: Till, account_id: str) -> RowMapping:
    return next(row for row in rows(till.ledger, schema.accounts) if row["account_id"] == account_id)


def usage(till: Till, table: Table = schema.usage_hourly) -> dict[tuple[str, str, str, str], tuple[int, int, int]]:
    """Quantity, nanos and requests by model, unit, dimension and value."""
    return {
        (row["model"], row["unit"], row["dimension"], row["value"]): (
            row["quantity"],
            row["amount_nanos"],
            row["requests"],
        )
        for row in rows(till.ledger, table)
    }


def journal_length(till: Till) -> int:
    return sum(till.redis.xlen(journal_key(shard)) for shard in range(till.shards))


def assert_books_add_up(till: Till) -> None:
    """Each account's sums are those of its entries, line by line; the journal is in the books once, and trimmed."""
    assert journal_length(till) == 0
    for row in rows(till.ledger, schema.accounts):
        balance = held = 0
        for entry in entries(till, row["account_id"]):
            balance, held = balance + entry["amount_nanos"], held + entry["held_nanos"]
            assert entry["balance_nanos"] == balance
        assert (row["remaining_nanos"], row["held_nanos"]) == (balance, held)
        holds = [hold for hold in rows(till.ledger, schema.open_holds) if hold["account_id"] == row["account_id"]]
        assert sum(hold["amount_nanos"] for hold in holds) == held


def assert_redis_agrees(till: Till, account_id: str) -> None:
    """The books know all that Redis does."""
    kept = {
        key.decode(): value.decode()
        for key, value in till.redis.hgetall(account_key(till.shard(account_id), account_id)).items()
    }
    snapshot = Operations(till.ledger).load_snapshot(account_id)
    assert snapshot is not None
    sums = [kept[field] for field in ("sp", "held", "ovr", "tot", "used", "room", "lim", "dbase", "mbase")]
    assert snapshot.state == State.from_tokens(sums)
    clock = "-" if snapshot.test_clock_ms is None else str(snapshot.test_clock_ms)
    known = (str(snapshot.applied_op), snapshot.status, snapshot.currency, clock, str(snapshot.day))
    assert known == tuple(kept[field] for field in ("op", "st", "cur", "clk", "day"))


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


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    found = registry.get_sample_value(name, labels)
    assert found is not None, f"no metric {name}"
    return found
