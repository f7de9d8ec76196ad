"""Commands to record, complete and list top-ups: purchases of credits."""

from typing import Annotated

import typer
from rich.table import Table

from gate.cli.command_group import add_group
from gate.cli.connection import (
    TIMEOUT_S,
    AsJson,
    money,
    parse_amount,
    parse_time,
    payments_service,
    service,
    when,
)
from gate.cli.options import (
    AccountId,
    Credits,
    Limit,
    PageToken,
    RequestId,
    choice,
    choices,
    request_id_or_new,
)
from gate.cli.output import add_number_columns, enum_text, print_page, print_reply
from gate.cli.payments import payment_text
from meter.currencies import format_minor
from meter.v1.accounts_pb2 import (
    FAILED,
    SUCCEEDED,
    CompleteTopUpRequest,
    CreateTopUpRequest,
    ListTopUpsRequest,
    ListTopUpsResponse,
    TopUp,
    TopUpStatus,
)
from meter.v1.payments_pb2 import CANCELLED, BuyCreditsRequest, Refund, RefundTopUpRequest

_STATUSES = choices(TopUpStatus)

Expires = Annotated[
    str, typer.Option(metavar="TIME", help="Of the credits (UTC); default: a year, a setting.")
]
NonRefundable = Annotated[bool, typer.Option("--non-refundable", help="No money back for them.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    add_group(
        app,
        "top-up",
        "Purchases of credits: buy, record, complete, refund and list them.",
        {
            "buy": buy,
            "create": create,
            "complete": complete,
            "list": list_top_ups,
            "refund": refund,
        },
    )


def buy(
    account_id: AccountId,
    credits: Credits,
    method: Annotated[
        str, typer.Option(help="Id of a saved payment method; default: the default one.")
    ] = "",
    hosted: Annotated[
        bool, typer.Option("--hosted", help="Pay on a page of the payment provider.")
    ] = False,
    expires: Expires = "",
    non_refundable: NonRefundable = False,
    validate_only: Annotated[
        bool, typer.Option("--validate-only", help="Charge nothing: only tell what it costs.")
    ] = False,
    request_id: RequestId = "",
    as_json: AsJson = False,
) -> None:
    """Buy credits by a saved payment method, or on a page of the payment provider."""
    request = BuyCreditsRequest(
        account_id=account_id,
        request_id=request_id_or_new(request_id),
        amount_nanos=parse_amount("CREDITS", credits),
        expires_at=parse_time("--expires", expires),
        non_refundable=non_refundable,
        validate_only=validate_only,
    )
    if hosted and method:
        raise typer.BadParameter("give --method or --hosted, not both")
    if hosted:
        request.hosted_page = True
    elif method:
        request.method_id = method
    else:
        request.default_method = True
    with payments_service() as payments:
        payment = payments.BuyCredits(request, timeout=TIMEOUT_S)
    print_reply(payment, as_json, payment_text)
    if payment.state == CANCELLED:
        raise typer.Exit(1)


def create(
    account_id: AccountId,
    credits: Credits,
    reference: Annotated[str, typer.Option(help="The payment provider's name for the payment.")],
    method: Annotated[str, typer.Option(help="How it was paid, such as card.")] = "",
    currency: Annotated[str, typer.Option(help="Refused if it is not the account's.")] = "",
    status: Annotated[
        str,
        typer.Option(
            metavar="|".join(_STATUSES),
            help="Only a succeeded one adds credits.",
        ),
    ] = "succeeded",
    expires: Expires = "",
    non_refundable: NonRefundable = False,
    request_id: RequestId = "",
    as_json: AsJson = False,
) -> None:
    """Record a purchase of credits."""
    top_up = TopUp(
        account_id=account_id,
        amount_nanos=parse_amount("CREDITS", credits),
        payment_reference=reference,
        payment_method=method,
        currency=currency,
        status=choice("--status", status, _STATUSES),
        expires_at=parse_time("--expires", expires),
        non_refundable=non_refundable,
    )
    request = CreateTopUpRequest(
        request_id=request_id_or_new(request_id),
        top_up=top_up,
    )
    with service() as call:
        created = call.accounts.CreateTopUp(request, timeout=TIMEOUT_S)
    print_reply(created, as_json, _top_up_text)


def complete(
    account_id: AccountId,
    top_up_id: Annotated[
        str,
        typer.Argument(
            metavar="TOP_UP",
            help="Top-up id.",
        ),
    ],
    failed: Annotated[
        bool, typer.Option("--failed", help="The payment failed; default: it succeeded.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Tell how a pending top-up's payment ended."""
    status = FAILED if failed else SUCCEEDED
    request = CompleteTopUpRequest(
        account_id=account_id,
        top_up_id=top_up_id,
        status=status,
    )
    with service() as call:
        completed = call.accounts.CompleteTopUp(request, timeout=TIMEOUT_S)
    print_reply(completed, as_json, _top_up_text)


def list_top_ups(
    account_id: AccountId,
    limit: Limit = 50,
    page_token: PageToken = "",
    as_json: AsJson = False,
) -> None:
    """List an account's top-ups, newest first."""
    request = ListTopUpsRequest(
        account_id=account_id,
        page_size=limit,
        page_token=page_token,
    )
    with service() as call:
        page = call.accounts.ListTopUps(request, timeout=TIMEOUT_S)
    print_page(page, as_json, _top_ups_table)


def refund(
    account_id: AccountId,
    top_up_id: Annotated[str, typer.Argument(metavar="TOP_UP", help="Top-up id.")],
    reason: Annotated[str, typer.Option(help="Why; kept with the refund.")],
    credits: Annotated[
        str, typer.Option(help="How many credits; default: all that are unspent.")
    ] = "",
    request_id: RequestId = "",
    as_json: AsJson = False,
) -> None:
    """Take back unspent credits of a top-up that was bought, and pay back that much money."""
    request = RefundTopUpRequest(
        account_id=account_id,
        request_id=request_id_or_new(request_id),
        top_up_id=top_up_id,
        reason=reason,
    )
    if credits:
        request.amount_nanos = parse_amount("--credits", credits)
    with payments_service() as payments:
        refunded = payments.RefundTopUp(request, timeout=TIMEOUT_S)
    print_reply(refunded, as_json, _refund_text)


def _refund_text(refund: Refund) -> str:
    paid = format_minor(refund.paid.minor_units, refund.paid.currency)
    taken = money(refund.voided_nanos)
    return f"refund {refund.refund_id}: {refund.state.lower()}, {taken} credits, {paid} back"


def _top_ups_table(page: ListTopUpsResponse) -> Table:
    table = Table("when (UTC)", "top-up", "status", "payment", box=None)
    add_number_columns(table, "credits")
    for top_up in page.top_ups:
        payment = f"{top_up.payment_method} {top_up.payment_reference}"
        table.add_row(
            when(top_up.create_time),
            top_up.top_up_id,
            _status_text(top_up),
            payment.strip(),
            money(top_up.amount_nanos, top_up.currency),
        )
    return table


def _status_text(top_up: TopUp) -> str:
    status = enum_text(TopUpStatus, top_up.status)
    if top_up.refunded_nanos:
        status += f", {money(top_up.refunded_nanos)} refunded"
    return status


def _top_up_text(top_up: TopUp) -> str:
    amount = money(top_up.amount_nanos, top_up.currency)
    status = enum_text(TopUpStatus, top_up.status)
    text = f"top-up {top_up.top_up_id} of {amount} for {top_up.account_id}: {status}"
    if top_up.grant_id:
        text += f", grant {top_up.grant_id}"
    return text
