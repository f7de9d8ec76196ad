"""The command to estimate the cost of a request."""

from collections.abc import Iterable
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table

from gate.cli.connection import TIMEOUT_S, AsJson, CallFailed, money, parse_amount, service
from gate.cli.options import is_whole_number, pair
from gate.cli.output import add_number_columns, print_reply
from gate.v1.gate_pb2 import EstimateCostRequest, EstimateCostResponse, Usage

_OTHER_FIELDS = {"model", "units", "service_tier", "reported_json"}
_TOKEN_FIELDS = set(Usage.DESCRIPTOR.fields_by_name) - _OTHER_FIELDS
_MAX_DIGITS = 18  # of a quantity: int64 holds any number of so many digits


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(estimate)


def estimate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="Such as gpt-4o or openai/gpt-4o.",
        ),
    ],
    units: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="UNIT=QUANTITY...", help="Of one request: input_tokens=1000 output_tokens=200."
        ),
    ] = None,
    account: Annotated[
        str, typer.Option(metavar="ACCOUNT", help="By its prices, and for what it has available.")
    ] = "",
    credits: Annotated[
        str, typer.Option(metavar="CREDITS", help="How many such requests do these buy?")
    ] = "",
    service_tier: Annotated[
        str, typer.Option(metavar="TIER", help="Such as batch, flex or priority.")
    ] = "",
    reported: Annotated[
        str,
        typer.Option(
            metavar="JSON",
            help="The usage object of a provider's response, in place of token counts.",
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Tell what a request would cost, and how many such requests an amount, or an account's
    credits, buys.
    """
    request = EstimateCostRequest(
        account_id=account,
        usage=_parse_usage(model, units or ()),
    )
    request.usage.service_tier = service_tier
    request.usage.reported_json = reported
    if credits:
        request.amount_nanos = parse_amount("--credits", credits)
    with service() as call:
        estimated = call.gate.EstimateCost(request, timeout=TIMEOUT_S)
    print_reply(estimated, as_json, _render)


def _parse_usage(model: str, units: Iterable[str]) -> Usage:
    usage = Usage(model=model)
    for text in units:
        unit, number = pair("UNIT=QUANTITY", text, "as input_tokens=1000")
        quantity = _parse_quantity(unit, number)
        _set_quantity(usage, unit, quantity)
    return usage


def _set_quantity(usage: Usage, unit: str, quantity: int) -> None:
    if unit in _TOKEN_FIELDS:
        setattr(usage, unit, quantity)
    else:
        usage.units[unit] = quantity


def _parse_quantity(unit: str, text: str) -> int:
    if not is_whole_number(text, _MAX_DIGITS):
        raise CallFailed(f"{unit}: {text!r} is no whole number of units, such as 1000")
    return int(text)


def _render(estimated: EstimateCostResponse) -> RenderableType:
    table = Table("unit", box=None)
    add_number_columns(table, "quantity", estimated.currency)
    for line in estimated.lines:
        table.add_row(line.unit, f"{line.quantity:,}", money(line.amount_nanos))
    table.add_row(estimated.model, "", money(estimated.cost_nanos), style="bold")
    if not estimated.HasField("affordable_requests"):
        return table
    return Group(table, _affordable_text(estimated))


def _affordable_text(estimated: EstimateCostResponse) -> str:
    amount = money(estimated.amount_nanos, estimated.currency)
    text = f"{amount} buy {_requests_text(estimated.affordable_requests)}"
    if estimated.HasField("affordable_output_tokens"):
        text += f", or {estimated.affordable_output_tokens:,} output tokens in one"
    return text


def _requests_text(count: int) -> str:
    if count == 1:
        return "1 such request"
    return f"{count:,} such requests"
