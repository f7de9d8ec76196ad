"""The command to check the books."""

from typing import Annotated

import typer
from rich.text import Text

from gate.cli.connection import AsJson, console, ledger_service, payments_service, print_json
from gate.cli.output import print_reply
from meter.v1.ledger_pb2 import CheckBooksRequest, CheckBooksResponse
from meter.v1.payments_pb2 import CheckPaymentsRequest, CheckPaymentsResponse

_TIMEOUT_S = 3600.0  # every entry of the ledger is read


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(check)


def check(
    account_id: Annotated[
        str,
        typer.Argument(
            metavar="ACCOUNT",
            help="Only this account.",
        ),
    ] = "",
    provider: Annotated[
        bool,
        typer.Option(
            "--provider",
            help="Compare the payments of the last 30 days with the payment provider's instead.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Recompute the books and compare them with Redis. Exits with 1 if anything is wrong."""
    if provider:
        _check_provider(account_id, as_json)
        return
    request = CheckBooksRequest(account_id=account_id)
    with ledger_service() as ledger:
        result = ledger.CheckBooks(request, timeout=_TIMEOUT_S)
    if as_json:
        print_json(result)
    else:
        _print_findings(result)
    if result.findings:
        raise typer.Exit(1)


def _check_provider(account_id: str, as_json: bool) -> None:
    request = CheckPaymentsRequest(account_id=account_id)
    with payments_service() as payments:
        result = payments.CheckPayments(request, timeout=_TIMEOUT_S)
    print_reply(result, as_json, _provider_text)
    if result.findings:
        raise typer.Exit(1)


def _provider_text(result: CheckPaymentsResponse) -> str:
    lines = [f"{each.account_id} {each.payment_id} {each.detail}" for each in result.findings]
    verdict = "as the provider tells"
    if result.findings:
        verdict = _count_text(len(result.findings), "finding", "findings")
    checked = _count_text(result.payments_checked, "payment", "payments")
    return "\n".join([*lines, f"{checked}: {verdict}"])


def _print_findings(result: CheckBooksResponse) -> None:
    for finding in result.findings:
        invariant = (finding.invariant, "red")
        where = f" {finding.account_id} {finding.shard} {finding.detail}"
        console.print(Text.assemble(invariant, where), soft_wrap=True)
    checked = [
        _count_text(result.accounts_checked, "account", "accounts"),
        _count_text(result.entries_checked, "entry", "entries"),
        _count_text(result.invoices_checked, "invoice", "invoices"),
    ]
    verdict = "the books are right"
    if result.findings:
        verdict = _count_text(len(result.findings), "finding", "findings")
    console.print(f"{', '.join(checked)}: {verdict}")


def _count_text(count: int, singular: str, plural: str) -> str:
    noun = singular if count == 1 else plural
    return f"{count:,} {noun}"
