"""The projection of grants: how much of each grant is left, held, spent, expired and voided."""

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Connection,
    Select,
    String,
    bindparam,
    case,
    literal_column,
    select,
    update,
)

from meter.database.engine import insert_many, write_many
from meter.database.schema import grants
from meter.journal.account_sums import AccountSums
from meter.journal.allocation import OVERAGE, Part
from meter.journal.effect import Effect
from meter.journal.grant_types import PROMOTIONAL_TYPES
from meter.journal.kinds import Kind
from meter.journal.operations import GrantCredits, VoidGrant
from meter.ledger.journal_records import JournalRecord
from meter.ledger.portions import portions

Key = tuple[str, int]  # account, grant's number
GrantNames = dict[int, tuple[str, str]]  # id and type, by grant's number

_SUMS = ("left_nanos", "held_nanos", "spent_nanos", "expired_nanos", "voided_nanos")
_NO_CHANGE = (0,) * len(_SUMS)
_LEFT, _HELD, _SPENT, _EXPIRED, _VOIDED = range(len(_SUMS))
# The sum into which each kind moves what the kind takes.
_TAKEN_TO = {
    Kind.AUTHORIZE: _HELD,
    Kind.EXTEND: _HELD,
    Kind.DEBIT: _SPENT,
    Kind.DEBT_PAID: _SPENT,
    Kind.GRANT_EXPIRED: _EXPIRED,
    Kind.GRANT_VOIDED: _VOIDED,
}
_NEW_STATE = {
    Kind.GRANT_STARTED: "LIVE",
    Kind.GRANT_EXPIRED: "EXPIRED",
    Kind.GRANT_EXHAUSTED: "EXHAUSTED",
}
_BALANCE_COLUMNS = (
    "number",
    "type",
    "priority",
    "expires_at_ms",
    "scope",
    "state",
    "left_nanos",
    "held_nanos",
)


@dataclass(slots=True)
class GrantBalance:
    """Holds what decides whose credits are taken next: a grant's terms, state and balance."""

    number: int
    type: str
    priority: int
    expires_ms: int | None
    is_scoped: bool
    state: str
    left: int
    held: int

    @property
    def is_scheduled(self) -> bool:
        return self.state == "SCHEDULED"

    @property
    def is_empty(self) -> bool:
        return self.left == 0 and self.held == 0

    @property
    def burn_place(self) -> tuple[int, bool, int, bool, int]:
        """Returns the grant's place in the order in which grants are burned.

        Lower priority comes first, then earlier expiry, then promotional before paid, then older.
        """
        return (
            self.priority,
            self.expires_ms is None,
            self.expires_ms or 0,
            self.type not in PROMOTIONAL_TYPES,
            self.number,
        )

    def lives_at(self, ms: int) -> bool:
        """Says whether credits may be spent at that time, even if the entry of expiry was lost."""
        return self.state == "LIVE" and (self.expires_ms is None or ms < self.expires_ms)


def debt_of(state: AccountSums, balances: Collection[GrantBalance]) -> int:
    """Returns the overage in use: the part that is neither left nor held."""
    left = 0
    held = 0
    for grant in balances:
        held += grant.held
        if not grant.is_scoped and not grant.is_scheduled:
            left += grant.left
    overage_left = state.spendable - left
    overage_held = state.held - held
    return state.overage - overage_left - overage_held


class GrantProjection:
    """Adds up what a transaction's records do to grants."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._new: dict[Key, dict[str, object]] = {}
        self._sums: dict[Key, list[int]] = {}  # to be added, in the order of _SUMS
        self._states: dict[Key, str] = {}
        self._voided: list[Key] = []

    def apply(self, record: JournalRecord) -> None:
        """Moves the credits that the record took or gave back; a new grant is noted."""
        effect = record.effect
        if effect.kind is Kind.GRANT:
            self._add_grant(record)
        elif effect.allocation is not None:
            self._move_parts(record)
        elif effect.current_grant != OVERAGE and (effect.amount or effect.hold_amount):
            self._move_current(record.account_id, effect)

    def balances(self, account_id: str) -> dict[int, GrantBalance]:
        """Returns the account's grants by number, as the applied records left the grants."""
        found = [*self._stored_values(account_id), *self._new_values(account_id)]
        balances = [self._balance(account_id, values) for values in found]
        return {grant.number: grant for grant in balances}

    def save(self) -> None:
        """Writes new grants, and the changes of all others."""
        insert_many(self._connection, grants, list(self._new.values()))
        changed = sorted(self._sums.keys() | self._states.keys())
        rows = [self._changes(key) for key in changed]
        write_many(self._connection, _MOVE, rows)
        self._save_voided()

    def _save_voided(self) -> None:
        voided = [{"account": account_id, "grant": number} for account_id, number in self._voided]
        write_many(self._connection, _WITHDRAW, voided)
        write_many(self._connection, _END_EMPTIED, voided)

    def _stored_values(self, account_id: str) -> Iterator[tuple[Any, ...]]:
        """Yields the values of _BALANCE_COLUMNS of the grants in the ledger."""
        query = _select_balances(account_id)
        for row in self._connection.execute(query):
            yield tuple(row)

    def _new_values(self, account_id: str) -> Iterator[tuple[Any, ...]]:
        """Yields the values of _BALANCE_COLUMNS of the grants that the records make."""
        for (owner, _), row in self._new.items():
            if owner == account_id:
                yield tuple(row[name] for name in _BALANCE_COLUMNS)

    def _changes(self, key: Key) -> dict[str, object]:
        """Returns the parameters of _MOVE for a grant."""
        account_id, number = key
        row: dict[str, object] = {
            "account": account_id,
            "grant": number,
            "new_state": self._states.get(key, ""),
        }
        sums = self._sums.get(key, _NO_CHANGE)
        for name, nanos in zip(_SUMS, sums, strict=True):
            row[f"add_{name}"] = nanos
        return row

    def _balance(self, account_id: str, values: tuple[Any, ...]) -> GrantBalance:
        """Returns the grant of these values of _BALANCE_COLUMNS, moved by the applied records."""
        grant = _balance_before(*values)
        key = (account_id, grant.number)
        sums = self._sums.get(key, _NO_CHANGE)
        grant.left += sums[_LEFT]
        grant.held += sums[_HELD]
        if grant.state in ("LIVE", "SCHEDULED"):
            grant.state = self._states.get(key, grant.state)
        return grant

    def _add_grant(self, record: JournalRecord) -> None:
        operation = record.operation
        assert operation is not None, "a grant's record has its operation"
        change = operation.change
        assert isinstance(change, GrantCredits), "and the operation grants credits"
        if record.is_again:
            return
        key = (record.account_id, operation.seq)
        self._new[key] = _row(record, operation.seq, change)

    def _move_current(self, account_id: str, effect: Effect) -> None:
        """Moves credits of the current grant: the usual call, without a Part for each move."""
        sums = self._sums_of((account_id, effect.current_grant))
        kind = effect.kind
        if kind is Kind.DEBIT:
            sums[_LEFT] += effect.hold_amount - effect.amount
            sums[_HELD] -= effect.hold_amount
            sums[_SPENT] += effect.amount
        elif kind.spends:
            sums[_LEFT] -= effect.amount
            sums[_HELD] += effect.amount
        elif kind.ends_hold:
            sums[_LEFT] += effect.amount
            sums[_HELD] -= effect.amount

    def _move_parts(self, record: JournalRecord) -> None:
        effect = record.effect
        kind = effect.kind
        if kind.ends_hold:
            self._move(record.account_id, effect.returned, _HELD, _LEFT)
        if kind in _TAKEN_TO:
            self._move(record.account_id, effect.taken, _LEFT, _TAKEN_TO[kind])
        if kind in _NEW_STATE:
            self._set_states(record, _NEW_STATE[kind])
        elif kind is Kind.GRANT_VOIDED:
            self._void(record)

    def _move(
        self,
        account_id: str,
        parts: Iterable[Part],
        source: int,
        target: int,
    ) -> None:
        """Moves each part from one sum of its grant to another sum; overage has no row."""
        for part in parts:
            if part.grant == OVERAGE:
                continue
            sums = self._sums_of((account_id, part.grant))
            sums[source] -= part.amount
            sums[target] += part.amount

    def _set_states(self, record: JournalRecord, state: str) -> None:
        """Notes the new state of the grants that the record names."""
        effect = record.effect
        for part in (*effect.taken, *effect.returned):
            self._set_state((record.account_id, part.grant), state)

    def _void(self, record: JournalRecord) -> None:
        assert record.operation is not None, "a voiding is an operation"
        change = record.operation.change
        assert isinstance(change, VoidGrant), "of this kind"
        key = (record.account_id, change.number)
        # Where only the grant's start was lost, the grant is withdrawn as if it had not begun.
        if change.amount_nanos is None and self._has_begun(key):
            self._set_state(key, "VOIDED")
        self._voided.append(key)

    def _has_begun(self, key: Key) -> bool:
        account_id, number = key
        grant = self.balances(account_id).get(number)
        return grant is not None and not grant.is_scheduled

    def _set_state(self, key: Key, state: str) -> None:
        """Notes the new state; a grant stays over, except for becoming used up."""
        if state == "EXHAUSTED" or self._states.get(key, "LIVE") == "LIVE":
            self._states[key] = state

    def _sums_of(self, key: Key) -> list[int]:
        sums = self._sums.get(key)
        if sums is None:
            sums = [0] * len(_SUMS)
            self._sums[key] = sums
        return sums


def names_of(
    connection: Connection,
    account_id: str,
    numbers: Collection[int],
) -> GrantNames:
    """Returns id and type of the account's grants of these numbers."""
    columns = select(grants.c.number, grants.c.grant_id, grants.c.type)
    of_account = columns.where(grants.c.account_id == account_id)
    names = {}
    for some in portions(sorted(numbers)):
        query = of_account.where(grants.c.number.in_(some))
        for row in connection.execute(query):
            names[row.number] = (row.grant_id, row.type)
    return names


def _select_balances(account_id: str) -> Select[Any]:
    columns = [grants.c[name] for name in _BALANCE_COLUMNS]
    return select(*columns).where(grants.c.account_id == account_id)


def _balance_before(
    number: int,
    grant_type: str,
    priority: int,
    expires_ms: int | None,
    scope: str,
    *state_and_sums: Any,
) -> GrantBalance:
    is_scoped = scope != "[]"
    return GrantBalance(number, grant_type, priority, expires_ms, is_scoped, *state_and_sums)


def _row(
    record: JournalRecord,
    number: int,
    change: GrantCredits,
) -> dict[str, object]:
    scope = json.dumps(change.scope, separators=(",", ":"), ensure_ascii=False)
    state = "LIVE"
    if record.effect.flags.is_scheduled:
        state = "SCHEDULED"
    return {
        "grant_id": change.grant_id,
        "account_id": record.account_id,
        "number": number,
        "request_id": record.request_id,
        "type": change.type,
        "amount_nanos": change.amount_nanos,
        "priority": change.priority,
        "effective_at_ms": change.effective_at_ms,
        "expires_at_ms": change.expires_at_ms,
        "description": change.description,
        "scope": scope,
        "pays_debt": change.pays_debt,
        "non_refundable": change.non_refundable,
        "create_time_ms": record.effect.at_ms,
        "state": state,
        "left_nanos": change.amount_nanos,
        "held_nanos": 0,
        "spent_nanos": 0,
        "expired_nanos": 0,
        "voided_nanos": 0,
    }


# Literals, not parameters: `write_many` gives the driver the rows' values only.
_LIVE = literal_column("'LIVE'", String)
_SCHEDULED = literal_column("'SCHEDULED'", String)
_VOID = literal_column("'VOIDED'", String)
_EXHAUSTED = literal_column("'EXHAUSTED'", String)
_UNCHANGED = literal_column("''", String)
_ZERO = literal_column("0", BigInteger)

_OF_ACCOUNT = grants.c.account_id == bindparam("account")
_OWN = _OF_ACCOUNT & (grants.c.number == bindparam("grant"))
_NOT_OVER = (grants.c.state == _LIVE) | (grants.c.state == _SCHEDULED)
_NEW_VALUE: BindParameter[str] = bindparam("new_state")
# A grant is over once. But a grant may become exhausted after it was over: between two entries of
# one script, the grant only looked voided.
_IS_ENDED = (_NEW_VALUE != _UNCHANGED) & _NOT_OVER
_BECOMES = (_NEW_VALUE == _EXHAUSTED) | _IS_ENDED

_ADDED = {name: grants.c[name] + bindparam(f"add_{name}") for name in _SUMS}
_STATE = case((_BECOMES, _NEW_VALUE), else_=grants.c.state)
_MOVE = update(grants).where(_OWN).values({**_ADDED, "state": _STATE})
# Voided before it began: nobody could take of the grant, so no record says how much was left.
_WITHDRAW = (
    update(grants)
    .where(_OWN, grants.c.state == _SCHEDULED)
    .values(
        voided_nanos=grants.c.voided_nanos + grants.c.left_nanos,
        left_nanos=_ZERO,
        state=_VOID,
    )
)
# Voided in part, and the part was all that was left.
_END_EMPTIED = (
    update(grants)
    .where(
        _OWN,
        grants.c.state == _LIVE,
        grants.c.left_nanos == _ZERO,
        grants.c.held_nanos == _ZERO,
    )
    .values(state=_VOID)
)
