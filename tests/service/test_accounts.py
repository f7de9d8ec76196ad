"""Accounts: created, shown, listed, updated, granted credits and moved in time, each
change once.
"""

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from gate.v1.gate_pb2 import DebitRequest
from meter.v1.accounts_pb2 import (
    ACTIVE,
    NEXT_INVOICE,
    NEXT_PURCHASE,
    PROMOTION,
    SUSPENDED,
    TOP_UP,
    Account,
    AdvanceTestClockRequest,
    CreateAccountRequest,
    GetAccountRequest,
    Grace,
    Grant,
    GrantCreditsRequest,
    ListAccountsRequest,
    Threshold,
    UpdateAccountRequest,
)
from meter.v1.ledger_pb2 import CLOCK, CREATE, GRANT, UPDATE
from support.customer import CREDIT, Customer, at, new_id, refusal
from support.stack import Client

pytest_plugins = ("support.running_stack",)

Open = Callable[..., Customer]


def shown(customer: Customer) -> Account:
    return customer.client.accounts.GetAccount(GetAccountRequest(account_id=customer.account_id))


def updating(
    customer: Customer, *paths: str, request_id: str = "", **settings: Any
) -> UpdateAccountRequest:
    account = Account(account_id=customer.account_id, **settings)
    return UpdateAccountRequest(
        account=account, update_mask=FieldMask(paths=paths), request_id=request_id
    )


def granting(customer: Customer, request_id: str, **grant: Any) -> GrantCreditsRequest:
    return GrantCreditsRequest(
        account_id=customer.account_id, request_id=request_id, grant=Grant(**grant)
    )


def test_a_new_account_is_active_and_has_what_it_was_given(client: Client) -> None:
    account = Account(
        account_id=new_id(), currency="JPY", overage_protection_nanos=5, daily_limit_nanos=7
    )
    created = client.accounts.CreateAccount(CreateAccountRequest(account=account))
    assert created.HasField("create_time")
    assert created == client.accounts.GetAccount(GetAccountRequest(account_id=account.account_id))
    created.ClearField("create_time")
    account.status = ACTIVE
    account.overage_policy = NEXT_INVOICE
    assert created == account


def test_an_account_stands_first_in_its_own_history(open_account: Open) -> None:
    customer = open_account("1")
    kinds = [entry.kind for entry in customer.entries(CREATE, GRANT, UPDATE)]
    assert kinds == [GRANT, CREATE]


def test_creating_it_again_with_the_same_settings_returns_it_as_it_is(
    client: Client, open_account: Open
) -> None:
    customer = open_account("1", overage_protection_nanos=5)
    before = shown(customer)
    account = Account(account_id=customer.account_id, currency="USD", overage_protection_nanos=5)
    assert client.accounts.CreateAccount(CreateAccountRequest(account=account)) == before
    account.currency = "EUR"
    refused = refusal(client.accounts.CreateAccount, CreateAccountRequest(account=account))
    assert (refused.code, refused.reason) == ("ALREADY_EXISTS", "ACCOUNT_EXISTS")
    assert shown(customer) == before


def test_a_creation_with_a_request_id_takes_effect_once(client: Client) -> None:
    account = Account(account_id=new_id(), currency="USD")
    request = CreateAccountRequest(account=account, request_id="create")
    first = client.accounts.CreateAccount(request)
    assert client.accounts.CreateAccount(request) == first
    other = CreateAccountRequest(account=account, request_id="another")
    assert refusal(client.accounts.CreateAccount, other).reason == "ACCOUNT_EXISTS"
    request.account.overage_protection_nanos = 1
    assert refusal(client.accounts.CreateAccount, request).reason == "REQUEST_ID_REUSED"


def test_accounts_are_listed_by_id_page_by_page(client: Client) -> None:
    names = [f"listed-{new_id()}-{letter}" for letter in ("a", "B", "z", "\u00e9")]
    for name in reversed(names):
        client.open_account(name)
    found = []
    token = ""
    while not found or token:
        page = client.accounts.ListAccounts(ListAccountsRequest(page_size=3, page_token=token))
        assert len(page.accounts) <= 3
        found += [account.account_id for account in page.accounts]
        token = page.next_page_token
    assert found == sorted(found), "by the order of their bytes, in every ledger"
    assert set(names) <= set(found)
    assert len(found) == len(set(found))


WANTED: dict[str, Any] = {
    "overage_protection_nanos": 6,
    "daily_limit_nanos": 8,
    "status": SUSPENDED,
    "overage_policy": NEXT_PURCHASE,
    "spend_management_off": True,
    "thresholds": [
        Threshold(threshold_id="half", subject=Threshold.DAILY_USE, percent=50),
        Threshold(threshold_id="low", subject=Threshold.LOW_BALANCE, amount_nanos=0),
    ],
    "graces": [
        Grace(traffic_class="inbound", duration_ms=600_000),
        Grace(traffic_class="batch", duration_ms=1, amount_nanos=5),
    ],
}


@pytest.mark.parametrize("path", WANTED)
def test_only_what_the_mask_names_is_changed(open_account: Open, path: str) -> None:
    customer = open_account("1", overage_protection_nanos=5, daily_limit_nanos=7)
    expected = shown(customer)
    customer.client.accounts.UpdateAccount(updating(customer, path, currency="EUR", **WANTED))
    expected.ClearField(path)
    expected.MergeFrom(Account(**{path: WANTED[path]}))
    assert shown(customer) == expected


def test_a_new_account_may_have_every_setting_and_lists_are_set_whole(client: Client) -> None:
    wanted = {name: value for name, value in WANTED.items() if name != "status"}
    account = Account(account_id=new_id(), currency="USD", **wanted)
    created = client.accounts.CreateAccount(CreateAccountRequest(account=account))
    account.status = ACTIVE
    account.create_time.CopyFrom(created.create_time)
    assert created == account
    again = client.accounts.CreateAccount(CreateAccountRequest(account=account))
    assert again == created
    customer = Customer(client, account.account_id)
    client.accounts.UpdateAccount(updating(customer, "thresholds", "graces"))
    assert (len(shown(customer).thresholds), len(shown(customer).graces)) == (0, 0)


def test_a_repeated_update_with_another_policy_or_threshold_is_told(open_account: Open) -> None:
    customer = open_account("1")
    request_id = new_id()
    call = customer.client.accounts.UpdateAccount
    paths = ("overage_policy", "thresholds")
    call(updating(customer, *paths, request_id=request_id, **WANTED))
    for other in ({"overage_policy": NEXT_INVOICE}, {"thresholds": WANTED["thresholds"][:1]}):
        request = updating(customer, *paths, request_id=request_id, **{**WANTED, **other})
        assert refusal(call, request).reason == "REQUEST_ID_REUSED"


def test_an_absent_daily_limit_in_the_mask_removes_it_and_zero_forbids_all(
    open_account: Open,
) -> None:
    customer = open_account("1", daily_limit_nanos=7)
    customer.update(daily_limit_nanos=0)
    assert (shown(customer).HasField("daily_limit_nanos"), customer.balance().available_nanos) == (
        True,
        0,
    )
    customer.update(daily_limit_nanos=None)
    assert (shown(customer).HasField("daily_limit_nanos"), customer.balance().available_nanos) == (
        False,
        CREDIT,
    )


def test_an_update_with_a_request_id_takes_effect_once(open_account: Open) -> None:
    customer = open_account("1")
    request_id = new_id()
    call = customer.client.accounts.UpdateAccount
    request = updating(
        customer, "overage_protection_nanos", overage_protection_nanos=5, request_id=request_id
    )
    call(request)
    customer.update(overage_protection_nanos=9)
    call(request)
    assert shown(customer).overage_protection_nanos == 9, "the repeat changed nothing"
    other = updating(
        customer, "overage_protection_nanos", overage_protection_nanos=6, request_id=request_id
    )
    assert refusal(call, other).reason == "REQUEST_ID_REUSED"
    assert len(customer.entries(UPDATE)) == 2


def test_a_grant_is_a_top_up_of_middle_priority_unless_told_otherwise(open_account: Open) -> None:
    customer = open_account()
    granted = customer.client.accounts.GrantCredits(granting(customer, new_id(), amount_nanos=5))
    assert (granted.type, granted.priority, granted.amount_nanos) == (TOP_UP, 50, 5)
    assert (granted.account_id, bool(granted.grant_id)) == (customer.account_id, True)


def test_a_grant_keeps_all_that_it_was_given_and_stands_in_the_history(open_account: Open) -> None:
    customer = open_account()
    given = {
        "type": PROMOTION,
        "amount_nanos": 5,
        "priority": 10,
        "description": "welcome",
        "effective_at": at("2026-01-01T00:00:00Z"),
        "expires_at": at("2126-01-01T00:00:00Z"),
    }
    granted = customer.client.accounts.GrantCredits(granting(customer, "r-1", **given))
    for field, value in given.items():
        assert getattr(granted, field) == value
    [entry] = customer.entries(GRANT)
    assert (entry.request_id, entry.amount_nanos, entry.balance_nanos) == ("r-1", 5, 5)
    assert entry.description == "welcome"


def test_a_grant_adds_once_however_often_it_is_asked_for(open_account: Open) -> None:
    customer = open_account()
    request_id = new_id()
    request = granting(customer, request_id, amount_nanos=5)
    first = customer.client.accounts.GrantCredits(request)
    assert customer.client.accounts.GrantCredits(request) == first
    assert customer.balance().total_credits_nanos == 5
    other = granting(customer, request_id, amount_nanos=6)
    assert refusal(customer.client.accounts.GrantCredits, other).reason == "REQUEST_ID_REUSED"
    assert customer.balance().total_credits_nanos == 5


def test_a_grant_may_not_take_the_id_of_a_debit(open_account: Open) -> None:
    customer = open_account("1")
    request_id = new_id()
    customer.debit(1, request_id=request_id)
    assert len(customer.entries()) == 2
    refused = refusal(
        customer.client.accounts.GrantCredits, granting(customer, request_id, amount_nanos=5)
    )
    assert (refused.code, refused.reason, refused.field) == (
        "ALREADY_EXISTS",
        "REQUEST_ID_REUSED",
        "request_id",
    )


def test_changes_of_all_kinds_share_one_namespace_of_ids(open_account: Open) -> None:
    customer = open_account("1", test_clock_time=at("2030-01-01T00:00:00Z"))
    call = customer.client.accounts
    request_id = new_id()
    call.GrantCredits(granting(customer, request_id, amount_nanos=5))
    update = updating(customer, "status", status=SUSPENDED, request_id=request_id)
    advance = AdvanceTestClockRequest(
        account_id=customer.account_id, request_id=request_id, time=at("2031-01-01T00:00:00Z")
    )
    assert refusal(call.UpdateAccount, update).reason == "REQUEST_ID_REUSED"
    assert refusal(call.AdvanceTestClock, advance).reason == "REQUEST_ID_REUSED"
    assert shown(customer).status == ACTIVE


def test_credits_reach_the_gate_before_the_grant_is_answered(
    open_account: Open, other_client: Client
) -> None:
    customer = open_account()
    for nanos in range(1, 20):
        customer.grant(1)
        assert customer.at(other_client).balance().remaining_nanos == nanos


def test_a_test_clock_shows_the_time_it_was_moved_to(open_account: Open) -> None:
    customer = open_account("1", test_clock_time=at("2030-01-01T00:00:00Z"))
    request = AdvanceTestClockRequest(
        account_id=customer.account_id, request_id=new_id(), time=at("2030-06-01T00:00:00Z")
    )
    moved = customer.client.accounts.AdvanceTestClock(request)
    assert moved.test_clock_time == at("2030-06-01T00:00:00Z")
    assert moved == customer.client.accounts.AdvanceTestClock(request) == shown(customer)
    [entry] = customer.entries(CLOCK)
    assert (entry.amount_nanos, entry.occurred_at) == (0, at("2030-06-01T00:00:00Z"))


def test_an_id_may_hold_any_script_and_any_sign(client: Client) -> None:
    for name in ("\u5ba2\u6237-1", "a}b{c:d*[e]?", "-", "x" * 128, "\u00e9" * 64, "';--"):
        client.open_account(name, "1")
        reply = client.gate.Debit(DebitRequest(account_id=name, request_id=name, amount_nanos=1))
        assert reply.balance.remaining_nanos == CREDIT - 1
        assert client.accounts.GetAccount(GetAccountRequest(account_id=name)).account_id == name
