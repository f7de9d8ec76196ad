"""Commands about accounts: create, show and update them, grant credits, look at a balance."""

import uuid
from typing import Annotated

import typer
from google.protobuf.field_mask_pb2 import FieldMask
from rich.table import Table

from gate.cli.calls import TIMEOUT_S, AsJson, console, money, parse_time, print_json, service
from gate.v1.gate_pb2 import Balance, GetBalanceRequest, GetBalanceResponse
from meter.money import parse_credits
from meter.v1.accounts_pb2 import (
    ACTIVE,
    SUSPENDED,
    Account,
    AccountStatus,
    AdvanceTestClockRequest,
    CreateAccountRequest,
    GetAccountRequest,
    Grant,
    GrantCreditsRequest,
    GrantType,
    ListAccountsRequest,
    UpdateAccountRequest,
)

AccountId = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Account id.")]
RequestId = Annotated[str, typer.Option(help="Makes a repeat of the command take effect once.")]
Credits = Annotated[str, typer.Argument(metavar="CREDITS", help="Exact decimal, such as 25 or 0.5.")]
Overage = Annotated[str | None, typer.Option(metavar="CREDITS", help="How far below zero the account may go.")]
DailyLimit = Annotated[str | None, typer.Option(metavar="CREDITS", help="Most that may be used in one UTC day.")]

_TYPES = [name.lower().replace("_", "-") for name in GrantType.keys()[1:]]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    account = typer.Typer(no_args_is_help=True, help="Create, show, list and update accounts.")
    account.command("create")(create)
    account.command("show")(show)
    account.command("list")(list_accounts)
    account.command("update")(update)
    account.command("advance-clock")(advance_clock)
    app.add_typer(account, name="account")
    app.command("grant")(grant)
    app.command("balance")(balance)


def create(
    account_id: AccountId,
    currency: Annotated[str, typer.Option(help="ISO 4217; fixed from now on.")] = "USD",
    overage: Overage = "0",
    daily_limit: DailyLimit = None,
    test_clock: Annotated[
        str, typer.Option(metavar="TIME", help="The account lives by a clock that starts here (UTC), for tests.")
    ] = "",
    request_id: RequestId = "",
    as_json: AsJson = False,
) -> None:
    """Create an account."""
    account = Account(
        account_id=account_id,
        currency=currency,
        overage_protection_nanos=parse_credits(overage or "0"),
        daily_limit_nanos=None if daily_limit is None else parse_credits(daily_limit),
        test_clock_time=parse_time(test_clock),
    )
    with service() as call:
        created = call.accounts.CreateAccount(
            CreateAccountRequest(account=account, request_id=request_id), timeout=TIMEOUT_S
        )
    _print_account(created, as_json)


def show(account_id: AccountId, as_json: AsJson = False) -> None:
    """Show an account's settings."""
    with service() as call:
        account = call.accounts.GetAccount(GetAccountRequest(account_id=account_id), timeout=TIMEOUT_S)
    _print_account(account, as_json)


def list_accounts(
    limit: Annotated[int, typer.Option(help="How many, at most 1,000.")] = 50,
    page_token: Annotated[str, typer.Option(help="From the page before.")] = "",
    as_json: AsJson = False,
) -> None:
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
    if page.next_page_token:
        console.print(f"more: --page-token {page.next_page_token}")


def update(
    account_id: AccountId,
    overage: Overage = None,
    daily_limit: DailyLimit = None,
    no_daily_limit: Annotated[bool, typer.Option("--no-daily-limit", help="Remove the daily limit.")] = False,
    suspend: Annotated[bool | None, typer.Option("--suspend/--resume", help="Deny, or admit, new spending.")] = None,
    request_id: RequestId = "",
    as_json: AsJson = False,
) -> None:
    """Change an account's settings; they act on the next call."""
    account, paths = Account(account_id=account_id), []
    if overage is not None:
        account.overage_protection_nanos = parse_credits(overage)
        paths.append("overage_protection_nanos")
    if daily_limit is not None and no_daily_limit:
        raise typer.BadParameter("give either --daily-limit or --no-daily-limit")
    if daily_limit is not None:
        account.daily_limit_nanos = parse_credits(daily_limit)
    if daily_limit is not None or no_daily_limit:
        paths.append("daily_limit_nanos")
    if suspend is not None:
        account.status = SUSPENDED if suspend else ACTIVE
        paths.append("status")
    if not paths:
        raise typer.BadParameter("name what to change: --overage, --daily-limit, --no-daily-limit, --suspend, --resume")
    request = UpdateAccountRequest(account=account, update_mask=FieldMask(paths=paths), request_id=request_id)
    with service() as call:
        updated = call.accounts.UpdateAccount(request, timeout=TIMEOUT_S)
    _print_account(updated, as_json)


def advance_clock(
    account_id: AccountId,
    time: Annotated[
        str, typer.Argument(metavar="TIME", help="UTC, such as 2026-11-01T12:00; not before its present time.")
    ],
    request_id: RequestId = "",
    as_json: AsJson = False,
) -> None:
    """Move an account's test clock forward; holds that end by then expire."""
    request = AdvanceTestClockRequest(account_id=account_id, time=parse_time(time), request_id=request_id)
    with service() as call:
        advanced = call.accounts.AdvanceTestClock(request, timeout=TIMEOUT_S)
    _print_account(advanced, as_json)


def grant(
    account_id: AccountId,
    credits: Credits,
    type: Annotated[str, typer.Option(metavar="|".join(_TYPES), help="What kind of credits.")] = "top-up",
    description: Annotated[str, typer.Option(help="Stands in the balance history.")] = "",
    request_id: RequestId = "",
    as_json: AsJson = False,
) -> None:
    """Add credits to an account."""
    if type not in _TYPES:
        raise typer.BadParameter(f"--type is one of {', '.join(_TYPES)}")
    wanted = Grant(type=type.upper().replace("-", "_"), amount_nanos=parse_credits(credits), description=description)
    request = GrantCreditsRequest(
        account_id=account_id, request_id=request_id or f"cli-{uuid.uuid4().hex}", grant=wanted
    )
    with service() as call:
        granted = call.accounts.GrantCredits(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(granted)
    else:
        console.print(
            f"granted {money(granted.amount_nanos)} to {account_id} as {GrantType.Name(granted.type)}, grant {granted.grant_id}"
        )


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
    table = Table(title=f"{reply.account_id} ({reply.currency})", show_header=False, box=None, title_justify="left")
    table.add_column()
    table.add_column(justify="right")
    table.add_row("total credits", money(overview.total_credits_nanos))
    table.add_row("used this month", money(overview.period_usage_nanos))
    table.add_row("remaining", money(overview.remaining_nanos))
    table.add_row("overage protection", money(overview.overage_protection_nanos))
    table.add_row("held", money(overview.held_nanos))
    limit = money(overview.daily_limit_nanos) if overview.HasField("daily_limit_nanos") else "none"
    table.add_row("daily limit", limit)
    table.add_row("used today", money(overview.daily_used_nanos))
    table.add_row("available to use", money(overview.available_nanos), style="bold")
    return table


def _print_account(account: Account, as_json: bool) -> None:
    if as_json:
        print_json(account)
        return
    table = Table(title=account.account_id, show_header=False, box=None, title_justify="left")
    table.add_row("currency", account.currency)
    table.add_row("status", _status(account))
    table.add_row("overage protection", money(account.overage_protection_nanos))
    table.add_row("daily limit", _limit(account))
    if account.HasField("test_clock_time"):
        table.add_row("test clock", account.test_clock_time.ToJsonString())
    table.add_row("created", account.create_time.ToJsonString())
    console.print(table)


def _status(account: Account) -> str:
    return AccountStatus.Name(account.status).lower()


def _limit(account: Account) -> str:
    return money(account.daily_limit_nanos) if account.HasField("daily_limit_nanos") else "none"
