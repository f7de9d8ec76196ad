"""Where accounts stand: their sums after the last entry flushed, and what operations have put into
effect.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select, update

from meter.database.engine import write_many
from meter.database.schema import accounts
from meter.journal.account_sums import AccountSums
from meter.journal.operations import AdvanceClock, Change, Update
from meter.ledger.journal_records import JournalRecord
from meter.ledger.projections.settings import Settings

_IDS_PER_QUERY = 500
_COLUMNS = (
    "account_id",
    "state",
    "day",
    "applied_op",
    "applied_status",
    "applied_clock_ms",
    "applied_settings",
)


class UnknownAccount(Exception):
    """The journal tells of an account that this ledger never recorded: it is another gate's, or
    another ledger's.
    """

    def __init__(self, record: JournalRecord) -> None:
        super().__init__(
            f"journal entry {record.entry_id} is of account {record.account_id}, which is not in this ledger"
        )
        self.shard = record.shard


@dataclass(slots=True)
class AccountProjection:
    """One account's sums and what was applied to it; changed record by record."""

    account_id: str
    state: AccountSums
    day: int
    applied_op: int
    applied_status: str
    applied_clock_ms: int | None
    settings: str  # meter.ledger.projections.settings.Settings, as JSON

    def put_into_effect(self, change: Change) -> None:
        """Notes what an operation sets."""
        match change:
            case Update(status=status):
                self.applied_status = status
            case AdvanceClock(time_ms=time_ms):
                self.applied_clock_ms = time_ms
        was = Settings.from_json(self.settings)
        is_now = was.changed(change)
        if is_now is not was:
            self.settings = is_now.to_json()

    def note_graces(self, record: JournalRecord) -> None:
        """Notes a grace that begins, and the end of all of them."""
        effect = record.effect
        if effect.grace_began:
            begun = Settings.from_json(self.settings).with_grace_begun(
                record.traffic_class, effect.at_ms
            )
            self.settings = begun.to_json()
        elif effect.graces_ended:
            self.settings = Settings.from_json(self.settings).with_graces_over().to_json()


def load_accounts(
    connection: Connection, records: Iterable[JournalRecord]
) -> dict[str, AccountProjection]:
    """The projected of the records' accounts, by id. UnknownAccount."""
    named = {record.account_id: record for record in records}
    projected: dict[str, AccountProjection] = {}
    ids = list(named)
    for start in range(0, len(ids), _IDS_PER_QUERY):
        wanted = select(*(accounts.c[name] for name in _COLUMNS)).where(
            accounts.c.account_id.in_(ids[start : start + _IDS_PER_QUERY])
        )
        for account_id, state, *rest in connection.execute(wanted):
            projected[account_id] = AccountProjection(
                account_id, AccountSums.from_tokens(state), *rest
            )
    for account_id in named.keys() - projected.keys():
        raise UnknownAccount(named[account_id])
    return projected


def save_accounts(connection: Connection, projected: Iterable[AccountProjection]) -> None:
    """Writes the projected into the accounts' rows, and nothing else of them."""
    values: dict[str, object] = {
        name: bindparam(f"new_{name}") for name in (*_COLUMNS[1:], "remaining_nanos", "held_nanos")
    }
    statement = update(accounts).where(accounts.c.account_id == bindparam("account")).values(values)
    write_many(connection, statement, [_values(account) for account in projected])


def _values(account: AccountProjection) -> dict[str, object]:
    return {
        "account": account.account_id,
        "new_state": account.state.tokens(),
        "new_day": account.day,
        "new_applied_op": account.applied_op,
        "new_applied_status": account.applied_status,
        "new_applied_clock_ms": account.applied_clock_ms,
        "new_applied_settings": account.settings,
        "new_remaining_nanos": account.state.remaining,
        "new_held_nanos": account.state.held,
    }
