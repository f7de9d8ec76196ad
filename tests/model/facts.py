"""What can have happened to an account: grants, holds, charges; and the lines that its history must
have.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from urllib.parse import unquote

from gate.v1.gate_pb2 import BudgetState
from model.days import HOUR_MS, at, hours_of, month_of

MOST = 2**63 - 1
MOST_OF_A_SETTING = 2**61 - 1  # also what a grace carries that names no amount
# What may be spent goes no lower, nor does what remains of a day or a budget: a changed setting must
# still fit.
DEBT_FLOOR = -MOST + MOST_OF_A_SETTING
OVERAGE = 0  # credits that come from no grant
PROMOTIONAL = ("VOUCHER", "PROMOTION")

Labels = frozenset[str]  # "key=value" of a request
Parts = list[
    tuple[int, int]
]  # amounts by the number of the grant that they come from, in the order in which they were taken


_ESCAPES = {ord(mark): f"%{ord(mark):02X}" for mark in " %,;:/|*"}


class Refused(Exception):
    """No decision was made; `str()` is the reason."""


class Line(NamedTuple):
    """What an entry of the history tells: what happened, its amount, and the grants or the crossing
    that it is about.
    """

    kind: str
    amount: int
    about: tuple[object, ...] = ()


class Window(NamedTuple):
    """A stretch of a budget's life, for one value if it is for each.

    One whose scope or window is changed is another budget: `number` tells them apart.
    """

    number: int
    start_hour: int
    value: str = ""  # as lines have it: ":ada"

    def of(self, value: str) -> "Window":
        return self._replace(value=value)


@dataclass
class Grant:
    number: int
    type: str
    amount: int
    priority: int
    effective_ms: int
    expires_ms: int | None
    scope: tuple[str, ...]
    pays_debt: bool
    begun: bool  # False: its time has not come, and it counts nowhere
    voided: bool = False
    expired: bool = False  # and told so

    @property
    def place(self) -> tuple[int, float, bool, int]:
        """In the order in which grants are burned."""
        expiry = float("inf") if self.expires_ms is None else self.expires_ms
        return self.priority, expiry, self.type not in PROMOTIONAL, self.number

    def is_over(self, now_ms: int) -> bool:
        return self.voided or (self.expires_ms is not None and now_ms >= self.expires_ms)

    def is_for(self, labels: Labels) -> bool:
        """Whether usage with these labels may take from it: one of its values of every key that its
        scope names.
        """
        keys = {label.partition("=")[0] for label in self.scope}
        return all(
            any(label in labels for label in self.scope if label.startswith(f"{key}="))
            for key in keys
        )


@dataclass
class Hold:
    pins: Parts
    day: int
    expires_ms: int
    windows: tuple[Window, ...]  # in which it counts
    open: bool = True  # False: expired, and its credits given back

    @property
    def amount(self) -> int:
        return sum(amount for _, amount in self.pins)


@dataclass
class Charge:
    parts: Parts
    day: int  # on whose limit it counts
    charged_day: int
    windows: tuple[Window, ...] = ()
    given_back: bool = False  # by an operation that names it

    @property
    def month(self) -> tuple[int, int]:
        return month_of(self.charged_day)

    @property
    def amount(self) -> int:
        return sum(amount for _, amount in self.parts)


@dataclass(frozen=True)
class Uncounted:
    """Use that counts no longer, for it was a request's second time."""

    amount: int
    day: int  # on whose limit it counted
    month: tuple[int, int]  # in which it was charged
    windows: tuple[Window, ...]


@dataclass
class Budget:
    budget_id: str
    number: int
    labels: tuple[str, ...]
    window: str
    hard: bool
    limit: int
    levels: tuple[tuple[str, int], ...] = field(default=())
    value: str = ""  # that a call has met, of a budget for each

    @property
    def name(self) -> str:
        return self.budget_id + self.value

    def of(self, value: str) -> "Budget":
        return replace(self, value=value)

    def met_by(self, labels: Labels) -> "Budget | None":
        """The budget for usage with these labels, if it counts in it."""
        value = ""
        named = dict(label.split("=", 1) for label in labels)
        for label in self.labels:
            key, _, wanted = label.partition("=")
            if key not in named or wanted not in ("*", named[key]):
                return None
            value += f":{named[key].translate(_ESCAPES)}" if wanted == "*" else ""
        return self.of(value)

    def now(self, hour: int) -> Window:
        return Window(self.number, hours_of(self.window, hour)[0], self.value)

    def end_ms(self, hour: int) -> int | None:
        end_hour = hours_of(self.window, hour)[1]
        return None if end_hour is None else end_hour * HOUR_MS

    def told(self, remaining: int, hour: int) -> BudgetState:
        end_ms = self.end_ms(hour)
        values = iter(self.value.split(":")[1:])
        scope = dict(label.split("=", 1) for label in self.labels)
        return BudgetState(
            budget_id=self.budget_id,
            scope={
                key: unquote(next(values)) if wanted == "*" else wanted
                for key, wanted in scope.items()
            },
            limit_nanos=self.limit,
            left_nanos=remaining,
            resets_at=None if end_ms is None else at(end_ms),
        )


def merged(parts: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Nothing counts as nothing."""
    sums: dict[int, int] = {}
    for number, amount in parts:
        sums[number] = sums.get(number, 0) + amount
    return {number: amount for number, amount in sorted(sums.items()) if amount}


def first_of(parts: Parts, amount: int) -> Parts:
    """The first so many credits of them."""
    taken: Parts = []
    for number, part in parts:
        if amount > 0:
            taken.append((number, min(part, amount)))
            amount -= part
    return taken
