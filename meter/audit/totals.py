"""The rule of totals: grants - debits - expiries = remaining, and held is what open holds have."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, Row, select

from meter.audit.entry import LedgerEntry
from meter.database.schema import accounts
from meter.journal.account_sums import AccountSums
from meter.journal.kinds import Kind

_GIVING = frozenset(kind.name for kind in Kind if kind.gives)
_RETIRING = frozenset(kind.name for kind in Kind if kind.retires)


class TotalsRule:
    """Adds up an account's entries."""

    def __init__(self) -> None:
        self._granted = 0
        self._debited = 0
        self._expired = 0
        self._held = 0

    def apply(self, entry: LedgerEntry) -> None:
        """Adds one entry."""
        if entry.kind in _GIVING:
            self._granted += entry.amount_nanos
        elif entry.kind in _RETIRING:
            self._expired -= entry.amount_nanos
        else:
            self._debited -= entry.amount_nanos
        self._held += entry.held_nanos

    def compare(self, connection: Connection, account_id: str) -> Iterator[str]:
        """Yields what the account's row, or the row's state, has otherwise."""
        query = select(accounts).where(accounts.c.account_id == account_id)
        row = connection.execute(query).one()
        state = AccountSums.decode(row.state)
        yield from _differences("", row, self._columns())
        yield from _differences("state: ", state, self._sums())

    def _columns(self) -> dict[str, int]:
        """Returns the sums that the account's row has in columns of their own."""
        sums = self._sums()
        return {
            "remaining_nanos": sums["remaining"],
            "held_nanos": sums["held"],
        }

    def _sums(self) -> dict[str, int]:
        """Returns the sums by the fields of AccountSums."""
        return {
            "remaining": self._granted - self._debited - self._expired,
            "held": self._held,
            "total": self._granted,
            "used": self._debited,
            "expired": self._expired,
        }


def _differences(
    prefix: str,
    recorded: Row[Any] | AccountSums,
    due: Mapping[str, int],
) -> Iterator[str]:
    for name, recomputed in due.items():
        value = getattr(recorded, name)
        if value != recomputed:
            yield f"{prefix}{name} is {value}, its entries come to {recomputed}"


def check_last_state(
    connection: Connection,
    account_id: str,
    day: int,
    state: AccountSums,
) -> Iterator[str]:
    """Yields a finding if the account's row is not as the last entry left the account."""
    columns = select(accounts.c.day, accounts.c.state)
    query = columns.where(accounts.c.account_id == account_id)
    row = connection.execute(query).one()
    if (row.day, row.state) != (day, state.encode()):
        yield (
            f"day {row.day} and state [{row.state}] are recorded,"
            f" its last entry left day {day} and [{state.encode()}]"
        )
