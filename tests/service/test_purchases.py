"""Grants with all that they can have, what is taken back of them, and top-ups, through the running
service.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from meter.v1 import accounts_pb2 as pb
from meter.v1.ledger_pb2 import GRANT
from support.customer import CREDIT, Customer, at, new_id, refusal
from support.stack import Client

pytest_plugins = ("support.running_stack",)


Open = Callable[..., Customer]
CLOCK = "2026-03-01T12:00:00Z"


def grant(customer: Customer, request_id: str = "", **fields: Any) -> pb.Grant:
    request = pb.GrantCreditsRequest(
        account_id=customer.account_id,
        request_id=request_id or new_id(),
        grant=pb.Grant(**{"amount_nanos": CREDIT, **fields}),
    )
    return customer.client.accounts.GrantCredits(request)


def void(customer: Customer, grant_id: str, **fields: Any) -> pb.VoidGrantRequest:
    given = {
        "account_id": customer.account_id,
        "request_id": new_id(),
        "grant_id": grant_id,
        "reason": "a mistake",
        **fields,
    }
    return pb.VoidGrantRequest(**given)


def buying(customer: Customer, **fields: Any) -> pb.CreateTopUpRequest:
    given = {
        "account_id": customer.account_id,
        "amount_nanos": 25 * CREDIT,
        "payment_reference": new_id(),
        **fields,
    }
    return pb.CreateTopUpRequest(
        request_id=given.pop("request_id", new_id()), top_up=pb.TopUp(**given)
    )


def buy(customer: Customer, **fields: Any) -> pb.TopUp:
    return customer.client.accounts.CreateTopUp(buying(customer, **fields))


def complete(customer: Customer, top_up_id: str, status: Any) -> pb.TopUp:
    request = pb.CompleteTopUpRequest(
        account_id=customer.account_id, top_up_id=top_up_id, status=status
    )
    return customer.client.accounts.CompleteTopUp(request)


def test_a_grants_scope_has_the_names_by_which_usage_is_known(open_account: Open) -> None:
    customer = open_account()
    scope = pb.Scope(models=["GPT-4o", "tiny", "openai/gpt-4o"], services=["chat"])
    granted = grant(customer, scope=scope, non_refundable=True)
    assert list(granted.scope.models) == ["openai/gpt-4o", "tiny"]
    assert (list(granted.scope.services), granted.non_refundable) == (["chat"], True)


def test_a_repeated_grant_may_name_its_models_otherwise(open_account: Open) -> None:
    customer = open_account()
    request_id = new_id()
    first = grant(customer, request_id, scope=pb.Scope(models=["gpt-4o"]))
    assert grant(customer, request_id, scope=pb.Scope(models=["openai/gpt-4o"])) == first


def test_what_is_unspent_of_a_grant_is_taken_back_and_a_repeat_says_the_same(
    open_account: Open,
) -> None:
    customer = open_account()
    granted = grant(customer, amount_nanos=10)
    customer.debit(3)
    call = customer.client.accounts.VoidGrant
    request = void(customer, granted.grant_id)
    assert call(request).voided_nanos == 7
    assert call(request).voided_nanos == 7
    assert customer.balance().remaining_nanos == 0
    refused = refusal(call, void(customer, granted.grant_id))
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "GRANT_ENDED")


def test_a_part_of_a_grant_is_taken_back_as_far_as_it_is_there(open_account: Open) -> None:
    customer = open_account()
    granted = grant(customer, amount_nanos=10)
    hold = customer.authorize(4)
    call = customer.client.accounts.VoidGrant
    assert call(void(customer, granted.grant_id, amount_nanos=5)).voided_nanos == 5
    assert call(void(customer, granted.grant_id, amount_nanos=5)).voided_nanos == 1
    customer.release(hold.hold_id)
    assert customer.balance().remaining_nanos == 4, (
        "what the hold had is live: only a part was voided"
    )


def test_a_grant_voided_before_it_begins_is_gone_whole(open_account: Open) -> None:
    customer = open_account(test_clock_time=at(CLOCK))
    granted = grant(customer, amount_nanos=10, effective_at=at("2026-03-02T00:00:00Z"))
    assert customer.balance().remaining_nanos == 0
    refused = refusal(
        customer.client.accounts.VoidGrant, void(customer, granted.grant_id, amount_nanos=9)
    )
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "GRANT_SCHEDULED")
    assert customer.client.accounts.VoidGrant(void(customer, granted.grant_id)).voided_nanos == 10
    customer.advance("2026-03-02T00:00:00Z")
    assert customer.balance().remaining_nanos == 0


def test_money_goes_back_only_for_what_is_refundable(open_account: Open) -> None:
    customer = open_account()
    granted = grant(customer, non_refundable=True)
    request = void(customer, granted.grant_id, type=pb.MONEY_BACK)
    refused = refusal(customer.client.accounts.VoidGrant, request)
    assert (refused.code, refused.reason, refused.field) == (
        "FAILED_PRECONDITION",
        "NOT_REFUNDABLE",
        "type",
    )
    unknown = refusal(customer.client.accounts.VoidGrant, void(customer, "g0"))
    assert (unknown.code, unknown.reason, unknown.field) == (
        "NOT_FOUND",
        "GRANT_NOT_FOUND",
        "grant_id",
    )


def test_moving_a_test_clock_brings_grants_into_the_new_time(open_account: Open) -> None:
    customer = open_account(test_clock_time=at(CLOCK))
    grant(customer, amount_nanos=10, expires_at=at("2026-03-02T00:00:00Z"))
    grant(customer, amount_nanos=5, effective_at=at("2026-03-02T00:00:00Z"))
    customer.advance("2026-03-01T23:59:59.999Z")
    assert customer.balance().remaining_nanos == 10
    customer.advance("2026-03-02T00:00:00Z")
    assert customer.balance().remaining_nanos == 5


def test_a_top_up_adds_its_credits_at_once_and_once(open_account: Open) -> None:
    customer = open_account(test_clock_time=at(CLOCK))
    reference = new_id()
    request = buying(customer, payment_reference=reference, payment_method="card", request_id="buy")
    bought = customer.client.accounts.CreateTopUp(request)
    assert (bought.status, bought.currency, bought.account_id) == (
        pb.SUCCEEDED,
        "USD",
        customer.account_id,
    )
    assert bought.expires_at == at("2027-03-01T12:00:00Z"), "a year by the account's clock"
    assert customer.client.accounts.CreateTopUp(request) == bought
    assert customer.balance().remaining_nanos == 25 * CREDIT
    [entry] = customer.entries(GRANT)
    assert (entry.request_id, entry.description) == ("buy", f"card {reference}")


def test_a_pending_top_up_adds_its_credits_when_it_succeeds_through_whichever_gate(
    open_account: Open, other_client: Client
) -> None:
    customer = open_account()
    pending = buy(customer, status=pb.PENDING)
    assert (pending.status, pending.grant_id, customer.balance().remaining_nanos) == (
        pb.PENDING,
        "",
        0,
    )
    with ThreadPoolExecutor(8) as threads:
        faces = [customer, customer.at(other_client)] * 8
        ended = list(
            threads.map(lambda face: complete(face, pending.top_up_id, pb.SUCCEEDED), faces)
        )
    assert all(each == ended[0] for each in ended)
    assert ended[0].grant_id
    assert customer.balance().remaining_nanos == 25 * CREDIT
    request = pb.CompleteTopUpRequest(
        account_id=customer.account_id, top_up_id=pending.top_up_id, status=pb.FAILED
    )
    refused = refusal(customer.client.accounts.CompleteTopUp, request)
    assert (refused.code, refused.reason, refused.field) == (
        "FAILED_PRECONDITION",
        "TOP_UP_FINAL",
        "status",
    )


def test_a_failed_top_up_adds_nothing(open_account: Open) -> None:
    customer = open_account()
    assert (
        complete(customer, buy(customer, status=pb.PENDING).top_up_id, pb.FAILED).status
        == pb.FAILED
    )
    assert buy(customer, status=pb.FAILED).status == pb.FAILED
    assert customer.balance().total_credits_nanos == 0


@pytest.mark.parametrize(
    ("currency", "nanos", "is_good"),
    [
        ("USD", 5 * CREDIT - 1, False),
        ("USD", 5 * CREDIT, True),
        ("EUR", 5000 * CREDIT, True),
        ("EUR", 5000 * CREDIT + 1, False),
        ("JPY", 3000 * CREDIT - 1, False),
        ("JPY", 3_000_000 * CREDIT, True),
        ("VND", 499_999 * CREDIT, False),
        ("VND", 500_000 * CREDIT, True),
        ("CHF", CREDIT // 100, True),
        ("CHF", 1, False),
    ],
)
def test_a_top_up_keeps_to_its_currencys_bounds(
    open_account: Open, currency: str, nanos: int, is_good: bool
) -> None:
    customer = open_account(currency=currency)
    if is_good:
        assert buy(customer, amount_nanos=nanos).currency == currency
        return
    refused = refusal(customer.client.accounts.CreateTopUp, buying(customer, amount_nanos=nanos))
    assert (refused.code, refused.field) == ("INVALID_ARGUMENT", "top_up.amount_nanos")
    assert currency in refused.message


def test_top_ups_are_listed_newest_first_page_by_page(open_account: Open) -> None:
    customer = open_account()
    made = [buy(customer).top_up_id for _ in range(5)]
    found = []
    token = ""
    while not found or token:
        request = pb.ListTopUpsRequest(
            account_id=customer.account_id, page_size=2, page_token=token
        )
        page = customer.client.accounts.ListTopUps(request)
        found += [each.top_up_id for each in page.top_ups]
        token = page.next_page_token
    assert sorted(found) == sorted(made)
    assert found[0] == made[-1]
    assert found[-1] == made[0]


def test_a_payment_pays_one_top_up_in_the_accounts_own_currency(open_account: Open) -> None:
    customer = open_account()
    other = open_account()
    payment = new_id()
    buy(customer, payment_reference=payment)
    for account in (customer, other):
        again = buying(account, payment_reference=payment)
        refused = refusal(account.client.accounts.CreateTopUp, again)
        assert (refused.code, refused.reason) == ("ALREADY_EXISTS", "PAYMENT_REFERENCE_REUSED")
    wrong = refusal(customer.client.accounts.CreateTopUp, buying(customer, currency="EUR"))
    assert (wrong.code, wrong.reason, wrong.field) == (
        "FAILED_PRECONDITION",
        "CURRENCY_MISMATCH",
        "top_up.currency",
    )
    pending = buy(customer, status=pb.PENDING)
    stranger = pb.CompleteTopUpRequest(
        account_id=other.account_id, top_up_id=pending.top_up_id, status=pb.FAILED
    )
    assert refusal(other.client.accounts.CompleteTopUp, stranger).reason == "TOP_UP_NOT_FOUND"


def test_a_grant_that_has_expired_already_is_refused(open_account: Open) -> None:
    customer = open_account(test_clock_time=at(CLOCK))
    for fields in ({"expires_at": at(CLOCK)}, {"expires_at": Timestamp(seconds=1)}):
        request = pb.GrantCreditsRequest(
            account_id=customer.account_id,
            request_id=new_id(),
            grant=pb.Grant(amount_nanos=1, **fields),
        )
        refused = refusal(customer.client.accounts.GrantCredits, request)
        assert (refused.code, refused.field) == ("INVALID_ARGUMENT", "grant.expires_at")
