"""The command to show an account's balance."""

from collections.abc import Iterator

import typer
from rich.table import Table

from gate.cli.connection import TIMEOUT_S, AsJson, money, service, when
from gate.cli.options import AccountId, typed
from gate.cli.output import facts_table, money_or, print_reply
from gate.v1.gate_pb2 import GetBalanceRequest, GetBalanceResponse, GraceState


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(balance)


def balance(account_id: AccountId, as_json: AsJson = False) -> None:
    """Show what an account has, has used, and may still spend."""
    request = GetBalanceRequest(account_id=account_id)
    with service() as call:
        reply = call.gate.GetBalance(request, timeout=TIMEOUT_S)
    print_reply(reply, as_json, _balance_table)


def _balance_table(reply: GetBalanceResponse) -> Table:
    sums = reply.balance
    table = facts_table(f"{reply.account_id} ({reply.currency})")
    table.add_column()
    table.add_column(justify="right")
    table.add_row("total credits", money(sums.total_credits_nanos))
    if sums.expired_nanos:
        table.add_row("expired or voided", money(sums.expired_nanos))
    table.add_row("used this month", money(sums.period_usage_nanos))
    table.add_row("remaining", money(sums.remaining_nanos))
    for name, amount in _breakdown(reply):
        table.add_row(f"  {name}", amount)
    table.add_row("overage protection", money(sums.overage_protection_nanos))
    table.add_row("held", money(sums.held_nanos))
    table.add_row("daily limit", money_or("none", sums, "daily_limit_nanos"))
    table.add_row("used today", money(sums.daily_used_nanos))
    table.add_row("used yesterday", money(sums.daily_used_yesterday_nanos))
    if reply.suspended:
        table.add_row("status", "suspended", style="bold")
    for grace in reply.graces:
        table.add_row(f"in grace: {grace.traffic_class}", _grace_text(grace))
    table.add_row("available to use", money(sums.available_nanos), style="bold")
    return table


def _breakdown(reply: GetBalanceResponse) -> Iterator[tuple[str, str]]:
    """Yields the parts of the remaining credits, each with a name."""
    for part in reply.breakdown:
        yield typed(part.type), money(part.remaining_nanos)
    if reply.debt_nanos:
        yield "overage in use", money(-reply.debt_nanos)
    if reply.blocked_nanos:
        yield "of it blocked until overage is paid", money(reply.blocked_nanos)
    if reply.balance.scoped_nanos:
        yield "of it only for some models or services", money(reply.balance.scoped_nanos)


def _grace_text(grace: GraceState) -> str:
    if grace.HasField("ends_at"):
        return f"until {when(grace.ends_at)}"
    return f"since {when(grace.began_at)}"
