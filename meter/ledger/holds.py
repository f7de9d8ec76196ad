"""Open holds, as of the flushed position."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, func, select, tuple_

from meter.effect import Kind
from meter.ledger.engine import upsert, write_many
from meter.ledger.lines import Line
from meter.ledger.schema import accounts, open_holds
from meter.parts import Part, joined, parts_of, text_of
from meter.state import ABSENT

_ENDS = frozenset((Kind.DEBIT, Kind.RELEASE, Kind.EXPIRE))
_COLUMNS = ("account_id", "hold_id", "amount_nanos", "day", "expires_ms", "authorized_at_ms", "pins", "budgets")
_KEYS_PER_QUERY = 500

Key = tuple[str, str]  # account, hold
Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class HoldsOpen:
    """How many holds are open, and when the oldest on the real clock was authorized; None: there is none."""

    count: int
    oldest_ms: int | None


class HoldMoves:
    """Opens, changes and ends holds as a transaction's lines say, in their order."""

    def __init__(self, connection: Connection, lines: Iterable[Line]) -> None:
        self._connection = connection
        self._open: dict[Key, Row] = {}
        self._authorized: set[Key] = set()
        self._ended: set[Key] = set()
        # An extension says what it added, and not what was there; but for the usual one, whose hold has one grant's credits.
        extended = {_key(line) for line in lines if line.effect.kind is Kind.EXTEND and not _tells_pins(line)}
        self._known: dict[Key, Row | None] = dict.fromkeys(extended) | _rows(connection, sorted(extended))

    def see(self, line: Line, budgets: str) -> None:
        """Counts the line, as posted; `budgets` are those that a new hold counts in, as `open_holds` has them."""
        effect, kind = line.effect, line.effect.kind
        if kind is Kind.AUTHORIZE:
            key = _key(line)
            self._authorized.add(key)
            self._open[key] = _row(line, effect.amount, _pins(line), budgets)
        elif kind is Kind.EXTEND:
            self._open[_key(line)] = self._extended(line)
        elif kind in _ENDS and effect.hold_id:
            key = _key(line)
            self._open.pop(key, None)
            self._ended.add(key)

    def pins(self, line: Line) -> tuple[Part, ...]:
        """What the line's hold pins, as the lines seen so far left it; nothing if it is not open."""
        row = self._hold(_key(line))
        return () if row is None else parts_of(str(row["pins"]))

    def store(self) -> None:
        """Writes it all."""
        insert = upsert(self._connection, open_holds)
        # An extended hold keeps the time at which it was authorized.
        changed = {name: insert.excluded[name] for name in ("amount_nanos", "day", "expires_ms", "pins", "budgets")}
        statement = insert.on_conflict_do_update(index_elements=["account_id", "hold_id"], set_=changed)
        write_many(self._connection, statement, list(self._open.values()))
        _delete(self._connection, self._ended - self._authorized)

    def _extended(self, line: Line) -> Row:
        effect, key = line.effect, _key(line)
        if _tells_pins(line) and key not in self._open:
            amount = effect.hold_amount + effect.amount
            return _row(line, amount, f"{effect.bucket}:{amount}", ABSENT)
        known = self._hold(key)
        if known is None:
            return _row(line, effect.hold_amount + effect.amount, _pins(line), ABSENT)
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
    return HoldsOpen(count or 0, connection.scalar(oldest.where(accounts.c.test_clock_ms.is_(None))))


def _key(line: Line) -> Key:
    return line.account_id, line.effect.hold_id


def _tells_pins(line: Line) -> bool:
    """Whether the line alone tells what an extended hold pins: credits of one grant, before and after, and it counts in no budget."""
    return line.effect.extras == ABSENT and line.effect.amount > 0


def _pins(line: Line) -> str:
    effect = line.effect
    if effect.extras != ABSENT:
        return effect.extras.partition("/")[0]
    return f"{effect.bucket}:{effect.amount}" if effect.amount else ABSENT


def _row(line: Line, amount: int, pins: str, budgets: str) -> Row:
    effect = line.effect
    values = (
        line.account_id, effect.hold_id, amount, effect.hold_day, effect.expires_ms, effect.at_ms, pins, budgets,
    )  # fmt: skip
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
    own = (open_holds.c.account_id == bindparam("account")) & (open_holds.c.hold_id == bindparam("hold"))
    rows = [{"account": account, "hold": hold} for account, hold in sorted(keys)]
    write_many(connection, delete(open_holds).where(own), rows)
