"""Checking the books: nothing is found in right books, and each rule finds what breaks it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from histories import DAY, FEBRUARY, HOUR, JANUARY, Scribe, service_of, usage
from sqlalchemy import delete, func, insert, select, update

from meter.check import Invariant, Sighting
from meter.check.findings import Findings
from meter.errors import InvalidField, NotFound
from meter.journal import Position
from meter.ledger import schema
from meter.ledger.engine import Ledger
from meter.v1 import ledger_pb2 as pb

pytest_plugins = ("ledgers",)

T = schema.metadata.tables


@dataclass
class InRedis:
    """What Redis has: the scribe's states, as of its journals' ends."""

    scribe: Scribe

    async def sight(self, shard: int, account_id: str) -> Sighting | None:
        day, state = self.scribe.states[account_id]
        return Sighting(Position(1, self.scribe.ends[shard]), day, state)


@pytest.fixture
def scribe(ledger: Ledger) -> Scribe:
    """Books with something of everything."""
    scribe = Scribe(ledger)
    scribe.create("acme", overage=500, limit=10_000)
    scribe.create("beta")
    scribe.create("idle")
    scribe.grant(1000)
    scribe.debit(
        100, pricing=usage(("input_tokens", 9, 40), ("output_tokens", 1, 60)), dimensions={"key": "k", "user": "u"}
    )
    scribe.grant(7, "beta")
    _use_holds(scribe)
    scribe.now_ms = JANUARY + 20 * HOUR
    overnight = scribe.authorize(50)
    scribe.now_ms = JANUARY + DAY + HOUR
    scribe.debit(40, hold=overnight)
    scribe.debit(3000)
    scribe.update(overage_protection_nanos=100, daily_limit_nanos=None)
    scribe.now_ms = FEBRUARY + HOUR
    request_id = scribe.debit(5)
    scribe.debit(5, request_id=request_id)
    scribe.flush()
    scribe.apply_pending()
    scribe.grant(3000)
    scribe.authorize(1)
    _draw(scribe, JANUARY, FEBRUARY)
    _draw(scribe, FEBRUARY, FEBRUARY + DAY)
    return scribe


def _use_holds(scribe: Scribe) -> None:
    settled, released, expired = (scribe.authorize(amount) for amount in (30, 20, 10))
    scribe.extend(settled, 5)
    scribe.debit(50, hold=settled)
    scribe.release(released)
    scribe.now_ms += 700_000
    scribe.expire(expired)
    scribe.debit(8, hold=expired, late=True)
    scribe.expire(scribe.authorize(1))


def _draw(scribe: Scribe, start: int, end: int) -> pb.Invoice:
    request = pb.CreateInvoiceRequest(account_id="acme")
    request.period_start.FromMilliseconds(start)
    request.period_end.FromMilliseconds(end)
    return asyncio.run(service_of(scribe).CreateInvoice(request))


def check(scribe: Scribe, account_id: str = "") -> pb.CheckBooksResponse:
    return asyncio.run(service_of(scribe, InRedis(scribe)).CheckBooks(pb.CheckBooksRequest(account_id=account_id)))


def test_nothing_is_found_in_right_books(scribe: Scribe) -> None:
    response = check(scribe)
    assert list(response.findings) == []
    with scribe.ledger.read() as connection:
        written = connection.scalar(select(func.count()).select_from(schema.entries))
    assert (response.accounts_checked, response.entries_checked, response.invoices_checked) == (3, written, 2)


def test_nothing_is_found_when_entries_came_after_a_draft(scribe: Scribe) -> None:
    scribe.debit(1)
    scribe.grant(1)
    assert list(check(scribe).findings) == []


def test_nothing_is_found_in_empty_books(ledger: Ledger) -> None:
    response = check(Scribe(ledger))
    assert response == pb.CheckBooksResponse()


def test_one_account_is_checked_alone(scribe: Scribe) -> None:
    assert check(scribe, "beta").accounts_checked == 1
    assert check(scribe, "beta").entries_checked == 2
    with pytest.raises(NotFound):
        check(scribe, "nobody")
    with pytest.raises(InvalidField):
        check(scribe, "no body")


def test_more_accounts_than_a_batch_are_all_checked(ledger: Ledger) -> None:
    scribe = Scribe(ledger)
    for number in range(205):
        scribe.create(f"account-{number:03}")
    scribe.debit(1, account_id="account-204")
    response = check(scribe)
    assert (response.accounts_checked, list(response.findings)) == (205, [])


def _entry(kind: str, place: int = 0, **changes: object) -> Callable[[Scribe], None]:
    """Changes columns of acme's entry of that kind at that place."""

    def corrupt(scribe: Scribe) -> None:
        table = schema.entries
        with scribe.ledger.write() as connection:
            own = select(table.c.shard, table.c.epoch, table.c.seq).where(
                table.c.account_id == "acme", table.c.kind == kind
            )
            row = connection.execute(own.order_by(table.c.seq)).all()[place]
            key = (table.c.shard == row.shard) & (table.c.seq == row.seq)
            assert connection.execute(update(table).where(key).values(**changes)).rowcount == 1

    return corrupt


def _row(name: str, changes: dict[str, object] | None, **key: object) -> Callable[[Scribe], None]:
    """Changes the one row of the table that has the key, or removes it."""

    def corrupt(scribe: Scribe) -> None:
        table = T[name]
        where = [table.c[column] == value for column, value in key.items()]
        statement = delete(table) if changes is None else update(table).values(**changes)
        with scribe.ledger.write() as connection:
            assert connection.execute(statement.where(*where)).rowcount == 1

    return corrupt


def _new(name: str, **values: object) -> Callable[[Scribe], None]:
    def corrupt(scribe: Scribe) -> None:
        with scribe.ledger.write() as connection:
            connection.execute(insert(T[name]).values(**values))

    return corrupt


def _effect(kind: str, place: int, was: str, now: str) -> Callable[[Scribe], None]:
    """Rewrites a part of an entry's effect line."""

    def corrupt(scribe: Scribe) -> None:
        table = schema.entries
        with scribe.ledger.write() as connection:
            own = select(table).where(table.c.account_id == "acme", table.c.kind == kind).order_by(table.c.seq)
            row = connection.execute(own).all()[place]
            assert was in row.effect
            key = (table.c.shard == row.shard) & (table.c.seq == row.seq)
            connection.execute(update(table).where(key).values(effect=row.effect.replace(was, now, 1)))

    return corrupt


def _gone(seq: int) -> Callable[[Scribe], None]:
    return _row("entries", None, shard=0, seq=seq)


def _body(number: str, **changes: object) -> Callable[[Scribe], None]:
    def corrupt(scribe: Scribe) -> None:
        table = schema.invoices
        with scribe.ledger.write() as connection:
            row = connection.execute(select(table).where(table.c.invoice_number == number)).one()
            invoice = pb.Invoice.FromString(row.body)
            for name, value in changes.items():
                setattr(invoice, name, value)
            body = invoice.SerializeToString(deterministic=True)
            connection.execute(update(table).where(table.c.invoice_number == number).values(body=body))

    return corrupt


def _unnumbered(scribe: Scribe) -> None:
    for name in ("invoices", "invoice_lines"):
        table = T[name]
        with scribe.ledger.write() as connection:
            connection.execute(delete(table).where(table.c.invoice_number == "INV-000001"))


def _drawn_after_final(scribe: Scribe) -> None:
    with scribe.ledger.write() as connection:
        row = (
            connection.execute(select(schema.invoices).where(schema.invoices.c.invoice_number == "INV-000001"))
            .mappings()
            .one()
        )
        connection.execute(insert(schema.invoices).values(dict(row) | {"revision": 2}))
        lines = connection.execute(
            select(schema.invoice_lines).where(schema.invoice_lines.c.invoice_number == "INV-000001")
        )
        for line in lines.mappings().all():
            connection.execute(insert(schema.invoice_lines).values(dict(line) | {"revision": 2}))


def _unrefunded(scribe: Scribe) -> None:
    table = schema.operations
    with scribe.ledger.write() as connection:
        row = connection.execute(select(table).where(table.c.request_id.startswith("refund "))).one()
        body = row.body.replace('"refund_of":"0-', '"refund_of":"9-')
        connection.execute(update(table).where(table.c.request_id == row.request_id).values(body=body))


def _redis(days: int = 0, **changes: int) -> Callable[[Scribe], None]:
    def corrupt(scribe: Scribe) -> None:
        day, state = scribe.states["acme"]
        scribe.states["acme"] = (day + days, state._replace(**changes))

    return corrupt


def _state_of_redis_only(scribe: Scribe) -> None:
    """Something was done in Redis, and its journal entry never came to the ledger."""
    scribe.debit(1)
    scribe.journals[0].clear()
    scribe.ends[0] -= 1


NO_USAGE = {"account_id": "acme", "start_ms": 0, "model": "", "unit": "x", "dimension": "", "value": ""} | {
    "quantity": 0,
    "amount_nanos": 0,
    "requests": 0,
}

CORRUPTIONS = [
    (Invariant.ACCOUNT, _row("accounts", {"remaining_nanos": 1}, account_id="acme")),
    (Invariant.ACCOUNT, _row("accounts", {"held_nanos": 2}, account_id="acme")),
    (Invariant.ACCOUNT, _row("accounts", {"day": 1}, account_id="acme")),
    (Invariant.ACCOUNT, _row("accounts", {"state": "0 0 0 7 1 0 - 0 0"}, account_id="beta")),
    (Invariant.ACCOUNT, _row("grants", {"amount_nanos": 8}, account_id="beta")),
    (Invariant.ACCOUNT, _row("grants", None, account_id="beta")),
    (Invariant.ADMISSION, _effect("AUTHORIZE", 0, " 30 30 ", " 9000 9000 ")),
    (Invariant.AGGREGATES, _new("usage_hourly", **NO_USAGE)),
    (Invariant.CHAIN, _effect("GRANT", 0, " 500 0 500 ", " 499 0 500 ")),
    (Invariant.CHAIN, _effect("RELEASE", 0, " 20454 ", " 20453 ")),
    (Invariant.CHAIN, _effect("UPDATE", 0, " 100 ", " 101 ")),
    (Invariant.CHAIN, _gone(1)),
    (Invariant.DUPLICATES, _unrefunded),
    (Invariant.ENTRY, _entry("DEBIT", amount_nanos=-99)),
    (Invariant.ENTRY, _entry("DEBIT", balance_nanos=1)),
    (Invariant.ENTRY, _entry("DEBIT", usage_lines="[]")),
    (Invariant.ENTRY, _entry("DEBIT", usage_lines="[[")),
    (Invariant.ENTRY, _entry("DEBIT", effect="D")),
    (Invariant.ENTRY, _entry("DEBIT", late=True)),
    (Invariant.ENTRY, _entry("DEBIT", usage_day=1)),
    (Invariant.ENTRY, _entry("DEBIT", occurred_at_ms=JANUARY)),
    (Invariant.ENTRY, _entry("AUTHORIZE", held_nanos=1)),
    (Invariant.ENTRY, _entry("AUTHORIZE", hold_id="another")),
    (Invariant.HOLDS, _row("open_holds", None, account_id="acme")),
    (Invariant.HOLDS, _row("open_holds", {"amount_nanos": 2}, account_id="acme")),
    (
        Invariant.HOLDS,
        _new("open_holds", account_id="beta", hold_id="h", amount_nanos=0, day=0, expires_ms=0, authorized_at_ms=0),
    ),
    (Invariant.HOLDS, _entry("RELEASE", effect="R 0 20454 20 20 20454 0 - hold-x 0 20 0 0 0 0 - 0 0")),
    (Invariant.INVOICES, _row("invoices", {"total_nanos": 1}, invoice_number="INV-000001")),
    (Invariant.INVOICES, _row("invoices", {"status": "DRAFT"}, invoice_number="INV-000001")),
    (Invariant.INVOICES, _row("invoice_lines", {"amount_nanos": 1}, invoice_number="INV-000001", line=1)),
    (Invariant.INVOICES, _row("invoice_lines", None, invoice_number="INV-000001", line=1)),
    (Invariant.INVOICES, _body("INV-000001", opening_balance_nanos=1)),
    (Invariant.INVOICES, _body("INV-000001", overage_due_nanos=1)),
    (Invariant.INVOICES, _body("INV-000002", closing_balance_nanos=1)),
    (Invariant.INVOICES, _body("INV-000002", entry_count=99)),
    (Invariant.INVOICES, _entry("DEBIT", occurred_at_ms=FEBRUARY)),
    (Invariant.INVOICES, _unnumbered),
    (Invariant.INVOICES, _drawn_after_final),
    (Invariant.JOURNAL, _gone(5)),
    (Invariant.JOURNAL, _new("journal_gaps", shard=1, epoch=1, first_seq=7, last_seq=9, found_at_ms=0)),
    (Invariant.OPERATIONS, _row("accounts", {"applied_op": 7}, account_id="beta")),
    (Invariant.OPERATIONS, _row("accounts", {"recorded_op": 7}, account_id="beta")),
    (Invariant.OPERATIONS, _row("accounts", {"granted_nanos": 8}, account_id="beta")),
    (Invariant.OPERATIONS, _row("accounts", {"status": "suspended"}, account_id="beta")),
    (Invariant.OPERATIONS, _row("accounts", {"daily_limit_nanos": 5}, account_id="beta")),
    (Invariant.OPERATIONS, _row("operations", None, account_id="acme", seq=2)),
    (Invariant.OPERATIONS, _entry("GRANT", amount_nanos=999)),
    (Invariant.OPERATIONS, _entry("GRANT", request_id="x")),
    (Invariant.OVERAGE, _entry("DEBIT", place=4, shortfall_nanos=0)),
    (Invariant.REDIS, _redis(spendable=1)),
    (Invariant.REDIS, _redis(room=1)),
    (Invariant.REDIS, _redis(days=1)),
    (Invariant.REDIS, _state_of_redis_only),
    (Invariant.WATERMARK, _row("shards", {"watermark_seq": 1}, shard=0)),
    (Invariant.WATERMARK, _row("shards", {"epoch": 2}, shard=1)),
    (Invariant.WATERMARK, _row("epochs", None, shard=0)),
]


@pytest.mark.parametrize(("invariant", "corrupt"), CORRUPTIONS)
def test_what_breaks_a_rule_is_found(scribe: Scribe, invariant: Invariant, corrupt: Callable[[Scribe], None]) -> None:
    corrupt(scribe)
    found = {finding.invariant: finding for finding in check(scribe).findings}
    assert invariant in found, found
    finding = found[invariant]
    assert finding.detail
    assert finding.account_id or finding.shard or "INV-" in finding.detail


def test_every_rule_has_a_corruption_that_it_finds() -> None:
    assert {invariant for invariant, _ in CORRUPTIONS} == set(Invariant)


def test_findings_say_where_they_are(scribe: Scribe) -> None:
    _row("accounts", {"remaining_nanos": 1}, account_id="beta")(scribe)
    (finding,) = check(scribe).findings
    assert (finding.invariant, finding.account_id, finding.shard) == ("account", "beta", "1")
    assert finding.detail == "remaining_nanos is 1, its entries come to 7"


def test_redis_is_compared_as_of_the_moment_it_was_looked_at(scribe: Scribe) -> None:
    class Hasty(InRedis):
        """Goes on while it is being looked at."""

        async def sight(self, shard: int, account_id: str) -> Sighting | None:
            seen = await super().sight(shard, account_id)
            self.scribe.debit(1, account_id=account_id)
            return seen

    response = asyncio.run(service_of(scribe, Hasty(scribe)).CheckBooks(pb.CheckBooksRequest()))
    assert list(response.findings) == []


def test_what_redis_acknowledged_before_it_was_looked_at_counts(scribe: Scribe) -> None:
    class Busy(InRedis):
        """Has just done something, which the ledger does not have yet."""

        async def sight(self, shard: int, account_id: str) -> Sighting | None:
            self.scribe.debit(1, account_id=account_id)
            return await super().sight(shard, account_id)

    response = asyncio.run(service_of(scribe, Busy(scribe)).CheckBooks(pb.CheckBooksRequest()))
    assert list(response.findings) == []


def test_an_account_that_redis_does_not_have_is_not_compared(scribe: Scribe) -> None:
    response = asyncio.run(service_of(scribe).CheckBooks(pb.CheckBooksRequest()))
    assert list(response.findings) == []


def test_after_redis_lost_something_the_ledgers_sums_go_on_and_the_loss_alone_is_found(scribe: Scribe) -> None:
    day, was = scribe.states["acme"]
    scribe.debit(70)
    scribe.flush()
    scribe.states["acme"] = (day, was)
    for amount in (5, 6):
        scribe.debit(amount)
    found = [(finding.invariant, finding.account_id) for finding in check(scribe).findings]
    assert found == [("chain", "acme"), ("chain", "acme"), ("redis", "acme")]


def test_a_change_that_redis_lost_and_took_again_counts_once(scribe: Scribe) -> None:
    shard = scribe.shards["acme"]
    for change in (lambda: scribe.grant(9), lambda: scribe.update(status="suspended")):
        change()
        _, fields = scribe.journals[shard][-1]
        scribe.ends[shard] += 1
        scribe.journals[shard].append((f"1-{scribe.ends[shard]}".encode(), fields))
        scribe.flush()
    assert {finding.invariant for finding in check(scribe).findings} == {"chain"}


def test_findings_beyond_the_limit_are_counted_and_left_out(scribe: Scribe) -> None:
    with scribe.ledger.write() as connection:
        rows = [NO_USAGE | {"start_ms": number} for number in range(Findings.LIMIT + 9)]
        connection.execute(insert(schema.usage_daily), rows)
    findings = check(scribe).findings
    assert len(findings) == Findings.LIMIT + 1
    assert "9 more" in findings[-1].detail
