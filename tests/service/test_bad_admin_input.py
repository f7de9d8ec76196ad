"""Bad input to Accounts and Ledger: each mistake has a status, a reason, and the name of the field
that is to blame.
"""

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from meter.v1 import accounts_pb2 as accounts
from meter.v1 import ledger_pb2 as ledger
from meter.v1.accounts_pb2 import ACTIVE, SUSPENDED, Account, Grant
from support.customer import CREDIT, Customer, at, new_customer, refusal
from support.stack import Client

pytest_plugins = ("support.running_stack",)

Open = Callable[..., Customer]
Fields = dict[str, Any]

LONG = "x" * 129
TOO_MUCH = 2**61
FRACTION = Timestamp(seconds=1_800_000_000, nanos=1)  # not in whole milliseconds
SOON = at("2126-01-01T00:00:00Z")
NEVER = Timestamp(seconds=10**15)


def threshold(**fields: Any) -> accounts.Threshold:
    return accounts.Threshold(
        **{
            "threshold_id": "t",
            "subject": accounts.Threshold.LOW_BALANCE,
            "amount_nanos": 1,
            **fields,
        }
    )


def grace(**fields: Any) -> accounts.Grace:
    return accounts.Grace(**{"traffic_class": "inbound", "duration_ms": 1, **fields})


DAILY = accounts.Threshold.DAILY_USE
BAD_SETTINGS: list[tuple[Fields, str]] = [
    ({"overage_policy": 99}, "account.overage_policy"),
    *(
        ({"thresholds": [threshold(threshold_id=bad)]}, "account.thresholds[0].threshold_id")
        for bad in ("", "A", "a b", "x" * 65)
    ),
    ({"thresholds": [threshold(), threshold()]}, "account.thresholds[1].threshold_id"),
    ({"thresholds": [threshold(threshold_id=f"t{n}") for n in range(51)]}, "account.thresholds"),
    ({"thresholds": [threshold(subject=0)]}, "account.thresholds[0].subject"),
    ({"thresholds": [threshold(subject=99)]}, "account.thresholds[0].subject"),
    ({"thresholds": [threshold(amount_nanos=None)]}, "account.thresholds[0].amount_nanos"),
    ({"thresholds": [threshold(amount_nanos=-1)]}, "account.thresholds[0].amount_nanos"),
    ({"thresholds": [threshold(amount_nanos=TOO_MUCH)]}, "account.thresholds[0].amount_nanos"),
    (
        {"thresholds": [threshold(subject=DAILY, amount_nanos=0)]},
        "account.thresholds[0].amount_nanos",
    ),
    ({"thresholds": [threshold(percent=0)]}, "account.thresholds[0].percent"),
    (
        {"thresholds": [threshold(), threshold(threshold_id="u", percent=101)]},
        "account.thresholds[1].percent",
    ),
    *(
        ({"graces": [grace(traffic_class=bad)]}, "account.graces[0].traffic_class")
        for bad in ("", "a b", "\n", "x" * 65)
    ),
    ({"graces": [grace(), grace()]}, "account.graces[1].traffic_class"),
    ({"graces": [grace(traffic_class=f"c{n}") for n in range(9)]}, "account.graces"),
    ({"graces": [grace(duration_ms=None)]}, "account.graces[0].duration_ms"),
    ({"graces": [grace(duration_ms=0)]}, "account.graces[0].duration_ms"),
    ({"graces": [grace(duration_ms=2**62)]}, "account.graces[0].duration_ms"),
    ({"graces": [grace(amount_nanos=0)]}, "account.graces[0].amount_nanos"),
    ({"graces": [grace(amount_nanos=TOO_MUCH)]}, "account.graces[0].amount_nanos"),
]


@pytest.fixture(scope="module")
def customer(client: Client) -> Customer:
    return new_customer(client, "10")


def is_bad(refused: Any, field: str) -> bool:
    named = (refused.code, refused.reason, refused.field) == (
        "INVALID_ARGUMENT",
        "INVALID_FIELD",
        field,
    )
    return named and refused.message.startswith(f"{field}: ") and len(refused.message) < 300


@pytest.mark.parametrize(
    ("change", "field"),
    [
        *(({"account_id": bad}, "account.account_id") for bad in ("", "a b", "\0", LONG)),
        *(
            ({"currency": bad}, "account.currency")
            for bad in ("", "usd", "US", "USDX", "U$D", "\u00dcSD", "USD\n")
        ),
        ({"status": SUSPENDED}, "account.status"),
        ({"status": 99}, "account.status"),
        ({"overage_protection_nanos": -1}, "account.overage_protection_nanos"),
        ({"overage_protection_nanos": TOO_MUCH}, "account.overage_protection_nanos"),
        ({"daily_limit_nanos": -1}, "account.daily_limit_nanos"),
        ({"daily_limit_nanos": TOO_MUCH}, "account.daily_limit_nanos"),
        *BAD_SETTINGS,
        ({"test_clock_time": FRACTION}, "account.test_clock_time"),
        ({"test_clock_time": NEVER}, "account.test_clock_time"),
    ],
)
def test_an_account_with_a_bad_setting_is_not_created(
    client: Client, change: Fields, field: str
) -> None:
    account = Account(**{"account_id": "never-created", "currency": "USD", **change})
    request = accounts.CreateAccountRequest(account=account)
    assert is_bad(refusal(client.accounts.CreateAccount, request), field)
    asked = accounts.GetAccountRequest(account_id="never-created")
    assert refusal(client.accounts.GetAccount, asked).reason == "ACCOUNT_NOT_FOUND"


@pytest.mark.parametrize(
    ("paths", "change", "field"),
    [
        ([], {}, "update_mask"),
        (["currency"], {"currency": "EUR"}, "update_mask"),
        (["no_such_field"], {}, "update_mask"),
        (["status", "*"], {"status": ACTIVE}, "update_mask"),
        ([f"{n}{'x' * 200}" for n in range(500)], {}, "update_mask"),
        (["status"], {}, "account.status"),
        (["status"], {"status": 99}, "account.status"),
        (
            ["overage_protection_nanos"],
            {"overage_protection_nanos": -1},
            "account.overage_protection_nanos",
        ),
        (
            ["overage_protection_nanos"],
            {"overage_protection_nanos": TOO_MUCH},
            "account.overage_protection_nanos",
        ),
        (["daily_limit_nanos"], {"daily_limit_nanos": -1}, "account.daily_limit_nanos"),
        (["daily_limit_nanos"], {"daily_limit_nanos": TOO_MUCH}, "account.daily_limit_nanos"),
        (["status"], {"status": ACTIVE, "account_id": "a b"}, "account.account_id"),
        *((["status"], {"status": ACTIVE, **change}, field) for change, field in BAD_SETTINGS),
    ],
)
def test_a_bad_update_changes_nothing(
    customer: Customer, paths: list[str], change: Fields, field: str
) -> None:
    call = customer.client.accounts
    asked = accounts.GetAccountRequest(account_id=customer.account_id)
    before = call.GetAccount(asked)
    account = Account(**{"account_id": customer.account_id, **change})
    request = accounts.UpdateAccountRequest(account=account, update_mask=FieldMask(paths=paths))
    assert is_bad(refusal(call.UpdateAccount, request), field)
    assert call.GetAccount(asked) == before


@pytest.mark.parametrize(
    ("request_id", "change", "field"),
    [
        ("", {}, "request_id"),
        ("a b", {}, "request_id"),
        (LONG, {}, "request_id"),
        ("r", {"amount_nanos": 0}, "grant.amount_nanos"),
        ("r", {"amount_nanos": -1}, "grant.amount_nanos"),
        ("r", {"priority": -1}, "grant.priority"),
        ("r", {"priority": 1001}, "grant.priority"),
        ("r", {"type": 99}, "grant.type"),
        ("r", {"account_id": "somebody-else"}, "grant.account_id"),
        ("r", {"description": "x" * 513}, "grant.description"),
        ("r", {"description": "a\nb"}, "grant.description"),
        ("r", {"type": accounts.REFUND}, "grant.description"),
        ("r", {"type": accounts.ADJUSTMENT}, "grant.description"),
        ("r", {"expires_at": at("2020-01-01T00:00:00Z")}, "grant.expires_at"),
        ("r", {"effective_at": SOON, "expires_at": SOON}, "grant.expires_at"),
        ("r", {"scope": {"services": [""]}}, "grant.scope.services"),
        ("r", {"scope": {"services": ["a\nb"]}}, "grant.scope.services"),
        ("r", {"scope": {"services": [f"s{n}" for n in range(51)]}}, "grant.scope"),
        ("r", {"effective_at": FRACTION}, "grant.effective_at"),
        ("r", {"expires_at": NEVER}, "grant.expires_at"),
    ],
)
def test_a_bad_grant_adds_nothing(
    customer: Customer, request_id: str, change: Fields, field: str
) -> None:
    before = customer.balance()
    grant = Grant(**{"amount_nanos": 1, **change})
    request = accounts.GrantCreditsRequest(
        account_id=customer.account_id, request_id=request_id, grant=grant
    )
    assert is_bad(refusal(customer.client.accounts.GrantCredits, request), field)
    assert customer.balance() == before


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"account_id": ""}, "account_id"),
        ({"request_id": "a b"}, "request_id"),
        ({"time": None}, "time"),
        ({"time": FRACTION}, "time"),
        ({"time": NEVER}, "time"),
    ],
)
def test_a_malformed_advance_of_a_clock_is_refused(
    customer: Customer, change: Fields, field: str
) -> None:
    fields = {"account_id": customer.account_id, "time": at("2030-01-01T00:00:00Z"), **change}
    request = accounts.AdvanceTestClockRequest(**fields)
    assert is_bad(refusal(customer.client.accounts.AdvanceTestClock, request), field)


def test_a_test_clock_never_goes_back_and_only_those_who_have_one_may_move_it(
    open_account: Open,
) -> None:
    with_one = open_account(test_clock_time=at("2030-01-01T00:00:00Z"))
    without = open_account()
    call = with_one.client.accounts.AdvanceTestClock
    for customer, time in (
        (with_one, "2029-12-31T23:59:59.999Z"),
        (without, "2030-01-01T00:00:00Z"),
    ):
        request = accounts.AdvanceTestClockRequest(account_id=customer.account_id, time=at(time))
        refused = refusal(call, request)
        assert (refused.code, refused.reason, refused.field) == (
            "FAILED_PRECONDITION",
            "TEST_CLOCK",
            "time",
        )
    with_one.advance("2030-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("call", "request_of"),
    [
        ("GetAccount", lambda name: accounts.GetAccountRequest(account_id=name)),
        (
            "UpdateAccount",
            lambda name: accounts.UpdateAccountRequest(
                account=Account(account_id=name, status=ACTIVE), update_mask=FieldMask(paths=["status"])
            ),
        ),
        (
            "GrantCredits",
            lambda name: accounts.GrantCreditsRequest(account_id=name, request_id="r", grant=Grant(amount_nanos=1)),
        ),
        ("AdvanceTestClock", lambda name: accounts.AdvanceTestClockRequest(account_id=name, time=at("2030-01-01T00:00:00Z"))),
        ("ListEntries", lambda name: ledger.ListEntriesRequest(account_id=name)),
        ("QueryUsage", lambda name: ledger.QueryUsageRequest(account_id=name)),
        ("CreateInvoice", lambda name: ledger.CreateInvoiceRequest(account_id=name)),
        ("CheckBooks", lambda name: ledger.CheckBooksRequest(account_id=name)),
    ],
)  # fmt: skip
def test_an_unknown_account_is_named_as_such(
    client: Client, call: str, request_of: Callable[[str], Any]
) -> None:
    service = client.accounts if hasattr(client.accounts, call) else client.ledger
    refused = refusal(getattr(service, call), request_of("nobody"))
    assert (refused.code, refused.reason) == ("NOT_FOUND", "ACCOUNT_NOT_FOUND")
    assert refused.field.endswith("account_id")
    assert "nobody" in refused.message


@pytest.mark.parametrize(
    ("call", "fields", "field"),
    [
        ("ListEntries", {"account_id": ""}, "account_id"),
        ("ListEntries", {"kinds": [0]}, "kinds"),
        ("ListEntries", {"kinds": [ledger.DEBIT, 99]}, "kinds"),
        ("ListEntries", {"model": "a\0b"}, "model"),
        ("ListEntries", {"page_size": -1}, "page_size"),
        ("ListEntries", {"page_token": "made up"}, "page_token"),
        ("ListEntries", {"start_time": NEVER}, "start_time"),
        ("ListEntries", {"start_time": at("2030-01-02T00:00:00Z"), "end_time": at("2030-01-01T00:00:00Z")}, "start_time"),
        ("QueryUsage", {"account_id": "a b"}, "account_id"),
        ("QueryUsage", {"granularity": 99}, "granularity"),
        ("QueryUsage", {"dimension": "x" * 257}, "dimension"),
        ("QueryUsage", {"model": "x" * 257}, "model"),
        ("QueryUsage", {"page_size": -1}, "page_size"),
        ("QueryUsage", {"page_token": "AAAA"}, "page_token"),
        ("QueryUsage", {"end_time": NEVER}, "end_time"),
        ("CreateInvoice", {"account_id": ""}, "account_id"),
        ("CreateInvoice", {"period_start": at("2030-01-01T00:00:00Z")}, "period_end"),
        ("CreateInvoice", {"period_end": at("2030-01-01T00:00:00Z")}, "period_start"),
        ("CreateInvoice", {"period_start": at("2030-01-01T00:00:00Z"), "period_end": at("2030-01-01T00:00:00Z")}, "period_end"),
        ("CreateInvoice", {"period_start": FRACTION, "period_end": at("2030-01-01T00:00:00Z")}, "period_start"),
        ("ListInvoices", {"page_size": -1}, "page_size"),
        ("ListInvoices", {"page_token": "made up"}, "page_token"),
        ("CheckBooks", {"account_id": LONG}, "account_id"),
    ],
)  # fmt: skip
def test_a_malformed_question_to_the_ledger_is_refused(
    customer: Customer, call: str, fields: Fields, field: str
) -> None:
    request = getattr(ledger, f"{call}Request")(**{"account_id": customer.account_id, **fields})
    assert is_bad(refusal(getattr(customer.client.ledger, call), request), field)


def test_an_invoice_that_was_never_made_is_not_found(client: Client) -> None:
    refused = refusal(
        client.ledger.GetInvoice, ledger.GetInvoiceRequest(invoice_number="INV-999999")
    )
    assert (refused.code, refused.reason, refused.field) == (
        "NOT_FOUND",
        "INVOICE_NOT_FOUND",
        "invoice_number",
    )
    assert is_bad(refusal(client.ledger.GetInvoice, ledger.GetInvoiceRequest()), "invoice_number")


def test_a_page_token_belongs_to_its_query(open_account: Open) -> None:
    customer = open_account("10")
    other = open_account("10")
    for who in (customer, customer, other, other):
        who.debit(CREDIT)
    call = customer.client.ledger
    fields: Fields = {"account_id": customer.account_id, "kinds": [ledger.DEBIT], "page_size": 1}
    token = call.ListEntries(ledger.ListEntriesRequest(**fields)).next_page_token
    page = call.ListEntries(
        ledger.ListEntriesRequest(**{**fields, "page_size": 5, "page_token": token})
    )
    assert len(page.entries) == 1, "another size goes on with the same query"
    for change in (
        {"account_id": other.account_id},
        {"kinds": [ledger.GRANT]},
        {"kinds": []},
        {"model": "tiny"},
        {"start_time": at("2020-01-01T00:00:00Z")},
        {"page_token": token[:-1]},
        {"page_token": token + "x"},
    ):
        request = ledger.ListEntriesRequest(**{**fields, "page_token": token, **change})
        assert is_bad(refusal(call.ListEntries, request), "page_token")
    for name in ("QueryUsage", "ListInvoices"):
        request = getattr(ledger, f"{name}Request")(
            account_id=customer.account_id, page_token=token
        )
        assert is_bad(refusal(getattr(call, name), request), "page_token")
    assert is_bad(
        refusal(
            customer.client.accounts.ListAccounts, accounts.ListAccountsRequest(page_token=token)
        ),
        "page_token",
    )
