"""Looks: what scripts that only look at an account return of its grants, graces and budgets, read as
gate/store/keys.py has them.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from meter.journal.account_sums import ABSENT
from meter.journal.allocation import OVERAGE
from meter.journal.effect import Effect
from meter.journal.effect_codec import current_grant_tokens, decode_effect


class GraceLeft(NamedTuple):
    """A grace, and when it began; None: it has not, or no time bounds it."""

    traffic_class: str
    duration_ms: int | None
    amount_nanos: int
    began_ms: int | None


class GrantSeen(NamedTuple):
    """A grant, or overage, as Redis has it."""

    state: str  # p scheduled, a effective, x over but held
    type: str  # a name of meter.v1.GrantType; empty: overage
    left: int
    held: int


class AccountView(NamedTuple):
    """An account at one instant."""

    effect: Effect  # of kind BALANCE
    currency: str
    graces: tuple[GraceLeft, ...]
    grants: dict[int, GrantSeen]  # by number; 0 is overage

    @classmethod
    def of(
        cls, line: bytes, currency: bytes, graces: bytes, grants: Sequence[bytes]
    ) -> "AccountView":
        """From what gate/lua/get_balance.lua returns."""
        return cls(
            decode_effect(line.decode()),
            currency.decode(),
            tuple(map(_grace, graces.decode().splitlines())),
            _grants(line, grants),
        )

    @property
    def debt(self) -> int:
        """Overage in use."""
        overage = self.grants[0]
        return self.effect.before.overage - overage.left - overage.held

    def left_by_type(self) -> Iterable[tuple[str, int, int]]:
        """Type, left and held of each that has something: of effective grants, and of what holds pin
        of those that are over.
        """
        sums: dict[str, tuple[int, int]] = {}
        for number, grant in self.grants.items():
            if number and grant.state != "p" and (grant.left or grant.held):
                left, held = sums.get(grant.type, (0, 0))
                sums[grant.type] = (left + grant.left, held + grant.held)
        return ((of, left, held) for of, (left, held) in sums.items())


def decode_grant_balances(line: bytes, fields: Sequence[bytes]) -> dict[int, tuple[int, int]]:
    """What is left of each grant and held from it, by number, from what
    gate/lua/upkeep/inspect_account.lua returns; overage is 0.
    """
    return {number: (grant.left, grant.held) for number, grant in _grants(line, fields).items()}


def decode_budget_balances(fields: Sequence[bytes]) -> dict[str, tuple[int, int, int]]:
    """Each budget's window (its first day), room and held amount, by id."""
    values = _texts(fields)
    scopes = {
        name[2:]: lines.split("\n") for name, lines in values.items() if name.startswith("d ")
    }
    return dict(
        _budget(line, values, f"{place if place > 1 else ''} {scope}")
        for scope, lines in scopes.items()
        for place, line in enumerate(lines, 1)
    )


def _budget(line: str, values: dict[str, str], placed: str) -> tuple[str, tuple[int, int, int]]:
    budget_id, start, _ = line.split(",", 2)
    return budget_id, (int(start), int(values[f"r{placed}"]), int(values.get(f"h{placed}", "0")))


def _grants(line: bytes, fields: Sequence[bytes]) -> dict[int, GrantSeen]:
    values = _texts(fields)
    current_grant, left, held = current_grant_tokens(line.decode())
    values[current_grant] = left
    values[f"{current_grant} h"] = held
    numbers = {name.removesuffix(" m") for name in values if name.endswith(" m")}
    numbers |= {str(OVERAGE), current_grant}
    return {int(number): _grant(number, values) for number in numbers}


def _grant(number: str, values: dict[str, str]) -> GrantSeen:
    meta = values.get(f"{number} m", "a 0  ").split(" ")
    return GrantSeen(
        meta[0], meta[2], int(values.get(number, "0")), int(values.get(f"{number} h", "0"))
    )


def _grace(line: str) -> GraceLeft:
    duration, amount, began, name = line.split(" ", 3)
    return GraceLeft(name, _number(duration), int(amount), _number(began))


def _number(text: str) -> int | None:
    return None if text == ABSENT else int(text)


def _texts(fields: Sequence[bytes]) -> dict[str, str]:
    texts = [each.decode() for each in fields]
    return dict(zip(texts[::2], texts[1::2], strict=True))
