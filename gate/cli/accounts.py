"""Commands to create, show, list and update accounts."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from google.protobuf.field_mask_pb2 import FieldMask
from rich.table import Table

from gate.cli.command_group import add_group
from gate.cli.connection import TIMEOUT_S, AsJson, money, parse_amount, parse_time, service
from gate.cli.options import (
    AccountId,
    Limit,
    PageToken,
    RequestId,
    choice,
    choices,
    request_id_or_new,
)
from gate.cli.output import enum_text, facts_table, money_or, print_page, print_reply
from gate.cli.thresholds import (
    Graces,
    Thresholds,
    grace_text,
    parse_grace,
    parse_threshold,
    threshold_text,
)
from meter.v1.accounts_pb2 import (
    ACTIVE,
    SUSPENDED,
    Account,
    AccountStatus,
    AdvanceTestClockRequest,
    CreateAccountRequest,
    GetAccountRequest,
    Grace,
    ListAccountsRequest,
    ListAccountsResponse,
    OveragePolicy,
    Threshold,
    UpdateAccountRequest,
)

Overage = Annotated[
    str | None,
    typer.Option(
        metavar="CREDITS",
        help="How far below zero the account may go.",
    ),
]
DailyLimit = Annotated[
    str | None,
    typer.Option(
        metavar="CREDITS",
        help="Most that may be used in one UTC day.",
    ),
]

_POLICIES = choices(OveragePolicy)
Policy = Annotated[
    str | None,
    typer.Option(
        "--overage-policy",
        metavar="|".join(_POLICIES),
        help="Who pays for overage in use.",
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
    add_group(
        app,
        "account",
        "Create, show, list and update accounts.",
        {
            "create": create,
            "show": show,
            "list": list_accounts,
            "update": update,
            "advance-clock": advance_clock,
        },
    )


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
        daily_limit_nanos=_optional_amount("--daily-limit", daily_limit),
        test_clock_time=parse_time("--test-clock", test_clock),
        overage_policy=_optional_policy(policy),
        spend_management_off=spend_management is False,
        thresholds=_thresholds(thresholds),
        graces=_graces(graces),
    )
    request = CreateAccountRequest(account=account, request_id=request_id)
    with service() as call:
        created = call.accounts.CreateAccount(request, timeout=TIMEOUT_S)
    print_reply(created, as_json, _account_table)


def show(account_id: AccountId, as_json: AsJson = False) -> None:
    """Show an account's settings."""
    request = GetAccountRequest(account_id=account_id)
    with service() as call:
        account = call.accounts.GetAccount(request, timeout=TIMEOUT_S)
    print_reply(account, as_json, _account_table)


def list_accounts(
    limit: Limit = 50,
    page_token: PageToken = "",
    as_json: AsJson = False,
) -> None:
    """List accounts by id."""
    request = ListAccountsRequest(page_size=limit, page_token=page_token)
    with service() as call:
        page = call.accounts.ListAccounts(request, timeout=TIMEOUT_S)
    print_page(page, as_json, _accounts_table)


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
    billing_emails: Annotated[
        list[str] | None,
        typer.Option("--billing-email", help="Told of payments; repeat for more; empty: nobody."),
    ] = None,
    alert_emails: Annotated[
        list[str] | None,
        typer.Option("--alert-email", help="Told of thresholds; repeat for more; empty: nobody."),
    ] = None,
    request_id: RequestId = "",
    as_json: AsJson = False,
) -> None:
    """Change an account's settings; they act on the next call."""
    _refuse_both("--daily-limit", daily_limit, no_daily_limit)
    _refuse_both("--threshold", thresholds, no_thresholds)
    _refuse_both("--grace", graces, no_graces)
    changes: dict[str, Any] = {}  # by the account's field; a removal is a change to nothing
    if overage is not None:
        changes["overage_protection_nanos"] = parse_amount("--overage", overage)
    if daily_limit is not None or no_daily_limit:
        changes["daily_limit_nanos"] = _optional_amount("--daily-limit", daily_limit)
    if suspend is not None:
        changes["status"] = SUSPENDED if suspend else ACTIVE
    if policy:
        changes["overage_policy"] = _optional_policy(policy)
    if spend_management is not None:
        changes["spend_management_off"] = not spend_management
    if thresholds or no_thresholds:
        changes["thresholds"] = _thresholds(thresholds)
    if graces or no_graces:
        changes["graces"] = _graces(graces)
    if billing_emails is not None:
        changes["billing_emails"] = list(filter(None, billing_emails))
    if alert_emails is not None:
        changes["alert_emails"] = list(filter(None, alert_emails))
    if not changes:
        raise typer.BadParameter("name what to change: --help lists it")
    request = UpdateAccountRequest(
        account=Account(account_id=account_id, **changes),
        update_mask=FieldMask(paths=list(changes)),
        request_id=request_id_or_new(request_id),
    )
    with service() as call:
        updated = call.accounts.UpdateAccount(request, timeout=TIMEOUT_S)
    print_reply(updated, as_json, _account_table)


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
        account_id=account_id,
        time=parse_time("TIME", time),
        request_id=request_id_or_new(request_id),
    )
    with service() as call:
        advanced = call.accounts.AdvanceTestClock(request, timeout=TIMEOUT_S)
    print_reply(advanced, as_json, _account_table)


def _refuse_both(option: str, value: object, is_removed: bool) -> None:
    if value and is_removed:
        raise typer.BadParameter(f"give either {option} or its removal, not both")


def _optional_amount(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    return parse_amount(option, text)


def _optional_policy(text: str | None) -> str | None:
    if not text:
        return None
    return choice("--overage-policy", text, _POLICIES)


def _thresholds(texts: Sequence[str] | None) -> list[Threshold]:
    return [parse_threshold(text) for text in texts or ()]


def _graces(texts: Sequence[str] | None) -> list[Grace]:
    return [parse_grace(text) for text in texts or ()]


def _accounts_table(page: ListAccountsResponse) -> Table:
    table = Table(
        "account",
        "currency",
        "status",
        "overage",
        "daily limit",
        box=None,
    )
    for account in page.accounts:
        table.add_row(
            account.account_id,
            account.currency,
            enum_text(AccountStatus, account.status),
            money(account.overage_protection_nanos),
            money_or("none", account, "daily_limit_nanos"),
        )
    return table


def _account_table(account: Account) -> Table:
    spend_management = "off" if account.spend_management_off else "on"
    table = facts_table(account.account_id)
    table.add_row("currency", account.currency)
    table.add_row("status", enum_text(AccountStatus, account.status))
    table.add_row("overage protection", money(account.overage_protection_nanos))
    table.add_row("overage policy", enum_text(OveragePolicy, account.overage_policy))
    table.add_row("daily limit", money_or("none", account, "daily_limit_nanos"))
    table.add_row("spend management", spend_management)
    for threshold in account.thresholds:
        table.add_row("threshold", threshold_text(threshold))
    for grace in account.graces:
        table.add_row("grace", grace_text(grace))
    for address in account.billing_emails:
        table.add_row("billing e-mail", address)
    for address in account.alert_emails:
        table.add_row("alert e-mail", address)
    if account.HasField("test_clock_time"):
        table.add_row("test clock", account.test_clock_time.ToJsonString())
    table.add_row("created", account.create_time.ToJsonString())
    return table
