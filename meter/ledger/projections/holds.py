"""Open holds, as of the flushed position."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, func, select, tuple_

from meter.database.engine import upsert, write_many
from meter.database.schema import accounts, open_holds
from meter.journal.account_sums import ABSENT
from meter.journal.allocation import Part, joined, parts_of, text_of
from meter.journal.effect import Kind
from meter.ledger.journal_records import JournalRecord

_ENDS = frozenset((Kind.DEBIT, Kind.RELEASE, Kind.EXPIRE))
_COLUMNS = (
    "account_id",
    "hold_id",
    "amount_nanos",
    "day",
    "expires_ms",
    "authorized_at_ms",
    "pins",
    "budgets",
)
_KEYS_PER_QUERY = 500

Key = tuple[str, str]  # account, hold
Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class HoldsOpen:
    """How many holds are open, and when the oldest on the real clock was authorized; None: there is
    none.
    """

    count: int
    oldest_ms: int | None


class HoldProjection:
    """Opens, changes and ends holds as a transaction's records say, in their order."""

    def __init__(self, connection: Connection, records: Iterable[JournalRecord]) -> None:
        self._connection = connection
        self._open: dict[Key, Row] = {}
        self._authorized: set[Key] = set()
        self._ended: set[Key] = set()
        # An extension says what it added, and not what was there; but for the usual one, whose hold
        # has one grant's credits.
        extended = {
            _key(record)
            for record in records
            if record.effect.kind is Kind.EXTEND and not _tells_pins(record)
        }
        self._known: dict[Key, Row | None] = dict.fromkeys(extended) | _rows(
            connection, sorted(extended)
        )

    def see(self, record: JournalRecord, budgets: str) -> None:
        """Counts the record, as posted; `budgets` are those that a new hold counts in, as `open_holds`
        has them.
        """
        effect = record.effect
        kind = record.effect.kind
        if kind is Kind.AUTHORIZE:
            key = _key(record)
            self._authorized.add(key)
            self._open[key] = _row(record, effect.amount, _pins(record), budgets)
        elif kind is Kind.EXTEND:
            self._open[_key(record)] = self._extended(record)
        elif kind in _ENDS and effect.hold_id:
            key = _key(record)
            self._open.pop(key, None)
            self._ended.add(key)

    def pins(self, record: JournalRecord) -> tuple[Part, ...]:
        """What the record's hold pins, as the records seen so far left it; nothing if it
        is not open.
        """
        row = self._hold(_key(record))
        return () if row is None else parts_of(str(row["pins"]))

    def store(self) -> None:
        """Writes it all."""
        insert = upsert(self._connection, open_holds)
        # An extended hold keeps the time at which it was authorized.
        changed = {
            name: insert.excluded[name]
            for name in ("amount_nanos", "day", "expires_ms", "pins", "budgets")
        }
        statement = insert.on_conflict_do_update(
            index_elements=["account_id", "hold_id"], set_=changed
        )
        write_many(self._connection, statement, list(self._open.values()))
        _delete(self._connection, self._ended - self._authorized)

    def _extended(self, record: JournalRecord) -> Row:
        effect = record.effect
        key = _key(record)
        if _tells_pins(record) and key not in self._open:
            amount = effect.hold_amount + effect.amount
            return _row(record, amount, f"{effect.bucket}:{amount}", ABSENT)
        known = self._hold(key)
        if known is None:
            return _row(record, effect.hold_amount + effect.amount, _pins(record), ABSENT)
        pins = text_of(joined(parts_of(str(known["pins"])), effect.taken))
        return known | {
            "amount_nanos": effect.hold_amount + effect.amount,
            "expires_ms": effect.expires_ms,
            "pins": pins,
        }

    def _hold(self, key: Key) -> Row | None:
        if key in self._open or key in self._ended:
            return self._open.get(key)
        if key not in self._known:
            self._known[key] = _rows(self._connection, [key]).get(key)
        return self._known[key]


def holds_open(connection: Connection) -> HoldsOpen:
    """A look at the holds that are open."""
    count = connection.scalar(select(func.count()).select_from(open_holds))
    real_clock = open_holds.join(accounts, accounts.c.account_id == open_holds.c.account_id)
    oldest = select(func.min(open_holds.c.authorized_at_ms)).select_from(real_clock)
    return HoldsOpen(
        count or 0, connection.scalar(oldest.where(accounts.c.test_clock_ms.is_(None)))
    )


def _key(record: JournalRecord) -> Key:
    return record.account_id, record.effect.hold_id


def _tells_pins(record: JournalRecord) -> bool:
    """Whether the record alone tells what an extended hold pins: credits of one grant, before and
    after, and it counts in no budget.
    """
    return record.effect.extras == ABSENT and record.effect.amount > 0


def _pins(record: JournalRecord) -> str:
    effect = record.effect
    if effect.extras != ABSENT:
        return effect.extras.partition("/")[0]
    return f"{effect.bucket}:{effect.amount}" if effect.amount else ABSENT


def _row(record: JournalRecord, amount: int, pins: str, budgets: str) -> Row:
    effect = record.effect
    values = (
        record.account_id,
        effect.hold_id,
        amount,
        effect.hold_day,
        effect.expires_ms,
        effect.at_ms,
        pins,
        budgets,
    )
    return dict(zip(_COLUMNS, values, strict=True))


def _rows(connection: Connection, keys: list[Key]) -> dict[Key, Row | None]:
    """Those of the holds that are open in the books."""
    own = tuple_(open_holds.c.account_id, open_holds.c.hold_id)
    found: dict[Key, Row | None] = {}
    for start in range(0, len(keys), _KEYS_PER_QUERY):
        wanted = select(open_holds).where(own.in_(keys[start : start + _KEYS_PER_QUERY]))
        for row in connection.execute(wanted).mappings():
            found[row["account_id"], row["hold_id"]] = dict(row)
    return found


def _delete(connection: Connection, keys: set[Key]) -> None:
    own = (open_holds.c.account_id == bindparam("account")) & (
        open_holds.c.hold_id == bindparam("hold")
    )
    rows = [{"account": account, "hold": hold} for account, hold in sorted(keys)]
    write_many(connection, delete(open_holds).where(own), rows)
