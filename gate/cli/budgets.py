"""Commands about budgets."""

from typing import Annotated

import typer
from rich.table import Table

from gate.cli.connection import (
    TIMEOUT_S,
    AsJson,
    console,
    money,
    parse_amount,
    print_json,
    print_next,
    service,
    when,
)
from gate.cli.options import AccountId, Limit, PageToken, RequestId, choice, choices, pair
from gate.cli.thresholds import parse_percent
from meter.v1.accounts_pb2 import (
    Budget,
    BudgetThreshold,
    BudgetWindow,
    DeleteBudgetRequest,
    ListBudgetsRequest,
    SetBudgetRequest,
)

BudgetId = Annotated[
    str, typer.Argument(metavar="BUDGET", help="The budget's id, unique in the account.")
]

_WINDOWS = choices(BudgetWindow)
_LEVEL_FORM = "ID=LEVEL, such as most=80% or ten=10"


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    budget = typer.Typer(
        no_args_is_help=True, help="Set, delete and list budgets on dimension values."
    )
    budget.command("set")(set_budget)
    budget.command("delete")(delete)
    budget.command("list")(list_budgets)
    app.add_typer(budget, name="budget")


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
            help="What it is on, such as api_key=k1; twice: both together.",
        ),
    ],
    window: Annotated[
        str, typer.Option(metavar="|".join(_WINDOWS), help="When it begins anew (UTC).")
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
        scope=dict(pair("--scope", each, "KEY=VALUE, such as api_key=k1") for each in scope),
        window=choice("--window", window, _WINDOWS),
        soft=soft,
        limit_nanos=parse_amount("CREDITS", credits),
        thresholds=map(_threshold, threshold or ()),
    )
    request = SetBudgetRequest(account_id=account_id, request_id=request_id, budget=budget)
    with service() as call:
        made = call.accounts.SetBudget(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(made)
    else:
        console.print(f"budget {budget_id} of {account_id}: {_terms(made)}")


def delete(
    account_id: AccountId, budget_id: BudgetId, request_id: RequestId = "", as_json: AsJson = False
) -> None:
    """Delete a budget."""
    request = DeleteBudgetRequest(account_id=account_id, budget_id=budget_id, request_id=request_id)
    with service() as call:
        deleted = call.accounts.DeleteBudget(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(deleted)
    else:
        console.print(f"deleted budget {budget_id} of {account_id}")


def list_budgets(
    account_id: AccountId, limit: Limit = 50, page_token: PageToken = "", as_json: AsJson = False
) -> None:
    """List an account's budgets, and what is used of each."""
    request = ListBudgetsRequest(account_id=account_id, page_size=limit, page_token=page_token)
    with service() as call:
        page = call.accounts.ListBudgets(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(page)
        return
    table = Table("budget", "scope", "window", "kind", box=None)
    for heading in ("limit", "used", "held"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("begins anew (UTC)", no_wrap=True)
    table.add_column("thresholds")
    for budget in page.budgets:
        amounts = map(money, (budget.limit_nanos, budget.used_nanos, budget.held_nanos))
        resets = when(budget.resets_at) if budget.HasField("resets_at") else "never"
        window = BudgetWindow.Name(budget.window).lower()
        kind = "soft" if budget.soft else "hard"
        thresholds = ", ".join(map(_threshold_text, budget.thresholds))
        table.add_row(
            budget.budget_id, _scope_text(budget), window, kind, *amounts, resets, thresholds
        )
    console.print(table)
    print_next(page.next_page_token)


def _threshold(text: str) -> BudgetThreshold:
    threshold_id, level = pair("--threshold", text, _LEVEL_FORM)
    if level.endswith("%"):
        return BudgetThreshold(
            threshold_id=threshold_id, percent=parse_percent("--threshold", level)
        )
    return BudgetThreshold(
        threshold_id=threshold_id, amount_nanos=parse_amount("--threshold", level)
    )


def _threshold_text(threshold: BudgetThreshold) -> str:
    level = (
        f"{threshold.percent}%" if threshold.HasField("percent") else money(threshold.amount_nanos)
    )
    return f"{threshold.threshold_id}={level}"


def _scope_text(budget: Budget) -> str:
    return " and ".join(f"{key}={value}" for key, value in sorted(budget.scope.items()))


def _terms(budget: Budget) -> str:
    kind = "soft" if budget.soft else "hard"
    window = BudgetWindow.Name(budget.window).lower()
    return f"{kind}, {money(budget.limit_nanos)} {window} on {_scope_text(budget)}"
