"""Commands that run a process of the product, or prepare for one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from gate.cli.connection import console
from gate.process.data_dir import OWN_KEYS, key_file
from gate.process.logging import configure_logging
from gate.process.running_notes import (
    RunningProcess,
    noted,
    running_processes,
    with_running_store,
)
from gate.setting_texts import masked
from gate.settings import (
    Settings,
    SettingsError,
    effective,
    env_name,
    load_settings,
    unknown_variables,
)
from meter.database.privileges import grants_sql

if TYPE_CHECKING:
    # Commands that only call start in a third of the time without what reads ledger and store.
    from meter.ledger.adoption import Adoption
    from meter.ledger.shard_state import StoreName

Listen = Annotated[
    str | None,
    typer.Option(
        metavar="ADDR",
        help="host:port or unix:/path for gRPC.",
    ),
]
BillingListen = Annotated[
    str | None,
    typer.Option(
        metavar="ADDR",
        help="host:port or unix:/path for the ledger's gRPC.",
    ),
]
MetricsListen = Annotated[
    str | None,
    typer.Option(
        metavar="ADDR",
        help="host:port or unix:/path for Prometheus.",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Where the embedded Valkey and the SQLite ledger live."),
]
Workers = Annotated[
    int | None,
    typer.Option(metavar="N", help="Gate processes that share the address; 1 by default."),
]
Worker = Annotated[int | None, typer.Option("--worker", hidden=True)]
ExitWithParent = Annotated[bool, typer.Option("--exit-with-parent", hidden=True)]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (up, serve, flush, billing, migrate, adopt, config):
        app.command()(command)


def up(
    listen: Listen = None,
    billing_listen: BillingListen = None,
    metrics_listen: MetricsListen = None,
    data_dir: DataDir = None,
    workers: Workers = None,
) -> None:
    """Run everything: embedded Valkey, SQLite ledger, gate, flusher, billing, metrics."""
    # Not at the top: the supervisor's process stays free of grpc.
    from gate.process import up as processes

    settings = load_settings(
        listen=listen,
        billing_listen=billing_listen,
        metrics_listen=metrics_listen,
        data_dir=data_dir,
        workers=workers,
    )
    configure_logging(settings, "up")
    raise typer.Exit(processes.up(settings))


def serve(
    listen: Listen = None,
    metrics_listen: MetricsListen = None,
    workers: Workers = None,
    worker: Worker = None,
    exit_with_parent: ExitWithParent = False,
) -> None:
    """Run the gate alone, beside a Redis and a ledger that exist already."""
    settings = load_settings(
        listen=listen,
        metrics_listen=metrics_listen,
        workers=workers,
    )
    if settings.workers > 1:
        from gate.process import up as processes

        configure_logging(settings, "serve")
        raise typer.Exit(processes.serve(settings))
    from gate import app

    with _noted("serve", settings, exit_with_parent):
        app.run_gate(
            settings,
            exit_with_parent=exit_with_parent,
            worker=worker,
        )


def flush(
    metrics_listen: MetricsListen = None,
    exit_with_parent: ExitWithParent = False,
) -> None:
    """Run the flusher alone: journal into ledger."""
    from gate import app

    settings = load_settings(metrics_listen=metrics_listen)
    with _noted("flush", settings, exit_with_parent):
        app.run_flusher(settings, exit_with_parent=exit_with_parent)


def billing(
    billing_listen: BillingListen = None,
    metrics_listen: MetricsListen = None,
    exit_with_parent: ExitWithParent = False,
) -> None:
    """Run billing alone: history, usage, invoices and checks, read from the ledger."""
    from gate import app

    settings = load_settings(billing_listen=billing_listen, metrics_listen=metrics_listen)
    with _noted("billing", settings, exit_with_parent):
        app.run_billing(settings, exit_with_parent=exit_with_parent)


def migrate(
    print_grants: Annotated[
        bool,
        typer.Option(
            "--print-grants",
            help="Only print the SQL by which PostgreSQL gives each process what it needs.",
        ),
    ] = False,
) -> None:
    """Bring the ledger's tables to this version."""
    from gate import ledger_tasks

    if print_grants:
        print(grants_sql())
        return
    settings = load_settings()
    ledger_tasks.migrate_ledger(settings)
    console.print(f"the ledger at {masked(settings.ledger_url)} has this version's form")


def adopt(
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only tell.")] = False,
) -> None:
    """Give the ledger's shards to the store of the settings, in place of the store they have."""
    from gate import ledger_tasks

    settings = with_running_store(load_settings())
    adoptions = ledger_tasks.adopt_store(settings, really=yes)
    if not adoptions:
        console.print("Nothing to do: the ledger belongs to this store.")
        return
    console.print(_adoption_table(adoptions))
    if yes:
        console.print("Done. Start the gates on this store.")
    else:
        console.print(
            "Nothing was changed. Stop what uses the former store: what it has not flushed is given"
            " up. Then repeat this with --yes."
        )


def config() -> None:
    """Check the settings and print the effective ones; also those of running processes."""
    settings = load_settings()
    if problems := unknown_variables():
        raise SettingsError(problems)
    console.print(_settings_table(settings))
    for process in running_processes(settings.data_dir):
        console.print(_running_table(process, settings))


def _adoption_table(adoptions: Sequence[Adoption]) -> Table:
    table = Table("shard", "from", "to", "what follows", box=None)
    for adoption in adoptions:
        follows = "goes on with what this store holds"
        if adoption.is_empty:
            follows = "rebuilt from the ledger"
        table.add_row(
            str(adoption.shard),
            _named(adoption.known.store),
            _named(adoption.store),
            follows,
        )
    return table


def _named(store: StoreName) -> str:
    return f"{store.name} ({store.store_id})"


def _settings_table(settings: Settings) -> Table:
    table = Table("variable", "value", "meaning", box=None)
    for setting in effective(settings):
        value = setting.value
        for key in OWN_KEYS:
            if setting.env_name == env_name(key):
                value = value or _kept_key(settings, key)
        table.add_row(setting.env_name, value, setting.description)
    return table


def _running_table(process: RunningProcess, settings: Settings) -> Table:
    """Returns what a running process goes by, where that differs from the settings here."""
    here = {setting.env_name: setting.value for setting in effective(settings)}
    title = (
        f"\nIn force in `creditgate {process.command}` (process {process.pid}), otherwise as above"
    )
    table = Table("variable", "value", box=None, title=title, title_justify="left")
    for variable, value in process.values.items():
        if value != here.get(variable):
            table.add_row(variable, value)
    return table


def _noted(
    command: str,
    settings: Settings,
    is_child: bool,
) -> AbstractContextManager[None]:
    """Notes a process that a person started; its parent notes the others."""
    if is_child:
        return nullcontext()
    return noted(command, settings)


def _kept_key(settings: Settings, name: str) -> str:
    """Tells of the key that `creditgate up` has made in the data directory, if there is one."""
    kept = key_file(settings.data_dir, name)
    if kept.exists():
        return f"*** (for `up`, from {kept})"
    return ""
