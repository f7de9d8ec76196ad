"""Tests statements: an account's history and usage, as ListEntries and QueryUsage return them."""

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import Callable

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from meter.database.engine import Ledger
from meter.errors import InvalidField, NotFound
from meter.pagination import page_of
from meter.service import LedgerService
from meter.times import timestamp
from meter.v1 import ledger_pb2 as pb
from support.histories import DAY, FEBRUARY, HOUR, JANUARY, Scribe, service_of, usage

pytest_plugins = ("support.ledgers",)


@pytest.fixture
def scribe(ledger: Ledger) -> Scribe:
    scribe = Scribe(ledger)
    scribe.create("acme")
    return scribe


@pytest.fixture
def service(scribe: Scribe) -> LedgerService:
    return service_of(scribe)


def entries(service: LedgerService, **query: object) -> pb.ListEntriesResponse:
    return asyncio.run(
        service.ListEntries(pb.ListEntriesRequest(**{"account_id": "acme", **query}))
    )


def buckets(service: LedgerService, **query: object) -> pb.QueryUsageResponse:
    return asyncio.run(service.QueryUsage(pb.QueryUsageRequest(**{"account_id": "acme", **query})))


def test_the_newest_entry_comes_first_with_the_balance_after_it(
    scribe: Scribe, service: LedgerService
) -> None:
    scribe.grant(1000)
    scribe.debit(300)
    scribe.debit(900)
    found = entries(service).entries
    assert [(each.kind, each.amount_nanos, each.balance_nanos) for each in found] == [
        (pb.DEBIT, -900, -200),
        (pb.DEBIT, -300, 700),
        (pb.GRANT, 1000, 1000),
    ]
    assert found[0].shortfall_nanos == 200


def test_an_entry_says_all_that_was_journaled(scribe: Scribe, service: LedgerService) -> None:
    pricing = usage(("input_tokens", 12, 30), ("output_tokens", 5, 70))
    request_id = scribe.debit(100, pricing=pricing, dimensions={"project": "search"})
    entry = entries(service).entries[0]
    assert entry == pb.Entry(
        entry_id="0-1-2",
        account_id="acme",
        request_id=request_id,
        kind=pb.DEBIT,
        occurred_at=timestamp(JANUARY + 1),
        usage_date="2026-01-01",
        amount_nanos=-100,
        balance_nanos=-100,
        shortfall_nanos=100,
        model="openai/gpt-4o",
        price_version="v1",
        usage=[
            pb.UsageLine(unit="input_tokens", quantity=12, amount_nanos=30),
            pb.UsageLine(unit="output_tokens", quantity=5, amount_nanos=70),
        ],
        dimensions={"project": "search"},
        incurred=True,
        burned=[pb.Burn(type="OVERAGE", amount_nanos=100)],
    )


def test_only_what_changed_remaining_credits_is_listed_unless_kinds_are_named(
    scribe: Scribe, service: LedgerService
) -> None:
    scribe.grant(1000)
    hold = scribe.authorize(100)
    scribe.extend(hold, 50)
    scribe.debit(120, hold=hold)
    assert [each.kind for each in entries(service).entries] == [pb.DEBIT, pb.GRANT]
    holds = entries(service, kinds=[pb.AUTHORIZE, pb.EXTEND]).entries
    assert [(each.kind, each.held_nanos) for each in holds] == [
        (pb.EXTEND, 50),
        (pb.AUTHORIZE, 100),
    ]
    assert [each.kind for each in entries(service, kinds=[pb.CREATE]).entries] == [pb.CREATE]


def test_start_is_inclusive_and_end_exclusive_to_the_nanosecond(
    scribe: Scribe, service: LedgerService
) -> None:
    for amount in (1, 2, 3):
        scribe.now_ms = JANUARY + amount * HOUR
        scribe.debit(amount)
    second = timestamp(JANUARY + 2 * HOUR)
    just_after = Timestamp(seconds=second.seconds, nanos=1)

    def amounts(**span: Timestamp) -> list[int]:
        return [-each.amount_nanos for each in entries(service, **span).entries]

    assert amounts(start_time=second) == [3, 2]
    assert amounts(start_time=just_after) == [3]
    assert amounts(end_time=second) == [1]
    assert amounts(end_time=just_after) == [2, 1]
    assert amounts(start_time=second, end_time=second) == []


def test_entries_of_one_model(scribe: Scribe, service: LedgerService) -> None:
    scribe.debit(1)
    scribe.debit(2, pricing=usage(("input_tokens", 1, 2), model="a/b"))
    scribe.debit(3, pricing=usage(("input_tokens", 1, 3), model="a/bc"))
    assert [each.amount_nanos for each in entries(service, model="a/b").entries] == [-2]


def test_pages_join_to_the_whole_history_whatever_their_sizes(
    scribe: Scribe, service: LedgerService
) -> None:
    for amount in range(1, 61):
        scribe.debit(amount)
    assert len(entries(service).entries) == 50
    whole = list(entries(service, page_size=5000).entries)
    assert len(whole) == 60
    assert not entries(service, page_size=60).next_page_token
    joined = []
    token = ""
    for page_size in (7, 1, 30, 22):
        page = entries(service, page_size=page_size, page_token=token)
        joined += page.entries
        token = page.next_page_token
    assert joined == whole
    assert not token


def test_a_page_holds_at_most_1000_rows(service: LedgerService) -> None:
    assert page_of(pb.ListEntriesRequest(), 1_000_000, "", (int, int)).size == 1000


def test_entries_that_come_between_two_pages_neither_shift_nor_repeat_any(
    scribe: Scribe, service: LedgerService
) -> None:
    for amount in (1, 2, 3, 4):
        scribe.debit(amount)
    first = entries(service, page_size=2)
    scribe.debit(5)
    second = entries(service, page_size=2, page_token=first.next_page_token)
    assert [-each.amount_nanos for each in (*first.entries, *second.entries)] == [4, 3, 2, 1]


def test_another_accounts_entries_are_not_listed(scribe: Scribe, service: LedgerService) -> None:
    scribe.create("other")
    scribe.create("acmes")
    scribe.debit(7, account_id="other")
    scribe.debit(8, account_id="acmes")
    scribe.debit(1)
    assert [each.amount_nanos for each in entries(service).entries] == [-1]


def _tokens(service: LedgerService) -> dict[str, str]:
    token = entries(service, page_size=1).next_page_token
    forged = page_of(pb.ListEntriesRequest(account_id="acme"), 0, "", (int, int))
    return {
        "garbage": "next please",
        "not base64": "\u00e9",
        "base64 of garbage": urlsafe_b64encode(b"garbage that is long enough").decode(),
        "shortened": token[:-4],
        "changed": token[:-4] + "AAAA",
        "of another filter": entries(
            service, page_size=1, end_time=timestamp(FEBRUARY)
        ).next_page_token,
        "of another method": buckets(service, page_size=1).next_page_token,
        "of places of another shape": forged.token(("1", 2)),
        "of places that no ledger has": forged.token((2**70, 2)),
    }


def test_a_page_token_of_another_query_is_refused(scribe: Scribe, service: LedgerService) -> None:
    for hour in range(3):
        scribe.now_ms = JANUARY + hour * DAY
        scribe.debit(1)
    for what, token in _tokens(service).items():
        assert token, what
        with pytest.raises(InvalidField) as refused:
            entries(service, page_token=token)
        assert (refused.value.code, refused.value.field) == ("INVALID_ARGUMENT", "page_token"), what


BAD_ENTRIES = [
    ({"account_id": ""}, "account_id"),
    ({"account_id": "a b"}, "account_id"),
    ({"account_id": "a\x00b"}, "account_id"),
    ({"account_id": "a" * 129}, "account_id"),
    ({"page_size": -1}, "page_size"),
    ({"kinds": [0]}, "kinds"),
    ({"kinds": [77]}, "kinds"),
    ({"model": "a\x00"}, "model"),
    ({"model": "m" * 257}, "model"),
    ({"start_time": Timestamp(seconds=2), "end_time": Timestamp(seconds=1)}, "start_time"),
    ({"start_time": Timestamp(nanos=-1)}, "start_time"),
    ({"end_time": Timestamp(seconds=2**60)}, "end_time"),
]

BAD_USAGE = [
    ({"account_id": ""}, "account_id"),
    ({"page_size": -1}, "page_size"),
    ({"page_token": "x"}, "page_token"),
    ({"granularity": 9}, "granularity"),
    ({"model": "a\n"}, "model"),
    ({"dimension": "d" * 257}, "dimension"),
    ({"start_time": Timestamp(seconds=2), "end_time": Timestamp(seconds=1)}, "start_time"),
]


@pytest.mark.parametrize(("query", "field"), BAD_ENTRIES)
def test_a_bad_field_of_list_entries_is_named(
    service: LedgerService, query: dict[str, object], field: str
) -> None:
    _assert_refused(lambda: entries(service, **query), field)


@pytest.mark.parametrize(("query", "field"), BAD_USAGE)
def test_a_bad_field_of_query_usage_is_named(
    service: LedgerService, query: dict[str, object], field: str
) -> None:
    _assert_refused(lambda: buckets(service, **query), field)


def _assert_refused(call: Callable[[], object], field: str) -> None:
    with pytest.raises(InvalidField) as refused:
        call()
    assert refused.value.field == field
    assert field in refused.value.message


def test_an_unknown_account_has_neither_entries_nor_usage(service: LedgerService) -> None:
    for call in (entries, buckets):
        with pytest.raises(NotFound) as refused:
            call(service, account_id="nobody")
        assert (refused.value.reason, refused.value.field) == ("ACCOUNT_NOT_FOUND", "account_id")


def _some_usage(scribe: Scribe) -> int:
    """Writes debits over three days, and returns what they come to."""
    total = 0
    for number in range(40):
        scribe.now_ms = JANUARY + number * 100 * 60_000
        key = {} if number % 4 == 0 else {"api_key": f"k{number % 3}", "user": "u"}
        if number % 5 == 0:
            scribe.debit(number, dimensions=key)
            total += number
        else:
            lines = (("input_tokens", number * 10, number), ("output_tokens", number, 2 * number))
            scribe.debit(3 * number, pricing=usage(*lines, model=f"m{number % 2}"), dimensions=key)
            total += 3 * number
    return total


@pytest.mark.parametrize("granularity", [pb.HOUR, pb.DAY, pb.GRANULARITY_UNSPECIFIED])
@pytest.mark.parametrize("dimension", ["", "api_key", "user", "never_used"])
def test_usage_adds_up_to_the_debits(
    scribe: Scribe, service: LedgerService, granularity: int, dimension: str
) -> None:
    total = _some_usage(scribe)
    found = buckets(service, granularity=granularity, dimension=dimension, page_size=1000).buckets
    assert sum(each.amount_nanos for each in found) == total
    unit_ms = HOUR if granularity == pb.HOUR else DAY
    assert all(each.start_time.ToMilliseconds() % unit_ms == 0 for each in found)
    assert all(each.requests > 0 for each in found)


def test_usage_without_the_dimension_asked_for_is_left_over_under_the_empty_value(
    scribe: Scribe, service: LedgerService
) -> None:
    scribe.debit(5, dimensions={"api_key": "k1"})
    scribe.debit(7, dimensions={"api_key": "k2", "user": "u"})
    scribe.debit(11, dimensions={"user": "u"})
    found = buckets(service, dimension="api_key").buckets
    assert [
        (each.unit, each.dimension_value, each.amount_nanos, each.requests) for each in found
    ] == [
        ("amount", "", 11, 1),
        ("amount", "k1", 5, 1),
        ("amount", "k2", 7, 1),
    ]


def test_a_range_of_usage_is_rounded_outwards_to_the_granularity(
    scribe: Scribe, service: LedgerService
) -> None:
    for hour in range(4):
        scribe.now_ms = JANUARY + hour * HOUR
        scribe.debit(hour + 1)
    span = {
        "start_time": timestamp(JANUARY + HOUR + 1),
        "end_time": timestamp(JANUARY + 2 * HOUR + 1),
    }
    hourly = buckets(service, granularity=pb.HOUR, **span).buckets
    assert [each.amount_nanos for each in hourly] == [2, 3]
    assert [each.amount_nanos for each in buckets(service, granularity=pb.DAY, **span).buckets] == [
        10
    ]


def test_usage_is_ordered_by_time_model_unit_and_value_alike_in_every_ledger(
    scribe: Scribe, service: LedgerService
) -> None:
    for hour in (1, 0):
        scribe.now_ms = JANUARY + hour * HOUR
        for model in ("b", "A", "a-1", "a1", "\u00e9"):
            for value in ("y", "X", "x"):
                scribe.debit(
                    1, pricing=usage(("output_tokens", 1, 1), model=model), dimensions={"d": value}
                )
    found = buckets(service, granularity=pb.HOUR, dimension="d", page_size=1000).buckets
    keys = [
        (each.start_time.seconds, each.model, each.unit, each.dimension_value) for each in found
    ]
    assert keys == sorted(keys, key=lambda key: (key[0], *(text.encode() for text in key[1:])))
    assert len(keys) == 30


def test_pages_of_usage_join_to_the_whole(scribe: Scribe, service: LedgerService) -> None:
    _some_usage(scribe)
    query = {"granularity": pb.HOUR, "dimension": "api_key"}
    whole = list(buckets(service, page_size=1000, **query).buckets)
    joined = []
    token = ""
    pages = 0
    while token or not pages:
        page = buckets(service, page_size=7, page_token=token, **query)
        joined += page.buckets
        token = page.next_page_token
        pages = pages + 1
    assert joined == whole
    assert pages == -(-len(whole) // 7)


def test_usage_of_one_model(scribe: Scribe, service: LedgerService) -> None:
    scribe.debit(2, pricing=usage(("input_tokens", 1, 2), model="a/b"))
    scribe.debit(3)
    assert [each.amount_nanos for each in buckets(service, model="a/b").buckets] == [2]


def test_a_duplicate_and_its_refund_are_listed_and_are_no_usage(
    scribe: Scribe, service: LedgerService
) -> None:
    request_id = scribe.debit(5)
    scribe.debit(5, request_id=request_id)
    scribe.flush()
    scribe.apply_pending()
    found = entries(service).entries
    assert [(each.kind, each.amount_nanos) for each in found] == [
        (pb.DEBT_PAID, 0),
        (pb.GRANT, 5),
        (pb.DEBIT, -5),
        (pb.DEBIT, -5),
    ]
    assert [each.amount_nanos for each in buckets(service).buckets] == [5]


def test_a_model_without_a_provider_is_found_under_each_provider(ledger: Ledger) -> None:
    scribe = Scribe(ledger)
    scribe.create("acme")
    for model in ("openai/gpt-4o", "azure/gpt-4o", "gpt-4o", "openai/gpt-4o-mini", "x/gpt-_o"):
        scribe.debit(1, pricing=usage(("requests", 1, 1), model=model))
    request = {"account_id": "acme"}
    for name, count in (("gpt-4o", 3), ("openai/gpt-4o", 1), ("gpt-_o", 1), ("4o", 0)):
        listed = pb.ListEntriesRequest(model=name, **request)
        assert len(asyncio.run(service_of(scribe).ListEntries(listed)).entries) == count
        queried = pb.QueryUsageRequest(model=name, **request)
        assert len(asyncio.run(service_of(scribe).QueryUsage(queried)).buckets) == count
