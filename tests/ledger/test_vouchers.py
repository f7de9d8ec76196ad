"""Vouchers in the ledger: each use is counted once, whoever asks and how often, and guessing gets
slow.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import update

from meter.admin.recorder import OperationRecorder
from meter.admin.voucher_guesses import FREE_FAILURES, LONGEST_PAUSE_MS
from meter.admin.vouchers import Vouchers
from meter.database.admin_schema import (
    voucher_batches,
    voucher_codes,
    voucher_guesses,
    voucher_redemptions,
)
from meter.database.engine import Ledger
from meter.database.migrate import open_ledger
from meter.errors import ResourceExhausted, ServiceError
from meter.journal.operations import Operation
from support.recorded_accounts import (
    CREDIT,
    DAY,
    NOON,
    batch,
    grant,
    grants,
    new_id,
    open_account,
    recorded,
    rows,
)

pytest_plugins = ("support.ledgers",)

CODE = "c" * 64
OTHER = "d" * 64  # as kept


def make(ledger: Ledger, *digests: str, **fields: Any) -> None:
    Vouchers(ledger).create(batch(codes=len(digests), **fields), digests)


def redeem(
    ledger: Ledger, code: str = CODE, account_id: str = "acme", request_id: str = ""
) -> Operation:
    return Vouchers(ledger).redeem(account_id, code, request_id=request_id or new_id())


def outcome(ledger: Ledger, code: str = CODE, account_id: str = "acme") -> str:
    """Redeemed, or the reason why not."""
    try:
        redeem(ledger, code, account_id)
    except ServiceError as refused:
        return refused.reason
    return "redeemed"


def test_a_code_becomes_a_grant_of_its_batchs_terms(ledger: Ledger) -> None:
    open_account(ledger)
    make(
        ledger,
        CODE,
        type="PROMOTION",
        credits_live_ms=DAY,
        priority=7,
        description="spring",
        scope=("service=chat",),
    )
    operation = redeem(ledger, request_id="r")
    assert operation == recorded(ledger)[-1]
    assert operation.request_id == "r"
    [change] = grants(ledger)
    assert (change.type, change.amount_nanos, change.priority) == ("PROMOTION", 5 * CREDIT, 7)
    assert (change.expires_at_ms, change.scope, change.description) == (
        NOON + DAY,
        ("service=chat",),
        "spring",
    )
    assert not change.pays_debt


def test_credits_of_a_voucher_live_for_good_unless_told_otherwise(ledger: Ledger) -> None:
    open_account(ledger)
    make(ledger, CODE)
    redeem(ledger)
    assert (grants(ledger)[0].expires_at_ms, grants(ledger)[0].description) == (
        None,
        "voucher of batch spring",
    )


def test_a_repeat_is_the_first_even_when_the_code_is_spent(ledger: Ledger) -> None:
    open_account(ledger)
    make(ledger, CODE, OTHER)
    first = redeem(ledger, request_id="r")
    assert redeem(ledger, request_id="r") == first
    for again in (
        lambda: redeem(ledger, OTHER, request_id="r"),
        lambda: redeem(ledger, "e" * 64, request_id="r"),
    ):
        with pytest.raises(ServiceError) as refused:
            again()
        assert refused.value.reason == "REQUEST_ID_REUSED"
    OperationRecorder(ledger).grant_credits("acme", grant(), request_id="s")
    with pytest.raises(ServiceError) as refused:
        redeem(ledger, OTHER, request_id="s")
    assert refused.value.reason == "REQUEST_ID_REUSED"
    assert len(grants(ledger)) == 2


def test_whatever_is_wrong_with_a_code_is_told_alike(ledger: Ledger) -> None:
    for name in ("unknown", "spent", "expired", "of another currency"):
        open_account(ledger, name, currency="EUR" if name == "of another currency" else "USD")
    open_account(ledger)
    make(ledger, CODE, expires_at_ms=NOON + 1)
    assert outcome(ledger) == "redeemed"
    make(ledger, OTHER, batch_id="summer", expires_at_ms=NOON + 1)
    OperationRecorder(ledger).advance_clock("expired", NOON + 1, request_id=new_id())
    told = set()
    for code, name in (
        ("e" * 64, "unknown"),
        (CODE, "spent"),
        (OTHER, "expired"),
        (OTHER, "of another currency"),
    ):
        with pytest.raises(ServiceError) as refused:
            redeem(ledger, code, name)
        told.add(
            (refused.value.code, refused.value.reason, refused.value.message, refused.value.field)
        )
    [(code, reason, _, field)] = told
    assert (code, reason, field) == ("FAILED_PRECONDITION", "VOUCHER_INVALID", "code")
    assert outcome(ledger, OTHER) == "redeemed", (
        "up to its last millisecond, by the account's clock"
    )


def test_uses_are_bounded_in_all_and_for_each_account(ledger: Ledger) -> None:
    for name in ("a", "b", "c"):
        open_account(ledger, name)
    make(ledger, CODE, uses_per_code=3, uses_per_account=2)
    outcomes = [outcome(ledger, account_id=name) for name in ("a", "a", "a", "b", "c")]
    assert outcomes == ["redeemed", "redeemed", "VOUCHER_INVALID", "redeemed", "VOUCHER_INVALID"]
    assert [row.uses for row in rows(ledger, voucher_codes)] == [3]
    assert [each.redeemed for each in Vouchers(ledger).list_batches("", 10)] == [3]


@pytest.mark.parametrize("uses", [1, 7])
def test_200_attempts_at_once_through_two_ledgers_redeem_exactly_as_often_as_allowed(
    ledger: Ledger, ledger_url: str, uses: int
) -> None:
    names = [f"account-{number}" for number in range(200)]
    for name in names:
        open_account(ledger, name)
    make(ledger, CODE, uses_per_code=uses)
    second = open_ledger(ledger_url)
    with ThreadPoolExecutor(16) as threads:
        outcomes = list(
            threads.map(lambda n: outcome((ledger, second)[n % 2], account_id=names[n]), range(200))
        )
    second.close()
    assert outcomes.count("redeemed") == uses
    assert set(outcomes) == {"redeemed", "VOUCHER_INVALID"}
    assert len(rows(ledger, voucher_redemptions)) == uses
    assert sum(len(grants(ledger, name)) for name in names) == uses


def test_one_request_sent_many_times_at_once_uses_the_code_once(ledger: Ledger) -> None:
    open_account(ledger)
    make(ledger, CODE, uses_per_code=50, uses_per_account=50)
    with ThreadPoolExecutor(8) as threads:
        operations = set(threads.map(lambda _: redeem(ledger, request_id="r").seq, range(24)))
    assert (len(operations), len(grants(ledger)), rows(ledger, voucher_codes)[0].uses) == (1, 1, 1)


def test_after_some_failures_even_a_right_code_has_to_wait(ledger: Ledger) -> None:
    open_account(ledger), open_account(ledger, "other")
    make(ledger, CODE, uses_per_code=2)
    assert [outcome(ledger, "e" * 64) for _ in range(FREE_FAILURES)] == [
        "VOUCHER_INVALID"
    ] * FREE_FAILURES
    with pytest.raises(ResourceExhausted) as refused:
        redeem(ledger)
    assert refused.value.reason == "VOUCHER_GUESSES"
    assert 0 < refused.value.retry_after_ms <= 60_000
    assert (rows(ledger, voucher_codes)[0].uses, grants(ledger)) == (0, [])
    assert outcome(ledger, account_id="other") == "redeemed", "others are none the slower"
    pass_by(ledger, 60_001)
    assert outcome(ledger) == "redeemed"


def test_each_further_failure_doubles_the_wait_up_to_an_hour(ledger: Ledger) -> None:
    open_account(ledger)
    for _ in range(FREE_FAILURES - 1):
        outcome(ledger)
    waits = []
    for _ in range(9):
        assert outcome(ledger) == "VOUCHER_INVALID"
        with pytest.raises(ResourceExhausted) as refused:
            redeem(ledger)
        waits.append(round(refused.value.retry_after_ms / 60_000))
        pass_by(ledger, refused.value.retry_after_ms + 1)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert LONGEST_PAUSE_MS == 3_600_000


def test_after_ten_quiet_minutes_failures_are_forgotten(ledger: Ledger) -> None:
    open_account(ledger)
    for _ in range(FREE_FAILURES - 1):
        outcome(ledger)
    pass_by(ledger, 600_001)
    assert [outcome(ledger) for _ in range(FREE_FAILURES)] == ["VOUCHER_INVALID"] * FREE_FAILURES
    assert outcome(ledger) == "VOUCHER_GUESSES"


def test_a_repeat_is_answered_while_one_has_to_wait(ledger: Ledger) -> None:
    open_account(ledger)
    make(ledger, CODE)
    first = redeem(ledger, request_id="r")
    for _ in range(FREE_FAILURES):
        outcome(ledger)
    assert redeem(ledger, request_id="r") == first


def test_a_batch_is_made_once(ledger: Ledger) -> None:
    make(ledger, CODE, request_id="r")
    with pytest.raises(ServiceError) as refused:
        make(ledger, OTHER, request_id="r")
    assert (refused.value.reason, refused.value.field) == ("BATCH_EXISTS", "request_id")
    assert "cannot be shown again" in refused.value.message
    with pytest.raises(ServiceError) as refused:
        make(ledger, OTHER, request_id="s")
    assert (refused.value.reason, refused.value.field) == ("BATCH_EXISTS", "batch.batch_id")
    with pytest.raises(ServiceError) as refused:
        make(ledger, OTHER, request_id="r", batch_id="summer")
    assert refused.value.reason == "REQUEST_ID_REUSED"
    assert (len(rows(ledger, voucher_batches)), len(rows(ledger, voucher_codes))) == (1, 1)


def test_batches_without_request_ids_are_told_apart_by_their_own(ledger: Ledger) -> None:
    made = [
        batch(batch_id=name, scope=("model=a/b",), expires_at_ms=NOON)
        for name in ("a", "b.c", "b_c")
    ]
    for number, each in enumerate(made):
        Vouchers(ledger).create(each, [f"{number}" * 64])
    found = Vouchers(ledger).list_batches("", 2)
    found += Vouchers(ledger).list_batches(found[-1].batch_id, 2)
    assert sorted(found, key=lambda each: each.batch_id) == made


def pass_by(ledger: Ledger, ms: int) -> None:
    """So much time, as far as guesses go."""
    with ledger.write() as connection:
        earlier = voucher_guesses.c.paused_until_ms - ms
        connection.execute(update(voucher_guesses).values(paused_until_ms=earlier))
