"""Open holds, as of the flushed position."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, func, select

from meter.effect import Kind
from meter.ledger.engine import upsert, write_many
from meter.ledger.lines import Line
from meter.ledger.schema import accounts, open_holds

_ENDS = frozenset((Kind.DEBIT, Kind.RELEASE, Kind.EXPIRE))

Key = tuple[str, str]  # account, hold


@dataclass(frozen=True, slots=True)
class HoldsOpen:
    """How many holds are open, and when the oldest on the real clock was authorized; None: there is none."""

    count: int
    oldest_ms: int | None


def update_holds(connection: Connection, lines: Iterable[Line]) -> None:
    """Opens, changes and ends holds as the lines say, in their order."""
    open_now: dict[Key, dict[str, object]] = {}
    authorized: set[Key] = set()
    ended: set[Key] = set()
    for line in lines:
        key, kind = (line.account_id, line.effect.hold_id), line.effect.kind
        if kind is Kind.AUTHORIZE:
            authorized.add(key)
            open_now[key] = _row(line)
        elif kind is Kind.EXTEND:
            open_now[key] = _row(line) | _authorized_at(open_now.get(key))
        elif kind in _ENDS and line.effect.hold_id:
            open_now.pop(key, None)
            ended.add(key)
    _store(connection, open_now)
    _delete(connection, ended - authorized)


def holds_open(connection: Connection) -> HoldsOpen:
    """A look at the holds that are open."""
    count = connection.scalar(select(func.count()).select_from(open_holds))
    real_clock = open_holds.join(accounts, accounts.c.account_id == open_holds.c.account_id)
    oldest = select(func.min(open_holds.c.authorized_at_ms)).select_from(real_clock)
    return HoldsOpen(count or 0, connection.scalar(oldest.where(accounts.c.test_clock_ms.is_(None))))


def _row(line: Line) -> dict[str, object]:
    effect = line.effect
    return {
        "account_id": line.account_id,
        "hold_id": effect.hold_id,
        "amount_nanos": effect.amount + (effect.hold_amount if effect.kind is Kind.EXTEND else 0),
        "day": effect.hold_day,
        "expires_ms": effect.expires_ms,
        "authorized_at_ms": effect.at_ms,
    }


def _authorized_at(row: dict[str, object] | None) -> dict[str, object]:
    return {} if row is None else {"authorized_at_ms": row["authorized_at_ms"]}


def _store(connection: Connection, rows: dict[Key, dict[str, object]]) -> None:
    insert = upsert(connection, open_holds)
    # An extended hold keeps the time at which it was authorized.
    changed = {name: insert.excluded[name] for name in ("amount_nanos", "day", "expires_ms")}
    statement = insert.on_conflict_do_update(index_elements=["account_id", "hold_id"], set_=changed)
    write_many(connection, statement, list(rows.values()))


def _delete(connection: Connection, keys: set[Key]) -> None:
    own = (open_holds.c.account_id == bindparam("account")) & (open_holds.c.hold_id == bindparam("hold"))
    rows = [{"account": account, "hold": hold} for account, hold in sorted(keys)]
    write_many(connection, delete(open_holds).where(own), rows)
