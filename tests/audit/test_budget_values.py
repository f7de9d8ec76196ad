"""Checking budgets for each value: how many values have counters, and when their windows begin."""

import asyncio

import pytest
from sqlalchemy import update

from meter.admin.budgets import BudgetRow
from meter.audit import Invariant
from meter.audit import budgets as module
from meter.database import schema
from meter.database.engine import Ledger
from meter.v1 import ledger_pb2 as pb
from support.histories import HOUR, JANUARY, InRedis, Scribe, service_of

pytest_plugins = ("support.ledgers",)
pytestmark = pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)


@pytest.fixture
def scribe(ledger: Ledger) -> Scribe:
    """Books with a debit of each of two users, under an hour's budget for each."""
    scribe = Scribe(ledger)
    scribe.create()
    scribe.set_budget(BudgetRow("each", ("user=*",), "hour", True, 500, ()))
    scribe.now_ms = JANUARY + HOUR
    for user in ("ada", "bob"):
        scribe.debit(5, dimensions={"user": user})
    scribe.flush()
    return scribe


def found_of_budgets(scribe: Scribe) -> list[str]:
    check = service_of(scribe, InRedis(scribe)).CheckBooks(pb.CheckBooksRequest())
    findings = asyncio.run(check).findings
    return [each.detail for each in findings if each.invariant == Invariant.BUDGETS]


def test_a_value_too_many_has_to_share(scribe: Scribe, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found_of_budgets(scribe) == []
    monkeypatch.setattr(module, "MOST_VALUES", 1)
    [found] = found_of_budgets(scribe)
    assert "matched the budgets ['each:bob'], those on it are ['each:*']" in found


def test_a_clock_that_goes_back_begins_no_earlier_hour(scribe: Scribe) -> None:
    entries = schema.entries
    late = JANUARY + HOUR
    with scribe.ledger.write() as connection:
        [second] = connection.execute(
            entries.select().where(entries.c.effect.contains("each:bob"))
        ).all()
        back = second.effect.replace(f" {second.occurred_at_ms} ", f" {late - 1} ", 1)
        own = entries.c.seq == second.seq
        connection.execute(update(entries).where(own).values(effect=back))
    assert back != second.effect
    assert found_of_budgets(scribe) == []
