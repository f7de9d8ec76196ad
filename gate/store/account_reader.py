"""Reads the replies of get_balance and inspect_account, which change nothing."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from gate.store.account_codec import (
    OVERAGE,
    StoredBalance,
    StoredGrace,
    decode_graces,
    decode_grants,
)
from gate.store.budget_codec import decode_budgets
from meter.journal.account_sums import ABSENT
from meter.journal.effect import Effect
from meter.journal.effect_codec import decode_current_grant, decode_effect
from meter.journal.entry import Position
from meter.journal.redis_snapshot import HoldInRedis, RedisSnapshot

_SCHEDULED = "p"


class AccountView(NamedTuple):
    """Shows an account at one instant."""

    effect: Effect  # of kind BALANCE
    currency: str
    graces: tuple[StoredGrace, ...]
    grants: dict[int, StoredBalance]  # by number; 0 is overage

    @property
    def debt(self) -> int:
        """Returns the overage in use, in nanos."""
        overage = self.grants[OVERAGE]
        return self.effect.before.overage - overage.left - overage.held

    @property
    def blocked(self) -> int:
        """Returns the nanos of unscoped grants that overage, used or held, keeps from use."""
        spendable = self.effect.before.spendable
        left_of_grants = spendable - self.grants[OVERAGE].left
        return max(0, left_of_grants - max(0, spendable))

    def left_by_type(self) -> Iterable[tuple[str, int, int]]:
        """Yields each type of grant, with the nanos left and held of all grants of the type.

        Scheduled grants are left out, and so are types without anything left or held. Holds may
        still have a part of a grant whose time is over.
        """
        sums: dict[str, tuple[int, int]] = {}
        for number, grant in self.grants.items():
            is_empty = not grant.left and not grant.held
            if number == OVERAGE or grant.state == _SCHEDULED or is_empty:
                continue
            left, held = sums.get(grant.type, (0, 0))
            sums[grant.type] = (left + grant.left, held + grant.held)
        for grant_type, (left, held) in sums.items():
            yield grant_type, left, held


def read_account_view(
    line: bytes,
    currency: bytes,
    graces: bytes,
    grants: Sequence[bytes],
) -> AccountView:
    """Reads the reply of gate/lua/get_balance.lua, without its status."""
    text = line.decode()
    return AccountView(
        decode_effect(text),
        currency.decode(),
        decode_graces(graces.decode()),
        decode_grants(*decode_current_grant(text), grants),
    )


def read_snapshot(
    journal_end: bytes,
    line: bytes,
    grants: Sequence[bytes],
    budgets: Sequence[bytes],
    counters: Sequence[Any],
    holds: Sequence[bytes],
    due: Sequence[bytes],
) -> RedisSnapshot:
    """Reads the reply of gate/lua/upkeep/inspect_account.lua, without its status."""
    text = line.decode()
    effect = decode_effect(text)
    balances = decode_grants(*decode_current_grant(text), grants)
    return RedisSnapshot(
        Position.from_id(journal_end.decode()),
        effect.day,
        effect.before,
        {number: (grant.left, grant.held) for number, grant in balances.items()},
        decode_budgets(budgets, counters),
        _read_holds(holds),
        (due[0].decode(), due[1].decode()),
    )


def _read_holds(members_and_holds: Sequence[bytes]) -> dict[str, HoldInRedis | None]:
    holds = {}
    for member, text in zip(members_and_holds[::2], members_and_holds[1::2], strict=True):
        _, hold_id = member.decode().split(" ")
        holds[hold_id] = _read_hold(text.decode())
    return holds


def _read_hold(text: str) -> HoldInRedis | None:
    if text == ABSENT:
        return None
    amount, day, expires_ms, pins, score = text.split(" ")
    return HoldInRedis(int(amount), int(day), int(expires_ms), pins, score)
