"""Commands about credits: grants given, taken back and listed; top-ups."""

from typing import Annotated

import typer
from rich.table import Table

from gate.cli.connection import (
    TIMEOUT_S,
    AsJson,
    console,
    ledger_service,
    money,
    parse_amount,
    parse_time,
    print_json,
    print_next,
    service,
    when,
)
from gate.cli.options import (
    AccountId,
    Credits,
    Limit,
    Models,
    PageToken,
    Priority,
    RequestId,
    Services,
    choice,
    choices,
    request_id_or_new,
    scope,
    scope_text,
)
from meter.v1.accounts_pb2 import (
    FAILED,
    SUCCEEDED,
    CompleteTopUpRequest,
    CreateTopUpRequest,
    Grant,
    GrantCreditsRequest,
    GrantType,
    ListTopUpsRequest,
    TopUp,
    TopUpStatus,
    VoidGrantRequest,
    VoidType,
)
from meter.v1.ledger_pb2 import GrantState, GrantSummary, ListGrantsRequest

Expires = Annotated[
    str,
    typer.Option(metavar="TIME", help="From then on (UTC) they cannot be spent; default: never."),
]

_TYPES = choices(GrantType)
_VOIDS = choices(VoidType)
_STATUSES = choices(TopUpStatus)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (grant, void, grants):
        app.command()(command)
    top_up = typer.Typer(
        no_args_is_help=True, help="TopUpMethods of credits: make, complete and list them."
    )
    top_up.command("create")(create_top_up)
    top_up.command("complete")(complete_top_up)
    top_up.command("list")(list_top_ups)
    app.add_typer(top_up, name="top-up")


def grant(
    account_id: AccountId,
    credits: Credits,
    type: Annotated[
        str, typer.Option(metavar="|".join(_TYPES), help="What kind of credits.")
    ] = "top-up",
    description: Annotated[
        str, typer.Option(help="Stands in the balance history; a refund's or adjustment's reason.")
    ] = "",
    priority: Priority = 0,
    effective: Annotated[
        str, typer.Option(metavar="TIME", help="They are not there before (UTC); default: at once.")
    ] = "",
    expires: Expires = "",
    models: Models = None,
    services: Services = None,
    non_refundable: Annotated[
        bool, typer.Option("--non-refundable", help="No money back for them.")
    ] = False,
    request_id: RequestId = "",
    as_json: AsJson = False,
) -> None:
    """Add credits to an account."""
    wanted = Grant(
        type=choice("--type", type, _TYPES),
        amount_nanos=parse_amount("CREDITS", credits),
        description=description,
        priority=priority,
        effective_at=parse_time("--effective", effective),
        expires_at=parse_time("--expires", expires),
        scope=scope(models, services),
        non_refundable=non_refundable,
    )
    request = GrantCreditsRequest(
        account_id=account_id, request_id=request_id_or_new(request_id), grant=wanted
    )
    with service() as call:
        granted = call.accounts.GrantCredits(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(granted)
    else:
        what = f"{money(granted.amount_nanos)} to {account_id} as {GrantType.Name(granted.type)}"
        console.print(f"granted {what}, grant {granted.grant_id}")


def void(
    account_id: AccountId,
    grant_id: Annotated[
        str, typer.Argument(metavar="GRANT", help="Grant id; `creditgate grants` lists them.")
    ],
    reason: Annotated[str, typer.Option(help="Why; stands in the balance history.")],
    credits: Annotated[
        str, typer.Option(metavar="CREDITS", help="So much at most; default: all that is unspent.")
    ] = "",
    type: Annotated[
        str, typer.Option(metavar="|".join(_VOIDS), help="What kind of voiding.")
    ] = "void",
    request_id: RequestId = "",
    as_json: AsJson = False,
) -> None:
    """Take back what is unspent of a grant."""
    request = VoidGrantRequest(
        account_id=account_id,
        grant_id=grant_id,
        reason=reason,
        request_id=request_id_or_new(request_id),
        amount_nanos=parse_amount("--credits", credits) if credits else None,
        type=choice("--type", type, _VOIDS),
    )
    with service() as call:
        voided = call.accounts.VoidGrant(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(voided)
    else:
        console.print(f"voided {money(voided.voided_nanos)} of grant {grant_id} of {account_id}")


def grants(
    account_id: AccountId,
    every: Annotated[
        bool, typer.Option("--all", help="Those used up, expired and voided too.")
    ] = False,
    limit: Limit = 50,
    page_token: PageToken = "",
    as_json: AsJson = False,
) -> None:
    """List an account's grants in the order in which they are burned."""
    request = ListGrantsRequest(
        account_id=account_id, include_ended=every, page_size=limit, page_token=page_token
    )
    with ledger_service() as ledger:
        page = ledger.ListGrants(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(page)
        return
    table = Table("grant", "type", "state", box=None)
    for heading in ("priority", "granted", "spent", "held", "expired", "voided", "remaining"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("expires (UTC)", no_wrap=True)
    table.add_column("only for")
    for each in page.grants:
        table.add_row(*_grant_row(each))
    console.print(table)
    print_next(page.next_page_token)


def create_top_up(
    account_id: AccountId,
    credits: Credits,
    reference: Annotated[str, typer.Option(help="The payment provider's name for the payment.")],
    method: Annotated[str, typer.Option(help="How it was paid, such as card.")] = "",
    currency: Annotated[str, typer.Option(help="Refused if it is not the account's.")] = "",
    status: Annotated[
        str, typer.Option(metavar="|".join(_STATUSES), help="Only a succeeded one adds credits.")
    ] = "succeeded",
    expires: Annotated[
        str, typer.Option(metavar="TIME", help="Of the credits (UTC); default: a year, a setting.")
    ] = "",
    non_refundable: Annotated[
        bool, typer.Option("--non-refundable", help="No money back for them.")
    ] = False,
    request_id: RequestId = "",
    as_json: AsJson = False,
) -> None:
    """Record a purchase of credits."""
    wanted = TopUp(
        account_id=account_id,
        amount_nanos=parse_amount("CREDITS", credits),
        payment_reference=reference,
        payment_method=method,
        currency=currency,
        status=choice("--status", status, _STATUSES),
        expires_at=parse_time("--expires", expires),
        non_refundable=non_refundable,
    )
    request = CreateTopUpRequest(request_id=request_id_or_new(request_id), top_up=wanted)
    with service() as call:
        _print_top_up(call.accounts.CreateTopUp(request, timeout=TIMEOUT_S), as_json)


def complete_top_up(
    account_id: AccountId,
    top_up_id: Annotated[str, typer.Argument(metavar="TOP_UP", help="Top-up id.")],
    failed: Annotated[
        bool, typer.Option("--failed", help="The payment failed; default: it succeeded.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Tell how a pending top-up's payment ended."""
    request = CompleteTopUpRequest(
        account_id=account_id, top_up_id=top_up_id, status=FAILED if failed else SUCCEEDED
    )
    with service() as call:
        _print_top_up(call.accounts.CompleteTopUp(request, timeout=TIMEOUT_S), as_json)


def list_top_ups(
    account_id: AccountId, limit: Limit = 50, page_token: PageToken = "", as_json: AsJson = False
) -> None:
    """List an account's top-ups, newest first."""
    request = ListTopUpsRequest(account_id=account_id, page_size=limit, page_token=page_token)
    with service() as call:
        page = call.accounts.ListTopUps(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(page)
        return
    table = Table("when (UTC)", "top-up", "status", "payment", box=None)
    table.add_column("credits", justify="right", no_wrap=True)
    for each in page.top_ups:
        payment = f"{each.payment_method} {each.payment_reference}".strip()
        status = TopUpStatus.Name(each.status).lower()
        table.add_row(
            when(each.create_time),
            each.top_up_id,
            status,
            payment,
            money(each.amount_nanos, each.currency),
        )
    console.print(table)
    print_next(page.next_page_token)


def _grant_row(summary: GrantSummary) -> list[str]:
    of = summary.grant
    amounts = (
        summary.granted_nanos,
        summary.spent_nanos,
        summary.held_nanos,
        summary.expired_nanos,
        summary.voided_nanos,
        summary.remaining_nanos,
    )
    return [
        of.grant_id,
        GrantType.Name(of.type).lower().replace("_", "-"),
        GrantState.Name(summary.state).lower(),
        str(of.priority),
        *map(money, amounts),
        when(of.expires_at) if of.HasField("expires_at") else "never",
        scope_text(of.scope),
    ]


def _print_top_up(top_up: TopUp, as_json: bool) -> None:
    if as_json:
        print_json(top_up)
        return
    amount = money(top_up.amount_nanos, top_up.currency)
    status = TopUpStatus.Name(top_up.status).lower()
    granted = f", grant {top_up.grant_id}" * bool(top_up.grant_id)
    console.print(
        f"top-up {top_up.top_up_id} of {amount} for {top_up.account_id}: {status}{granted}"
    )
