"""Budgets through the running service: set, changed, listed and deleted; what they decide is tested
with the calls that meet them.
"""

from collections.abc import Callable
from typing import Any

from gate.v1.gate_pb2 import BUDGET_EXCEEDED, Usage
from meter.v1 import accounts_pb2 as pb
from support.customer import CREDIT, Customer, at, new_id, refusal

pytest_plugins = ("support.running_stack",)


Open = Callable[..., Customer]
HAIKU_AT_AWS = "aws/regional.anthropic.claude-3-haiku-20240307-v1:0"


def setting(customer: Customer, request_id: str = "", **fields: Any) -> pb.SetBudgetRequest:
    given = {
        "budget_id": "b",
        "scope": {"user": "ada"},
        "window": pb.MONTHLY,
        "limit_nanos": 10 * CREDIT,
        **fields,
    }
    return pb.SetBudgetRequest(
        account_id=customer.account_id, request_id=request_id, budget=pb.Budget(**given)
    )


def put(customer: Customer, request_id: str = "", **fields: Any) -> pb.Budget:
    return customer.client.accounts.SetBudget(setting(customer, request_id, **fields))


def listed(customer: Customer) -> list[pb.Budget]:
    found: list[pb.Budget] = []
    token = ""
    while not found or token:
        request = pb.ListBudgetsRequest(
            account_id=customer.account_id, page_size=2, page_token=token
        )
        page = customer.client.accounts.ListBudgets(request)
        found = [*found, *page.budgets]
        token = page.next_page_token
        if not found:
            break
    return found


def test_a_budget_acts_on_the_next_call(open_account: Open) -> None:
    customer = open_account("100")
    put(customer, limit_nanos=3)
    assert customer.debit(4, dimensions={"user": "ada"}).denial.reason == BUDGET_EXCEEDED
    assert customer.debit(4, dimensions={"user": "bob"}).charged_nanos == 4
    put(customer, limit_nanos=4)
    assert customer.debit(4, dimensions={"user": "ada"}).charged_nanos == 4
    deletion = pb.DeleteBudgetRequest(
        account_id=customer.account_id, budget_id="b", request_id="gone"
    )
    deleted = customer.client.accounts.DeleteBudget(deletion)
    assert customer.client.accounts.DeleteBudget(deletion) == deleted
    assert (deleted.budget_id, dict(deleted.scope)) == ("b", {"user": "ada"})
    assert customer.debit(4, dimensions={"user": "ada"}).charged_nanos == 4
    assert listed(customer) == []


def test_a_models_budget_is_on_its_canonical_name(open_account: Open) -> None:
    customer = open_account("100")
    assert dict(put(customer, scope={"model": "GPT-4o"}, limit_nanos=0).scope) == {
        "model": "openai/gpt-4o"
    }
    assert dict(put(customer, budget_id="c", scope={"model": "of our own"}).scope) == {
        "model": "of our own"
    }
    usage = Usage(model="gpt-4o", input_tokens=1000)
    denied = customer.debit(usage=usage)
    assert (denied.denial.reason, denied.denial.budget.budget_id) == (BUDGET_EXCEEDED, "b")


def test_budgets_are_listed_as_given_with_their_use_and_their_next_beginning(
    open_account: Open,
) -> None:
    customer = open_account("100", test_clock_time=at("2028-02-10T12:00:00Z"))
    thresholds = [
        pb.BudgetThreshold(threshold_id="half", percent=50),
        pb.BudgetThreshold(threshold_id="one", amount_nanos=1),
    ]
    made = [
        put(customer, budget_id="a", thresholds=thresholds),
        put(customer, budget_id="b", window=pb.WEEKLY, soft=True),
        put(customer, budget_id="c", window=pb.LIFETIME, scope={"user": "ada", "project": "x"}),
    ]
    customer.debit(7, dimensions={"user": "ada"})
    customer.authorize(2, dimensions={"user": "ada", "project": "x"})
    found = listed(customer)
    assert [(each.used_nanos, each.held_nanos) for each in found] == [(7, 2), (7, 2), (0, 2)]
    assert [each.resets_at for each in found[:2]] == [
        at("2028-03-01T00:00:00Z"),
        at("2028-02-14T00:00:00Z"),
    ]
    assert not found[2].HasField("resets_at")
    for each in found:
        each.ClearField("used_nanos"), each.ClearField("held_nanos"), each.ClearField("resets_at")
    assert found == made


def test_a_budget_is_set_once_for_a_request_id(open_account: Open) -> None:
    customer = open_account()
    first = put(customer, "r")
    put(customer, limit_nanos=1)
    assert put(customer, "r") == first
    assert listed(customer)[0].limit_nanos == 1
    assert (
        refusal(customer.client.accounts.SetBudget, setting(customer, "r", limit_nanos=2)).reason
        == "REQUEST_ID_REUSED"
    )


def test_no_more_budgets_than_a_request_may_meet(open_account: Open) -> None:
    customer = open_account()
    for number in range(8):
        put(customer, budget_id=f"b{number}")
    refused = refusal(customer.client.accounts.SetBudget, setting(customer, budget_id="ninth"))
    assert (refused.code, refused.reason, refused.field) == (
        "FAILED_PRECONDITION",
        "TOO_MANY_BUDGETS",
        "budget",
    )
    put(customer, budget_id="ninth", scope={"user": "bob"})
    gone = pb.DeleteBudgetRequest(account_id=customer.account_id, budget_id=new_id())
    assert refusal(customer.client.accounts.DeleteBudget, gone).reason == "BUDGET_NOT_FOUND"


def test_a_budget_of_a_model_without_a_price_is_set_with_a_warning(open_account: Open) -> None:
    customer = open_account("10")
    made = put(customer, scope={"model": "gpt4o-typo"}, limit_nanos=3)
    assert made.scope == {"model": "gpt4o-typo"}
    [warning] = made.warnings
    assert "'gpt4o-typo'" in warning
    assert "openai/gpt-4o" in warning
    assert "the budget counts no usage that is priced" in warning
    [budget] = listed(customer)
    assert not budget.warnings
    denied = customer.debit(4, dimensions={"model": "gpt4o-typo"})
    assert denied.denial.reason == BUDGET_EXCEEDED, "an amount may name any model"


def test_a_model_in_a_scope_is_named_as_in_a_usage(open_account: Open) -> None:
    customer = open_account("10")
    for number, (name, model) in enumerate(
        (
            (" gpt-4o", "openai/gpt-4o"),
            ("azure_ai/gpt-4o", "azure/gpt-4o"),
            ("anthropic.claude-3-haiku-20240307-v1:0", HAIKU_AT_AWS),
            ("tiny", "tiny"),
        )
    ):
        made = put(customer, budget_id=f"b{number}", scope={"model": name})
        assert not made.warnings
        assert made.scope == {"model": model}
    assert not put(customer, budget_id="user", scope={"user": "gpt4o-typo"}).warnings


def values(customer: Customer, token: str = "") -> pb.ListBudgetValuesResponse:
    request = pb.ListBudgetValuesRequest(
        account_id=customer.account_id, budget_id="b", page_size=2, page_token=token
    )
    return customer.client.accounts.ListBudgetValues(request)


def test_every_value_has_the_budget_for_itself_and_a_denial_tells_which(open_account: Open) -> None:
    customer = open_account("100", test_clock_time=at("2028-02-10T12:00:00Z"))
    made = put(customer, scope={"user": "*"}, window=pb.HOURLY, limit_nanos=5)
    assert (made.scope, made.warnings) == ({"user": "*"}, [])
    put(customer, budget_id="model", scope={"model": "*"}, limit_nanos=10 * CREDIT)
    for user in ("ada", "bob", "é, or /"):
        assert customer.debit(3, dimensions={"user": user}).charged_nanos == 3
    assert customer.debit(usage=Usage(model="gpt-4o", input_tokens=1)).charged_nanos
    denied = customer.debit(3, dimensions={"user": "é, or /"}).denial
    assert (denied.reason, denied.affordable_nanos) == (BUDGET_EXCEEDED, 2)
    assert denied.budget.scope == {"user": "é, or /"}
    assert denied.resets_at == at("2028-02-10T13:00:00Z")
    first = values(customer)
    rest = values(customer, first.next_page_token)
    assert [dict(each.scope)["user"] for each in (*first.values, *rest.values)] == [
        "ada",
        "bob",
        "é, or /",
    ]
    assert {each.used_nanos for each in (*first.values, *rest.values)} == {3}
    assert (rest.budget.used_nanos, rest.budget.value_count, rest.next_page_token) == (9, 3, "")
    listed_scopes = [(dict(each.scope), each.value_count) for each in listed(customer)]
    assert listed_scopes == [({"user": "*"}, 3), ({"model": "*"}, 1)]
    customer.advance("2028-02-10T13:00:00Z")
    assert customer.debit(5, dimensions={"user": "ada"}).charged_nanos == 5


def test_the_values_of_a_budget_that_is_not_there_are_refused(open_account: Open) -> None:
    customer = open_account()
    request = pb.ListBudgetValuesRequest(account_id=customer.account_id, budget_id="none")
    refused = refusal(customer.client.accounts.ListBudgetValues, request)
    assert (refused.code, refused.reason) == ("NOT_FOUND", "BUDGET_NOT_FOUND")
