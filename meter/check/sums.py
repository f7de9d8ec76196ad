"""The rules that are checked against other tables, once an account's history has been read to its end."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy import Connection, Table, func, select

from meter.check.line import Line
from meter.effect import MS_PER_DAY, State
from meter.ledger.accounts import AccountRow, OpenHold
from meter.ledger.schema import accounts, grants, open_holds, operations, usage_daily, usage_hourly
from meter.operations import AdvanceClock, Create, GrantCredits, Operation, Update
from meter.times import MS_PER_HOUR

_ROWS_AT_A_TIME = 2000
_OPERATIONS = frozenset(("CREATE", "UPDATE", "GRANT", "CLOCK"))

_Key = tuple[int, str, str, str, str]  # start, model, unit, dimension, value


@dataclass(slots=True)
class Sums:
    """grants - debits = remaining, and what of it is held."""

    granted: int = 0
    debited: int = 0
    held: int = 0

    def see(self, line: Line) -> None:
        if line.kind == "GRANT":
            self.granted += line.amount_nanos
        else:
            self.debited -= line.amount_nanos
        self.held += line.held_nanos

    def compare(self, connection: Connection, account_id: str) -> Iterator[str]:
        """With the account's row, and with its state."""
        row = connection.execute(select(accounts).where(accounts.c.account_id == account_id)).one()
        state = State.from_tokens(row.state.split(" "))
        remaining = self.granted - self.debited
        for name, recorded, recomputed in (
            ("remaining_nanos", row.remaining_nanos, remaining),
            ("held_nanos", row.held_nanos, self.held),
            ("state: remaining", state.remaining, remaining),
            ("state: held", state.held, self.held),
            ("state: total", state.total, self.granted),
            ("state: used", state.used, self.debited),
        ):
            if recorded != recomputed:
                yield f"{name} is {recorded}, its entries come to {recomputed}"


def last_state(connection: Connection, account_id: str, day: int, state: State) -> Iterator[str]:
    """The account's state is as the last entry left it."""
    row = connection.execute(select(accounts.c.day, accounts.c.state).where(accounts.c.account_id == account_id)).one()
    if (row.day, row.state) != (day, state.tokens()):
        yield f"day {row.day} and state [{row.state}] are recorded, its last entry left day {day} and [{state.tokens()}]"


def holds_open(connection: Connection, account_id: str, due: dict[str, OpenHold]) -> Iterator[str]:
    """The open holds are those that the entries leave open."""
    columns = (open_holds.c[name] for name in OpenHold.__dataclass_fields__)
    rows = connection.execute(select(*columns).where(open_holds.c.account_id == account_id))
    recorded = {row.hold_id: OpenHold(*row) for row in rows}
    for hold_id in sorted(recorded.keys() | due.keys()):
        if recorded.get(hold_id) != due.get(hold_id):
            yield f"hold {hold_id} is recorded as {recorded.get(hold_id)}, its entries say {due.get(hold_id)}"


@dataclass(slots=True)
class Operations:
    """Each change recorded took effect once, in order, as recorded; those not flushed yet are pending."""

    recorded: dict[int, Operation]
    account: AccountRow
    applied: int = 0

    @classmethod
    def of(cls, connection: Connection, account: AccountRow) -> "Operations":
        own = operations.c.account_id == account.account_id
        bodies = connection.execute(select(operations.c.seq, operations.c.body).where(own).order_by(operations.c.seq))
        return cls({row.seq: Operation.from_json(row.body) for row in bodies}, account)

    def see(self, line: Line) -> Iterator[str]:
        if line.kind not in _OPERATIONS:
            return
        operation = self.recorded.get(self.applied + 1)
        if line.request_id is None and not _is_of(operation, line):
            return  # Redis had lost it and took it again
        self.applied += 1
        if operation is None:
            yield f"{line.id}: {line.kind} took effect as change {self.applied}, which was never recorded"
        elif not _is_of(operation, line) or line.request_id not in (operation.request_id, None):
            yield (
                f"{line.id}: {line.kind} of request {line.request_id} took effect as change {self.applied},"
                f" recorded is {operation.method} of request {operation.request_id}"
            )
        elif isinstance(operation.change, GrantCredits) and operation.change.amount_nanos != line.amount_nanos:
            yield f"{line.id}: {line.amount_nanos} nanos were granted, recorded are {operation.change.amount_nanos}"

    def compare(self) -> Iterator[str]:
        """With the account's counters, and with its settings."""
        account, changes = self.account, [operation.change for operation in self.recorded.values()]
        numbers = list(self.recorded)
        if numbers != list(range(1, account.recorded_op + 1)):
            yield f"recorded_op is {account.recorded_op}, {len(numbers)} changes are recorded, numbered up to {max(numbers, default=0)}"
        granted = sum(change.amount_nanos for change in changes if isinstance(change, GrantCredits))
        settings = _settings(changes)
        for name, recorded, recomputed in (
            ("applied_op", account.applied_op, self.applied),
            ("granted_nanos", account.granted_nanos, granted),
            ("status", account.status, settings.status),
            ("overage_protection_nanos", account.overage_protection_nanos, settings.overage_protection_nanos),
            ("daily_limit_nanos", account.daily_limit_nanos, settings.daily_limit_nanos),
            ("test_clock_ms", account.test_clock_ms, _test_clock(changes)),
        ):
            if recorded != recomputed:
                yield f"{name} is {recorded}, the changes recorded come to {recomputed}"


def grants_kept(connection: Connection, account_id: str, granted_nanos: int) -> Iterator[str]:
    """The grants are those that took effect."""
    kept = connection.scalar(
        select(func.coalesce(func.sum(grants.c.amount_nanos), 0)).where(grants.c.account_id == account_id)
    )
    if int(kept or 0) != granted_nanos:
        yield f"grants of {kept} nanos are kept, the entries granted {granted_nanos}"


@dataclass(slots=True)
class Duplicates:
    """A debit that charged a request again is given back: a grant that names it is recorded."""

    charged: dict[str, int] = field(default_factory=dict)

    def see(self, line: Line) -> None:
        if line.kind == "DEBIT" and line.duplicate_of is not None and line.amount_nanos:
            self.charged[line.id] = -line.amount_nanos

    def compare(self, recorded: dict[int, Operation]) -> Iterator[str]:
        changes = (operation.change for operation in recorded.values())
        refunds = {
            each.refund_of: each.amount_nanos for each in changes if isinstance(each, GrantCredits) and each.refund_of
        }
        for entry_id in sorted(self.charged.keys() | refunds.keys()):
            charged, given_back = self.charged.get(entry_id, 0), refunds.get(entry_id, 0)
            if charged != given_back:
                yield f"{entry_id}: charged {charged} nanos again, {given_back} are recorded to be given back"


class Aggregates:
    """Usage by hour and by day is that of the debits."""

    def __init__(self) -> None:
        self._hours: dict[_Key, tuple[int, int, int]] = {}

    def see(self, line: Line) -> None:
        if not line.is_charge:
            return
        start_ms = line.occurred_at_ms // MS_PER_HOUR * MS_PER_HOUR
        for unit, quantity, nanos in line.usage:
            for dimension, value in [("", ""), *line.dimensions.items()]:
                _add(self._hours, (start_ms, line.model, unit, dimension, value), (quantity, nanos, 1))

    def compare(self, connection: Connection, account_id: str) -> Iterator[str]:
        yield from _differences(connection, usage_hourly, account_id, self._hours)
        days: dict[_Key, tuple[int, int, int]] = {}
        for (start_ms, *rest), sums in self._hours.items():
            _add(days, (start_ms // MS_PER_DAY * MS_PER_DAY, *rest), sums)  # type: ignore[arg-type]
        yield from _differences(connection, usage_daily, account_id, days)


def _differences(
    connection: Connection, table: Table, account_id: str, due: dict[_Key, tuple[int, int, int]]
) -> Iterator[str]:
    columns = ("start_ms", "model", "unit", "dimension", "value", "quantity", "amount_nanos", "requests")
    wanted = select(*(table.c[name] for name in columns)).where(table.c.account_id == account_id)
    missing = set(due)
    with connection.execute(wanted, execution_options={"yield_per": _ROWS_AT_A_TIME}) as rows:
        for row in rows:
            key, sums = tuple(row[:5]), tuple(row[5:])
            missing.discard(key)
            if due.get(key) != sums:
                yield f"{table.name} {key}: (quantity, nanos, requests) are {sums}, the debits come to {due.get(key)}"
    for key in sorted(missing):
        yield f"{table.name} {key}: is missing, the debits come to {due[key]}"


def _add(sums: dict[_Key, tuple[int, int, int]], key: _Key, more: tuple[int, int, int]) -> None:
    quantity, nanos, requests = sums.get(key, (0, 0, 0))
    sums[key] = (quantity + more[0], nanos + more[1], requests + more[2])


def _is_of(operation: Operation | None, line: Line) -> bool:
    return operation is not None and operation.method.value.upper() == line.kind


def _settings(changes: list[Create | Update | GrantCredits | AdvanceClock]) -> Update:
    settings = Update("active", 0, None)
    for change in changes:
        if isinstance(change, Create):
            settings = Update("active", change.overage_protection_nanos, change.daily_limit_nanos)
        elif isinstance(change, Update):
            settings = change
    return settings


def _test_clock(changes: list[Create | Update | GrantCredits | AdvanceClock]) -> int | None:
    clock_ms = None
    for change in changes:
        if isinstance(change, Create):
            clock_ms = change.test_clock_ms
        elif isinstance(change, AdvanceClock):
            clock_ms = change.time_ms
    return clock_ms
