"""Budgets as they are set in the ledger: what the gate is told of a change, and how many
there may be.
"""

from contextlib import suppress
from itertools import combinations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meter.admin import budgets as module
from meter.admin.budget_use import BudgetUses
from meter.admin.budgets import MAX_BUDGETS, MAX_MATCHING, BudgetRow, Budgets, BudgetThreshold
from meter.admin.recorder import OperationRecorder
from meter.database.engine import Ledger
from meter.database.errors import RequestIdReused
from meter.errors import FailedPrecondition, NotFound
from meter.journal.operations import Change, DeleteBudget, SetBudget
from meter.times import MS_PER_DAY
from support.recorded_accounts import CREDIT, DAY, NOON, new_id, open_account, recorded

pytest_plugins = ("support.ledgers",)


def budget(budget_id: str = "b", *labels: str, **fields: Any) -> BudgetRow:
    given = {
        "period": "month",
        "hard": True,
        "limit_nanos": 10 * CREDIT,
        "thresholds": (),
        **fields,
    }
    return BudgetRow(budget_id, tuple(sorted(labels or ("user=ada",))), **given)


def put(ledger: Ledger, wanted: BudgetRow, request_id: str = "") -> Change:
    return Budgets(ledger).set("acme", wanted, request_id=request_id or new_id()).change


def test_the_gate_is_told_whether_a_budget_begins_anew_and_where_it_was(ledger: Ledger) -> None:
    open_account(ledger)
    assert put(ledger, budget()) == SetBudget(
        "b", ("user=ada",), "month", True, 10 * CREDIT, (), True, ()
    )
    assert put(ledger, budget(limit_nanos=5, hard=False)).anew is False
    weekly = put(ledger, budget(period="week"))
    assert (weekly.anew, weekly.replaces) == (True, ())
    moved = put(ledger, budget("b", "user=ada", "model=a/b", period="week"))
    assert (moved.anew, moved.labels, moved.replaces) == (
        True,
        ("model=a/b", "user=ada"),
        ("user=ada",),
    )
    Budgets(ledger).delete("acme", "b", request_id=new_id())
    assert recorded(ledger)[-1].change == DeleteBudget("b", ("model=a/b", "user=ada"))
    again = put(ledger, budget("b", "user=ada", "model=a/b", period="week"))
    assert (again.anew, again.replaces) == (True, ())


def test_thresholds_become_amounts_in_ascending_order(ledger: Ledger) -> None:
    given = (
        BudgetThreshold("all", None, 100),
        BudgetThreshold("half", None, 50),
        BudgetThreshold("one", 1, None),
    )
    assert budget(thresholds=given, limit_nanos=9).levels() == (("one", 1), ("half", 4), ("all", 9))
    assert budget(thresholds=given, limit_nanos=1).levels() == (("all", 1), ("one", 1)), (
        "half a nano is none"
    )
    assert budget(hard=False, limit_nanos=9).levels() == (("limit", 9),)
    assert budget(hard=False, thresholds=given[:1], limit_nanos=9).levels() == (("all", 9),)


def test_a_budget_is_set_once_for_a_request_id(ledger: Ledger) -> None:
    open_account(ledger)
    wanted = budget(thresholds=(BudgetThreshold("half", None, 50),))
    first = put(ledger, wanted, "r")
    put(ledger, budget(limit_nanos=1))
    assert put(ledger, wanted, "r") == first
    [shown] = BudgetUses(ledger).all("acme")
    assert shown.budget.limit_nanos == 1, "the repeat changed nothing"
    for other in (budget(), budget("b", "user=bob"), budget("c"), budget(limit_nanos=3)):
        with pytest.raises(RequestIdReused):
            put(ledger, other, "r")


def test_a_deletion_takes_effect_once(ledger: Ledger) -> None:
    open_account(ledger)
    put(ledger, budget())
    calls = Budgets(ledger)
    first = calls.delete("acme", "b", request_id="r")
    assert calls.delete("acme", "b", request_id="r") == first
    with pytest.raises(NotFound) as refused:
        calls.delete("acme", "b", request_id=new_id())
    assert refused.value.reason == "BUDGET_NOT_FOUND"
    assert BudgetUses(ledger).all("acme") == []


def test_budgets_are_shown_by_id_as_they_were_given_with_the_window_that_runs(
    ledger: Ledger,
) -> None:
    open_account(ledger)
    given = (BudgetThreshold("half", None, 50), BudgetThreshold("one", 1, None))
    made = [
        budget("a-z", "z=z", thresholds=given),
        budget("a.z", period="lifetime"),
        budget("a_z", "a=a", period="day"),
    ]
    for each in reversed(made):
        put(ledger, each)
    shown = BudgetUses(ledger).all("acme")
    assert [each.budget for each in shown] == made
    assert [each.end_hour for each in shown] == [
        (NOON // MS_PER_DAY + 31) * 24,
        None,
        (NOON // MS_PER_DAY + 1) * 24,
    ]
    OperationRecorder(ledger).advance_clock("acme", NOON + DAY, request_id=new_id())
    assert BudgetUses(ledger).all("acme")[2].end_hour == (NOON // MS_PER_DAY + 2) * 24


def test_no_request_can_meet_more_than_eight(ledger: Ledger) -> None:
    open_account(ledger)
    for number in range(MAX_MATCHING):
        put(ledger, budget(f"ada-{number}"))
    for number in range(3):
        put(ledger, budget(f"bob-{number}", "user=bob"))
    for wanted in (
        budget("ninth"),
        budget("ninth", "project=x"),
        budget("ninth", "user=ada", "project=x"),
    ):
        with pytest.raises(FailedPrecondition) as refused:
            put(ledger, wanted)
        assert refused.value.reason == "TOO_MANY_BUDGETS"
        assert " on user" in refused.value.message
    with pytest.raises(FailedPrecondition, match=r"8 on user, 1 on user=\*"):
        put(ledger, budget("each", "user=*"))
    put(ledger, budget("ada-0", limit_nanos=1))
    put(ledger, budget("ada-0", "user=bob"))
    put(ledger, budget("ninth", "user=bob"))


def test_an_account_has_a_bounded_number_of_budgets(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_BUDGETS == 1000
    monkeypatch.setattr(module, "MAX_BUDGETS", 3)
    open_account(ledger)
    for number in range(3):
        put(ledger, budget(f"b{number}", f"user={number}"))
    with pytest.raises(FailedPrecondition):
        put(ledger, budget("b3", "user=3"))
    put(ledger, budget("b2", "user=3"))


KEYS = ("user", "project", "model")
labels = st.sampled_from([f"{key}={value}" for key in KEYS for value in "xy*"])
scopes = st.lists(labels, min_size=1, max_size=2, unique_by=lambda label: label.partition("=")[0])


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
@given(wanted=st.lists(scopes, max_size=14))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None
)
def test_whatever_is_accepted_no_request_meets_more_than_eight(
    ledger: Ledger, wanted: list[list[str]]
) -> None:
    name = new_id()
    open_account(ledger, name)
    for number, scope in enumerate(wanted):
        with suppress(FailedPrecondition):
            Budgets(ledger).set(name, budget(f"b{number}", *scope), request_id=new_id())
    accepted = [set(use.budget.labels) for use in BudgetUses(ledger).all(name)]
    for request in combinations([f"{key}={value}" for key in KEYS for value in "xy"], 3):
        if len({label.partition("=")[0] for label in request}) == len(KEYS):
            met = set(request) | {f"{key}=*" for key in KEYS}
            assert sum(scope <= met for scope in accepted) <= MAX_MATCHING
