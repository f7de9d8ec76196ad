"""Commands about accounts: create, show and update them, look at a balance."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer
from google.protobuf.field_mask_pb2 import FieldMask
from rich.table import Table

from gate.cli.connection import (
    TIMEOUT_S,
    AsJson,
    console,
    money,
    parse_amount,
    parse_time,
    print_json,
    print_next,
    service,
    when,
)
from gate.cli.options import AccountId, Limit, PageToken, RequestId, choice, choices
from gate.cli.thresholds import (
    Graces,
    Thresholds,
    grace_text,
    parse_grace,
    parse_threshold,
    threshold_text,
)
from gate.v1.gate_pb2 import Balance, GetBalanceRequest, GetBalanceResponse
from meter.v1.accounts_pb2 import (
    ACTIVE,
    SUSPENDED,
    Account,
    AccountStatus,
    AdvanceTestClockRequest,
    CreateAccountRequest,
    GetAccountRequest,
    ListAccountsRequest,
    OveragePolicy,
    UpdateAccountRequest,
)

Overage = Annotated[
    str | None, typer.Option(metavar="CREDITS", help="How far below zero the account may go.")
]
DailyLimit = Annotated[
    str | None, typer.Option(metavar="CREDITS", help="Most that may be used in one UTC day.")
]

_POLICIES = choices(OveragePolicy)
Policy = Annotated[
    str | None,
    typer.Option(
        "--overage-policy", metavar="|".join(_POLICIES), help="Who pays for overage in use."
    ),
]
SpendManagement = Annotated[
    bool | None,
    typer.Option(
        "--spend-management/--no-spend-management",
        help="Enforce daily limit and budgets, and raise events.",
    ),
]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    account = typer.Typer(no_args_is_help=True, help="Create, show, list and update accounts.")
    account.command("create")(create)
    account.command("show")(show)
    account.command("list")(list_accounts)
    account.command("update")(update)
    account.command("advance-clock")(advance_clock)
    app.add_typer(account, name="account")
    app.command("balance")(balance)


def create(
    account_id: AccountId,
    currency: Annotated[str, typer.Option(help="ISO 4217; fixed from now on.")] = "USD",
    overage: Overage = "0",
    daily_limit: DailyLimit = None,
    policy: Policy = None,
    spend_management: SpendManagement = None,
    thresholds: Thresholds = None,
    graces: Graces = None,
    test_clock: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="The account lives by a clock that starts here (UTC), for tests."
        ),
    ] = "",
    request_id: RequestId = "",
    as_json: AsJson = False,
) -> None:
    """Create an account."""
    account = Account(
        account_id=account_id,
        currency=currency,
        overage_protection_nanos=parse_amount("--overage", overage or "0"),
        daily_limit_nanos=None
        if daily_limit is None
        else parse_amount("--daily-limit", daily_limit),
        test_clock_time=parse_time("--test-clock", test_clock),
        overage_policy=choice("--overage-policy", policy, _POLICIES) if policy else None,
        spend_management_off=spend_management is False,
        thresholds=map(parse_threshold, thresholds or ()),
        graces=map(parse_grace, graces or ()),
    )
    with service() as call:
        created = call.accounts.CreateAccount(
            CreateAccountRequest(account=account, request_id=request_id), timeout=TIMEOUT_S
        )
    _print_account(created, as_json)


def show(account_id: AccountId, as_json: AsJson = False) -> None:
    """Show an account's settings."""
    with service() as call:
        account = call.accounts.GetAccount(
            GetAccountRequest(account_id=account_id), timeout=TIMEOUT_S
        )
    _print_account(account, as_json)


def list_accounts(limit: Limit = 50, page_token: PageToken = "", as_json: AsJson = False) -> None:
    """List accounts by id."""
    with service() as call:
        page = call.accounts.ListAccounts(
            ListAccountsRequest(page_size=limit, page_token=page_token), timeout=TIMEOUT_S
        )
    if as_json:
        print_json(page)
        return
    table = Table("account", "currency", "status", "overage", "daily limit", box=None)
    for account in page.accounts:
        table.add_row(
            account.account_id,
            account.currency,
            _status(account),
            money(account.overage_protection_nanos),
            _limit(account),
        )
    console.print(table)
    print_next(page.next_page_token)


def update(
    account_id: AccountId,
    overage: Overage = None,
    daily_limit: DailyLimit = None,
    no_daily_limit: Annotated[
        bool, typer.Option("--no-daily-limit", help="Remove the daily limit.")
    ] = False,
    suspend: Annotated[
        bool | None, typer.Option("--suspend/--resume", help="Deny, or admit, new spending.")
    ] = None,
    policy: Policy = None,
    spend_management: SpendManagement = None,
    thresholds: Thresholds = None,
    no_thresholds: Annotated[
        bool, typer.Option("--no-thresholds", help="Remove all thresholds.")
    ] = False,
    graces: Graces = None,
    no_graces: Annotated[bool, typer.Option("--no-graces", help="Remove all graces.")] = False,
    request_id: RequestId = "",
    as_json: AsJson = False,
) -> None:
    """Change an account's settings; they act on the next call."""
    for option, value, removal in (
        ("daily-limit", daily_limit, no_daily_limit),
        ("threshold", thresholds, no_thresholds),
        ("grace", graces, no_graces),
    ):
        if value and removal:
            raise typer.BadParameter(f"give either --{option} or its removal, not both")
    changes: dict[str, Any] = {
        "overage_protection_nanos": None if overage is None else parse_amount("--overage", overage),
        "daily_limit_nanos": None
        if daily_limit is None
        else parse_amount("--daily-limit", daily_limit),
        "status": None if suspend is None else (SUSPENDED if suspend else ACTIVE),
        "overage_policy": choice("--overage-policy", policy, _POLICIES) if policy else None,
        "spend_management_off": None if spend_management is None else not spend_management,
        "thresholds": [parse_threshold(each) for each in thresholds or ()] or None,
        "graces": [parse_grace(each) for each in graces or ()] or None,
    }
    removed = {
        "daily_limit_nanos": no_daily_limit,
        "thresholds": no_thresholds,
        "graces": no_graces,
    }
    paths = [path for path, value in changes.items() if value is not None or removed.get(path)]
    if not paths:
        raise typer.BadParameter("name what to change: --help lists it")
    account = Account(account_id=account_id, **changes)
    request = UpdateAccountRequest(
        account=account, update_mask=FieldMask(paths=paths), request_id=request_id
    )
    with service() as call:
        updated = call.accounts.UpdateAccount(request, timeout=TIMEOUT_S)
    _print_account(updated, as_json)


def advance_clock(
    account_id: AccountId,
    time: Annotated[
        str,
        typer.Argument(
            metavar="TIME", help="UTC, such as 2026-11-01T12:00; not before its present time."
        ),
    ],
    request_id: RequestId = "",
    as_json: AsJson = False,
) -> None:
    """Move an account's test clock forward; holds that end by then expire."""
    request = AdvanceTestClockRequest(
        account_id=account_id, time=parse_time("TIME", time), request_id=request_id
    )
    with service() as call:
        advanced = call.accounts.AdvanceTestClock(request, timeout=TIMEOUT_S)
    _print_account(advanced, as_json)


def balance(account_id: AccountId, as_json: AsJson = False) -> None:
    """Show what an account has, has used, and may still spend."""
    with service() as call:
        reply = call.gate.GetBalance(GetBalanceRequest(account_id=account_id), timeout=TIMEOUT_S)
    if as_json:
        print_json(reply)
    else:
        console.print(balance_table(reply))


def balance_table(reply: GetBalanceResponse) -> Table:
    """The overview, for a terminal."""
    overview: Balance = reply.balance
    table = Table(
        title=f"{reply.account_id} ({reply.currency})",
        show_header=False,
        box=None,
        title_justify="left",
    )
    table.add_column()
    table.add_column(justify="right")
    table.add_row("total credits", money(overview.total_credits_nanos))
    if overview.expired_nanos:
        table.add_row("expired or voided", money(overview.expired_nanos))
    table.add_row("used this month", money(overview.period_usage_nanos))
    table.add_row("remaining", money(overview.remaining_nanos))
    for row in _breakdown(reply):
        table.add_row(*row)
    table.add_row("overage protection", money(overview.overage_protection_nanos))
    table.add_row("held", money(overview.held_nanos))
    limit = money(overview.daily_limit_nanos) if overview.HasField("daily_limit_nanos") else "none"
    table.add_row("daily limit", limit)
    table.add_row("used today", money(overview.daily_used_nanos))
    table.add_row("used yesterday", money(overview.daily_used_yesterday_nanos))
    for grace in reply.graces:
        ends = (
            f"until {when(grace.ends_at)}"
            if grace.HasField("ends_at")
            else f"since {when(grace.began_at)}"
        )
        table.add_row(f"in grace: {grace.traffic_class}", ends)
    table.add_row("available to use", money(overview.available_nanos), style="bold")
    return table


def _breakdown(reply: GetBalanceResponse) -> Iterator[tuple[str, str]]:
    """What the remaining credits are made of."""
    for part in reply.breakdown:
        yield f"  {part.type.lower().replace('_', '-')}", money(part.remaining_nanos)
    if reply.debt_nanos:
        yield "  overage in use", money(-reply.debt_nanos)
    if reply.balance.scoped_nanos:
        yield "  of it only for some models or services", money(reply.balance.scoped_nanos)


def _print_account(account: Account, as_json: bool) -> None:
    if as_json:
        print_json(account)
        return
    table = Table(title=account.account_id, show_header=False, box=None, title_justify="left")
    table.add_row("currency", account.currency)
    table.add_row("status", _status(account))
    table.add_row("overage protection", money(account.overage_protection_nanos))
    table.add_row(
        "overage policy", OveragePolicy.Name(account.overage_policy).lower().replace("_", "-")
    )
    table.add_row("daily limit", _limit(account))
    table.add_row("spend management", "off" if account.spend_management_off else "on")
    for threshold in account.thresholds:
        table.add_row("threshold", threshold_text(threshold))
    for grace in account.graces:
        table.add_row("grace", grace_text(grace))
    if account.HasField("test_clock_time"):
        table.add_row("test clock", account.test_clock_time.ToJsonString())
    table.add_row("created", account.create_time.ToJsonString())
    console.print(table)


def _status(account: Account) -> str:
    return AccountStatus.Name(account.status).lower()


def _limit(account: Account) -> str:
    return money(account.daily_limit_nanos) if account.HasField("daily_limit_nanos") else "none"
