"""An account as the rows of the Lua tables name it, and as Redis has it: the stored forms of
gate/store/account_codec.py, once more and by sums alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

MS_PER_DAY = 86_400_000
DAY = 19_781  # 2024-02-28, a Wednesday
NOON = DAY * MS_PER_DAY + MS_PER_DAY // 2
FEBRUARY_1 = 19_754
FEBRUARY_29 = DAY + 1
MARCH_1 = DAY + 2
APRIL_1 = DAY + 33

Changes = dict[str, Any]


@dataclass(frozen=True)
class Grant:
    """A grant; or overage, of which only the first two say something."""

    left: int = 0
    held: int = 0
    state: str = "a"
    pays: int = 0
    type: str = "TOP_UP"
    priority: int = 50
    expires: int | str = "-"
    effective: int | str = "-"
    scope: str = "-"

    def has(self, left: int, held: int = 0, state: str = "a") -> "Grant":
        return replace(self, left=left, held=held, state=state)

    @property
    def what(self) -> str:
        return (
            f"{self.pays} {self.type} {self.priority} {self.expires} {self.effective} {self.scope}"
        )

    @property
    def as_written(self) -> str:
        return f"{self.state} {self.what}"

    @property
    def due(self) -> int | str:
        return {"p": self.effective, "a": self.expires, "x": "-"}[self.state]


@dataclass(frozen=True)
class Budget:
    """A budget, of operation 3 unless said otherwise: the one key's for February.

    One for each value, whose labels have a key without a value, has `counters` (remaining and held,
    by value) in place of amounts. Windows are told in days, an hour being a part of a day.
    """

    remaining: int = 100
    held: int = 0
    limit: int = 100
    labels: str = "api_key=k1"
    window: str = "month"
    start: float = FEBRUARY_1
    end: float | str = MARCH_1
    hard: bool = True
    levels: str = "-"
    number: int = 3
    counters: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def has(self, remaining: int, held: int = 0) -> "Budget":
        return replace(self, remaining=remaining, held=held)

    def counts(self, **counters: tuple[int, int]) -> "Budget":
        return replace(self, counters=counters)

    @property
    def what(self) -> str:
        return f"{hour(self.start)},{hour(self.end)} {self.limit},{'sh'[self.hard]} {self.levels} {self.number} {self.window}"

    @property
    def loaded_counters(self) -> str:
        """As load_account takes them."""
        counters = (
            f":{value},{self.limit - remaining},{held}"
            for value, (remaining, held) in self.counters.items()
        )
        return ";".join(counters) or "-"

    def matched(self, budget_id: str = "b1", flags: str = "", start: float | None = None) -> str:
        """As an effect line has it."""
        start = self.start if start is None else start
        flags = flags or "h" * self.hard or "s"
        return f"{budget_id},{hour(start)},{hour(self.end)},{self.remaining},{self.held},{self.limit},{flags}"


def hour(day: float | str) -> int | str:
    """As windows are stored: counted in hours."""
    return day if isinstance(day, str) else round(day * 24)


EACH_USER = Budget(labels="user")  # the month's, for each value

# The usual account: 100 nanos in one grant, which operation 2 made.
TOP_UP = Grant(100)
USUAL: Changes = {
    "epoch": "1", "status": "active", "test_clock_ms": NOON, "day": DAY, "current_grant": 2, "operation_number": 2, "currency": "USD",
    "daily_limit": "-", "overage": 0, "total": 100, "expired": 0, "day_base": 0, "month_base": 0, "yesterday_base": 0, "used": 0, "day_remaining": 0,
    "thresholds": "", "graces": "", "unmanaged": False, "grants": {2: TOP_UP}, "budgets": {},
}  # fmt: skip


class Account:
    """The usual account, changed by name.

    `left` and `held` are those of the grant being burned; `grants` and `budgets` are all of them.
    """

    def __init__(self, *changes: Changes) -> None:
        self.fields = dict(USUAL)
        for change in changes:
            self._change(change)

    def _change(self, change: Changes) -> None:
        self.fields |= {
            name: value for name, value in change.items() if name not in ("left", "held")
        }
        burned = self.burned
        burned = replace(
            burned, left=change.get("left", burned.left), held=change.get("held", burned.held)
        )
        self.fields["grants"] = self["grants"] | {self["current_grant"]: burned}

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    @property
    def burned(self) -> Grant:
        grant: Grant = self["grants"].get(self["current_grant"], Grant())
        return grant

    @property
    def beside(self) -> dict[int, Grant]:
        return {n: grant for n, grant in self["grants"].items() if n != self["current_grant"]}

    @property
    def due(self) -> int | str:
        dues = [grant.due for n, grant in self["grants"].items() if n and grant.due != "-"]
        return min(dues, default="-")

    @property
    def flags(self) -> str:
        scoped = any(grant.scope != "-" for grant in self["grants"].values())
        flags = {
            "b": self["budgets"],
            "g": self["graces"],
            "o": self["unmanaged"],
            "s": scoped,
            "t": self["thresholds"],
        }
        return "".join(flag for flag, on in flags.items() if on) or "-"

    @property
    def tail(self) -> str:
        return " ".join(
            str(self[name])
            for name in (
                "total",
                "daily_limit",
                "overage",
                "expired",
                "day_base",
                "month_base",
                "yesterday_base",
            )
        )

    @property
    def settings(self) -> str:
        names = [
            self["epoch"],
            self["status"],
            self["test_clock_ms"],
            self["day"],
            self.due,
            self.flags,
            self["current_grant"],
            self["operation_number"],
            self["currency"],
        ]
        scopes = sorted({_keys_of(budget.labels) for budget in self["budgets"].values()})
        return " ".join(map(str, [*names, self.tail])) + (
            "\n" + "\t".join(scopes) if scopes else ""
        )

    @property
    def sums(self) -> dict[str, Any]:
        left = sum(
            grant.left
            for grant in self.beside.values()
            if grant.scope == "-" and grant.state != "p"
        )
        held = sum(grant.held for grant in self.beside.values())
        burned = self.burned
        return {
            "gl": burned.left,
            "gh": burned.held,
            "ol": left,
            "oh": held,
            "used": self["used"],
            "room": self["day_remaining"],
        }

    @property
    def line(self) -> str:
        """What an effect line says of it."""
        return " ".join((*map(str, self.sums.values()), self.tail))

    @property
    def in_redis(self) -> dict[str, str]:
        stored = {"lv": self["thresholds"], "gr": self["graces"]}
        texts = {name: text for name, text in stored.items() if text}
        what = {"gm": self.burned.as_written} if self["current_grant"] else {}
        return {
            "s": self.settings,
            **{name: str(value) for name, value in self.sums.items()},
            **what,
            **texts,
        }

    @property
    def grants_in_redis(self) -> dict[str, str]:
        fields = {f"{n} m": grant.as_written for n, grant in self.beside.items() if n}
        for n, grant in self.beside.items():
            fields |= {f"{n}": str(grant.left), f"{n} h": str(grant.held)}
        return canonical(fields)

    @property
    def grant_fields(self) -> dict[str, str]:
        """As scripts that look return them: with the one being burned."""
        return self.grants_in_redis | (
            {f"{self['current_grant']} m": self.burned.as_written} if self["current_grant"] else {}
        )

    @property
    def budgets_in_redis(self) -> dict[str, str]:
        fields: dict[str, str] = {}
        for budget_id, budget in sorted(self["budgets"].items()):
            lines = [
                *fields.get(f"d {budget.labels}", "").splitlines(),
                f"{budget_id},{budget.what}",
            ]
            placed = f"{len(lines) if len(lines) > 1 else ''} {budget.labels}"
            fields |= {f"d {budget.labels}": "\n".join(lines), f"f {budget_id}": budget.labels}
            if not _is_for_each(budget.labels):
                fields |= {f"r{placed}": str(budget.remaining), f"h{placed}": str(budget.held)}
        return canonical(fields)

    @property
    def counters_in_redis(self) -> dict[str, dict[str, str]]:
        """By the budget's id."""
        counters: dict[str, dict[str, str]] = {}
        for budget_id, budget in sorted(self["budgets"].items()):
            for value, (remaining, held) in budget.counters.items():
                counters.setdefault(budget_id, {}).update(
                    {f"r:{value}": str(remaining - budget.limit), f"h:{value}": str(held)}
                )
        return counters


def canonical(fields: Mapping[str, str]) -> dict[str, str]:
    """A hash as gate/store/account_codec.py means it: what is left or held, if 0, may be absent;
    the letters of the flags have no order.
    """
    known = {
        name: value for name, value in fields.items() if value != "0" or not _may_be_absent(name)
    }
    if "s" in known:
        tokens = known["s"].split(" ")
        tokens[5] = "".join(sorted(tokens[5]))
        known["s"] = " ".join(tokens)
    return known


def _may_be_absent(name: str) -> bool:
    return name[0] in "0123456789h" and not name.startswith("h:")


def _keys_of(labels: str) -> str:
    """As noted in the settings: with an equals sign behind a key for each value."""
    return "\n".join(
        label.partition("=")[0] if "=" in label else f"{label}=" for label in labels.split("\n")
    )


def _is_for_each(labels: str) -> bool:
    return any("=" not in label for label in labels.split("\n"))
