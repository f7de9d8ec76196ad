"""The rule of operations: each recorded change took effect once, in order, as recorded."""

from collections.abc import Iterator, Sequence
from typing import Self

from sqlalchemy import Connection, select

from meter.admin.accounts import AccountRow
from meter.audit.entry import LedgerEntry
from meter.database.schema import operations
from meter.journal.applied_settings import Settings
from meter.journal.effect import Flags
from meter.journal.entry import Method
from meter.journal.kinds import Kind
from meter.journal.operations import AdvanceClock, Change, Create, GrantCredits, Operation, Update
from meter.ledger.reconciliation.taken_over import TakenOver
from meter.times import month_of

_KINDS = {
    Method.CREATE: Kind.CREATE,
    Method.UPDATE: Kind.UPDATE,
    Method.BUDGET: Kind.UPDATE,
    Method.UNBUDGET: Kind.UPDATE,
    Method.GRANT: Kind.GRANT,
    Method.VOID: Kind.GRANT_VOIDED,
    Method.CLOCK: Kind.CLOCK,
}
_KIND_NAMES = frozenset(kind.name for kind in _KINDS.values())
_SETTINGS = (
    "overage_protection_nanos",
    "daily_limit_nanos",
    "overage_policy",
    "spend_management",
    "thresholds",
    "graces",
    "billing_emails",
    "alert_emails",
)


class OperationRule:
    """Follows the operations that take effect; recorded operations may still be pending."""

    def __init__(self, recorded: dict[int, Operation], account: AccountRow) -> None:
        self.recorded = recorded
        self.settings = Settings()
        # put into effect by the last entry, or before that entry and lost: number and change
        self.changes: list[tuple[int, Change]] = []
        self._account = account
        self._applied_op = 0

    @classmethod
    def load(cls, connection: Connection, account: AccountRow) -> Self:
        """Returns the rule for an account, with all recorded operations of the account."""
        recorded = _recorded_operations(connection, account.account_id)
        return cls(recorded, account)

    def check(self, entry: LedgerEntry) -> Iterator[str]:
        """Follows by one entry."""
        self.changes = []
        if entry.kind in _KIND_NAMES and not self._is_again(entry):
            yield from self._check_operation(entry)
        for _, change in self.changes:
            self.settings = self.settings.changed(change)
        self._follow_graces(entry)

    def _follow_graces(self, entry: LedgerEntry) -> None:
        effect = entry.effect
        if effect.flags.grace_began:
            traffic_class = entry.traffic_class
            self.settings = self.settings.with_grace_begun(traffic_class, effect.at_ms)
        elif effect.flags.graces_ended:
            self.settings = self.settings.with_graces_over()

    def take_over(self, taken_over: TakenOver) -> None:
        """Sets the settings to those that a reconciliation found."""
        self.settings = Settings.from_json(taken_over.settings)

    def grant(self, number: int) -> GrantCredits | None:
        """Returns the grant that operation `number` recorded; None: no such grant."""
        operation = self.recorded.get(number)
        if operation and isinstance(operation.change, GrantCredits):
            return operation.change
        return None

    def compare(self) -> Iterator[str]:
        """Yields counters and settings of the account's row that differ from the operations."""
        yield from self._compare_numbers()
        for name, recomputed in self._due().items():
            recorded = getattr(self._account, name)
            if recorded != recomputed:
                yield f"{name} is {recorded}, the changes recorded come to {recomputed}"

    def _compare_numbers(self) -> Iterator[str]:
        """Yields a finding unless the operations are numbered from 1 to the account's last."""
        last = self._account.recorded_op
        numbers = list(self.recorded)
        if numbers != list(range(1, last + 1)):
            yield (
                f"recorded_op is {last}, {len(numbers)} changes are recorded,"
                f" numbered up to {max(numbers, default=0)}"
            )

    def _due(self) -> dict[str, object]:
        """Returns the counters and settings that the account's row should have, by column."""
        changes = [operation.change for operation in self.recorded.values()]
        return {
            "applied_op": self._applied_op,
            "granted_nanos": _granted_nanos(changes),
            **_recorded_settings(changes),
        }

    def _is_again(self, entry: LedgerEntry) -> bool:
        """Says whether Redis had lost the operation and applied it again."""
        if entry.request_id is not None:
            return False
        operation = self.recorded.get(self._applied_op + 1)
        if operation is None or not _is_of(operation, entry):
            return True
        # A grant that counts names at least the grant that was made.
        return entry.kind == Kind.GRANT.name and not entry.burned

    def _check_operation(self, entry: LedgerEntry) -> Iterator[str]:
        number = self._number_of(entry)
        yield from self._pass_over(entry, number)
        self._applied_op = number
        operation = self.recorded.get(number)
        if operation is None:
            yield (
                f"{entry.id}: {entry.kind} took effect as change {number}, which was never recorded"
            )
        elif not _is_of(operation, entry) or entry.request_id not in (operation.request_id, None):
            yield (
                f"{entry.id}: {entry.kind} of request {entry.request_id} took effect as change"
                f" {number}, recorded is {operation.method} of request {operation.request_id}"
            )
        else:
            self.changes.append((number, operation.change))
            yield from _check_granted(entry, operation.change)

    def _pass_over(self, entry: LedgerEntry, number: int) -> Iterator[str]:
        """Puts the operations before `number` into effect, whose entries were lost."""
        for lost in range(self._applied_op + 1, number):
            yield (
                f"{entry.id}: change {lost} was passed over: it took effect, and its entry was lost"
            )
            if lost in self.recorded:
                self.changes.append((lost, self.recorded[lost].change))

    def _number_of(self, entry: LedgerEntry) -> int:
        """Returns the number of the entry's operation.

        Usually the next number; a later number if a later operation is of the entry's request.
        """
        following = self._applied_op + 1
        for number in range(following, len(self.recorded) + 1):
            operation = self.recorded.get(number)
            if operation and operation.request_id == entry.request_id and _is_of(operation, entry):
                return number
        return following


def _recorded_operations(connection: Connection, account_id: str) -> dict[int, Operation]:
    """Returns all recorded operations of the account by number, in order."""
    wanted = (
        select(operations.c.seq, operations.c.body)
        .where(operations.c.account_id == account_id)
        .order_by(operations.c.seq)
    )
    recorded = {}
    for row in connection.execute(wanted):
        recorded[row.seq] = Operation.from_json(row.body)
    return recorded


def _check_granted(entry: LedgerEntry, change: Change) -> Iterator[str]:
    """Yields a finding if the entry of a grant gave other than the recorded credits."""
    if not isinstance(change, GrantCredits):
        return
    due = change.amount_nanos
    if entry.effect.flags.is_scheduled:
        due = 0
    if entry.amount_nanos != due:
        yield f"{entry.id}: {entry.amount_nanos} nanos were granted, recorded are {due}"
    flags = entry.effect.flags
    # A reconciliation tells grants without a time, and takes over what counts as used.
    if flags.reconciled:
        return
    if _uncounted(flags) != _to_be_uncounted(change, entry.effect.day):
        yield f"{entry.id}: its duplicate counts on as used, or something else does not"


def _uncounted(flags: Flags) -> tuple[bool, bool, bool]:
    return flags.uncounts_today, flags.uncounts_yesterday, flags.uncounts_month


def _to_be_uncounted(change: GrantCredits, today: int) -> tuple[bool, bool, bool]:
    """Says whether what the grant refunds counts as used today, yesterday, and this month."""
    if change.refund_day is None or change.refund_charged_day is None:
        return False, False, False
    is_of_month = month_of(change.refund_charged_day) == month_of(today)
    return change.refund_day == today, change.refund_day == today - 1, is_of_month


def _granted_nanos(changes: Sequence[Change]) -> int:
    granted = 0
    for change in changes:
        if isinstance(change, GrantCredits):
            granted += change.amount_nanos
    return granted


def _recorded_settings(changes: Sequence[Change]) -> dict[str, object]:
    """Returns the settings after all recorded changes."""
    latest = _latest_settings(changes)
    settings: dict[str, object] = {name: getattr(latest, name) for name in _SETTINGS}
    settings["status"] = "active"
    if isinstance(latest, Update):
        settings["status"] = latest.status
    settings["test_clock_ms"] = _clock_ms(changes)
    return settings


def _latest_settings(changes: Sequence[Change]) -> Create | Update:
    for change in reversed(changes):
        if isinstance(change, Create | Update):
            return change
    return Create("", 0, None, None)


def _clock_ms(changes: Sequence[Change]) -> int | None:
    for change in reversed(changes):
        if isinstance(change, AdvanceClock):
            return change.time_ms
        if isinstance(change, Create):
            return change.test_clock_ms
    return None


def _is_of(operation: Operation, entry: LedgerEntry) -> bool:
    return _KINDS[operation.method].name == entry.kind
