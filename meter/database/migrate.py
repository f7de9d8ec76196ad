"""Brings a ledger's tables to the form of this version, and refuses any other form."""

from importlib.resources import as_file, files
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select

from meter.database.engine import PATIENCE_S, Ledger
from meter.database.errors import LedgerError

_MIGRATION_PATIENCE_S = 3600.0
_LOCK = 0x6372656469747367  # "creditsg": the advisory lock that one migration at a time holds


def migrate(url: str) -> None:
    """Creates the tables, or changes the tables to this version's form.

    Any number of processes may migrate at once. Raises LedgerError if a newer version has changed
    the ledger; LedgerUnavailable if the ledger cannot be reached.
    """
    ledger = Ledger(url, _MIGRATION_PATIENCE_S)
    try:
        with ledger.write() as connection:
            _wait_for_others(connection)
            _refuse_unknown(ledger, _revision(connection))
            _upgrade(connection)
    finally:
        ledger.close()


def open_ledger(url: str, patience_s: float = PATIENCE_S) -> Ledger:
    """Returns the ledger, reached and found in this version's form.

    No statement takes longer than `patience_s`.

    Raises LedgerError, which says what to do, for any other form; LedgerUnavailable if the ledger
    cannot be reached.
    """
    ledger = Ledger(url, patience_s)
    _require_file(ledger)
    with ledger.read() as connection:
        revision = _revision(connection)
    if revision != _scripts().get_current_head():
        ledger.close()
        _refuse_unknown(ledger, revision)
        found = revision or "empty"
        raise LedgerError(f"the ledger at {ledger.name} is {found}: run `creditgate migrate` first")
    return ledger


def _require_file(ledger: Ledger) -> None:
    """Raises LedgerError if an SQLite ledger has no file, which SQLite itself would create."""
    path = ledger.url.database
    if ledger.url.get_backend_name() == "sqlite" and path and not Path(path).exists():
        raise LedgerError(
            f"there is no ledger at {path}: mend the ledger's URL, or create the ledger with"
            " `creditgate migrate`"
        )


def _wait_for_others(connection: Connection) -> None:
    """Lets one transaction at a time migrate; SQLite's writers wait by themselves."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def _upgrade(connection: Connection) -> None:
    with as_file(files("meter.database") / "migrations") as folder:
        config = _config(str(folder))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _refuse_unknown(ledger: Ledger, revision: str | None) -> None:
    known_revisions = {script.revision for script in _scripts().walk_revisions()}
    if revision is not None and revision not in known_revisions:
        raise LedgerError(
            f"the ledger at {ledger.name} was changed by a newer version of creditgate"
            f" ({revision}); use that one"
        )


def _scripts() -> ScriptDirectory:
    with as_file(files("meter.database") / "migrations") as folder:
        return ScriptDirectory.from_config(_config(str(folder)))


def _config(folder: str) -> Config:
    config = Config()
    config.set_main_option("script_location", folder.replace("%", "%%"))
    return config
