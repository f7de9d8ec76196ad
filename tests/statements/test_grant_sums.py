"""Tests what ListGrants says became of the credits of each grant."""

from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meter.database.engine import Ledger
from meter.v1 import accounts_pb2
from meter.v1 import ledger_pb2 as pb
from model import Account
from support.grant_lists import ids, listed, states, sums
from support.histories import DAY, HOUR, JANUARY, Scribe

pytest_plugins = ("support.ledgers",)

SOON = JANUARY + DAY


@pytest.fixture
def scribe(ledger: Ledger) -> Scribe:
    scribe = Scribe(ledger)
    scribe.create("acme", overage=100)
    return scribe


def test_what_holds_pin_is_held_and_then_spent_or_remaining_or_expired(scribe: Scribe) -> None:
    scribe.grant(100, expires_at_ms=JANUARY + HOUR)
    scribe.now_ms = JANUARY + HOUR - 10
    settled = scribe.authorize(30)
    released = scribe.authorize(20)
    assert sums(listed(scribe).grants[0]) == {"held": 50, "remaining": 50}
    scribe.release(scribe.authorize(5))
    assert sums(listed(scribe).grants[0]) == {"held": 50, "remaining": 50}
    scribe.now_ms = JANUARY + HOUR
    scribe.turned()
    [summary] = listed(scribe, include_ended=True).grants
    assert (sums(summary), summary.state) == ({"held": 50, "expired": 50}, pb.EXPIRED)
    scribe.debit(10, hold=settled)
    scribe.release(released)
    assert sums(listed(scribe, include_ended=True).grants[0]) == {"spent": 10, "expired": 90}


def test_a_grant_whose_time_is_over_has_expired_though_holds_have_all_of_it(scribe: Scribe) -> None:
    scribe.grant(100, expires_at_ms=JANUARY + HOUR)
    scribe.now_ms = JANUARY + HOUR - 10
    scribe.authorize(100)
    scribe.now_ms = JANUARY + HOUR
    scribe.turned()
    assert [each.state for each in listed(scribe, include_ended=True).grants] == [pb.EXPIRED]


def test_a_grant_that_was_used_up_after_its_time_has_ended(scribe: Scribe) -> None:
    scribe.grant(100, expires_at_ms=JANUARY + HOUR)
    scribe.now_ms = JANUARY + HOUR - 10
    hold = scribe.authorize(100)
    scribe.now_ms = JANUARY + HOUR
    scribe.debit(100, hold=hold)
    assert ids(listed(scribe)) == []


def test_what_paid_debt_is_spent(scribe: Scribe) -> None:
    scribe.debit(40)
    scribe.grant(100, type="ADJUSTMENT")
    assert sums(listed(scribe).grants[0]) == {"spent": 40, "remaining": 60}


def test_a_grant_voided_in_part_lives_on_until_the_rest_is_gone(scribe: Scribe) -> None:
    grant_id = scribe.grant(100)
    hold = scribe.authorize(10)
    scribe.void(grant_id, 30)
    assert (states(scribe), sums(listed(scribe).grants[0])) == (
        {grant_id: "LIVE"},
        {"voided": 30, "held": 10, "remaining": 60},
    )
    scribe.void(grant_id, 1000)
    assert states(scribe) == {grant_id: "LIVE"}, "a hold may still give some of it back"
    scribe.release(hold)
    assert sums(listed(scribe).grants[0]) == {"voided": 90, "remaining": 10}
    scribe.void(grant_id)
    [summary] = listed(scribe, include_ended=True).grants
    assert (summary.state, sums(summary)) == (pb.VOIDED, {"voided": 100})


def test_a_scheduled_grant_is_voided_whole(scribe: Scribe) -> None:
    scribe.void(scribe.grant(60, effective_at_ms=SOON))
    scribe.now_ms = SOON
    scribe.turned()
    [summary] = listed(scribe, include_ended=True).grants
    assert (summary.state, sums(summary)) == (pb.VOIDED, {"voided": 60})


def test_a_duplicates_refund_is_a_grant(scribe: Scribe) -> None:
    scribe.grant(100)
    request_id = scribe.debit(5)
    scribe.debit(5, request_id=request_id)
    scribe.flush()
    scribe.apply_pending()
    refund = listed(scribe).grants[0]
    assert (refund.grant.type, refund.grant.priority, sums(refund)) == (
        accounts_pb2.REFUND,
        0,
        {"remaining": 5},
    )


steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["debit", "grant", "grant", "later", "void", "hold", "settle", "release", "wait"]
        ),
        st.integers(0, 200),
    ),
    max_size=30,
)
_accounts = count(1)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=steps)
def test_every_grant_is_as_the_model_has_it_whatever_happened(
    scribe: Scribe, steps: list[tuple[str, int]]
) -> None:
    account_id = f"account-{next(_accounts)}"
    _happen(scribe, account_id, steps)
    account = scribe.accounts[account_id].account
    found = listed(scribe, account_id=account_id, include_ended=True, page_size=1000).grants
    due = {number: _due(account, number) for number in account.grants}
    assert sorted(due.values()) == sorted(
        (each.state, sorted(sums(each).items())) for each in found
    )
    waiting = [
        grant
        for grant in account.grants.values()
        if due[grant.number][0] in (pb.SCHEDULED, pb.LIVE)
    ]
    in_order = [grant.amount for grant in sorted(waiting, key=lambda grant: grant.place)]
    assert [each.granted_nanos for each in found[: len(in_order)]] == in_order


def _due(account: Account, number: int) -> tuple[int, list[tuple[str, int]]]:
    """Returns the state and sums of a grant, as the model has them."""
    grant = account.grants[number]
    left = {**account.left(), **account.scheduled()}
    spent = [part for charge in account.charges for part in charge.parts] + account.payments
    voided = sum(
        line.amount for line in account.lines if line.kind == "Z" and dict(line.about).get(number)
    )
    now = {
        "spent": sum(amount for n, amount in spent if n == number),
        "held": account.pinned().get(number, 0),
        "remaining": left.get(number, 0),
        "voided": voided if grant.begun or not grant.voided else grant.amount,
        "expired": sum(amount for n, amount in account.losses if n == number) - voided,
    }
    return _state(account, number, now), sorted(
        (name, nanos) for name, nanos in now.items() if nanos
    )


def _state(account: Account, number: int, now: dict[str, int]) -> int:
    grant = account.grants[number]
    if not grant.begun and not grant.voided:
        return pb.SCHEDULED
    if grant.expired:
        return pb.EXPIRED
    if any(line.kind == "Q" and number in dict(line.about) for line in account.lines):
        return pb.EXHAUSTED
    return pb.VOIDED if grant.voided or not (now["held"] or now["remaining"]) else pb.LIVE


def _happen(scribe: Scribe, account_id: str, steps: list[tuple[str, int]]) -> None:
    scribe.now_ms = JANUARY
    scribe.create(account_id, overage=100)
    holds = []
    grants = []
    scheduled = []
    for what, amount in steps:
        if what == "debit":
            scribe.debit(amount, account_id=account_id)
        elif what == "grant":
            expires_ms = None if amount % 3 else scribe.now_ms + amount * HOUR // 4 + 1
            kind = ("TOP_UP", "VOUCHER", "ADJUSTMENT")[amount % 5 % 3]
            grants.append(
                scribe.grant(
                    amount + 1, account_id, type=kind, priority=amount % 4, expires_at_ms=expires_ms
                )
            )
        elif what == "later":
            scheduled.append(
                scribe.grant(
                    amount + 1, account_id, effective_at_ms=scribe.now_ms + amount * HOUR // 4
                )
            )
            grants.append(scheduled[-1])
        elif what == "void" and grants:
            grant_id = grants[amount % len(grants)]
            scribe.void(
                grant_id, None if amount % 2 or grant_id in scheduled else amount + 1, account_id
            )
        elif what == "hold":
            holds.append(scribe.authorize(amount, account_id))
        elif what == "settle" and holds:
            scribe.debit(amount, account_id=account_id, hold=holds.pop(amount % len(holds)))
        elif what == "release" and holds:
            scribe.release(holds.pop(amount % len(holds)))
        elif what == "wait":
            scribe.now_ms += amount * HOUR // 4
    scribe.turned(account_id)
