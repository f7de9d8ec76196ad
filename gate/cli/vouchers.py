"""Commands to make, redeem and list vouchers."""

from typing import Annotated

import typer
from rich.table import Table

from gate.cli.command_group import add_group
from gate.cli.connection import TIMEOUT_S, AsJson, money, parse_amount, parse_time, service, when
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
    parse_duration_ms,
    request_id_or_new,
    scope,
)
from gate.cli.output import add_number_columns, enum_text, print_page, print_reply, when_or
from meter.journal.grant_types import VOUCHER_TYPES
from meter.v1.accounts_pb2 import (
    CreateVouchersRequest,
    CreateVouchersResponse,
    Grant,
    GrantType,
    ListVoucherBatchesRequest,
    ListVoucherBatchesResponse,
    RedeemVoucherRequest,
    VoucherBatch,
)

_TYPES = [name.lower() for name in VOUCHER_TYPES]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    add_group(
        app,
        "voucher",
        "Make, redeem and list vouchers.",
        {
            "create": create,
            "redeem": redeem,
            "list": list_batches,
        },
    )


def create(
    batch_id: Annotated[
        str, typer.Argument(metavar="BATCH", help="The batch's id, such as spring-2027.")
    ],
    credits: Credits,
    codes: Annotated[int, typer.Option(help="How many codes, 1 to 10,000.")] = 1,
    currency: Annotated[
        str, typer.Option(help="Only accounts of this currency can redeem them.")
    ] = "USD",
    type: Annotated[
        str, typer.Option(metavar="|".join(_TYPES), help="What kind of credits.")
    ] = "voucher",
    expires: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="Until when (UTC) they can be redeemed; default: for good."
        ),
    ] = "",
    live: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="How long the credits live then, such as 30d; default: for good."
        ),
    ] = "",
    uses: Annotated[int, typer.Option(help="How often each code can be redeemed in all.")] = 1,
    uses_per_account: Annotated[int, typer.Option(help="How often by the same account.")] = 1,
    priority: Priority = 0,
    models: Models = None,
    services: Services = None,
    description: Annotated[str, typer.Option(help="Stands in the balance history.")] = "",
    request_id: RequestId = "",
    as_json: AsJson = False,
) -> None:
    """Make a batch of voucher codes and print them, one a line.

    They are shown this once: only hashes are kept.
    """
    batch = VoucherBatch(
        batch_id=batch_id,
        amount_nanos=parse_amount("CREDITS", credits),
        codes=codes,
        currency=currency,
        type=choice("--type", type, _TYPES),
        expires_at=parse_time("--expires", expires),
        credits_live_ms=parse_duration_ms("--live", live),
        uses_per_code=uses,
        uses_per_account=uses_per_account,
        priority=priority,
        scope=scope(models, services),
        description=description,
    )
    request = CreateVouchersRequest(request_id=request_id_or_new(request_id), batch=batch)
    with service() as call:
        created = call.accounts.CreateVouchers(request, timeout=TIMEOUT_S)
    print_reply(created, as_json, _codes_text)


def redeem(
    account_id: AccountId,
    code: Annotated[
        str, typer.Argument(metavar="CODE", help="In any case, with or without dashes.")
    ],
    request_id: RequestId = "",
    as_json: AsJson = False,
) -> None:
    """Turn a voucher into credits."""
    request = RedeemVoucherRequest(
        account_id=account_id,
        request_id=request_id_or_new(request_id),
        code=code,
    )
    with service() as call:
        granted = call.accounts.RedeemVoucher(request, timeout=TIMEOUT_S)
    print_reply(
        granted,
        as_json,
        lambda granted: _granted_text(account_id, granted),
    )


def list_batches(
    limit: Limit = 50,
    page_token: PageToken = "",
    as_json: AsJson = False,
) -> None:
    """List batches of vouchers by id; their codes are known to nobody."""
    request = ListVoucherBatchesRequest(page_size=limit, page_token=page_token)
    with service() as call:
        page = call.accounts.ListVoucherBatches(request, timeout=TIMEOUT_S)
    print_page(page, as_json, _batches_table)


def _codes_text(created: CreateVouchersResponse) -> str:
    return "\n".join(created.codes)


def _granted_text(account_id: str, granted: Grant) -> str:
    amount = money(granted.amount_nanos)
    text = f"granted {amount} to {account_id} as {GrantType.Name(granted.type)}"
    if granted.HasField("expires_at"):
        text += f" until {when(granted.expires_at)}"
    return f"{text}, grant {granted.grant_id}"


def _batches_table(page: ListVoucherBatchesResponse) -> Table:
    table = Table("batch", "type", box=None)
    add_number_columns(table, "credits", "codes", "uses each", "redeemed")
    table.add_column("until (UTC)", no_wrap=True)
    table.add_column("description")
    for batch in page.batches:
        table.add_row(
            batch.batch_id,
            enum_text(GrantType, batch.type),
            money(batch.amount_nanos, batch.currency),
            f"{batch.codes:,}",
            f"{batch.uses_per_code:,}",
            f"{batch.redeemed:,}",
            when_or("for good", batch, "expires_at"),
            batch.description,
        )
    return table
