"""Bad input to top-ups, vouchers, voids and budgets: each mistake has a status, a reason, and the
name of the field that is to blame.
"""

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from meter.v1 import accounts_pb2 as pb
from support.customer import CREDIT, Customer, Refusal, at, new_customer, new_id, refusal
from support.stack import Client

pytest_plugins = ("support.running_stack",)


Fields = dict[str, Any]

TOO_MUCH = 2**61
FRACTION = Timestamp(seconds=1_800_000_000, nanos=1)  # not in whole milliseconds
PAST = at("2020-01-01T00:00:00Z")


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
        ({"account_id": ""}, "account_id"),
        ({"request_id": ""}, "request_id"),
        ({"grant_id": ""}, "grant_id"),
        ({"grant_id": "a b"}, "grant_id"),
        ({"amount_nanos": 0}, "amount_nanos"),
        ({"amount_nanos": -1}, "amount_nanos"),
        ({"type": 99}, "type"),
        ({"reason": ""}, "reason"),
        ({"reason": "x" * 513}, "reason"),
    ],
)
def test_a_bad_void_is_refused(customer: Customer, change: Fields, field: str) -> None:
    fields = {
        "account_id": customer.account_id,
        "request_id": new_id(),
        "grant_id": "g1",
        "reason": "why",
        **change,
    }
    assert is_bad(refusal(customer.client.accounts.VoidGrant, pb.VoidGrantRequest(**fields)), field)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"account_id": ""}, "top_up.account_id"),
        ({"amount_nanos": 0}, "top_up.amount_nanos"),
        ({"amount_nanos": CREDIT}, "top_up.amount_nanos"),
        ({"currency": "usd"}, "top_up.currency"),
        ({"payment_reference": ""}, "top_up.payment_reference"),
        ({"payment_reference": "x" * 129}, "top_up.payment_reference"),
        ({"payment_reference": "a\nb"}, "top_up.payment_reference"),
        ({"payment_method": "x" * 65}, "top_up.payment_method"),
        ({"status": 99}, "top_up.status"),
        ({"expires_at": FRACTION}, "top_up.expires_at"),
        ({"expires_at": PAST}, "top_up.expires_at"),
        ({"request_id": ""}, "request_id"),
        ({"request_id": "a b"}, "request_id"),
    ],
)
def test_a_bad_top_up_adds_nothing(customer: Customer, change: Fields, field: str) -> None:
    before = customer.balance()
    fields = {
        "account_id": customer.account_id,
        "amount_nanos": 25 * CREDIT,
        "payment_reference": new_id(),
        **change,
    }
    request = pb.CreateTopUpRequest(
        request_id=fields.pop("request_id", new_id()), top_up=pb.TopUp(**fields)
    )
    assert is_bad(refusal(customer.client.accounts.CreateTopUp, request), field)
    assert customer.balance() == before


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"account_id": "a b"}, "account_id"),
        ({"top_up_id": ""}, "top_up_id"),
        ({"status": 0}, "status"),
        ({"status": pb.PENDING}, "status"),
        ({"status": 99}, "status"),
    ],
)
def test_a_top_up_ends_in_one_of_two_ways(customer: Customer, change: Fields, field: str) -> None:
    fields = {
        "account_id": customer.account_id,
        "top_up_id": "t1",
        "status": pb.SUCCEEDED,
        **change,
    }
    assert is_bad(
        refusal(customer.client.accounts.CompleteTopUp, pb.CompleteTopUpRequest(**fields)), field
    )


@pytest.mark.parametrize(
    ("change", "field"),
    [
        *(
            ({"batch_id": bad}, "batch.batch_id")
            for bad in ("", "Spring", "a b", "x" * 65, "\u00e9")
        ),
        ({"amount_nanos": 0}, "batch.amount_nanos"),
        ({"currency": ""}, "batch.currency"),
        ({"type": pb.TOP_UP}, "batch.type"),
        ({"type": 99}, "batch.type"),
        ({"expires_at": FRACTION}, "batch.expires_at"),
        ({"credits_live_ms": -1}, "batch.credits_live_ms"),
        ({"credits_live_ms": 2**62}, "batch.credits_live_ms"),
        ({"codes": 0}, "batch.codes"),
        ({"codes": 10_001}, "batch.codes"),
        ({"uses_per_code": -1}, "batch.uses_per_code"),
        ({"uses_per_account": 1_000_001}, "batch.uses_per_account"),
        ({"priority": 1001}, "batch.priority"),
        ({"description": "x" * 513}, "batch.description"),
        ({"scope": {"services": [""]}}, "batch.scope.services"),
        ({"request_id": "a b"}, "request_id"),
    ],
)
def test_a_bad_batch_makes_no_codes(client: Client, change: Fields, field: str) -> None:
    fields = {
        "batch_id": "never-made",
        "amount_nanos": CREDIT,
        "currency": "USD",
        "codes": 1,
        **change,
    }
    request = pb.CreateVouchersRequest(
        request_id=fields.pop("request_id", ""), batch=pb.VoucherBatch(**fields)
    )
    assert is_bad(refusal(client.accounts.CreateVouchers, request), field)
    batches = client.accounts.ListVoucherBatches(
        pb.ListVoucherBatchesRequest(page_size=1000)
    ).batches
    assert "never-made" not in [batch.batch_id for batch in batches]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"account_id": ""}, "account_id"),
        ({"request_id": "a b"}, "request_id"),
        *(({"budget_id": bad}, "budget.budget_id") for bad in ("", "Team", "a,b", "x" * 65)),
        ({"scope": {}}, "budget.scope"),
        ({"scope": {"a": "1", "b": "2", "c": "3"}}, "budget.scope"),
        ({"scope": {"a": ""}}, "budget.scope"),
        ({"scope": {"": "1"}}, "budget.scope"),
        ({"scope": {"a=b": "1"}}, "budget.scope"),
        ({"scope": {"a": "b\nc"}}, "budget.scope"),
        ({"scope": {"a": "x" * 257}}, "budget.scope"),
        ({"scope": {"x" * 65: "1"}}, "budget.scope"),
        ({"window": 0}, "budget.window"),
        ({"window": 99}, "budget.window"),
        ({"limit_nanos": -1}, "budget.limit_nanos"),
        ({"limit_nanos": TOO_MUCH}, "budget.limit_nanos"),
        ({"limit_nanos": 0, "soft": True}, "budget.limit_nanos"),
        (
            {"thresholds": [{"threshold_id": "A", "percent": 1}]},
            "budget.thresholds[0].threshold_id",
        ),
        ({"thresholds": [{"threshold_id": "a", "percent": 0}]}, "budget.thresholds[0].percent"),
        ({"thresholds": [{"threshold_id": "a"}]}, "budget.thresholds[0].amount_nanos"),
        (
            {"thresholds": [{"threshold_id": "a", "amount_nanos": 0}]},
            "budget.thresholds[0].amount_nanos",
        ),
        (
            {"thresholds": [{"threshold_id": "a", "percent": 1}] * 2},
            "budget.thresholds[1].threshold_id",
        ),
        (
            {"thresholds": [{"threshold_id": f"t{n}", "percent": 1} for n in range(11)]},
            "budget.thresholds",
        ),
    ],
)
def test_a_bad_budget_is_not_set(customer: Customer, change: Fields, field: str) -> None:
    budget = {
        "budget_id": "b",
        "scope": {"user": "ada"},
        "window": pb.DAILY,
        "limit_nanos": 1,
        **change,
    }
    outer = {name: budget.pop(name) for name in ("account_id", "request_id") if name in budget}
    request = pb.SetBudgetRequest(
        **{"account_id": customer.account_id, **outer}, budget=pb.Budget(**budget)
    )
    assert is_bad(refusal(customer.client.accounts.SetBudget, request), field)
    asked = pb.ListBudgetsRequest(account_id=customer.account_id)
    assert not customer.client.accounts.ListBudgets(asked).budgets


@pytest.mark.parametrize("call", ["GrantCredits", "CreateVouchers"])
def test_a_scope_of_an_unknown_model_is_refused(customer: Customer, call: str) -> None:
    scope = {"models": ["gpt-4o", "no-such-model"]}
    grant = pb.GrantCreditsRequest(
        account_id=customer.account_id,
        request_id=new_id(),
        grant=pb.Grant(amount_nanos=1, scope=scope),
    )
    batch = pb.VoucherBatch(
        batch_id="never-made", amount_nanos=1, currency="USD", codes=1, scope=scope
    )
    request = grant if call == "GrantCredits" else pb.CreateVouchersRequest(batch=batch)
    refused = refusal(getattr(customer.client.accounts, call), request)
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "UNKNOWN_MODEL")
    assert refused.field.endswith(".scope.models")
    assert "no-such-model" in refused.message


@pytest.mark.parametrize(
    ("call", "fields"),
    [
        ("VoidGrant", {"request_id": "r", "grant_id": "g", "reason": "why"}),
        ("CompleteTopUp", {"top_up_id": "t1", "status": pb.SUCCEEDED}),
        ("RedeemVoucher", {"request_id": "r", "code": "0000-0000-0000-0000-0000-0000-0000"}),
        (
            "SetBudget",
            {"budget": pb.Budget(budget_id="b", scope={"a": "1"}, window=pb.DAILY, limit_nanos=1)},
        ),
        ("DeleteBudget", {"budget_id": "b"}),
        ("ListBudgets", {}),
        ("ListBudgetValues", {"budget_id": "b"}),
        ("ListTopUps", {}),
    ],
)
def test_an_unknown_account_is_named_as_such(client: Client, call: str, fields: Fields) -> None:
    request = getattr(pb, f"{call}Request")(account_id="nobody", **fields)
    refused = refusal(getattr(client.accounts, call), request)
    assert (refused.code, refused.reason) == ("NOT_FOUND", "ACCOUNT_NOT_FOUND")


@pytest.mark.parametrize("call", ["ListTopUps", "ListVoucherBatches", "ListBudgets"])
@pytest.mark.parametrize("field", [{"page_size": -1}, {"page_token": "made up"}])
def test_a_malformed_page_is_refused(customer: Customer, call: str, field: Fields) -> None:
    owner = {} if call == "ListVoucherBatches" else {"account_id": customer.account_id}
    request = getattr(pb, f"{call}Request")(**owner, **field)
    assert is_bad(refusal(getattr(customer.client.accounts, call), request), next(iter(field)))


def test_a_top_up_is_a_whole_number_of_minor_units(client: Client) -> None:
    yen = new_customer(client, currency="JPY")
    refused = refused_top_up(yen, 3000 * CREDIT + CREDIT // 2)
    assert (refused.reason, refused.field) == ("INVALID_FIELD", "top_up.amount_nanos")
    assert "a multiple of 1.00 JPY, such as 3,001.00; it is 3,000.50" in refused.message
    assert "a multiple of 0.01 USD" in refused_top_up(new_customer(client), 5 * CREDIT + 1).message
    assert not yen.grants()


def test_the_currency_of_a_top_up_is_told_before_its_amount(client: Client) -> None:
    dong = new_customer(client, currency="VND")
    assert refused_top_up(dong, 25 * CREDIT, currency="USD").reason == "CURRENCY_MISMATCH"


def test_an_account_has_a_currency_that_there_is(client: Client) -> None:
    account = pb.Account(account_id=new_id(), currency="ZZZ")
    refused = refusal(client.accounts.CreateAccount, pb.CreateAccountRequest(account=account))
    assert (refused.reason, refused.field) == ("INVALID_FIELD", "account.currency")


def refused_top_up(customer: Customer, nanos: int, currency: str = "") -> Refusal:
    top_up = pb.TopUp(
        account_id=customer.account_id,
        amount_nanos=nanos,
        currency=currency,
        payment_reference=new_id(),
    )
    request = pb.CreateTopUpRequest(request_id=new_id(), top_up=top_up)
    return refusal(customer.client.accounts.CreateTopUp, request)
