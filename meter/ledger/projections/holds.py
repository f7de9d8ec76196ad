"""The projection of open holds."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from sqlalchemy import Connection, Insert, bindparam, delete, func, select, tuple_

from meter.database.engine import upsert, write_many
from meter.database.schema import accounts, open_holds
from meter.journal.account_sums import ABSENT
from meter.journal.allocation import Part, decode_parts, encode_parts, joined
from meter.journal.effect import Effect
from meter.journal.kinds import Kind
from meter.ledger.journal_records import JournalRecord
from meter.ledger.portions import portions
from meter.ledger.projections.budgets import BudgetProjection

# An extended hold keeps the time of its authorization.
_CHANGED = ("amount_nanos", "day", "expires_ms", "pins", "budgets")

_DELETE = delete(open_holds).where(
    open_holds.c.account_id == bindparam("account"),
    open_holds.c.hold_id == bindparam("hold"),
)

Key = tuple[str, str]  # account, hold
Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class OpenHoldCount:
    """Says how many holds are open, and when the oldest hold on the real clock was authorized."""

    count: int
    oldest_ms: int | None  # None: there is no such hold


class HoldProjection:
    """Opens, extends and ends holds."""

    def __init__(
        self,
        connection: Connection,
        records: Iterable[JournalRecord],
        budgets: BudgetProjection,
    ) -> None:
        self._connection = connection
        self._budgets = budgets
        self._open: dict[Key, Row] = {}
        self._authorized: set[Key] = set()
        self._ended: set[Key] = set()
        # An extension's record says what was added. What was there must be loaded, except in the
        # usual case.
        extended = {_key(record) for record in records if _adds_to_known(record.effect)}
        self._known: dict[Key, Row | None] = dict.fromkeys(extended)
        self._known |= _load(connection, sorted(extended))

    def apply(self, record: JournalRecord) -> None:
        """Opens, extends or ends the hold that the record names."""
        effect = record.effect
        if not effect.hold_id:
            return
        key = _key(record)
        if effect.kind is Kind.AUTHORIZE:
            self._authorized.add(key)
            self._open[key] = self._placed(record)
        elif effect.kind is Kind.EXTEND:
            self._open[key] = self._extended(record)
        elif effect.kind.ends_hold:
            self._open.pop(key, None)
            self._ended.add(key)

    def pins(self, record: JournalRecord) -> tuple[Part, ...]:
        """Returns what the record's hold pins; nothing, if the hold is not open."""
        row = self._hold(_key(record))
        if row is None:
            return ()
        return _pinned(row)

    def save(self) -> None:
        """Writes the open holds, and deletes the ended holds."""
        rows = list(self._open.values())
        write_many(self._connection, _put(self._connection.dialect.name), rows)
        ended = self._ended - self._authorized
        _delete(self._connection, ended)

    def _placed(self, record: JournalRecord) -> Row:
        effect = record.effect
        budgets = self._budgets.counted_in(record)
        return _row(record, effect.amount, _pins(effect), budgets)

    def _extended(self, record: JournalRecord) -> Row:
        effect = record.effect
        key = _key(record)
        amount = effect.hold_amount + effect.amount
        if _tells_all_pins(effect) and key not in self._open:
            pin = Part(effect.current_grant, amount)
            pins = encode_parts((pin,))
            return _row(record, amount, pins, ABSENT)
        known = self._hold(key)
        if known is None:
            return _row(record, amount, _pins(effect), ABSENT)
        return _added_to(known, effect, amount)

    def _hold(self, key: Key) -> Row | None:
        """Returns the hold as the applied records left it; None: the hold is not open."""
        if key in self._open or key in self._ended:
            return self._open.get(key)
        if key not in self._known:
            self._known[key] = _load(self._connection, [key]).get(key)
        return self._known[key]


def open_hold_ids(
    connection: Connection,
    account_id: str,
    count: int,
) -> list[str]:
    """Returns up to `count` of the account's open holds, the earliest to expire first."""
    of_account = select(open_holds.c.hold_id).where(open_holds.c.account_id == account_id)
    query = of_account.order_by(open_holds.c.expires_ms, open_holds.c.hold_id).limit(count)
    return list(connection.scalars(query))


def count_open_holds(connection: Connection) -> OpenHoldCount:
    """Returns how many holds are open in the ledger, and since when."""
    count_query = select(func.count()).select_from(open_holds)
    count = connection.scalar(count_query)
    oldest_ms = _oldest_hold_ms(connection)
    return OpenHoldCount(count or 0, oldest_ms)


def _oldest_hold_ms(connection: Connection) -> int | None:
    """Returns when the oldest hold of an account without a test clock was authorized."""
    same_account = accounts.c.account_id == open_holds.c.account_id
    with_account = open_holds.join(accounts, same_account)
    query = (
        select(func.min(open_holds.c.authorized_at_ms))
        .select_from(with_account)
        .where(accounts.c.test_clock_ms.is_(None))
    )
    oldest_ms: int | None = connection.scalar(query)
    return oldest_ms


def _key(record: JournalRecord) -> Key:
    return record.account_id, record.effect.hold_id


def _adds_to_known(effect: Effect) -> bool:
    return effect.kind is Kind.EXTEND and not _tells_all_pins(effect)


def _tells_all_pins(effect: Effect) -> bool:
    """Says whether an extension alone tells all that the hold pins.

    In the usual case the hold pins credits of one grant, before and after, and counts in no budget.
    """
    return effect.allocation is None and effect.amount > 0


def _added_to(known: Row, effect: Effect, amount: int) -> Row:
    pinned = joined(_pinned(known), effect.taken)
    changed = {
        "amount_nanos": amount,
        "expires_ms": effect.expires_ms,
        "pins": encode_parts(pinned),
    }
    return known | changed


def _pinned(row: Row) -> tuple[Part, ...]:
    pins = str(row["pins"])
    return decode_parts(pins)


def _pins(effect: Effect) -> str:
    if effect.allocation is None and effect.amount:
        return f"{effect.current_grant}:{effect.amount}"  # most holds: written without a Part
    return encode_parts(effect.taken)


def _row(record: JournalRecord, amount: int, pins: str, budgets: str) -> Row:
    effect = record.effect
    return {
        "account_id": record.account_id,
        "hold_id": effect.hold_id,
        "amount_nanos": amount,
        "day": effect.hold_day,
        "expires_ms": effect.expires_ms,
        "authorized_at_ms": effect.at_ms,
        "pins": pins,
        "budgets": budgets,
    }


def _load(connection: Connection, keys: list[Key]) -> dict[Key, Row | None]:
    """Returns the holds that are open in the ledger."""
    own = tuple_(open_holds.c.account_id, open_holds.c.hold_id)
    found: dict[Key, Row | None] = {}
    for some in portions(keys):
        query = select(open_holds).where(own.in_(some))
        for row in connection.execute(query).mappings():
            key = (row["account_id"], row["hold_id"])
            found[key] = dict(row)
    return found


@cache
def _put(dialect: str) -> Insert:
    insert = upsert(dialect, open_holds)
    return insert.on_conflict_do_update(
        index_elements=["account_id", "hold_id"],
        set_={name: insert.excluded[name] for name in _CHANGED},
    )


def _delete(connection: Connection, keys: set[Key]) -> None:
    rows = []
    for account_id, hold_id in sorted(keys):
        rows.append({"account": account_id, "hold": hold_id})
    write_many(connection, _DELETE, rows)
