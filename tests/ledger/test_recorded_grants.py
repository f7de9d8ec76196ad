"""Grants, voids and settings as they are recorded: what follows from the account's settings is
settled then.
"""

from typing import Any

import pytest

from meter.admin.granting import MAX_LIVE_GRANTS, record_grant
from meter.admin.recorder import OperationRecorder
from meter.database.engine import Ledger
from meter.database.errors import AccountExists, RequestIdReused
from meter.errors import FailedPrecondition, InvalidField, NotFound, ServiceError
from meter.journal.operations import (
    NEXT_INVOICE,
    NEXT_PURCHASE,
    Change,
    Grace,
    GrantCredits,
    Level,
    Operation,
    Threshold,
    Update,
    VoidGrant,
)
from support.recorded_accounts import (
    CREDIT,
    DAY,
    NOON,
    grant,
    grants,
    new_id,
    open_account,
    recorded,
)

pytest_plugins = ("support.ledgers",)

HALF_OF_DAY = Threshold("half", "daily_use", percent=50)
TENTH_LEFT = Threshold("low", "low_balance", percent=10)
FIVE_LEFT = Threshold("five", "low_balance", 5 * CREDIT)
INBOUND = Grace("inbound", 60_000, None)


def last(ledger: Ledger) -> Change:
    return recorded(ledger)[-1].change


def give(ledger: Ledger, change: GrantCredits, request_id: str = "") -> Operation:
    return OperationRecorder(ledger).grant_credits(
        "acme", change, request_id=request_id or new_id()
    )


def void(
    ledger: Ledger, grant_id: str, amount: int | None = None, kind: str = "VOID", **fields: Any
) -> Operation:
    given = {"reason": "by mistake", "request_id": new_id(), **fields}
    return OperationRecorder(ledger).void_grant("acme", grant_id, amount, kind=kind, **given)


@pytest.mark.parametrize(
    ("policy", "type", "scope", "pays"),
    [
        (NEXT_INVOICE, "TOP_UP", (), False),
        (NEXT_PURCHASE, "TOP_UP", (), True),
        (NEXT_PURCHASE, "TOP_UP", ("service=chat",), False),
        (NEXT_PURCHASE, "VOUCHER", (), False),
        (NEXT_PURCHASE, "PROMOTION", (), False),
        (NEXT_INVOICE, "REFUND", (), True),
        (NEXT_INVOICE, "ADJUSTMENT", (), True),
        (NEXT_INVOICE, "ADJUSTMENT", ("model=a/b",), False),
    ],
)
def test_whether_a_grant_pays_debt_follows_from_its_type_and_the_policy(
    ledger: Ledger, policy: str, type: str, scope: tuple[str, ...], pays: bool
) -> None:
    open_account(ledger, overage_policy=policy)
    give(ledger, grant(type=type, scope=scope))
    assert grants(ledger)[0].pays_debt is pays


def test_a_new_policy_holds_for_the_grants_that_follow(ledger: Ledger) -> None:
    open_account(ledger)
    give(ledger, grant())
    row, _ = OperationRecorder(ledger).update_account(
        "acme", {"overage_policy": NEXT_PURCHASE}, request_id=new_id()
    )
    give(ledger, grant())
    assert row.overage_policy == NEXT_PURCHASE
    assert [each.pays_debt for each in grants(ledger)] == [False, True]


def test_a_policy_alone_is_recorded_and_leaves_all_that_the_gate_goes_by(ledger: Ledger) -> None:
    settings = {
        "overage_protection_nanos": 7,
        "daily_limit_nanos": 8,
        "spend_management": False,
        "graces": (INBOUND,),
    }
    open_account(ledger, **settings, thresholds=(FIVE_LEFT,))
    OperationRecorder(ledger).update_account(
        "acme", {"overage_policy": NEXT_PURCHASE}, request_id=new_id()
    )
    level = Level("five", "low_balance", 5 * CREDIT)
    assert last(ledger) == Update(
        "active", 7, 8, False, (level,), (INBOUND,), NEXT_PURCHASE, (FIVE_LEFT,)
    )


def test_percentages_become_amounts_when_recorded_and_with_each_change_of_what_they_are_of(
    ledger: Ledger,
) -> None:
    operations = OperationRecorder(ledger)
    open_account(ledger, thresholds=(HALF_OF_DAY, TENTH_LEFT, FIVE_LEFT))
    assert recorded(ledger)[0].change.levels == (Level("five", "low_balance", 5 * CREDIT),)
    give(ledger, grant(99))
    assert last(ledger).levels == (
        Level("low", "low_balance", 9),
        Level("five", "low_balance", 5 * CREDIT),
    )
    operations.update_account("acme", {"daily_limit_nanos": 11}, request_id=new_id())
    assert last(ledger).levels == (
        Level("half", "daily_use", 5), Level("low", "low_balance", 9), Level("five", "low_balance", 5 * CREDIT),
    )  # fmt: skip
    give(ledger, grant(50, type="PROMOTION"))
    assert [level.nanos for level in last(ledger).levels] == [5, 5, 5 * CREDIT]
    operations.update_account("acme", {"daily_limit_nanos": 1}, request_id=new_id())
    assert [level.threshold_id for level in last(ledger).levels] == ["low", "five"], (
        "half of a nano is nothing"
    )


def test_grants_leave_levels_alone_where_none_is_a_percentage_of_them(ledger: Ledger) -> None:
    open_account(ledger, daily_limit_nanos=10, thresholds=(HALF_OF_DAY, FIVE_LEFT))
    give(ledger, grant())
    assert grants(ledger)[0].levels is None


def test_what_the_ledger_gives_back_by_itself_moves_no_level(ledger: Ledger) -> None:
    open_account(ledger, thresholds=(TENTH_LEFT,))
    give(ledger, grant(1000))
    with ledger.write() as connection:
        record_grant(connection, "acme", grant(3, type="REFUND", refund_of="0-1-7"), "refund 0-1-7")
    assert grants(ledger)[-1].levels is None
    OperationRecorder(ledger).update_account("acme", {"status": "suspended"}, request_id=new_id())
    assert last(ledger).levels == (Level("low", "low_balance", 100),)


def test_settings_are_read_as_they_were_given(ledger: Ledger) -> None:
    given = {
        "overage_policy": NEXT_PURCHASE,
        "spend_management": False,
        "thresholds": (HALF_OF_DAY, FIVE_LEFT),
        "graces": (INBOUND, Grace("batch", None, 9)),
    }
    open_account(ledger, **given)
    row = OperationRecorder(ledger).account("acme")
    assert {name: getattr(row, name) for name in given} == given
    open_account(ledger, **given)
    for name, other in (
        ("overage_policy", NEXT_INVOICE),
        ("spend_management", True),
        ("thresholds", ()),
        ("graces", ()),
    ):
        with pytest.raises(AccountExists):
            open_account(ledger, **{**given, name: other})


def test_an_update_repeated_with_other_content_is_told_even_if_the_gate_would_not_see_the_difference(
    ledger: Ledger,
) -> None:
    open_account(ledger)
    call = OperationRecorder(ledger).update_account
    first = call(
        "acme", {"overage_policy": NEXT_PURCHASE, "thresholds": (TENTH_LEFT,)}, request_id="r"
    )
    assert (
        call("acme", {"overage_policy": NEXT_PURCHASE, "thresholds": (TENTH_LEFT,)}, request_id="r")
        == first
    )
    for other in (
        {"overage_policy": NEXT_INVOICE},
        {"thresholds": (Threshold("low", "low_balance", percent=20),)},
    ):
        with pytest.raises(RequestIdReused):
            call("acme", other, request_id="r")


def test_a_repeated_grant_is_the_first_whatever_has_changed_since(ledger: Ledger) -> None:
    open_account(ledger, thresholds=(TENTH_LEFT,))
    change = grant(expires_at_ms=NOON + 1)
    first = give(ledger, change, "r")
    OperationRecorder(ledger).update_account(
        "acme", {"overage_policy": NEXT_PURCHASE, "thresholds": ()}, request_id=new_id()
    )
    OperationRecorder(ledger).advance_clock("acme", NOON + DAY, request_id=new_id())
    assert give(ledger, change, "r") == first
    for other in (
        grant(expires_at_ms=NOON + 2),
        grant(2),
        grant(expires_at_ms=NOON + 1, scope=("service=a",)),
    ):
        with pytest.raises(RequestIdReused):
            give(ledger, other, "r")


@pytest.mark.parametrize(
    ("expires_ms", "is_good"), [(NOON - 1, False), (NOON, False), (NOON + 1, True)]
)
def test_a_grant_that_has_expired_by_the_accounts_clock_is_refused(
    ledger: Ledger, expires_ms: int, is_good: bool
) -> None:
    open_account(ledger)
    if is_good:
        give(ledger, grant(expires_at_ms=expires_ms))
        return
    with pytest.raises(InvalidField):
        give(ledger, grant(expires_at_ms=expires_ms))
    assert grants(ledger) == []


def test_an_account_has_a_bounded_number_of_live_grants(ledger: Ledger) -> None:
    open_account(ledger)
    with ledger.write() as connection:
        for _ in range(MAX_LIVE_GRANTS - 1):
            record_grant(connection, "acme", grant(1), new_id())
    give(ledger, grant(1), "the last")
    with pytest.raises(FailedPrecondition) as refused:
        give(ledger, grant(1))
    assert refused.value.reason == "TOO_MANY_GRANTS"
    give(ledger, grant(1), "the last")
    with ledger.write() as connection:
        record_grant(connection, "acme", grant(1, type="REFUND", refund_of="0-1-7"), "refund 0-1-7")


def test_a_void_names_the_number_of_its_grant(ledger: Ledger) -> None:
    open_account(ledger)
    first = give(ledger, grant())
    second = give(ledger, grant())
    assert void(ledger, second.change.grant_id, 5).change == VoidGrant(
        3, second.change.grant_id, 5, "VOID", "by mistake"
    )
    assert void(ledger, first.change.grant_id).change.number == 2
    assert recorded(ledger)[-1].change.amount_nanos is None


@pytest.mark.parametrize("strange", ["nobody", "%", "g_", '"', "g1", '"method":"grant"'])
def test_a_grant_that_the_account_does_not_have_cannot_be_voided(
    ledger: Ledger, strange: str
) -> None:
    open_account(ledger)
    open_account(ledger, "other")
    OperationRecorder(ledger).grant_credits("other", grant(), request_id=new_id())
    own = give(ledger, grant(description=f'"grant_id":"{strange}"')).change.grant_id
    for grant_id in (strange, own.upper()):
        with pytest.raises(NotFound) as refused:
            void(ledger, grant_id)
        assert refused.value.reason == "GRANT_NOT_FOUND"


def test_money_goes_back_only_for_what_is_refundable(ledger: Ledger) -> None:
    open_account(ledger)
    keeps = give(ledger, grant(non_refundable=True)).change.grant_id
    with pytest.raises(FailedPrecondition) as refused:
        void(ledger, keeps, kind="MONEY_BACK")
    assert refused.value.reason == "NOT_REFUNDABLE"
    void(ledger, keeps, kind="CORRECTION")
    void(ledger, give(ledger, grant()).change.grant_id, kind="MONEY_BACK")


def test_a_scheduled_grant_is_voided_whole_or_once_it_is_effective(ledger: Ledger) -> None:
    open_account(ledger)
    grant_id = give(ledger, grant(10, effective_at_ms=NOON + DAY)).change.grant_id
    with pytest.raises(FailedPrecondition) as refused:
        void(ledger, grant_id, 9)
    assert refused.value.reason == "GRANT_SCHEDULED"
    void(ledger, grant_id, 10)
    void(ledger, grant_id)
    OperationRecorder(ledger).advance_clock("acme", NOON + DAY, request_id=new_id())
    void(ledger, grant_id, 9)


def test_a_void_takes_effect_once(ledger: Ledger) -> None:
    open_account(ledger)
    grant_id = give(ledger, grant()).change.grant_id
    first = void(ledger, grant_id, 5, request_id="r")
    assert void(ledger, grant_id, 5, request_id="r") == first
    others: list[dict[str, Any]] = [
        {"amount": 6},
        {"amount": None},
        {"kind": "CORRECTION"},
        {"reason": "another"},
    ]
    for other in others:
        with pytest.raises(ServiceError) as refused:
            void(ledger, grant_id, **{"amount": 5, "request_id": "r", **other})
        assert refused.value.reason == "REQUEST_ID_REUSED"


def test_operations_are_told_again_from_their_text(ledger: Ledger) -> None:
    open_account(
        ledger,
        thresholds=(HALF_OF_DAY, TENTH_LEFT),
        graces=(INBOUND,),
        overage_policy=NEXT_PURCHASE,
    )
    give(ledger, grant(scope=("model=a/b", "service=\u00e9"), non_refundable=True))
    void(ledger, grants(ledger)[0].grant_id)
    for operation in recorded(ledger):
        assert Operation.from_json(operation.to_json()) == operation
