"""Grants as of the flushed position: what records do to each is added up, and stored at once."""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    String,
    bindparam,
    case,
    literal_column,
    select,
    update,
)

from meter.database.engine import insert_many, write_many
from meter.database.schema import grants
from meter.journal.account_sums import ABSENT, AccountSums
from meter.journal.effect import Effect, Kind
from meter.journal.operations import GrantCredits, VoidGrant
from meter.ledger.journal_records import JournalRecord

PROMOTIONAL = frozenset(("VOUCHER", "PROMOTION"))

Key = tuple[str, int]  # account, grant's number
GrantNames = dict[int, tuple[str, str]]  # id and type, by grant's number

_NUMBERS_PER_QUERY = 500

_SUMS = ("left_nanos", "held_nanos", "spent_nanos", "expired_nanos", "voided_nanos")
_ADDED = tuple(f"add_{name}" for name in _SUMS)
_LEFT, _HELD, _SPENT, _EXPIRED, _VOIDED = range(len(_SUMS))
# Where what is taken goes.
_TAKEN_TO = {
    Kind.AUTHORIZE: _HELD,
    Kind.EXTEND: _HELD,
    Kind.DEBIT: _SPENT,
    Kind.DEBT_PAID: _SPENT,
    Kind.GRANT_EXPIRED: _EXPIRED,
    Kind.GRANT_VOIDED: _VOIDED,
}
_ENDS_HOLD = frozenset((Kind.DEBIT, Kind.RELEASE, Kind.EXPIRE))
_NEW_STATE = {
    Kind.GRANT_STARTED: "LIVE",
    Kind.GRANT_EXPIRED: "EXPIRED",
    Kind.GRANT_EXHAUSTED: "EXHAUSTED",
}


@dataclass(slots=True)
class GrantBalance:
    """A grant, as far as it matters whose credits are taken next."""

    number: int
    type: str
    priority: int
    expires_ms: int | None
    is_scoped: bool
    state: str
    left: int
    held: int

    @property
    def is_empty(self) -> bool:
        """Nothing is left of it, nor held from it."""
        return not self.left and not self.held

    def lives_at(self, ms: int) -> bool:
        """Whether its credits may be spent then, also if the entry of its expiry was lost."""
        return self.state == "LIVE" and (self.expires_ms is None or ms < self.expires_ms)

    @property
    def place(self) -> tuple[int, bool, int, bool, int]:
        """In the order in which grants are burned."""
        return burn_place(self.priority, self.expires_ms, self.type, self.number)


def burn_place(
    priority: int, expires_ms: int | None, type: str, number: int
) -> tuple[int, bool, int, bool, int]:
    """Lower priority first, then earlier expiry, then promotional before paid, then older."""
    return priority, expires_ms is None, expires_ms or 0, type not in PROMOTIONAL, number


def overage_left(state: AccountSums, funds: Iterable[GrantBalance]) -> int:
    """What is left of overage: of what any request may take, all that is in no grant."""
    return state.spendable - sum(
        fund.left for fund in funds if not fund.is_scoped and fund.state != "SCHEDULED"
    )


def overage_held(state: AccountSums, funds: Iterable[GrantBalance]) -> int:
    """What holds have of overage."""
    return state.held - sum(fund.held for fund in funds)


def debt_of(state: AccountSums, funds: Collection[GrantBalance]) -> int:
    """Overage in use."""
    return state.overage - overage_left(state, funds) - overage_held(state, funds)


class GrantProjection:
    """What a transaction's records do to grants."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: dict[Key, dict[str, object]] = {}  # new ones
        self._sums: dict[Key, list[int]] = {}
        self._states: dict[Key, str] = {}
        self._voided: list[Key] = []

    def see(self, record: JournalRecord) -> None:
        """Counts the record, as posted."""
        effect = record.effect
        if effect.kind is Kind.GRANT:
            self._grant(record)
        elif effect.extras != ABSENT:
            self._move(record)
        elif effect.bucket and effect.amount | effect.hold_amount:
            self._move_plainly(record.account_id, effect)

    def funds(self, account_id: str) -> dict[int, GrantBalance]:
        """The account's grants, as the records seen so far left them."""
        names = (
            "number",
            "type",
            "priority",
            "expires_at_ms",
            "scope",
            "state",
            "left_nanos",
            "held_nanos",
        )
        wanted = select(*(grants.c[name] for name in names)).where(
            grants.c.account_id == account_id
        )
        found = [tuple(row) for row in self._connection.execute(wanted)]
        found += [
            tuple(row[name] for name in names)
            for (owner, _), row in self._rows.items()
            if owner == account_id
        ]
        return {fund.number: fund for fund in (self._fund(account_id, *row) for row in found)}

    def store(self) -> None:
        """Writes it all."""
        insert_many(self._connection, grants, list(self._rows.values()))
        keys = sorted(self._sums.keys() | self._states.keys())
        rows = [
            {"account": key[0], "grant": key[1], "new_state": self._states.get(key, "")}
            | dict(zip(_ADDED, self._sums.get(key, [0] * len(_SUMS)), strict=True))
            for key in keys
        ]
        write_many(self._connection, _MOVE, rows)
        voided = [{"account": account_id, "grant": number} for account_id, number in self._voided]
        write_many(self._connection, _WITHDRAW, voided)
        write_many(self._connection, _END_EMPTIED, voided)

    def _fund(
        self,
        account_id: str,
        number: int,
        type: str,
        priority: int,
        expires_ms: int | None,
        scope: str,
        state: str,
        left: int,
        held: int,
    ) -> GrantBalance:
        sums = self._sums.get((account_id, number))
        if sums:
            left = left + sums[_LEFT]
            held = held + sums[_HELD]
        if state in ("LIVE", "SCHEDULED"):
            state = self._states.get((account_id, number), state)
        return GrantBalance(number, type, priority, expires_ms, scope != "[]", state, left, held)

    def _grant(self, record: JournalRecord) -> None:
        operation = record.operation
        assert operation is not None, "a grant's record has its operation"
        change = operation.change
        assert isinstance(change, GrantCredits), "and that grants credits"
        if not record.is_again:
            self._rows[record.account_id, operation.seq] = _row(record, operation.seq, change)

    def _move_plainly(self, account_id: str, effect: Effect) -> None:
        """All that it took, or gave back, is of one grant."""
        sums = self._sums_of((account_id, effect.bucket))
        kind = effect.kind
        amount = effect.amount
        if kind is Kind.DEBIT:
            ended = effect.hold_amount
            sums[_LEFT] += ended - amount
            sums[_HELD] -= ended
            sums[_SPENT] += amount
        elif kind is Kind.AUTHORIZE or kind is Kind.EXTEND:
            sums[_LEFT] -= amount
            sums[_HELD] += amount
        elif kind in _ENDS_HOLD:
            sums[_LEFT] += amount
            sums[_HELD] -= amount

    def _move(self, record: JournalRecord) -> None:
        effect = record.effect
        account_id = record.account_id
        kind = effect.kind
        if kind in _ENDS_HOLD:
            for part in effect.returned:
                if part.grant:
                    sums = self._sums_of((account_id, part.grant))
                    sums[_LEFT] += part.amount
                    sums[_HELD] -= part.amount
        if kind in _TAKEN_TO:
            to = _TAKEN_TO[kind]
            for part in effect.taken:
                if part.grant:
                    sums = self._sums_of((account_id, part.grant))
                    sums[_LEFT] -= part.amount
                    sums[to] += part.amount
        if kind in _NEW_STATE:
            for part in (*effect.taken, *effect.returned):
                self._become((account_id, part.grant), _NEW_STATE[kind])
        elif kind is Kind.GRANT_VOIDED:
            self._void(record)

    def _void(self, record: JournalRecord) -> None:
        assert record.operation is not None, "a voiding is an operation"
        change = record.operation.change
        assert isinstance(change, VoidGrant), "of this kind"
        key = (record.account_id, change.number)
        fund = self.funds(record.account_id).get(change.number)
        # Where only its start was lost, it is withdrawn as if it had not begun.
        has_begun = fund is not None and fund.state != "SCHEDULED"
        if change.amount_nanos is None and has_begun:
            self._become(key, "VOIDED")
        self._voided.append(key)

    def _become(self, key: Key, state: str) -> None:
        if state == "EXHAUSTED" or self._states.get(key, "LIVE") == "LIVE":
            self._states[key] = state

    def _sums_of(self, key: Key) -> list[int]:
        sums = self._sums.get(key)
        if sums is None:
            sums = self._sums[key] = [0] * len(_SUMS)
        return sums


def _row(record: JournalRecord, number: int, change: GrantCredits) -> dict[str, object]:
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
        "scope": json.dumps(change.scope, separators=(",", ":"), ensure_ascii=False),
        "pays_debt": change.pays_debt,
        "non_refundable": change.non_refundable,
        "create_time_ms": record.effect.at_ms,
        "state": "SCHEDULED" if record.effect.is_scheduled else "LIVE",
        "left_nanos": change.amount_nanos,
        "held_nanos": 0,
        "spent_nanos": 0,
        "expired_nanos": 0,
        "voided_nanos": 0,
    }


def names_of(connection: Connection, account_id: str, numbers: Collection[int]) -> GrantNames:
    """Id and type of the account's grants of these numbers."""
    wanted = select(grants.c.number, grants.c.grant_id, grants.c.type).where(
        grants.c.account_id == account_id
    )
    ordered = sorted(numbers)
    names = {}
    for start in range(0, len(ordered), _NUMBERS_PER_QUERY):
        some = grants.c.number.in_(ordered[start : start + _NUMBERS_PER_QUERY])
        names.update(
            {row.number: (row.grant_id, row.type) for row in connection.execute(wanted.where(some))}
        )
    return names


def _words(states: Iterable[str]) -> list[ColumnElement[str]]:
    return [literal_column(f"'{state}'", String) for state in states]


_LIVE, _SCHEDULED, _VOID, _EXHAUSTED, _NONE = _words(
    ("LIVE", "SCHEDULED", "VOIDED", "EXHAUSTED", "")
)
_ZERO = literal_column("0", BigInteger)
_OWN = (grants.c.account_id == bindparam("account")) & (grants.c.number == bindparam("grant"))
_NOT_OVER = (grants.c.state == _LIVE) | (grants.c.state == _SCHEDULED)
# A grant is over once. That it was used up is said of none that is over: it only looked voided
# between two entries of one script.
_BECOMES = (bindparam("new_state") == _EXHAUSTED) | ((bindparam("new_state") != _NONE) & _NOT_OVER)

_MOVE = (
    update(grants)
    .where(_OWN)
    .values(
        {name: grants.c[name] + bindparam(f"add_{name}") for name in _SUMS}
        | {"state": case((_BECOMES, bindparam("new_state")), else_=grants.c.state)}
    )
)
# Voided before it began: nobody could take of it, and so no record says how much.
_WITHDRAW = (
    update(grants)
    .where(_OWN, grants.c.state == _SCHEDULED)
    .values(voided_nanos=grants.c.voided_nanos + grants.c.left_nanos, left_nanos=_ZERO, state=_VOID)
)
# Voided in part, and that was all.
_END_EMPTIED = (
    update(grants)
    .where(
        _OWN, grants.c.state == _LIVE, grants.c.left_nanos == _ZERO, grants.c.held_nanos == _ZERO
    )
    .values(state=_VOID)
)
