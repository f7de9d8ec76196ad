"""Where accounts stand: their sums after the last entry flushed, and what operations have put into effect."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select, update

from meter.ledger.engine import write_many
from meter.ledger.lines import Line
from meter.ledger.schema import accounts
from meter.ledger.settings import Settings
from meter.operations import AdvanceClock, Change, Update
from meter.state import State

_IDS_PER_QUERY = 500
_COLUMNS = ("account_id", "state", "day", "applied_op", "applied_status", "applied_clock_ms", "applied_settings")


class UnknownAccount(Exception):
    """The journal tells of an account that this ledger never recorded: it is another gate's, or another ledger's."""

    def __init__(self, line: Line) -> None:
        super().__init__(f"journal entry {line.entry_id} is of account {line.account_id}, which is not in this ledger")
        self.shard = line.shard


@dataclass(slots=True)
class Standing:
    """One account's sums and what was applied to it; changed line by line."""

    account_id: str
    state: State
    day: int
    applied_op: int
    applied_status: str
    applied_clock_ms: int | None
    settings: str  # meter.ledger.settings.Settings, as JSON

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

    def note_graces(self, line: Line) -> None:
        """Notes a grace that begins, and the end of all of them."""
        effect = line.effect
        if effect.grace_began:
            begun = Settings.from_json(self.settings).with_grace_begun(line.traffic_class, effect.at_ms)
            self.settings = begun.to_json()
        elif effect.graces_ended:
            self.settings = Settings.from_json(self.settings).with_graces_over().to_json()


def load_standings(connection: Connection, lines: Iterable[Line]) -> dict[str, Standing]:
    """The standings of the lines' accounts, by id. UnknownAccount."""
    named = {line.account_id: line for line in lines}
    standings: dict[str, Standing] = {}
    ids = list(named)
    for start in range(0, len(ids), _IDS_PER_QUERY):
        wanted = select(*(accounts.c[name] for name in _COLUMNS)).where(
            accounts.c.account_id.in_(ids[start : start + _IDS_PER_QUERY])
        )
        for account_id, state, *rest in connection.execute(wanted):
            standings[account_id] = Standing(account_id, State.from_tokens(state), *rest)
    for account_id in named.keys() - standings.keys():
        raise UnknownAccount(named[account_id])
    return standings


def store_standings(connection: Connection, standings: Iterable[Standing]) -> None:
    """Writes the standings into the accounts' rows, and nothing else of them."""
    values: dict[str, object] = {
        name: bindparam(f"new_{name}") for name in (*_COLUMNS[1:], "remaining_nanos", "held_nanos")
    }
    statement = update(accounts).where(accounts.c.account_id == bindparam("account")).values(values)
    write_many(connection, statement, [_values(standing) for standing in standings])


def _values(standing: Standing) -> dict[str, object]:
    return {
        "account": standing.account_id,
        "new_state": standing.state.tokens(),
        "new_day": standing.day,
        "new_applied_op": standing.applied_op,
        "new_applied_status": standing.applied_status,
        "new_applied_clock_ms": standing.applied_clock_ms,
        "new_applied_settings": standing.settings,
        "new_remaining_nanos": standing.state.remaining,
        "new_held_nanos": standing.state.held,
    }
