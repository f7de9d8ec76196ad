"""Commands about vouchers."""

from typing import Annotated

import typer
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
from meter.v1.accounts_pb2 import (
    CreateVouchersRequest,
    GrantType,
    ListVoucherBatchesRequest,
    RedeemVoucherRequest,
    VoucherBatch,
)

_TYPES = ["voucher", "promotion"]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    voucher = typer.Typer(no_args_is_help=True, help="Make, redeem and list vouchers.")
    voucher.command("create")(create)
    voucher.command("redeem")(redeem)
    voucher.command("list")(list_batches)
    app.add_typer(voucher, name="voucher")


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
    with service() as call:
        made = call.accounts.CreateVouchers(
            CreateVouchersRequest(request_id=request_id, batch=batch), timeout=TIMEOUT_S
        )
    if as_json:
        print_json(made)
    else:
        for code in made.codes:
            console.print(code)


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
        account_id=account_id, request_id=request_id_or_new(request_id), code=code
    )
    with service() as call:
        granted = call.accounts.RedeemVoucher(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(granted)
        return
    until = f" until {when(granted.expires_at)}" if granted.HasField("expires_at") else ""
    what = f"{money(granted.amount_nanos)} to {account_id} as {GrantType.Name(granted.type)}{until}"
    console.print(f"granted {what}, grant {granted.grant_id}")


def list_batches(limit: Limit = 50, page_token: PageToken = "", as_json: AsJson = False) -> None:
    """List batches of vouchers by id; their codes are known to nobody."""
    request = ListVoucherBatchesRequest(page_size=limit, page_token=page_token)
    with service() as call:
        page = call.accounts.ListVoucherBatches(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(page)
        return
    table = Table("batch", "type", box=None)
    for heading in ("credits", "codes", "uses each", "redeemed"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("until (UTC)", no_wrap=True)
    table.add_column("description")
    for batch in page.batches:
        until = when(batch.expires_at) if batch.HasField("expires_at") else "for good"
        counts = f"{batch.codes:,}", f"{batch.uses_per_code:,}", f"{batch.redeemed:,}"
        amount = money(batch.amount_nanos, batch.currency)
        kind = GrantType.Name(batch.type).lower()
        table.add_row(batch.batch_id, kind, amount, *counts, until, batch.description)
    console.print(table)
    print_next(page.next_page_token)
