"""Credits by grant, budgets, thresholds, graces.

What was used before is attributed to the account's grants in burn order, all of them, whenever they were made: debt of that time is what
is used beyond their sum. What holds that are open still have comes from what is then left.
"""

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_OVERAGE = 0
_ROWS_AT_A_TIME = 5000

Parts = list[list[int]]  # [grant's number or 0, nanos]


def upgrade() -> None:
    _extend_tables()
    _create_tables()
    _renew_states()
    for account_id in _all("SELECT account_id FROM accounts"):
        _attribute(account_id[0])
    op.create_index("grants_number", "grants", ["account_id", "number"], unique=True)


def _extend_tables() -> None:
    amounts = ("left_nanos", "held_nanos", "spent_nanos", "expired_nanos", "voided_nanos")
    columns: dict[str, list[sa.Column[Any]]] = {
        "accounts": [
            sa.Column("overage_policy", sa.String(length=16), nullable=False, server_default="next_invoice"),
            sa.Column("spend_management", sa.Boolean(), nullable=False, server_default=sa.true()),
            sa.Column("thresholds", sa.Text(), nullable=False, server_default="[]"),
            sa.Column("graces", sa.Text(), nullable=False, server_default="[]"),
            sa.Column("applied_settings", sa.Text(), nullable=False, server_default="{}"),
        ],
        "entries": [
            sa.Column("grace_nanos", sa.BigInteger(), nullable=False, server_default="0"),
            sa.Column("burned", sa.Text(), nullable=False, server_default="[]"),
            sa.Column("overage_nanos", sa.BigInteger(), nullable=False, server_default="0"),
            sa.Column("traffic_class", sa.String(length=128), nullable=False, server_default=""),
        ],
        "grants": [
            sa.Column("number", sa.BigInteger(), nullable=False, server_default="0"),
            sa.Column("scope", sa.Text(), nullable=False, server_default="[]"),
            sa.Column("pays_debt", sa.Boolean(), nullable=False, server_default=sa.false()),
            sa.Column("non_refundable", sa.Boolean(), nullable=False, server_default=sa.false()),
            sa.Column("state", sa.String(length=16), nullable=False, server_default="LIVE"),
            *(sa.Column(name, sa.BigInteger(), nullable=False, server_default="0") for name in amounts),
        ],
        "open_holds": [
            sa.Column("pins", sa.Text(), nullable=False, server_default="-"),
            sa.Column("budgets", sa.Text(), nullable=False, server_default="-"),
        ],
    }
    for table, added in columns.items():
        for column in added:
            op.add_column(table, column)


def _create_tables() -> None:
    op.create_table(
        "applied_budgets",
        sa.Column("account_id", sa.String(length=128), nullable=False),
        sa.Column("budget_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("facets", sa.Text(), nullable=False),
        sa.Column("period", sa.String(length=16), nullable=False),
        sa.Column("hard", sa.Boolean(), nullable=False),
        sa.Column("limit_nanos", sa.BigInteger(), nullable=False),
        sa.Column("levels", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "budget_id"),
    )
    op.create_table(
        "budget_windows",
        sa.Column("account_id", sa.String(length=128), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("start_day", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("used_nanos", sa.BigInteger(), nullable=False),
        sa.Column("held_nanos", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "number", "start_day"),
    )
    key = ("account_id", "subject", "budget_id", "budget_number", "threshold_id", "period", "level_nanos")
    op.create_table(
        "events",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("account_id", sa.String(length=128), nullable=False),
        sa.Column("subject", sa.String(length=16), nullable=False),
        sa.Column("budget_id", sa.String(length=64), nullable=False),
        sa.Column("budget_number", sa.BigInteger(), nullable=False),
        sa.Column("threshold_id", sa.String(length=64), nullable=False),
        sa.Column("period", sa.String(length=32), nullable=False),
        sa.Column("level_nanos", sa.BigInteger(), nullable=False),
        sa.Column("value_nanos", sa.BigInteger(), nullable=False),
        sa.Column("occurred_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("entry_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint(*key, name="events_once"),
    )
    op.create_index("events_history", "events", ["account_id", "number"], unique=False)


def _renew_states() -> None:
    """Of what expired nothing was known, and of yesterday's use neither: it begins as none."""
    rows = [
        {"account": account_id, "state": f"{state} 0 {state.split(' ')[7]}"}
        for account_id, state in _all("SELECT account_id, state FROM accounts")
    ]
    _update("UPDATE accounts SET state = :state WHERE account_id = :account", rows)


def _attribute(account_id: str) -> None:
    """Says of each of the account's entries, holds and grants whose credits they are."""
    numbers = _numbers(account_id)
    known = _all(
        "SELECT grant_id, type, amount_nanos, priority, expires_at_ms FROM grants WHERE account_id = :id", id=account_id
    )
    ordered = sorted(known, key=lambda grant: _place(grant, numbers[grant.grant_id]))
    left = {numbers[grant.grant_id]: grant.amount_nanos for grant in ordered}
    _attribute_entries(account_id, left)
    spent = {numbers[grant.grant_id]: grant.amount_nanos - left[numbers[grant.grant_id]] for grant in known}
    unspent = dict(left)
    _attribute_holds(account_id, left)
    _update(
        "UPDATE grants SET number = :number, left_nanos = :left, held_nanos = :held, spent_nanos = :spent, state = :state"
        " WHERE grant_id = :grant_id",
        [
            {
                "grant_id": grant_id,
                "number": number,
                "left": left[number],
                "held": unspent[number] - left[number],
                "spent": spent[number],
                "state": "LIVE" if unspent[number] else "EXHAUSTED",
            }
            for grant_id, number in numbers.items()
            if number in left
        ],
    )


def _numbers(account_id: str) -> dict[str, int]:
    """The grants' numbers: those of the operations that made them."""
    rows = _all("SELECT seq, body FROM operations WHERE account_id = :id", id=account_id)
    changes = ((seq, json.loads(body)) for seq, body in rows)
    return {each["change"]["grant_id"]: seq for seq, each in changes if each["method"] == "grant"}


def _place(grant: Any, number: int) -> tuple[int, float, bool, int]:
    """In burn order."""
    expires = float("inf") if grant.expires_at_ms is None else grant.expires_at_ms
    return grant.priority, expires, grant.type not in ("VOUCHER", "PROMOTION"), number


def _take(left: dict[int, int], amount: int) -> Parts:
    """So much from the grants, in their order; the rest from overage."""
    parts: Parts = []
    for number, there in left.items():
        part = min(there, amount)
        if part:
            left[number] -= part
            parts.append([number, part])
            amount -= part
    return [*parts, [_OVERAGE, amount]] if amount else parts


def _attribute_entries(account_id: str, left: dict[int, int]) -> None:
    granted = iter(sorted(left))  # grants took effect in the order of their operations
    for page in _pages(account_id):
        rows = []
        for entry in page:
            parts: Parts = []
            if entry.kind == "DEBIT":
                parts = _take(left, -entry.amount_nanos)
            elif entry.kind == "GRANT" and entry.amount_nanos:
                parts = [[next(granted), entry.amount_nanos]]
            elif entry.kind in ("AUTHORIZE", "EXTEND") and entry.held_nanos:
                parts = [[_OVERAGE, entry.held_nanos]]
            overage = sum(nanos for number, nanos in parts if number == _OVERAGE) if entry.kind == "DEBIT" else 0
            if parts:
                rows.append(_row(entry, parts, overage))
        _update_entries(rows)


def _attribute_holds(account_id: str, left: dict[int, int]) -> None:
    """Of each open hold: what it pins, and of that what each entry added."""
    holds = _all(
        "SELECT hold_id, amount_nanos FROM open_holds WHERE account_id = :id ORDER BY authorized_at_ms, hold_id",
        id=account_id,
    )
    for hold in holds:
        pins = _take(left, hold.amount_nanos)
        text = ",".join(f"{number}:{nanos}" for number, nanos in pins) or "-"
        _update(
            "UPDATE open_holds SET pins = :pins WHERE account_id = :account AND hold_id = :hold",
            [{"account": account_id, "hold": hold.hold_id, "pins": text}],
        )
        rest = {number: nanos for number, nanos in pins if number != _OVERAGE}
        added = _all(
            "SELECT shard, epoch, seq, held_nanos FROM entries WHERE account_id = :id AND hold_id = :hold"
            " AND kind IN ('AUTHORIZE', 'EXTEND') AND held_nanos > 0 ORDER BY epoch, seq",
            id=account_id,
            hold=hold.hold_id,
        )
        _update_entries([_row(entry, _take(rest, entry.held_nanos), 0) for entry in added])


def _pages(account_id: str) -> Iterator[list[Any]]:
    """The account's entries in their order."""
    epoch = seq = -1
    while page := _all(
        "SELECT shard, epoch, seq, kind, amount_nanos, held_nanos FROM entries WHERE account_id = :id"
        " AND (epoch > :epoch OR (epoch = :epoch AND seq > :seq)) ORDER BY epoch, seq LIMIT :limit",
        id=account_id,
        epoch=epoch,
        seq=seq,
        limit=_ROWS_AT_A_TIME,
    ):
        yield page
        epoch, seq = page[-1].epoch, page[-1].seq


def _row(entry: Any, parts: Parts, overage: int) -> dict[str, object]:
    place = {"shard": entry.shard, "epoch": entry.epoch, "seq": entry.seq}
    return place | {"burned": json.dumps(parts, separators=(",", ":")), "overage": overage}


def _update_entries(rows: list[dict[str, object]]) -> None:
    _update(
        "UPDATE entries SET burned = :burned, overage_nanos = :overage"
        " WHERE shard = :shard AND epoch = :epoch AND seq = :seq",
        rows,
    )


def _all(query: str, **values: object) -> list[Any]:
    return list(op.get_bind().execute(sa.text(query), values).all())


def _update(statement: str, rows: list[dict[str, object]]) -> None:
    if rows:
        op.get_bind().execute(sa.text(statement), rows)
