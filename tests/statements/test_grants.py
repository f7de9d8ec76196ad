"""Tests ListGrants: the burn order of grants, and what became of the credits of each."""

import asyncio
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meter.database.engine import Ledger
from meter.errors import InvalidField, NotFound
from meter.times import timestamp
from meter.v1 import accounts_pb2
from meter.v1 import ledger_pb2 as pb
from model import Account
from support.histories import DAY, HOUR, JANUARY, Scribe, service_of
from support.sample_ledger import credit_books

pytest_plugins = ("support.ledgers",)

SOON = JANUARY + DAY
LATER = JANUARY + 2 * DAY


@pytest.fixture
def scribe(ledger: Ledger) -> Scribe:
    scribe = Scribe(ledger)
    scribe.create("acme", overage=100)
    return scribe


def listed(scribe: Scribe, **query: object) -> pb.ListGrantsResponse:
    return asyncio.run(
        service_of(scribe).ListGrants(pb.ListGrantsRequest(**{"account_id": "acme", **query}))
    )


def ids(response: pb.ListGrantsResponse) -> list[str]:
    return [each.grant.grant_id for each in response.grants]


def states(scribe: Scribe) -> dict[str, str]:
    found = listed(scribe, include_ended=True).grants
    return {each.grant.grant_id: pb.GrantState.Name(each.state) for each in found}


def sums(summary: pb.GrantSummary) -> dict[str, int]:
    """Returns the sums of a grant that are not zero."""
    names = ("spent", "held", "expired", "voided", "remaining")
    amounts = {name: getattr(summary, f"{name}_nanos") for name in names}
    assert summary.granted_nanos == summary.grant.amount_nanos == sum(amounts.values())
    return {name: nanos for name, nanos in amounts.items() if nanos}


def test_grants_are_listed_in_the_order_in_which_they_are_burned(scribe: Scribe) -> None:
    paid = scribe.grant(10)
    older = scribe.grant(10, type="VOUCHER")
    promoted = scribe.grant(10, type="PROMOTION")
    refunded = scribe.grant(10, type="REFUND")
    later = scribe.grant(10, expires_at_ms=LATER)
    soon = scribe.grant(10, expires_at_ms=SOON)
    soon_promoted = scribe.grant(10, type="VOUCHER", expires_at_ms=SOON)
    last = scribe.grant(10, priority=1000, expires_at_ms=SOON)
    first = scribe.grant(10, priority=2)
    order = [first, soon_promoted, soon, later, older, promoted, paid, refunded, last]
    assert ids(listed(scribe)) == order
    burned = []
    while left := listed(scribe).grants:
        scribe.debit(10)
        burned.append(left[0].grant.grant_id)
    assert burned == order


def test_a_grant_for_later_stands_where_it_will_be_burned(scribe: Scribe) -> None:
    at_once = scribe.grant(10)
    sooner = scribe.grant(10, priority=1, effective_at_ms=LATER)
    scheduled = scribe.grant(10, effective_at_ms=SOON)
    assert ids(listed(scribe)) == [sooner, at_once, scheduled]
    assert states(scribe) == {sooner: "SCHEDULED", at_once: "LIVE", scheduled: "SCHEDULED"}
    assert sums(listed(scribe).grants[0]) == {"remaining": 10}


def test_those_that_have_ended_come_last_newest_first_and_only_when_asked_for(
    scribe: Scribe,
) -> None:
    used = scribe.grant(10, priority=1)
    voided = scribe.grant(10, priority=900)
    expired = scribe.grant(10, priority=90, type="VOUCHER", expires_at_ms=SOON)
    live = scribe.grant(10, priority=999)
    low = scribe.grant(10, priority=50)
    scribe.debit(10)
    scribe.void(voided)
    scribe.now_ms = SOON
    scribe.turned()
    assert ids(listed(scribe)) == [low, live]
    assert ids(listed(scribe, include_ended=True)) == [low, live, expired, voided, used]
    assert states(scribe) == {
        low: "LIVE",
        live: "LIVE",
        expired: "EXPIRED",
        voided: "VOIDED",
        used: "EXHAUSTED",
    }


def test_a_grant_is_shown_as_it_was_given(scribe: Scribe) -> None:
    scribe.grant(
        70,
        type="VOUCHER",
        priority=7,
        effective_at_ms=JANUARY + 1,
        expires_at_ms=SOON + 5,
        description="for the spring",
        scope=("model=a/b", "model=a/c", "service=chat"),
        non_refundable=True,
    )
    [summary] = listed(scribe).grants
    assert summary.grant == accounts_pb2.Grant(
        grant_id=summary.grant.grant_id,
        account_id="acme",
        type=accounts_pb2.VOUCHER,
        amount_nanos=70,
        priority=7,
        effective_at=timestamp(JANUARY + 1),
        expires_at=timestamp(SOON + 5),
        description="for the spring",
        scope=accounts_pb2.Scope(models=["a/b", "a/c"], services=["chat"]),
        non_refundable=True,
    )


def test_times_and_a_scope_that_were_not_given_are_absent(scribe: Scribe) -> None:
    scribe.grant(70)
    [summary] = listed(scribe).grants
    assert not any(summary.grant.HasField(name) for name in ("effective_at", "expires_at", "scope"))


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


def test_pages_join_to_the_whole_list_whatever_their_sizes(ledger: Ledger) -> None:
    scribe = credit_books(ledger)
    for number in range(20):
        scribe.grant(
            1, priority=number % 3, type="VOUCHER" if number % 2 else "TOP_UP", expires_at_ms=None
        )
    whole = list(listed(scribe, include_ended=True, page_size=1000).grants)
    assert len(whole) == 28
    assert {each.state for each in whole} == {pb.LIVE, pb.EXHAUSTED, pb.EXPIRED, pb.VOIDED}
    for sizes in ([1] * 28, [3] * 10, [20, 8], [28]):
        joined = []
        token = ""
        for page_size in sizes:
            page = listed(scribe, include_ended=True, page_size=page_size, page_token=token)
            joined += page.grants
            token = page.next_page_token
        assert (joined, token) == (whole, "")


def test_a_page_has_50_unless_said_otherwise(scribe: Scribe) -> None:
    for _ in range(51):
        scribe.grant(1)
    assert len(listed(scribe).grants) == 50
    assert len(listed(scribe, page_size=2000).grants) == 51
    assert not listed(scribe, page_size=51).next_page_token


def test_grants_that_come_or_end_between_two_pages_neither_shift_nor_repeat_any(
    scribe: Scribe,
) -> None:
    first, second, third = (scribe.grant(10) for _ in range(3))
    page = listed(scribe, page_size=1)
    scribe.grant(10, priority=1)
    fifth = scribe.grant(10)
    scribe.debit(20)
    assert ids(page) == [first]
    assert ids(listed(scribe, page_token=page.next_page_token)) == [second, third, fifth]


def test_a_page_token_of_another_query_is_refused(scribe: Scribe) -> None:
    scribe.create("other")
    for _ in range(2):
        scribe.grant(1)
        scribe.grant(1, "other")
    others = asyncio.run(
        service_of(scribe).ListEntries(pb.ListEntriesRequest(account_id="acme", page_size=1))
    )
    tokens = {
        "made up": "x",
        "of ended ones too": listed(scribe, page_size=1, include_ended=True).next_page_token,
        "of another account": listed(scribe, page_size=1, account_id="other").next_page_token,
        "of another call": others.next_page_token,
    }
    for what, token in tokens.items():
        assert token, what
        with pytest.raises(InvalidField) as refused:
            listed(scribe, page_token=token)
        assert refused.value.field == "page_token", what


@pytest.mark.parametrize(
    ("query", "field"), [({"account_id": ""}, "account_id"), ({"page_size": -1}, "page_size")]
)
def test_a_bad_field_is_named(scribe: Scribe, query: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidField) as refused:
        listed(scribe, **query)
    assert refused.value.field == field


def test_an_unknown_account_has_no_grants_and_another_accounts_are_not_listed(
    scribe: Scribe,
) -> None:
    with pytest.raises(NotFound) as refused:
        listed(scribe, account_id="nobody")
    assert (refused.value.reason, refused.value.field) == ("ACCOUNT_NOT_FOUND", "account_id")
    scribe.create("acmes")
    scribe.grant(1, "acmes")
    assert listed(scribe) == pb.ListGrantsResponse()


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
