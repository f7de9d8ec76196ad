"""Commands to set, delete, list and show budgets."""

import sys
from typing import Annotated

import typer
from rich.table import Table

from gate.cli.command_group import add_group
from gate.cli.connection import TIMEOUT_S, AsJson, money, parse_amount, service
from gate.cli.options import (
    AccountId,
    Limit,
    PageToken,
    RequestId,
    choice,
    choices,
    pair,
    request_id_or_new,
)
from gate.cli.output import add_number_columns, print_page, print_reply, when_or
from gate.cli.thresholds import level_text, parse_percent
from meter.journal.counter_names import EACH
from meter.v1.accounts_pb2 import (
    Budget,
    BudgetThreshold,
    BudgetValue,
    BudgetWindow,
    DeleteBudgetRequest,
    ListBudgetsRequest,
    ListBudgetsResponse,
    ListBudgetValuesRequest,
    ListBudgetValuesResponse,
    SetBudgetRequest,
)

BudgetId = Annotated[
    str, typer.Argument(metavar="BUDGET", help="The budget's id, unique in the account.")
]

_WINDOWS = choices(BudgetWindow)
_LEVEL_FORM = "ID=LEVEL, such as most=80% or ten=10"


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    add_group(
        app,
        "budget",
        "Set, delete, list and show budgets on dimension values.",
        {
            "set": set_budget,
            "delete": delete,
            "list": list_budgets,
            "show": show,
        },
    )


def set_budget(
    account_id: AccountId,
    budget_id: BudgetId,
    credits: Annotated[
        str, typer.Argument(metavar="CREDITS", help="Most that may be used in a window.")
    ],
    scope: Annotated[
        list[str],
        typer.Option(
            "--scope",
            metavar="KEY=VALUE",
            help="What it is on, such as api_key=k1; 'user=*': each user; twice: both together.",
        ),
    ],
    window: Annotated[
        str,
        typer.Option(
            metavar="|".join(_WINDOWS),
            help="When it begins anew (UTC).",
        ),
    ] = "monthly",
    soft: Annotated[bool, typer.Option("--soft", help="Only raise events, deny nothing.")] = False,
    threshold: Annotated[
        list[str] | None,
        typer.Option(metavar="ID=LEVEL", help="Raise an event: most=80%, ten=10. Repeat for more."),
    ] = None,
    request_id: RequestId = "",
    as_json: AsJson = False,
) -> None:
    """Set a budget, new or changed; it acts on the next call."""
    budget = Budget(
        budget_id=budget_id,
        scope=_parse_scope(scope),
        window=choice("--window", window, _WINDOWS),
        soft=soft,
        limit_nanos=parse_amount("CREDITS", credits),
        thresholds=map(_parse_threshold, threshold or ()),
    )
    request = SetBudgetRequest(
        account_id=account_id,
        request_id=request_id_or_new(request_id),
        budget=budget,
    )
    with service() as call:
        made = call.accounts.SetBudget(request, timeout=TIMEOUT_S)
    print_reply(
        made,
        as_json,
        lambda made: f"budget {budget_id} of {account_id}: {_terms(made)}",
    )
    for warning in made.warnings:
        print(f"creditgate: warning: {warning}", file=sys.stderr)


def delete(
    account_id: AccountId,
    budget_id: BudgetId,
    request_id: RequestId = "",
    as_json: AsJson = False,
) -> None:
    """Delete a budget."""
    request = DeleteBudgetRequest(
        account_id=account_id,
        budget_id=budget_id,
        request_id=request_id_or_new(request_id),
    )
    with service() as call:
        deleted = call.accounts.DeleteBudget(request, timeout=TIMEOUT_S)
    print_reply(deleted, as_json, lambda _: f"deleted budget {budget_id} of {account_id}")


def list_budgets(
    account_id: AccountId,
    limit: Limit = 50,
    page_token: PageToken = "",
    as_json: AsJson = False,
) -> None:
    """List an account's budgets, and what is used of each."""
    request = ListBudgetsRequest(
        account_id=account_id,
        page_size=limit,
        page_token=page_token,
    )
    with service() as call:
        page = call.accounts.ListBudgets(request, timeout=TIMEOUT_S)
    print_page(page, as_json, _budgets_table)


def show(
    account_id: AccountId,
    budget_id: BudgetId,
    limit: Limit = 50,
    page_token: PageToken = "",
    as_json: AsJson = False,
) -> None:
    """Show a budget, and what each value has used of it."""
    request = ListBudgetValuesRequest(
        account_id=account_id,
        budget_id=budget_id,
        page_size=limit,
        page_token=page_token,
    )
    with service() as call:
        page = call.accounts.ListBudgetValues(request, timeout=TIMEOUT_S)
    if not as_json:
        print(f"budget {budget_id} of {account_id}: {_terms(page.budget)}")
    print_page(page, as_json, _values_table)


def _parse_scope(texts: list[str]) -> dict[str, str]:
    return dict(pair("--scope", text, "KEY=VALUE, such as api_key=k1") for text in texts)


def _parse_threshold(text: str) -> BudgetThreshold:
    threshold_id, level = pair("--threshold", text, _LEVEL_FORM)
    threshold = BudgetThreshold(threshold_id=threshold_id)
    if level.endswith("%"):
        threshold.percent = parse_percent("--threshold", level)
    else:
        threshold.amount_nanos = parse_amount("--threshold", level)
    return threshold


def _budgets_table(page: ListBudgetsResponse) -> Table:
    table = Table("budget", "scope", "window", "kind", box=None)
    add_number_columns(table, "limit", "values", "used", "held")
    table.add_column("begins anew (UTC)", no_wrap=True)
    table.add_column("thresholds")
    for budget in page.budgets:
        table.add_row(
            budget.budget_id,
            _scope_text(budget),
            _window_text(budget),
            _kind_text(budget),
            money(budget.limit_nanos),
            _value_count(budget),
            money(budget.used_nanos),
            money(budget.held_nanos),
            when_or("never", budget, "resets_at"),
            ", ".join(map(_threshold_text, budget.thresholds)),
        )
    return table


def _values_table(page: ListBudgetValuesResponse) -> Table:
    table = Table("scope", box=None)
    add_number_columns(table, "used", "held", "left")
    for value in page.values:
        left = page.budget.limit_nanos - value.used_nanos - value.held_nanos
        table.add_row(
            _scope_text(value),
            money(value.used_nanos),
            money(value.held_nanos),
            money(left),
        )
    return table


def _terms(budget: Budget) -> str:
    limit = money(budget.limit_nanos)
    return f"{_kind_text(budget)}, {limit} {_window_text(budget)} on {_scope_text(budget)}"


def _value_count(budget: Budget) -> str:
    """Returns how many values have used something of a budget for each value."""
    if EACH not in budget.scope.values():
        return ""
    return str(budget.value_count)


def _kind_text(budget: Budget) -> str:
    return "soft" if budget.soft else "hard"


def _window_text(budget: Budget) -> str:
    return BudgetWindow.Name(budget.window).lower()


def _scope_text(budget: Budget | BudgetValue) -> str:
    return " and ".join(f"{key}={value}" for key, value in sorted(budget.scope.items()))


def _threshold_text(threshold: BudgetThreshold) -> str:
    return f"{threshold.threshold_id}={level_text(threshold)}"
