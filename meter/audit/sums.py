"""The rules that are checked against other tables, once an account's history has been read
to its end.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy import Connection, Table, select

from meter.audit.entry import LedgerEntry
from meter.database.schema import accounts, usage_daily, usage_hourly
from meter.journal.account_sums import AccountSums
from meter.journal.operations import GrantCredits, Operation
from meter.times import MS_PER_DAY, MS_PER_HOUR

_ROWS_AT_A_TIME = 2000

_Key = tuple[int, str, str, str, str]  # start, model, unit, dimension, value


@dataclass(slots=True)
class Sums:
    """grants - debits - expiries = remaining, and what of it is held."""

    granted: int = 0
    debited: int = 0
    expired: int = 0
    held: int = 0

    def see(self, entry: LedgerEntry) -> None:
        if entry.kind in ("GRANT", "GRANT_STARTED"):
            self.granted += entry.amount_nanos
        elif entry.kind in ("GRANT_EXPIRED", "GRANT_VOIDED"):
            self.expired -= entry.amount_nanos
        else:
            self.debited -= entry.amount_nanos
        self.held += entry.held_nanos

    def compare(self, connection: Connection, account_id: str) -> Iterator[str]:
        """With the account's row, and with its state."""
        row = connection.execute(select(accounts).where(accounts.c.account_id == account_id)).one()
        state = AccountSums.from_tokens(row.state)
        remaining = self.granted - self.debited - self.expired
        for name, recorded, recomputed in (
            ("remaining_nanos", row.remaining_nanos, remaining),
            ("held_nanos", row.held_nanos, self.held),
            ("state: remaining", state.remaining, remaining),
            ("state: held", state.held, self.held),
            ("state: total", state.total, self.granted),
            ("state: used", state.used, self.debited),
            ("state: expired", state.expired, self.expired),
        ):
            if recorded != recomputed:
                yield f"{name} is {recorded}, its entries come to {recomputed}"


def last_state(
    connection: Connection, account_id: str, day: int, state: AccountSums
) -> Iterator[str]:
    """The account's state is as the last entry left it."""
    row = connection.execute(
        select(accounts.c.day, accounts.c.state).where(accounts.c.account_id == account_id)
    ).one()
    if (row.day, row.state) != (day, state.tokens()):
        yield f"day {row.day} and state [{row.state}] are recorded, its last entry left day {day} and [{state.tokens()}]"


@dataclass(slots=True)
class Duplicates:
    """A debit that charged a request again is given back: a grant that names it is recorded."""

    charged: dict[str, int] = field(default_factory=dict)

    def see(self, entry: LedgerEntry) -> None:
        if entry.kind == "DEBIT" and entry.duplicate_of is not None and entry.amount_nanos:
            self.charged[entry.id] = -entry.amount_nanos

    def compare(self, recorded: dict[int, Operation]) -> Iterator[str]:
        changes = (operation.change for operation in recorded.values())
        refunds = {
            each.refund_of: each.amount_nanos
            for each in changes
            if isinstance(each, GrantCredits) and each.refund_of
        }
        for entry_id in sorted(self.charged.keys() | refunds.keys()):
            charged = self.charged.get(entry_id, 0)
            given_back = refunds.get(entry_id, 0)
            if charged != given_back:
                yield f"{entry_id}: charged {charged} nanos again, {given_back} are recorded to be given back"


class Aggregates:
    """Usage by hour and by day is that of the debits."""

    def __init__(self) -> None:
        self._hours: dict[_Key, tuple[int, int, int]] = {}

    def see(self, entry: LedgerEntry) -> None:
        if not entry.is_charge:
            return
        start_ms = entry.occurred_at_ms // MS_PER_HOUR * MS_PER_HOUR
        for unit, quantity, nanos in entry.usage:
            for dimension, value in [("", ""), *entry.dimensions.items()]:
                _add(
                    self._hours,
                    (start_ms, entry.model, unit, dimension, value),
                    (quantity, nanos, 1),
                )

    def compare(self, connection: Connection, account_id: str) -> Iterator[str]:
        yield from _differences(connection, usage_hourly, account_id, self._hours)
        days: dict[_Key, tuple[int, int, int]] = {}
        for (start_ms, *rest), sums in self._hours.items():
            _add(days, (start_ms // MS_PER_DAY * MS_PER_DAY, *rest), sums)  # type: ignore[arg-type]
        yield from _differences(connection, usage_daily, account_id, days)


def _differences(
    connection: Connection, table: Table, account_id: str, due: dict[_Key, tuple[int, int, int]]
) -> Iterator[str]:
    columns = (
        "start_ms",
        "model",
        "unit",
        "dimension",
        "value",
        "quantity",
        "amount_nanos",
        "requests",
    )
    wanted = select(*(table.c[name] for name in columns)).where(table.c.account_id == account_id)
    missing = set(due)
    with connection.execute(wanted, execution_options={"yield_per": _ROWS_AT_A_TIME}) as rows:
        for row in rows:
            key = tuple(row[:5])
            sums = tuple(row[5:])
            missing.discard(key)
            if due.get(key) != sums:
                yield f"{table.name} {key}: (quantity, nanos, requests) are {sums}, the debits come to {due.get(key)}"
    for key in sorted(missing):
        yield f"{table.name} {key}: is missing, the debits come to {due[key]}"


def _add(sums: dict[_Key, tuple[int, int, int]], key: _Key, more: tuple[int, int, int]) -> None:
    quantity, nanos, requests = sums.get(key, (0, 0, 0))
    sums[key] = (quantity + more[0], nanos + more[1], requests + more[2])
