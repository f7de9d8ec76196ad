"""Commands to grant credits, take credits back, and list grants."""

from typing import Annotated

import typer
from rich.table import Table

from gate.cli.connection import (
    TIMEOUT_S,
    AsJson,
    ledger_service,
    money,
    parse_amount,
    parse_time,
    service,
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
from gate.cli.output import add_number_columns, enum_text, print_page, print_reply, when_or
from meter.v1.accounts_pb2 import (
    Grant,
    GrantCreditsRequest,
    GrantType,
    VoidGrantRequest,
    VoidGrantResponse,
    VoidType,
)
from meter.v1.ledger_pb2 import GrantState, ListGrantsRequest, ListGrantsResponse

_TYPES = choices(GrantType)
_VOIDS = choices(VoidType)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(grant)
    app.command()(void)
    app.command()(grants)


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
    expires: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="From then on (UTC) they cannot be spent; default: never."
        ),
    ] = "",
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
        account_id=account_id,
        request_id=request_id_or_new(request_id),
        grant=wanted,
    )
    with service() as call:
        granted = call.accounts.GrantCredits(request, timeout=TIMEOUT_S)

    def text(granted: Grant) -> str:
        amount = money(granted.amount_nanos)
        grant_type = GrantType.Name(granted.type)
        return f"granted {amount} to {account_id} as {grant_type}, grant {granted.grant_id}"

    print_reply(granted, as_json, text)


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
        type=choice("--type", type, _VOIDS),
    )
    if credits:
        request.amount_nanos = parse_amount("--credits", credits)
    with service() as call:
        voided = call.accounts.VoidGrant(request, timeout=TIMEOUT_S)

    def text(voided: VoidGrantResponse) -> str:
        told = f"voided {money(voided.voided_nanos)} of grant {grant_id} of {account_id}"
        if request.HasField("amount_nanos") and voided.voided_nanos < request.amount_nanos:
            told += f", all that was unspent: {money(request.amount_nanos)} were asked for"
        return told

    print_reply(voided, as_json, text)


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
        account_id=account_id,
        include_ended=every,
        page_size=limit,
        page_token=page_token,
    )
    with ledger_service() as ledger:
        page = ledger.ListGrants(request, timeout=TIMEOUT_S)
    print_page(page, as_json, _grants_table)


def _grants_table(page: ListGrantsResponse) -> Table:
    table = Table("grant", "type", "state", box=None)
    add_number_columns(
        table,
        "priority",
        "granted",
        "spent",
        "held",
        "expired",
        "voided",
        "remaining",
    )
    table.add_column("expires (UTC)", no_wrap=True)
    table.add_column("only for")
    for summary in page.grants:
        grant = summary.grant
        table.add_row(
            grant.grant_id,
            enum_text(GrantType, grant.type),
            enum_text(GrantState, summary.state),
            str(grant.priority),
            money(summary.granted_nanos),
            money(summary.spent_nanos),
            money(summary.held_nanos),
            money(summary.expired_nanos),
            money(summary.voided_nanos),
            money(summary.remaining_nanos),
            when_or("never", grant, "expires_at"),
            scope_text(grant.scope),
        )
    return table
