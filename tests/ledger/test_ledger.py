"""The ledger's own writes: its form, its shards' positions, and what administrators change."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import func, select, text, update

from gate.setting_forms import sqlite_url
from meter.admin.accounts import AccountRow
from meter.admin.recorder import OperationRecorder
from meter.database import notifications_schema, schema
from meter.database.engine import BUSY_TIMEOUT_S, Ledger
from meter.database.errors import (
    AccountExists,
    AccountNotFound,
    AmountOutOfRange,
    LedgerError,
    LedgerUnavailable,
    RequestIdReused,
    TestClockError,
)
from meter.database.migrate import migrate, open_ledger
from meter.journal.entry import Position
from meter.journal.operations import AdvanceClock, Create, GrantCredits, Operation, Update
from meter.ledger.positions import Positions
from meter.ledger.projections.snapshot import load_snapshot
from meter.money import INT64_MAX, SETTING_MAX
from meter.prices import ModelPrice
from meter.prices.recorded import Prices

pytest_plugins = ("support.ledgers",)


@pytest.fixture
def operations(ledger: Ledger) -> OperationRecorder:
    return OperationRecorder(ledger)


def create(
    operations: OperationRecorder,
    account_id: str = "acme",
    *,
    currency: str = "USD",
    overage: int = 0,
    limit: int | None = None,
    clock: int | None = None,
    request_id: str = "",
) -> tuple[AccountRow, Operation]:
    account, operation, _ = operations.create_account(
        account_id,
        shard=3,
        currency=currency,
        overage_protection_nanos=overage,
        daily_limit_nanos=limit,
        test_clock_ms=clock,
        request_id=request_id,
    )
    return account, operation


def grant_of(amount: int, grant_id: str = "g1") -> GrantCredits:
    return GrantCredits(grant_id, "TOP_UP", amount, 50, None, None, "")


def count(ledger: Ledger, name: str) -> int:
    with ledger.read() as connection:
        return (
            connection.scalar(select(func.count()).select_from(schema.metadata.tables[name])) or 0
        )


def at_once(call: Callable[[int], object], times: int) -> list[object]:
    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(call, range(times)))


class TestOpening:
    def test_migrations_make_the_tables_of_the_schema(self, ledger: Ledger) -> None:
        with ledger.read() as connection:
            assert (
                compare_metadata(
                    MigrationContext.configure(connection), notifications_schema.metadata
                )
                == []
            )

    def test_a_migrated_ledger_may_be_migrated_again(self, ledger_url: str) -> None:
        migrate(ledger_url)
        open_ledger(ledger_url).close()

    def test_processes_may_migrate_at_once(self, empty_ledger_url: str) -> None:
        with get_context("spawn").Pool(3) as pool:
            pool.map(migrate, [empty_ledger_url] * 3)
        ledger = open_ledger(empty_ledger_url)
        assert count(ledger, "accounts") == 0
        ledger.close()

    def test_a_ledger_without_tables_is_to_be_migrated_first(self, empty_ledger_url: str) -> None:
        with pytest.raises(LedgerError, match="creditgate migrate"):
            open_ledger(empty_ledger_url)

    def test_a_ledger_of_a_newer_version_is_left_alone(
        self, ledger: Ledger, ledger_url: str
    ) -> None:
        with ledger.write() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        for attempt in (migrate, open_ledger):
            with pytest.raises(LedgerError, match=r"newer version.*9999"):
                attempt(ledger_url)

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "ledger.db",
            "sqlite://",
            "sqlite:///:memory:",
            "mysql://u:secret@h/d",
            "postgresql://u:secret@h:port/d",
        ],
    )
    def test_an_url_of_no_ledger_is_refused_without_its_password(self, url: str) -> None:
        with pytest.raises(LedgerError) as refused:
            open_ledger(url)
        assert "secret" not in str(refused.value)

    def test_a_database_out_of_reach_is_named_without_its_password(self) -> None:
        for attempt in (migrate, open_ledger):
            with pytest.raises(LedgerUnavailable, match=r"127\.0\.0\.1") as unavailable:
                attempt("postgresql://u:secret@127.0.0.1:1/d")
            assert "secret" not in str(unavailable.value)
        with pytest.raises(LedgerUnavailable, match="nowhere"):
            migrate("sqlite:////nowhere/ledger.db")

    def test_a_mistyped_path_is_told_and_nothing_is_created_there(self, tmp_path: Path) -> None:
        with pytest.raises(LedgerError, match=f"there is no ledger at {tmp_path}/legder.db"):
            open_ledger(f"sqlite:///{tmp_path}/legder.db")
        assert not list(tmp_path.iterdir())

    def test_a_path_of_any_characters_is_a_ledger_s(self, tmp_path: Path) -> None:
        path = tmp_path / "a b%20#?é@:[x].db"
        migrate(sqlite_url(path))
        open_ledger(sqlite_url(path)).close()
        assert path.is_file()

    def test_sqlite_keeps_what_it_has_committed(self, tmp_path: Path) -> None:
        migrate(f"sqlite:///{tmp_path}/ledger.db")
        ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db")
        with ledger.read() as connection:
            pragmas = {
                name: connection.scalar(text(f"PRAGMA {name}"))
                for name in ("journal_mode", "synchronous", "foreign_keys")
            }
            timeout = connection.scalar(text("PRAGMA busy_timeout"))
        assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
        assert timeout == BUSY_TIMEOUT_S * 1000
        ledger.close()

    def test_a_writer_of_sqlite_waits_for_another_rather_than_failing(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path}/ledger.db"
        migrate(url)
        with get_context("spawn").Pool(3) as pool:
            pool.starmap(_grant_often, [(url, number) for number in range(3)])
        ledger = open_ledger(url)
        assert count(ledger, "operations") == 3 * 26
        ledger.close()

    def test_a_block_that_raises_leaves_nothing_behind(self, ledger: Ledger) -> None:
        def fail() -> None:
            with ledger.write() as connection:
                connection.execute(schema.identity.insert().values(ledger_id="of nobody"))
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail()
        assert count(ledger, "identity") == 0

    def test_a_reader_sees_the_books_at_one_moment(self, ledger: Ledger) -> None:
        Positions(ledger).ensure(1)
        with ledger.read() as connection:
            before = connection.scalar(select(schema.shards.c.epoch))
            Positions(ledger).begin_epoch(0, Position(1, 0), "meanwhile")
            assert connection.scalar(select(schema.shards.c.epoch)) == before
        assert Positions(ledger).all()[0] == Position(2, 0)


def _grant_often(url: str, number: int) -> None:
    ledger = open_ledger(url)
    operations = OperationRecorder(ledger)
    create(operations, f"account-{number}")
    for each in range(25):
        operations.grant_credits(
            f"account-{number}", grant_of(1, f"g{number}-{each}"), request_id=f"r{each}"
        )
    ledger.close()


class TestPositions:
    def test_shards_begin_at_the_opening_of_their_first_epoch(self, ledger: Ledger) -> None:
        at_once(lambda _: Positions(ledger).ensure(3), 4)
        assert Positions(ledger).all() == dict.fromkeys(range(3), Position(1, 0))
        assert count(ledger, "epochs") == 3

    @pytest.mark.parametrize("other", [2, 4])
    def test_another_number_of_shards_is_refused(self, ledger: Ledger, other: int) -> None:
        Positions(ledger).ensure(3)
        with pytest.raises(LedgerError, match="has 3 shards, but CREDITGATE_SHARDS"):
            Positions(ledger).ensure(other)

    def test_of_many_who_begin_the_next_epoch_one_does(self, ledger: Ledger) -> None:
        Positions(ledger).ensure(2)
        begun = at_once(
            lambda n: Positions(ledger).begin_epoch(1, Position(1, 0), f"lost, says {n}"), 8
        )
        assert begun == [Position(2, 0)] * 8
        assert Positions(ledger).all() == {0: Position(1, 0), 1: Position(2, 0)}
        assert count(ledger, "epochs") == 3


class TestCreating:
    def test_an_account_has_its_settings_and_its_first_operation(
        self, operations: OperationRecorder, ledger: Ledger
    ) -> None:
        account, operation = create(
            operations, overage=5, limit=20, clock=86_400_000 * 3 + 1, request_id="r"
        )
        assert operation == Operation("acme", 1, "r", Create("USD", 5, 20, 86_400_000 * 3 + 1))
        assert (account.shard, account.status, account.recorded_op, account.applied_op) == (
            3,
            "active",
            1,
            0,
        )
        assert operations.account("acme") == account
        assert operations.pending() == [operation]
        snapshot = load_snapshot(ledger, "acme")
        assert snapshot is not None
        assert (snapshot.applied_op, snapshot.day, snapshot.state.remaining, snapshot.holds) == (
            0,
            3,
            0,
            (),
        )

    def test_it_is_created_once_however_often_it_is_asked_for(
        self, ledger: Ledger, operations: OperationRecorder
    ) -> None:
        created = at_once(lambda _: create(operations, overage=5, request_id="r"), 8)
        assert created == [created[0]] * 8
        assert (
            create(operations, overage=5) == created[0]
        )  # no request id: the settings are what counts
        assert count(ledger, "operations") == 1

    def test_without_a_request_id_equal_settings_are_enough(
        self, operations: OperationRecorder
    ) -> None:
        assert create(operations) == create(operations)

    @pytest.mark.parametrize(
        "other",
        [{"currency": "EUR"}, {"overage": 1}, {"limit": 1}, {"clock": 1}, {"request_id": "other"}],
    )
    def test_another_account_of_that_id_is_refused(
        self, operations: OperationRecorder, other: dict[str, str]
    ) -> None:
        create(operations)
        with pytest.raises(AccountExists):
            create(operations, **other)  # type: ignore[arg-type]

    def test_its_request_id_cannot_stand_for_other_settings(
        self, operations: OperationRecorder
    ) -> None:
        create(operations, request_id="r")
        with pytest.raises(RequestIdReused):
            create(operations, overage=1, request_id="r")

    def test_accounts_are_listed_by_id_and_page(
        self, operations: OperationRecorder, ledger: Ledger
    ) -> None:
        for account_id in ("b", "a", "d", "c"):
            create(operations, account_id)
        assert [account.account_id for account in operations.list_accounts("", 3)] == [
            "a",
            "b",
            "c",
        ]
        assert [account.account_id for account in operations.list_accounts("c", 3)] == ["d"]
        assert operations.account("nobody") is None
        assert load_snapshot(ledger, "nobody") is None


class TestChanging:
    def test_only_what_is_named_is_changed(self, operations: OperationRecorder) -> None:
        create(operations, overage=5, limit=20)
        account, operation = operations.update_account(
            "acme", {"status": "suspended"}, request_id="u1"
        )
        assert operation.change == Update("suspended", 5, 20)
        account, operation = operations.update_account(
            "acme", {"daily_limit_nanos": None}, request_id="u2"
        )
        assert operation.change == Update("suspended", 5, None)
        assert (account.status, account.daily_limit_nanos, account.recorded_op) == (
            "suspended",
            None,
            3,
        )

    def test_a_repeat_is_known_though_the_account_has_changed_since(
        self, operations: OperationRecorder
    ) -> None:
        create(operations, overage=5)
        _, first = operations.update_account(
            "acme", {"overage_protection_nanos": 6}, request_id="u1"
        )
        account, _ = operations.update_account(
            "acme", {"overage_protection_nanos": 7}, request_id="u2"
        )
        assert operations.update_account(
            "acme", {"overage_protection_nanos": 6}, request_id="u1"
        ) == (account, first)
        with pytest.raises(RequestIdReused):
            operations.update_account("acme", {"overage_protection_nanos": 8}, request_id="u1")

    def test_a_clock_goes_forward_only(self, operations: OperationRecorder) -> None:
        create(operations, clock=1000)
        account, operation = operations.advance_clock("acme", 2000, request_id="c1")
        assert (account.test_clock_ms, operation.change) == (2000, AdvanceClock(2000))
        assert operations.advance_clock("acme", 2000, request_id="c1")[1] == operation
        with pytest.raises(TestClockError, match="1970-01-01T00:00:02Z"):
            operations.advance_clock("acme", 1999, request_id="c2")
        with pytest.raises(RequestIdReused):
            operations.advance_clock("acme", 3000, request_id="c1")

    def test_the_real_clock_is_nobodys_to_move(self, operations: OperationRecorder) -> None:
        create(operations)
        with pytest.raises(TestClockError, match="test clock"):
            operations.advance_clock("acme", 2000, request_id="c1")

    def test_an_unknown_account_cannot_be_changed(self, operations: OperationRecorder) -> None:
        for change in (
            lambda: operations.update_account("nobody", {"status": "active"}, request_id="r"),
            lambda: operations.grant_credits("nobody", grant_of(1), request_id="r"),
            lambda: operations.advance_clock("nobody", 1, request_id="r"),
        ):
            with pytest.raises(AccountNotFound):
                change()


class TestGranting:
    def test_grants_at_once_are_numbered_densely(self, operations: OperationRecorder) -> None:
        create(operations)
        at_once(
            lambda n: operations.grant_credits(
                "acme", grant_of(n + 1, f"g{n}"), request_id=f"r{n}"
            ),
            8,
        )
        pending = operations.pending("acme")
        assert [operation.seq for operation in pending] == list(range(1, 10))
        account = operations.account("acme")
        assert account is not None
        assert (account.granted_nanos, account.recorded_op) == (36, 9)

    def test_the_same_grant_at_once_is_recorded_once(
        self, ledger: Ledger, operations: OperationRecorder
    ) -> None:
        create(operations)
        granted = at_once(
            lambda n: operations.grant_credits("acme", grant_of(5, f"g{n}"), request_id="r"), 8
        )
        assert granted == [granted[0]] * 8  # the first one's grant_id counts
        assert count(ledger, "operations") == 2

    def test_a_request_id_cannot_stand_for_another_grant(
        self, operations: OperationRecorder
    ) -> None:
        create(operations)
        operations.grant_credits("acme", grant_of(5), request_id="r")
        with pytest.raises(RequestIdReused):
            operations.grant_credits("acme", grant_of(6), request_id="r")
        with pytest.raises(RequestIdReused):
            operations.update_account("acme", {"status": "active"}, request_id="r")

    def test_credits_and_overage_together_stay_within_int64(
        self, ledger: Ledger, operations: OperationRecorder
    ) -> None:
        create(operations, overage=SETTING_MAX)
        operations.grant_credits("acme", grant_of(INT64_MAX - SETTING_MAX), request_id="r1")
        for too_much in (
            lambda: operations.grant_credits("acme", grant_of(1, "g2"), request_id="r2"),
            lambda: operations.update_account(
                "acme", {"overage_protection_nanos": SETTING_MAX + 1}, request_id="r2"
            ),
            lambda: operations.update_account(
                "acme", {"daily_limit_nanos": SETTING_MAX + 1}, request_id="r2"
            ),
            lambda: create(operations, "other", overage=SETTING_MAX + 1),
            lambda: create(operations, "other", limit=SETTING_MAX + 1),
        ):
            with pytest.raises(AmountOutOfRange):
                too_much()
        assert (count(ledger, "operations"), count(ledger, "accounts")) == (2, 1)
        operations.update_account(
            "acme", {"overage_protection_nanos": SETTING_MAX - 1}, request_id="r2"
        )
        operations.grant_credits("acme", grant_of(1, "g2"), request_id="r3")
        with pytest.raises(AmountOutOfRange):
            operations.update_account(
                "acme", {"overage_protection_nanos": SETTING_MAX}, request_id="r4"
            )


class TestPending:
    def test_they_come_by_account_in_their_order_and_by_page(
        self, ledger: Ledger, operations: OperationRecorder
    ) -> None:
        for account_id in ("b", "a"):
            create(operations, account_id)
            for number in (2, 3):
                operations.grant_credits(
                    account_id, grant_of(number, f"{account_id}{number}"), request_id=f"r{number}"
                )
        with ledger.write() as connection:
            connection.execute(
                update(schema.accounts)
                .where(schema.accounts.c.account_id == "a")
                .values(applied_op=1)
            )
        places = [(operation.account_id, operation.seq) for operation in operations.pending()]
        assert places == [("a", 2), ("a", 3), ("b", 1), ("b", 2), ("b", 3)]
        assert [operation.seq for operation in operations.pending("b")] == [1, 2, 3]
        page = operations.pending(limit=2, after=("a", 2))
        assert [(operation.account_id, operation.seq) for operation in page] == places[1:3]


def test_a_price_is_kept_under_its_version(ledger: Ledger) -> None:
    price = ModelPrice(
        "openai/gpt-4o", "USD", 1, (("input_tokens", 2_500_000), ("output_tokens", 10_000_000))
    )
    for _ in range(2):
        Prices(ledger).record(price)
    assert Prices(ledger).version(price.version) == price
    assert Prices(ledger).version("unknown") is None
    assert count(ledger, "price_versions") == 1


def test_the_driver_is_recent_enough_for_upserts_and_exact_sums() -> None:
    assert sqlite3.sqlite_version_info >= (3, 35)


def test_clients_are_not_told_where_a_ledger_is_that_does_not_answer() -> None:
    away = closing(Ledger("postgresql://gate:sesame@127.0.0.1:1/secret-books"))
    with away as ledger, pytest.raises(LedgerUnavailable) as failed, ledger.read():
        pass
    told = failed.value.message
    assert "repeat the call with the same request_id" in told
    for secret in ("gate", "sesame", "127.0.0.1", "secret-books"):
        assert secret not in told
    assert "secret-books" in str(failed.value), "operators are told"
