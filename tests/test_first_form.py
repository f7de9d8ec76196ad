"""Journals from before grants were told apart: read, attributed to grants as new usage would be, and gone on from."""

import asyncio

import pytest
from histories import DAY, FEBRUARY, HOUR, JANUARY, InRedis, Scribe, draw, service_of
from sqlalchemy import select, update

from meter import first_form
from meter.ledger import schema
from meter.ledger.engine import Ledger
from meter.v1 import ledger_pb2 as pb

pytest_plugins = ("ledgers",)


@pytest.fixture
def scribe(ledger: Ledger) -> Scribe:
    """Two grants, of which the later one is burned first; holds of each fate; at last overage."""
    scribe = Scribe(ledger)
    scribe.writes_first_form = True
    scribe.create(overage=100, limit=10_000)
    scribe.grant(100)
    scribe.debit(30)
    scribe.grant(50, type="PROMOTION", priority=10)
    settled, released, expired, lasting = (scribe.authorize(amount) for amount in (40, 5, 3, 2))
    scribe.extend(settled, 20)
    scribe.debit(70, hold=settled)
    scribe.release(released)
    scribe.now_ms += HOUR
    scribe.expire(expired)
    scribe.debit(1, hold=expired)
    scribe.debit(1, hold=lasting)
    scribe.authorize(4)
    scribe.debit(90)
    scribe.update(overage_protection_nanos=200)
    return scribe


def findings(scribe: Scribe) -> list[str]:
    response = asyncio.run(service_of(scribe, InRedis(scribe)).CheckBooks(pb.CheckBooksRequest()))
    return [f"{finding.invariant}: {finding.detail}" for finding in response.findings]


def burned(scribe: Scribe) -> list[list[tuple[str, int]]]:
    """Of each debit, by type of grant, oldest first."""
    request = pb.ListEntriesRequest(account_id="acme", kinds=[pb.DEBIT])
    listed = asyncio.run(service_of(scribe).ListEntries(request)).entries
    return [[(each.type, each.amount_nanos) for each in entry.burned] for entry in reversed(listed)]


def test_what_was_used_is_attributed_to_the_grants_in_burn_order(scribe: Scribe) -> None:
    assert burned(scribe) == [
        [("TOP_UP", 30)],
        [("PROMOTION", 40), ("TOP_UP", 30)],
        [("PROMOTION", 1)],
        [("PROMOTION", 1)],
        [("PROMOTION", 4), ("TOP_UP", 40), ("OVERAGE", 46)],
    ]


def test_nothing_is_found_in_books_of_the_first_form(scribe: Scribe) -> None:
    assert findings(scribe) == []
    with scribe.ledger.read() as connection:
        lines = list(connection.scalars(select(schema.entries.c.effect)))
    assert {len(line.split(" ")) for line in lines} == {first_form.TOKENS}


@pytest.mark.parametrize("is_flushed", [True, False])
def test_lines_of_the_present_form_go_on_from_there(scribe: Scribe, is_flushed: bool) -> None:
    hold_id = list(scribe.owners)[-1]
    if is_flushed:
        scribe.flush()
    scribe.writes_first_form = False
    scribe.extend(hold_id, 3)
    scribe.debit(5, hold=hold_id)
    scribe.grant(60, type="ADJUSTMENT")
    scribe.debit(20)
    assert findings(scribe) == []
    assert burned(scribe)[-2:] == [[("PROMOTION", 4), ("OVERAGE", 1)], [("ADJUSTMENT", 13), ("OVERAGE", 7)]]


def test_lines_of_the_first_form_know_nothing_of_yesterdays_use(scribe: Scribe) -> None:
    scribe.now_ms = JANUARY + DAY
    scribe.debit(7)
    assert findings(scribe) == []
    scribe.writes_first_form = False
    scribe.debit(8)
    scribe.now_ms = JANUARY + 2 * DAY
    scribe.debit(9)
    assert findings(scribe) == []


@pytest.mark.parametrize(("due", "is_right"), [(46, True), (45, False)])
def test_invoices_drawn_before_grants_were_told_apart_stand_as_they_were(
    scribe: Scribe, due: int, is_right: bool
) -> None:
    scribe.now_ms = FEBRUARY
    invoice = draw(scribe, JANUARY, FEBRUARY)
    for name in ("payments", "overage_used_nanos"):
        invoice.ClearField(name)
    invoice.overage_due_nanos = due
    table = schema.invoices
    with scribe.ledger.write() as connection:
        body = invoice.SerializeToString(deterministic=True)
        connection.execute(update(table).values(body=body))
    assert (findings(scribe) == []) is is_right
