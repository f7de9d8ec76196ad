"""Commands for auto-recharge: credits that refill themselves."""

from typing import Annotated

import typer
from rich.table import Table

from gate.cli.command_group import add_group
from gate.cli.connection import TIMEOUT_S, AsJson, money, parse_amount, payments_service, when
from gate.cli.options import AccountId, Limit, PageToken
from gate.cli.output import add_number_columns, enum_text, facts_table, print_page, print_reply
from gate.cli.payments import payment_text
from meter.v1.payments_pb2 import (
    AutoRecharge,
    GetAutoRechargeRequest,
    ListRechargesRequest,
    ListRechargesResponse,
    SetAutoRechargeRequest,
    SetAutoRechargeResponse,
)

SetBy = Annotated[str, typer.Option(help="Who asked for it; kept with the rule.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    add_group(
        app,
        "auto-recharge",
        "Credits that refill themselves: set, turn off, show, resume and list.",
        {
            "set": set_rule,
            "off": turn_off,
            "show": show,
            "resume": resume,
            "list": list_recharges,
        },
    )


def set_rule(
    account_id: AccountId,
    below: Annotated[
        str, typer.Option(metavar="CREDITS", help="Buy when remaining credits fall to this.")
    ],
    amount: Annotated[
        str, typer.Option(metavar="CREDITS", help="Buy this, as often as it takes.")
    ] = "",
    up_to: Annotated[
        str, typer.Option(metavar="CREDITS", help="In place of --amount: buy up to this.")
    ] = "",
    monthly_limit: Annotated[
        str, typer.Option(metavar="CREDITS", help="Most that is bought in a UTC month.")
    ] = "",
    no_monthly_limit: Annotated[
        bool, typer.Option("--no-monthly-limit", help="Say so if there is to be none.")
    ] = False,
    method: Annotated[
        str, typer.Option(help="Id of a saved payment method; default: the default one.")
    ] = "",
    set_by: SetBy = "",
    as_json: AsJson = False,
) -> None:
    """Let an account's credits refill themselves. An account that is low is charged at once."""
    if bool(amount) == bool(up_to):
        raise typer.BadParameter("give --amount or --up-to")
    if bool(monthly_limit) == no_monthly_limit:
        raise typer.BadParameter("give --monthly-limit or --no-monthly-limit")
    rule = AutoRecharge(
        account_id=account_id,
        enabled=True,
        threshold_nanos=parse_amount("--below", below),
        method_id=method,
        set_by=set_by,
    )
    if amount:
        rule.amount_nanos = parse_amount("--amount", amount)
    else:
        rule.target_nanos = parse_amount("--up-to", up_to)
    if no_monthly_limit:
        rule.no_monthly_limit = True
    else:
        rule.monthly_limit_nanos = parse_amount("--monthly-limit", monthly_limit)
    _set(rule, as_json)


def turn_off(account_id: AccountId, set_by: SetBy = "", as_json: AsJson = False) -> None:
    """Turn auto-recharge off: no attempt begins any more, retries included."""
    _set(AutoRecharge(account_id=account_id, set_by=set_by), as_json)


def show(account_id: AccountId, as_json: AsJson = False) -> None:
    """Show an account's rule: its state, and why it does not charge."""
    request = GetAutoRechargeRequest(account_id=account_id)
    with payments_service() as payments:
        rule = payments.GetAutoRecharge(request, timeout=TIMEOUT_S)
    print_reply(rule, as_json, _rule_table)


def resume(account_id: AccountId, as_json: AsJson = False) -> None:
    """End a suspension by hand."""
    request = GetAutoRechargeRequest(account_id=account_id)
    with payments_service() as payments:
        reply = payments.ResumeAutoRecharge(request, timeout=TIMEOUT_S)
    print_reply(reply, as_json, _set_text)


def list_recharges(
    account_id: AccountId,
    limit: Limit = 50,
    page_token: PageToken = "",
    as_json: AsJson = False,
) -> None:
    """List what auto-recharge has bought, newest first."""
    request = ListRechargesRequest(account_id=account_id, page_size=limit, page_token=page_token)
    with payments_service() as payments:
        page = payments.ListRecharges(request, timeout=TIMEOUT_S)
    print_page(page, as_json, _recharges_table)


def _set(rule: AutoRecharge, as_json: bool) -> None:
    request = SetAutoRechargeRequest(rule=rule)
    with payments_service() as payments:
        reply = payments.SetAutoRecharge(request, timeout=TIMEOUT_S)
    print_reply(reply, as_json, _set_text)


def _set_text(reply: SetAutoRechargeResponse) -> str:
    rule = reply.rule
    text = f"auto-recharge of {rule.account_id} is {_state_text(rule)}"
    if reply.HasField("charging"):
        text += f"\n{payment_text(reply.charging)}"
    return text


def _state_text(rule: AutoRecharge) -> str:
    text = enum_text(AutoRecharge.State, rule.state)
    if rule.reason:
        text += f" ({rule.reason})"
    return text


def _rule_table(rule: AutoRecharge) -> Table:
    table = facts_table(f"auto-recharge of {rule.account_id}")
    table.add_row("state", _state_text(rule))
    if not rule.version:
        return table
    table.add_row("when remaining falls to", money(rule.threshold_nanos))
    if rule.HasField("target_nanos"):
        table.add_row("buys up to", money(rule.target_nanos))
    else:
        table.add_row("buys", money(rule.amount_nanos))
    limit = "none"
    if rule.HasField("monthly_limit_nanos"):
        limit = money(rule.monthly_limit_nanos)
    table.add_row("monthly limit", limit)
    table.add_row("bought this month", money(rule.spent_this_month_nanos))
    table.add_row("by", rule.method_id or "the default method")
    if rule.HasField("next_attempt_at"):
        table.add_row("next attempt (UTC)", when(rule.next_attempt_at))
    table.add_row("set (UTC)", f"{when(rule.set_at)} {rule.set_by}".strip())
    return table


def _recharges_table(page: ListRechargesResponse) -> Table:
    table = Table("when (UTC)", "recharge", "state", "payment", box=None)
    add_number_columns(table, "at", "credits")
    for recharge in page.recharges:
        table.add_row(
            when(recharge.opened_at),
            recharge.recharge_id,
            recharge.state.lower(),
            recharge.payment_id,
            money(recharge.remaining_nanos),
            money(recharge.amount_nanos),
        )
    return table
