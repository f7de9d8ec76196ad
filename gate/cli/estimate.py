"""What a request would cost."""

from typing import Annotated

import typer
from rich.table import Table

from gate.cli.connection import (
    TIMEOUT_S,
    AsJson,
    CallFailed,
    console,
    money,
    parse_amount,
    print_json,
    service,
)
from gate.cli.options import pair
from gate.v1.gate_pb2 import EstimateCostRequest, EstimateCostResponse, Usage


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(estimate)


def estimate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Such as gpt-4o or openai/gpt-4o.")],
    units: Annotated[
        list[str],
        typer.Argument(
            metavar="UNIT=QUANTITY...", help="Of one request: input_tokens=1000 output_tokens=200."
        ),
    ],
    account: Annotated[
        str, typer.Option(metavar="ACCOUNT", help="By its prices, and for what it has available.")
    ] = "",
    credits: Annotated[
        str, typer.Option(metavar="CREDITS", help="How many such requests do these buy?")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Tell what a request would cost, and how many such requests an amount, or an account's credits,
    buys.
    """
    request = EstimateCostRequest(account_id=account, usage=_usage(model, units))
    if credits:
        request.amount_nanos = parse_amount("--credits", credits)
    with service() as call:
        estimated = call.gate.EstimateCost(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(estimated)
    else:
        _print(estimated)


def _usage(model: str, units: list[str]) -> Usage:
    usage = Usage(model=model)
    for each in units:
        unit, quantity = pair("UNIT=QUANTITY", each, "as input_tokens=1000")
        if not (quantity.isascii() and quantity.isdigit() and len(quantity) < 19):
            raise CallFailed(f"{unit}: {quantity!r} is no whole number of units, such as 1000")
        if unit in usage.DESCRIPTOR.fields_by_name and unit not in ("model", "units"):
            setattr(usage, unit, int(quantity))
        else:
            usage.units[unit] = int(quantity)
    return usage


def _print(estimated: EstimateCostResponse) -> None:
    table = Table("unit", box=None)
    for heading in ("quantity", estimated.currency):
        table.add_column(heading, justify="right", no_wrap=True)
    for line in estimated.lines:
        table.add_row(line.unit, f"{line.quantity:,}", money(line.amount_nanos))
    table.add_row(estimated.model, "", money(estimated.cost_nanos), style="bold")
    console.print(table)
    if estimated.HasField("affordable_requests"):
        buys = f"{estimated.affordable_requests:,} such request{'s' * (estimated.affordable_requests != 1)}"
        if estimated.HasField("affordable_output_tokens"):
            buys += f", or {estimated.affordable_output_tokens:,} output tokens in one"
        console.print(f"{money(estimated.amount_nanos, estimated.currency)} buy {buys}")
