"""Checking the books: nothing is found in right books, and each rule finds what breaks it."""

import ast
import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from copy import deepcopy
from itertools import count
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import func, insert, select

import meter.audit as check_package
from audit.rows import CREDITS, PLAIN, Row
from audit.rows.breaking import Copy, row
from audit.rows.plain import NO_USAGE
from meter.admin.budgets import BudgetRow, BudgetThreshold
from meter.audit import Invariant, RedisSnapshot
from meter.audit.findings import Findings
from meter.database import schema
from meter.database.engine import Ledger
from meter.database.migrate import migrate, open_ledger
from meter.errors import InvalidField, NotFound
from meter.journal.operations import Threshold
from meter.v1 import ledger_pb2 as pb
from support.histories import InRedis, Scribe, service_of
from support.sample_ledger import credit_books, plain_books

pytest_plugins = ("support.ledgers",)

# tests/payments/test_audit.py breaks these.
# Whose rows are in tests/payments/test_audit.py and tests/notifications/test_deliveries.py.
ELSEWHERE = {
    Invariant.PAYMENTS,
    Invariant.RECHARGES,
    Invariant.REVERSALS,
    Invariant.DELIVERIES,
}
MODULES_ELSEWHERE = ("money_in.py", "deliveries.py")

NewLedger = Callable[[], Ledger]
_numbers = count(1)


@pytest.fixture
def scribe(ledger: Ledger) -> Scribe:
    return plain_books(ledger)


def check(scribe: Scribe, account_id: str = "") -> pb.CheckBooksResponse:
    return asyncio.run(
        service_of(scribe, InRedis(scribe)).CheckBooks(pb.CheckBooksRequest(account_id=account_id))
    )


def test_nothing_is_found_in_right_books(scribe: Scribe) -> None:
    response = check(scribe)
    assert list(response.findings) == []
    with scribe.ledger.read() as connection:
        written = connection.scalar(select(func.count()).select_from(schema.entries))
    assert (response.accounts_checked, response.entries_checked, response.invoices_checked) == (
        3,
        written,
        2,
    )


def test_nothing_is_found_in_books_with_all_that_grants_and_budgets_can_be(ledger: Ledger) -> None:
    scribe = credit_books(ledger)
    assert list(check(scribe).findings) == []
    with scribe.ledger.read() as connection:
        kinds = set(connection.scalars(select(schema.entries.c.kind)))
    assert kinds == set(pb.EntryKind.keys()[1:]) - {"EXPIRE", "CLOCK", "RECONCILED"}


def test_thresholds_that_are_come_to_exactly_are_crossed_once(ledger: Ledger) -> None:
    scribe = Scribe(ledger)
    scribe.create(
        limit=90,
        thresholds=(Threshold("day", "daily_use", 40), Threshold("low", "low_balance", 60)),
    )
    scribe.grant(100)
    scribe.set_budget(
        BudgetRow("ada", ("user=ada",), "day", True, 80, (BudgetThreshold("half", None, 50),))
    )
    for amount in (39, 1, 1, 30):
        scribe.debit(amount, dimensions={"user": "ada"})
    assert list(check(scribe).findings) == []
    with scribe.ledger.read() as connection:
        assert connection.scalar(select(func.count()).select_from(schema.events)) == 3


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


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def new_ledger(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NewLedger]:
    """Makes ledgers for many tests, each of which leaves them as they were."""
    with ExitStack() as stack:

        def make() -> Ledger:
            url = f"sqlite:///{tmp_path_factory.mktemp('books')}/ledger.db"
            if request.param == "postgresql":
                server = request.getfixturevalue("postgres")
                name = f"books_{next(_numbers)}"
                with psycopg.connect(server % "postgres", autocommit=True) as connection:
                    connection.execute(f"CREATE DATABASE {name}".encode())
                url = server % name
            migrate(url)
            return stack.enter_context(closing(open_ledger(url)))

        yield make


@pytest.fixture(scope="module")
def plain(new_ledger: NewLedger) -> Copy:
    return Copy(plain_books(new_ledger()))


@pytest.fixture(scope="module")
def with_credits(new_ledger: NewLedger) -> Copy:
    return Copy(credit_books(new_ledger()))


@pytest.mark.parametrize("row", PLAIN)
def test_what_breaks_a_rule_is_found(plain: Copy, row: Row) -> None:
    _assert_found(plain, row)


@pytest.mark.parametrize("row", CREDITS)
def test_what_breaks_a_rule_of_credits_is_found(with_credits: Copy, row: Row) -> None:
    _assert_found(with_credits, row)


def _assert_found(books: Copy, row: Row) -> None:
    try:
        row.corrupt(books.scribe)
        found = list(check(books.scribe).findings)
    finally:
        books.put_back()
    said = [each for each in found if each.invariant == row.invariant and row.says in each.detail]
    assert said, "\n".join(f"{each.invariant}: {each.detail}" for each in found)
    assert said[0].account_id or said[0].shard or "highest number" in said[0].detail


def test_every_rule_has_a_row() -> None:
    assert {row.invariant for row in (*PLAIN, *CREDITS)} == set(Invariant) - ELSEWHERE


def test_everything_that_can_be_found_has_a_row() -> None:
    said = [row.says for row in (*PLAIN, *CREDITS)]
    details = [
        detail
        for source in Path(check_package.__file__).parent.glob("*.py")
        if source.name not in MODULES_ELSEWHERE
        for detail in _details(source)
    ]
    assert len(details) > 50
    assert [
        detail for detail in details if not any(text in part for text in said for part in detail)
    ] == []


def _details(source: Path) -> Iterator[list[str]]:
    """The texts of findings in a module of the checks, each as its parts between what is
    filled in.
    """
    for node in ast.walk(ast.parse(source.read_text())):
        texts = [node.value] if isinstance(node, ast.Yield) else []
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("_found", "add")
        ):
            texts = node.args
        for text in texts:
            if isinstance(text, ast.JoinedStr):
                yield [str(part.value) for part in text.values if isinstance(part, ast.Constant)]


def test_findings_say_where_they_are(scribe: Scribe) -> None:
    row("accounts", {"remaining_nanos": 1}, account_id="beta")(scribe)
    (finding,) = check(scribe).findings
    assert (finding.invariant, finding.account_id, finding.shard) == ("account", "beta", "1")
    assert finding.detail == "remaining_nanos is 1, its entries come to 7"


def test_redis_is_compared_as_of_the_moment_it_was_looked_at(scribe: Scribe) -> None:
    class Hasty(InRedis):
        """Goes on while it is being looked at."""

        async def inspect_account(
            self, shard: int, account_id: str, hold_ids: Sequence[str]
        ) -> RedisSnapshot | None:
            seen = await super().inspect_account(shard, account_id, hold_ids)
            self.scribe.debit(1, account_id=account_id)
            return seen

    response = asyncio.run(service_of(scribe, Hasty(scribe)).CheckBooks(pb.CheckBooksRequest()))
    assert list(response.findings) == []


def test_what_redis_acknowledged_before_it_was_looked_at_counts(scribe: Scribe) -> None:
    class Busy(InRedis):
        """Has just done something, which the ledger does not have yet."""

        async def inspect_account(
            self, shard: int, account_id: str, hold_ids: Sequence[str]
        ) -> RedisSnapshot | None:
            self.scribe.debit(1, account_id=account_id)
            return await super().inspect_account(shard, account_id, hold_ids)

    response = asyncio.run(service_of(scribe, Busy(scribe)).CheckBooks(pb.CheckBooksRequest()))
    assert list(response.findings) == []


def test_an_account_that_redis_does_not_have_is_not_compared(scribe: Scribe) -> None:
    response = asyncio.run(service_of(scribe).CheckBooks(pb.CheckBooksRequest()))
    assert list(response.findings) == []


def test_after_redis_lost_something_the_ledgers_sums_go_on_and_the_loss_alone_is_found(
    scribe: Scribe,
) -> None:
    was = deepcopy(scribe.accounts["acme"])
    scribe.debit(70)
    scribe.flush()
    scribe.accounts["acme"] = was
    for amount in (5, 6):
        scribe.debit(amount)
    found = [(finding.invariant, finding.account_id) for finding in check(scribe).findings]
    assert found == [("chain", "acme"), ("chain", "acme"), ("redis", "acme"), ("redis", "acme")]


def test_a_change_that_redis_lost_and_took_again_counts_once(scribe: Scribe) -> None:
    gate = scribe.accounts["acme"]
    for change in (lambda: scribe.grant(9), lambda: scribe.update(status="suspended")):
        change()
        _, fields = scribe.journals[gate.shard][-1]
        scribe.ends[gate.shard] += 1
        scribe.journals[gate.shard].append((f"1-{scribe.ends[gate.shard]}".encode(), fields))
        scribe.flush()
    assert {finding.invariant for finding in check(scribe).findings} == {"chain"}


def test_findings_beyond_the_limit_are_counted_and_left_out(scribe: Scribe) -> None:
    with scribe.ledger.write() as connection:
        rows = [NO_USAGE | {"start_ms": number} for number in range(Findings.LIMIT + 9)]
        connection.execute(insert(schema.usage_daily), rows)
    findings = check(scribe).findings
    assert len(findings) == Findings.LIMIT + 1
    assert "9 more" in findings[-1].detail
