"""The projection of accounts: each account's sums after the last entry flushed, and the settings
that operations have put into effect.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select, update

from meter.database.engine import write_many
from meter.database.schema import accounts
from meter.journal.account_sums import AccountSums
from meter.journal.applied_settings import Settings
from meter.journal.effect import NO_FLAGS
from meter.journal.operations import AdvanceClock, Change, Update
from meter.ledger.journal_records import JournalRecord
from meter.ledger.portions import portions
from meter.ledger.recharge_wants import want_recharges

_LOADED = (
    accounts.c.account_id,
    accounts.c.state,
    accounts.c.day,
    accounts.c.applied_op,
    accounts.c.applied_status,
    accounts.c.applied_clock_ms,
    accounts.c.applied_settings,
    accounts.c.recharge_below_nanos,
)
_CHANGED = (
    "state",
    "day",
    "applied_op",
    "applied_status",
    "applied_clock_ms",
    "applied_settings",
    "remaining_nanos",
    "held_nanos",
)


_CHANGE = (
    update(accounts)
    .where(accounts.c.account_id == bindparam("account"))
    .values({name: bindparam(f"new_{name}") for name in _CHANGED})
)


class UnknownAccount(Exception):
    """The journal names an account that this ledger never recorded.

    The account is another gate's, or another ledger's.
    """

    def __init__(self, record: JournalRecord) -> None:
        super().__init__(
            f"journal entry {record.entry_id} is of account {record.account_id},"
            " which is not in this ledger"
        )
        self.shard = record.shard


@dataclass(slots=True)
class AppliedAccount:
    """Holds one account's sums and the settings in effect; changes record by record."""

    account_id: str
    state: AccountSums
    day: int
    applied_op: int
    applied_status: str
    applied_clock_ms: int | None
    settings: str  # Settings, as JSON
    recharge_below_nanos: int | None  # the level of an armed rule of auto-recharge

    @property
    def wants_recharge(self) -> bool:
        level = self.recharge_below_nanos
        return level is not None and self.state.remaining <= level

    def apply_change(self, change: Change) -> None:
        """Puts an operation's settings into effect."""
        match change:
            case Update(status=status):
                self.applied_status = status
            case AdvanceClock(time_ms=time_ms):
                self.applied_clock_ms = time_ms
        before = Settings.from_json(self.settings)
        after = before.changed(change)
        if after is not before:
            self.settings = after.to_json()

    def apply_graces(self, record: JournalRecord) -> None:
        """Notes the beginning of a grace, or the end of all graces."""
        flags = record.effect.flags
        if not (flags.grace_began or flags.graces_ended):
            return
        settings = Settings.from_json(self.settings)
        if flags.grace_began:
            settings = settings.with_grace_begun(record.traffic_class, record.effect.at_ms)
        else:
            settings = settings.with_graces_over()
        self.settings = settings.to_json()


class AccountProjection:
    """Keeps the accounts of a transaction's records."""

    def __init__(self, connection: Connection, records: Iterable[JournalRecord]) -> None:
        """Loads the records' accounts. Raises UnknownAccount."""
        self._connection = connection
        records_by_account = {record.account_id: record for record in records}
        self._accounts = _load(connection, list(records_by_account))
        for account_id, record in records_by_account.items():
            if account_id not in self._accounts:
                raise UnknownAccount(record)

    def get(self, account_id: str) -> AppliedAccount:
        return self._accounts[account_id]

    def on_test_clock(self) -> set[str]:
        accounts = self._accounts.values()
        return {account.account_id for account in accounts if account.applied_clock_ms is not None}

    def apply(self, record: JournalRecord) -> None:
        """Takes over the sums left by the record, and the settings of an operation."""
        account = self._accounts[record.account_id]
        effect = record.effect
        if record.operation is not None and not record.is_again:
            account.applied_op = record.operation.seq
            account.apply_change(record.operation.change)
        if effect.flags is not NO_FLAGS:
            account.apply_graces(record)
        account.state = effect.after()
        account.day = effect.day

    def save(self) -> None:
        """Writes the sums and settings into the accounts' rows, and nothing else."""
        rows = [_values(account) for account in self._accounts.values()]
        write_many(self._connection, _CHANGE, rows)
        self._want_recharges()

    def _want_recharges(self) -> None:
        """Tells billing of accounts at or below the level of their armed rule."""
        low = [account.account_id for account in self._accounts.values() if account.wants_recharge]
        if low:
            want_recharges(self._connection, low)


def _load(connection: Connection, account_ids: list[str]) -> dict[str, AppliedAccount]:
    found: dict[str, AppliedAccount] = {}
    for some in portions(account_ids):
        query = select(*_LOADED).where(accounts.c.account_id.in_(some))
        for account_id, state, *rest in connection.execute(query):
            sums = AccountSums.decode(state)
            found[account_id] = AppliedAccount(account_id, sums, *rest)
    return found


def _values(account: AppliedAccount) -> dict[str, object]:
    return {
        "account": account.account_id,
        "new_state": account.state.encode(),
        "new_day": account.day,
        "new_applied_op": account.applied_op,
        "new_applied_status": account.applied_status,
        "new_applied_clock_ms": account.applied_clock_ms,
        "new_applied_settings": account.settings,
        "new_remaining_nanos": account.state.remaining,
        "new_held_nanos": account.state.held,
    }
