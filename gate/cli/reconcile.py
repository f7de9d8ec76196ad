"""The command that brings an older ledger up to its store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from gate.cli.connection import console, money
from gate.cli.output import add_number_columns
from gate.process.running_notes import with_running_store
from gate.settings import load_settings

if TYPE_CHECKING:
    # Commands that only call start in a third of the time without what reads ledger and store.
    from meter.ledger.reconciliation.difference import Difference


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(reconcile)


def reconcile(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would be done.")
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Do it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the differences as JSON.")] = False,
) -> None:
    """Bring a ledger that was restored from a backup up to what Redis has."""
    if dry_run == apply:
        raise typer.BadParameter("say what you mean: --dry-run or --apply")
    from gate import reconciliation

    settings = with_running_store(load_settings())
    shards, lacking = reconciliation.reconcile(settings, really=apply)
    if as_json:
        print(json.dumps({"shards": shards, "accounts": [each._asdict() for each in lacking]}))
    elif not shards:
        console.print("Nothing to do: Redis has nothing that the ledger once had and lacks now.")
    else:
        console.print(_differences_table(lacking))
        console.print(_summary(shards, apply))


def _differences_table(lacking: Sequence[Difference]) -> Table:
    table = Table("account", box=None)
    table.columns[0].no_wrap = True
    add_number_columns(table, "balance", "becomes", "granted", "used", "expired", "held", "changes")
    table.add_column("")
    for each in lacking:
        remark = ""
        if each.goes_back:
            remark = "stays: Redis is the older of the two"
        table.add_row(
            each.account_id,
            money(each.remaining_before),
            money(each.remaining_after),
            money(each.granted),
            money(each.used),
            money(each.expired),
            money(each.held),
            f"{each.operations:,}",
            remark,
        )
    return table


def _summary(shards: Sequence[int], applied: bool) -> str:
    named = ", ".join(map(str, shards))
    if applied:
        return f"Done: shards {named}. A gate opens them within a second."
    return f"Nothing was changed in shards {named}. Repeat this with --apply to do it."
