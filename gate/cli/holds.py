"""Commands to list open holds, and to give one back."""

from typing import Annotated

import typer
from rich.table import Table

from gate.cli.command_group import add_group
from gate.cli.connection import TIMEOUT_S, AsJson, ledger_service, money, service, when
from gate.cli.options import AccountId, Limit, PageToken, RequestId, request_id_or_new
from gate.cli.output import add_number_columns, print_page, print_reply
from gate.v1.gate_pb2 import ReleaseRequest, ReleaseResponse
from meter.v1.ledger_pb2 import ListHoldsRequest, ListHoldsResponse


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    add_group(
        app,
        "hold",
        "Credits set aside by Authorize: list holds, and give one back.",
        {
            "list": list_holds,
            "release": release,
        },
    )


def list_holds(
    account_id: AccountId,
    limit: Limit = 50,
    page_token: PageToken = "",
    as_json: AsJson = False,
) -> None:
    """List an account's open holds, the oldest first."""
    request = ListHoldsRequest(
        account_id=account_id,
        page_size=limit,
        page_token=page_token,
    )
    with ledger_service() as ledger:
        page = ledger.ListHolds(request, timeout=TIMEOUT_S)
    print_page(page, as_json, _holds_table)


def release(
    account_id: AccountId,
    hold_id: Annotated[
        str, typer.Argument(metavar="HOLD", help="Hold id; `creditgate hold list` lists them.")
    ],
    request_id: RequestId = "",
    as_json: AsJson = False,
) -> None:
    """Give a hold back; a Debit that names the hold later is refused."""
    request = ReleaseRequest(
        account_id=account_id,
        request_id=request_id_or_new(request_id),
        hold_id=hold_id,
    )
    with service() as call:
        released = call.gate.Release(request, timeout=TIMEOUT_S)

    def text(released: ReleaseResponse) -> str:
        return f"released hold {hold_id} of {account_id}: {money(released.released_nanos)}"

    print_reply(released, as_json, text)


def _holds_table(page: ListHoldsResponse) -> Table:
    table = Table("hold", "since (UTC)", "expires (UTC)", box=None)
    add_number_columns(table, "credits")
    for hold in page.holds:
        table.add_row(
            hold.hold_id,
            when(hold.authorized_at),
            when(hold.expires_at),
            money(hold.amount_nanos),
        )
    return table
