"""What was taken over of an account: kept behind each entry of kind RECONCILED."""

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import NamedTuple, Self

from sqlalchemy import Connection, insert, select

from meter.database.schema import reconciliations
from meter.journal.entry import Position
from meter.ledger.projections.snapshot import OpenHold


class GrantSums(NamedTuple):
    """Holds a grant's state and sums in nanos, as the table of grants has them."""

    number: int
    state: str  # a name of meter.v1.GrantState
    left: int
    held: int
    spent: int
    expired: int
    voided: int


class BudgetWindow(NamedTuple):
    """Holds a counter of a budget's window, in nanos."""

    number: int  # of the operation that made the budget
    start_hour: int
    value: str  # of the counter (meter/journal/counter_names.py)
    used: int
    held: int


@dataclass(frozen=True, slots=True)
class TakenOver:
    """Holds all of an account that its entries do not tell, as of a reconciliation."""

    sums_before: str  # meter.journal.account_sums.AccountSums, as the ledger had them
    grants: tuple[GrantSums, ...]
    overage_left: int
    overage_held: int
    holds: tuple[OpenHold, ...]  # with the windows as `open_holds` stores them
    windows: tuple[BudgetWindow, ...]
    settings: str  # meter.journal.applied_settings.Settings, as JSON

    def to_json(self) -> str:
        return json.dumps(astuple(self), separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        before, grants, overage_left, overage_held, holds, windows, settings = json.loads(text)
        return cls(
            before,
            tuple(GrantSums(*grant) for grant in grants),
            overage_left,
            overage_held,
            tuple(OpenHold(*hold) for hold in holds),
            tuple(BudgetWindow(*window) for window in windows),
            settings,
        )


def keep_taken_over(
    connection: Connection,
    shard: int,
    rows: Sequence[tuple[Position, TakenOver]],
) -> None:
    """Writes what entries of the shard took over."""
    for position, taken_over in rows:
        row = {
            "shard": shard,
            "epoch": position.epoch,
            "seq": position.seq,
            "body": taken_over.to_json(),
        }
        connection.execute(insert(reconciliations), row)


def taken_over_by(
    connection: Connection,
    shard: int,
    position: Position,
) -> TakenOver | None:
    """Returns what the entry at the position took over; None: nothing is kept of it."""
    place = reconciliations.c
    query = select(place.body).where(
        place.shard == shard,
        place.epoch == position.epoch,
        place.seq == position.seq,
    )
    body = connection.scalar(query)
    if body is None:
        return None
    return TakenOver.from_json(body)
