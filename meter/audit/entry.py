"""Reads an entry of the ledger for the rules."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import Connection, Row, Select, select

from meter.database.schema import entries
from meter.journal.effect import Effect
from meter.journal.effect_codec import decode_effect
from meter.journal.entry import Position

_ROWS_AT_A_TIME = 2000


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """Holds an entry's columns, and the effect of its effect line."""

    shard: int
    position: Position
    request_id: str | None
    duplicate_of: str | None
    kind: str
    occurred_at_ms: int
    usage_day: int
    amount_nanos: int
    balance_nanos: int
    held_nanos: int
    shortfall_nanos: int
    grace_nanos: int
    burned: tuple[tuple[int, int], ...]  # nanos by grant's number
    overage_nanos: int
    hold_id: str
    traffic_class: str
    late: bool
    incurred: bool
    model: str
    usage: tuple[tuple[str, int, int], ...]
    dimensions: dict[str, str]
    effect: Effect

    @property
    def id(self) -> str:
        return f"{self.shard}-{self.position}"

    @property
    def is_charge(self) -> bool:
        """Says whether the entry is a debit that stands: a duplicate's credits are given back."""
        return self.kind == "DEBIT" and self.duplicate_of is None

    @property
    def met_dimensions(self) -> dict[str, str]:
        """Returns the dimensions by which budgets and the scopes of grants apply.

        The model is the model of the priced usage, where usage was priced.
        """
        dimensions = dict(self.dimensions)
        if self.model:
            dimensions["model"] = self.model
        return dimensions

    @property
    def labels(self) -> frozenset[str]:
        """Returns the dimensions that apply, each as "key=value"."""
        return frozenset(f"{key}={value}" for key, value in self.met_dimensions.items())

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        """Returns the row's entry. Raises ValueError or TypeError for an unreadable row."""
        burned = json.loads(row.burned)
        usage = json.loads(row.usage_lines)
        return cls(
            shard=row.shard,
            position=Position(row.epoch, row.seq),
            request_id=row.request_id,
            duplicate_of=row.duplicate_of,
            kind=row.kind,
            occurred_at_ms=row.occurred_at_ms,
            usage_day=row.usage_day,
            amount_nanos=row.amount_nanos,
            balance_nanos=row.balance_nanos,
            held_nanos=row.held_nanos,
            shortfall_nanos=row.shortfall_nanos,
            grace_nanos=row.grace_nanos,
            burned=tuple((number, nanos) for number, nanos in burned),
            overage_nanos=row.overage_nanos,
            hold_id=row.hold_id,
            traffic_class=row.traffic_class,
            late=row.late,
            incurred=row.incurred,
            model=row.model,
            usage=tuple((unit, quantity, nanos) for unit, quantity, nanos in usage),
            dimensions=json.loads(row.dimensions),
            effect=decode_effect(row.effect),
        )


def history(connection: Connection, account_id: str) -> Iterator[Row[Any]]:
    """Yields the account's rows in the journal's order, streamed."""
    wanted = _select_history(account_id)
    with connection.execute(wanted, execution_options={"yield_per": _ROWS_AT_A_TIME}) as rows:
        yield from rows


def _select_history(account_id: str) -> Select[Any]:
    of_account = select(entries).where(entries.c.account_id == account_id)
    return of_account.order_by(entries.c.epoch, entries.c.seq)
