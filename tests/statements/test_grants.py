"""Tests ListGrants: the burn order of grants, how each is shown, and the pages."""

import asyncio

import pytest

from meter.database.engine import Ledger
from meter.errors import InvalidField, NotFound
from meter.times import timestamp
from meter.v1 import accounts_pb2
from meter.v1 import ledger_pb2 as pb
from support.grant_lists import ids, listed, states, sums
from support.histories import DAY, JANUARY, Scribe, service_of
from support.sample_ledger import credit_books

pytest_plugins = ("support.ledgers",)

SOON = JANUARY + DAY
LATER = JANUARY + 2 * DAY


@pytest.fixture
def scribe(ledger: Ledger) -> Scribe:
    scribe = Scribe(ledger)
    scribe.create("acme", overage=100)
    return scribe


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
