"""Tests ListEvents: facts in the order in which the ledger learned of them, or newest first."""

import asyncio

import pytest
from google.protobuf import json_format

from meter.admin.budgets import BudgetRow, BudgetThreshold
from meter.database.engine import Ledger
from meter.errors import InvalidField, NotFound
from meter.journal.operations import Threshold
from meter.times import timestamp
from meter.v1 import ledger_pb2 as pb
from support.histories import DAY, HOUR, JANUARY, Scribe, service_of

pytest_plugins = ("support.ledgers",)

TENTHS = tuple(Threshold(f"t{tenth}", "daily_use", tenth * 10) for tenth in range(1, 10))


@pytest.fixture
def scribe(ledger: Ledger) -> Scribe:
    """Returns a scribe for two accounts, each in a shard of its own, whose use is told in tens."""
    scribe = Scribe(ledger)
    for account_id in ("acme", "beta"):
        scribe.create(account_id, thresholds=TENTHS)
        scribe.grant(1000, account_id)
    return scribe


def listed(scribe: Scribe, **query: object) -> pb.ListEventsResponse:
    return asyncio.run(service_of(scribe).ListEvents(pb.ListEventsRequest(**query)))


def told(response: pb.ListEventsResponse) -> list[str]:
    return [f"{each.account_id} {each.data['threshold_id']}" for each in response.events]


def levels(response: pb.ListEventsResponse) -> list[int]:
    return [int(each.data["level_nanos"]) for each in response.events]


def test_an_event_says_what_was_crossed_where_and_when(scribe: Scribe) -> None:
    scribe.now_ms = JANUARY + HOUR
    scribe.debit(13)
    response = listed(scribe, account_id="acme")
    [event] = response.events
    assert event.type == "threshold.crossed"
    assert event.account_id == "acme"
    assert event.sequence == 1
    assert event.occurred_at == timestamp(JANUARY + HOUR)
    assert json_format.MessageToDict(event.data) == {
        "entry_id": "0-1-4",
        "threshold_id": "t1",
        "subject": "DAILY_USE",
        "budget_id": "",
        "budget_values": [],
        "window": "2026-01-01",
        "level_nanos": "10",
        "value_nanos": "13",
    }


def test_each_subject_has_its_own_window(ledger: Ledger) -> None:
    scribe = Scribe(ledger)
    scribe.create(
        limit=200,
        thresholds=(
            Threshold("half", "daily_use", percent=50),
            Threshold("low", "low_balance", 20),
        ),
    )
    scribe.grant(130)
    scribe.set_budget(
        BudgetRow("ada", ("user=ada",), "month", True, 80, (BudgetThreshold("most", None, 75),))
    )
    scribe.set_budget(BudgetRow("bob", ("user=bob",), "week", False, 40, ()))
    scribe.debit(60, dimensions={"user": "ada"})
    scribe.debit(40, dimensions={"user": "bob"})
    scribe.debit(10)
    events = [dict(each.data) for each in listed(scribe, types=["threshold.*"]).events]
    names = ("subject", "budget_id", "threshold_id", "window")
    assert [tuple(each[name] for name in names) for each in events] == [
        ("BUDGET", "ada", "most", "2026-01-01"),
        ("DAILY_USE", "", "half", "2026-01-01"),
        ("BUDGET", "bob", "limit", "2025-12-29"),
        ("LOW_BALANCE", "", "low", "130"),
    ]
    assert [(each["level_nanos"], each["value_nanos"]) for each in events] == [
        ("60", "60"),
        ("100", "100"),
        ("40", "40"),
        ("20", "20"),
    ]


def test_events_are_listed_oldest_first_of_one_account_or_of_all(scribe: Scribe) -> None:
    scribe.debit(25)
    scribe.flush()
    scribe.debit(15, account_id="beta")
    scribe.flush()
    scribe.debit(10)
    assert told(listed(scribe)) == ["acme t1", "acme t2", "beta t1", "acme t3"]
    assert told(listed(scribe, account_id="acme")) == ["acme t1", "acme t2", "acme t3"]
    assert told(listed(scribe, account_id="beta")) == ["beta t1"]


def test_a_threshold_is_crossed_again_in_the_next_window(scribe: Scribe) -> None:
    scribe.debit(12)
    scribe.now_ms += DAY
    scribe.debit(12)
    data = [event.data for event in listed(scribe).events]
    assert [(each["threshold_id"], each["window"]) for each in data] == [
        ("t1", "2026-01-01"),
        ("t1", "2026-01-02"),
    ]


@pytest.mark.parametrize("account_id", ["", "acme"])
def test_whoever_goes_on_from_an_empty_page_finds_what_came_later(
    scribe: Scribe, account_id: str
) -> None:
    page = listed(scribe, account_id=account_id)
    assert (told(page), bool(page.next_page_token)) == ([], True)
    for amount, found in (
        (10, ["acme t1"]),
        (5, []),
        (5, ["acme t2"]),
        (20, ["acme t3", "acme t4"]),
    ):
        scribe.debit(amount)
        page = listed(scribe, account_id=account_id, page_token=page.next_page_token)
        assert (told(page), bool(page.next_page_token)) == (found, True)


def test_pages_join_to_all_events_whatever_their_sizes(scribe: Scribe) -> None:
    for _ in range(4):
        scribe.debit(20)
        scribe.debit(11, account_id="beta")
        scribe.flush()
    whole = list(listed(scribe).events)
    assert len(whole) == 12
    for page_size in (1, 5, 12, 1000):
        joined = []
        token = ""
        for _ in range(-(-12 // page_size)):
            page = listed(scribe, page_size=page_size, page_token=token)
            joined += page.events
            token = page.next_page_token
        assert joined == whole
        assert not listed(scribe, page_size=page_size, page_token=token).events
    assert len(listed(scribe, page_size=5).events) == 5


def test_a_page_has_50_unless_said_otherwise(ledger: Ledger) -> None:
    scribe = Scribe(ledger)
    scribe.create(
        thresholds=tuple(Threshold(f"t{level}", "daily_use", level) for level in range(1, 61))
    )
    scribe.debit(60)
    page = listed(scribe)
    assert levels(page) == list(range(1, 51))
    rest = listed(scribe, page_token=page.next_page_token)
    assert levels(rest) == list(range(51, 61))


def test_an_account_that_shares_the_numbers_with_others_has_its_own_pages(scribe: Scribe) -> None:
    for _ in range(3):
        scribe.debit(10)
        scribe.flush()
        scribe.debit(10, account_id="beta")
        scribe.flush()
    page = listed(scribe, account_id="beta", page_size=2)
    assert told(page) == ["beta t1", "beta t2"]
    assert told(listed(scribe, account_id="beta", page_token=page.next_page_token)) == ["beta t3"]


def test_pages_of_newest_first_join_to_all_events_the_other_way_round(scribe: Scribe) -> None:
    for account_id in ("acme", "beta", "acme"):
        scribe.debit(20, account_id=account_id)
        scribe.flush()
    joined: list[pb.Event] = []
    token = ""
    while token or not joined:
        page = listed(scribe, newest_first=True, page_size=2, page_token=token)
        joined += page.events
        token = page.next_page_token
    assert joined == list(listed(scribe).events)[::-1]
    assert [event.sequence for event in joined] == [6, 5, 4, 3, 2, 1]


def test_events_are_found_by_type_and_by_time(scribe: Scribe) -> None:
    scribe.debit(12)
    scribe.now_ms += HOUR
    later = timestamp(scribe.now_ms)
    scribe.debit(988)
    of_credits = listed(scribe, types=["credits.exhausted", "grant.*"])
    assert [event.type for event in of_credits.events] == ["credits.exhausted"]
    assert told(listed(scribe, types=["threshold.*"], end_time=later)) == ["acme t1"]
    late = listed(scribe, types=["threshold.*"], start_time=later)
    assert told(late) == [f"acme t{tenth}" for tenth in range(2, 10)]
    assert not listed(scribe, types=["top_up.*"]).events


def test_credits_that_run_out_are_told_once_between_two_grants(scribe: Scribe) -> None:
    for amount in (999, 1, 5):
        scribe.debit(amount)
    scribe.grant(5)
    scribe.grant(100)
    scribe.debit(100)
    scribe.debit(100)
    data = [dict(event.data) for event in listed(scribe, types=["credits.exhausted"]).events]
    assert [each["remaining_nanos"] for each in data] == ["0", "0"]


def test_a_page_token_of_another_query_is_refused(scribe: Scribe) -> None:
    tokens = (
        listed(scribe, account_id="acme").next_page_token,
        listed(scribe).next_page_token + "x",
        "-",
    )
    for token in tokens:
        with pytest.raises(InvalidField) as refused:
            listed(scribe, page_token=token)
        assert refused.value.field == "page_token"


def test_an_unknown_account_or_a_bad_field_is_refused(scribe: Scribe) -> None:
    with pytest.raises(NotFound) as unknown:
        listed(scribe, account_id="nobody")
    assert unknown.value.field == "account_id"
    for query, field in (
        ({"account_id": "no body"}, "account_id"),
        ({"page_size": -1}, "page_size"),
        ({"types": ["threshold"]}, "types"),
        ({"types": ["threshold.crossed "]}, "types"),
        ({"types": ["*"]}, "types"),
        ({"types": ["grant.*"] * 51}, "types"),
        ({"start_time": timestamp(2), "end_time": timestamp(1)}, "start_time"),
    ):
        with pytest.raises(InvalidField) as refused:
            listed(scribe, **query)
        assert refused.value.field == field
