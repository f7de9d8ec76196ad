"""What operations have put into effect along an account's history."""

from collections.abc import Iterator

from sqlalchemy import Connection, select

from meter.admin.accounts import AccountRow
from meter.audit.entry import LedgerEntry
from meter.database.schema import operations
from meter.journal.operations import AdvanceClock, Change, Create, GrantCredits, Operation, Update
from meter.ledger.projections.settings import Settings

_KIND = {
    "void": "GRANT_VOIDED",
    "budget": "UPDATE",
    "unbudget": "UPDATE",
}  # of entries; the other methods' are of their names
_KINDS = frozenset(("CREATE", "UPDATE", "GRANT", "CLOCK", "GRANT_VOIDED"))


class Applied:
    """Each change recorded took effect once, in order, as recorded; those not flushed yet
    are pending.
    """

    def __init__(self, recorded: dict[int, Operation], account: AccountRow) -> None:
        self.recorded = recorded
        self.account = account
        self.number = 0  # of the last that took effect
        self.settings = Settings()
        self.changes: list[
            tuple[int, Change]
        ] = []  # put into effect by the last entry seen, or before it and lost

    @classmethod
    def of(cls, connection: Connection, account: AccountRow) -> "Applied":
        own = operations.c.account_id == account.account_id
        bodies = connection.execute(
            select(operations.c.seq, operations.c.body).where(own).order_by(operations.c.seq)
        )
        return cls({row.seq: Operation.from_json(row.body) for row in bodies}, account)

    def see(self, entry: LedgerEntry) -> Iterator[str]:
        """Follows by one entry."""
        self.changes = []
        if entry.kind in _KINDS and not self._is_again(entry):
            yield from self._take(entry)
        for _, change in self.changes:
            self.settings = self.settings.changed(change)
        if entry.effect.grace_began:
            self.settings = self.settings.with_grace_begun(entry.traffic_class, entry.effect.at_ms)
        elif entry.effect.graces_ended:
            self.settings = self.settings.with_graces_over()

    def grant(self, number: int) -> GrantCredits | None:
        """The grant that operation `number` recorded."""
        operation = self.recorded.get(number)
        return (
            operation.change if operation and isinstance(operation.change, GrantCredits) else None
        )

    def compare(self) -> Iterator[str]:
        """With the account's counters, and with its settings."""
        account = self.account
        changes = [operation.change for operation in self.recorded.values()]
        numbers = list(self.recorded)
        if numbers != list(range(1, account.recorded_op + 1)):
            yield f"recorded_op is {account.recorded_op}, {len(numbers)} changes are recorded, numbered up to {max(numbers, default=0)}"
        granted = sum(change.amount_nanos for change in changes if isinstance(change, GrantCredits))
        due = {"applied_op": self.number, "granted_nanos": granted, **_settings(changes)}
        for name, recomputed in due.items():
            recorded = getattr(account, name)
            if recorded != recomputed:
                yield f"{name} is {recorded}, the changes recorded come to {recomputed}"

    def _is_again(self, entry: LedgerEntry) -> bool:
        """Redis had lost it and took it again."""
        operation = self.recorded.get(self.number + 1)
        return entry.request_id is None and (
            operation is None or not _is_of(operation, entry) or self._has_counted(entry)
        )

    def _has_counted(self, entry: LedgerEntry) -> bool:
        return entry.kind == "GRANT" and not entry.burned

    def _take(self, entry: LedgerEntry) -> Iterator[str]:
        number = self._number_of(entry)
        for lost in range(self.number + 1, number):
            yield f"{entry.id}: change {lost} was passed over: it took effect, and its entry was lost"
            if lost in self.recorded:
                self.changes.append((lost, self.recorded[lost].change))
        self.number = number
        operation = self.recorded.get(number)
        if operation is None:
            yield f"{entry.id}: {entry.kind} took effect as change {number}, which was never recorded"
            return
        if not _is_of(operation, entry) or entry.request_id not in (operation.request_id, None):
            yield (
                f"{entry.id}: {entry.kind} of request {entry.request_id} took effect as change {number},"
                f" recorded is {operation.method} of request {operation.request_id}"
            )
            return
        self.changes.append((number, operation.change))
        if isinstance(operation.change, GrantCredits):
            due = 0 if entry.effect.is_scheduled else operation.change.amount_nanos
            if entry.amount_nanos != due:
                yield f"{entry.id}: {entry.amount_nanos} nanos were granted, recorded are {due}"

    def _number_of(self, entry: LedgerEntry) -> int:
        """The next, unless a later one is of the entry's request: then those between have
        been lost.
        """
        following = self.number + 1
        for number in range(following, len(self.recorded) + 1):
            operation = self.recorded.get(number)
            if operation and operation.request_id == entry.request_id and _is_of(operation, entry):
                return number
        return following


def _settings(changes: list[Change]) -> dict[str, object]:
    """What the changes recorded come to."""
    latest: Create | Update = Create("", 0, None, None)
    clock_ms = None
    for change in changes:
        if isinstance(change, Create | Update):
            latest = change
        if isinstance(change, Create):
            clock_ms = change.test_clock_ms
        elif isinstance(change, AdvanceClock):
            clock_ms = change.time_ms
    names = (
        "overage_protection_nanos",
        "daily_limit_nanos",
        "overage_policy",
        "spend_management",
        "thresholds",
        "graces",
    )
    status = latest.status if isinstance(latest, Update) else "active"
    return {"status": status, "test_clock_ms": clock_ms} | {
        name: getattr(latest, name) for name in names
    }


def _is_of(operation: Operation, entry: LedgerEntry) -> bool:
    return _KIND.get(operation.method, operation.method.upper()) == entry.kind
