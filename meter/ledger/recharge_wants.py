"""Wants of recharges: accounts that were found at or below the level of their armed rule."""

from collections.abc import Iterable

from sqlalchemy import Connection

from meter.database.engine import insert_or_ignore
from meter.database.payments_schema import recharge_wants
from meter.times import now_ms


def want_recharges(connection: Connection, account_ids: Iterable[str]) -> None:
    """Notes that billing is to look at the accounts' rules; one that is noted already stays so."""
    at_ms = now_ms()
    rows = [{"account_id": account_id, "at_ms": at_ms} for account_id in account_ids]
    insert_or_ignore(connection, recharge_wants, rows)
