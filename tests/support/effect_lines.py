"""Effect lines in plain Python: what the model says was done, in the words that the scripts write
(meter/journal/effect_codec.py has the grammar).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from meter.journal.account_sums import AccountSums
from meter.journal.allocation import Part, encode_parts, joined
from model import OVERAGE, Account, Hold, Line
from model.days import hours_of
from model.facts import Budget, Window

CONSEQUENCES = frozenset("VSQPT")
_GIVING = frozenset("GS")
_NAMING = frozenset("VZQ")  # these have an allocation, be there nothing of the grant


@dataclass(frozen=True)
class Deed:
    """What a line tells besides its kind, its amount, and the account as it stood."""

    flags: str = ""
    hold_id: str = "-"
    hold: str = "0 - -"  # amount, day, expiry
    current_grant: int = OVERAGE
    allocation: str = "-"


@dataclass(frozen=True)
class Call:
    """What a call found: the grant that was being burned, what its hold pinned, the budgets that it
    matched, and those that its hold left.
    """

    account: Account
    current_grant: int
    hold_id: str
    pins: tuple[Part, ...]
    matched: str
    freed: str = "-"

    def deed(
        self,
        done: Iterable[Line],
        hold: str,
        flags: str,
        taken: tuple[Part, ...] = (),
        ends_hold: bool = True,
    ) -> Deed:
        """Once it is done; `hold` has the facts of it."""
        lapsed = parts_of(
            self.account, (part for line in done if line.kind == "V" for part in line.about)
        )
        budgets = (self.matched,) if self.freed == "-" else (self.matched, self.freed)
        is_usual = all(
            part.grant == self.current_grant and not part.scoped for part in (*taken, *self.pins)
        )
        allocation = "-"
        if not is_usual or lapsed or budgets != ("-",):
            allocation = _allocation(taken, self.pins if ends_hold else (), lapsed, *budgets)
        return Deed(flags, self.hold_id or "-", hold, self.current_grant, allocation)


def deed_of(account: Account, line: Line, flags: str, refunded: str) -> Deed:
    """Of an operation, or of what follows by itself; a refund takes use back from budgets."""
    if line.kind == "T":
        return Deed(allocation=_crossing_text(line.about))
    parts = parts_of(account, line.about)
    if line.kind == "P":
        return Deed(allocation=_allocation(parts, (Part(OVERAGE, line.amount),)))
    if line.kind in _GIVING and parts:
        budgets = refunded if line.kind == "G" else "-"
        return Deed(flags, allocation=_allocation((), parts, (), budgets))
    return Deed(flags, allocation=_allocation(parts) if line.kind in _NAMING else "-")


def line_text(line: Line, deed: Deed, at_ms: int, day: int, was: AccountSums) -> str:
    sums = f"{was.spendable} {was.held} 0 0 {was.used} {was.day_remaining} {was.total} {_or_dash(was.daily_limit)} {was.overage}"
    bases = f"{was.expired} {was.day_base} {was.month_base} {was.yesterday_base}"
    return f"{_done(line, deed, at_ms, day)} {deed.current_grant} {deed.allocation} {sums} {bases}"


def burning(account: Account) -> int:
    """The grant that the usual call takes from: the first in order that any request may use."""
    left = account.left()
    return next(
        (grant.number for grant in account.usable_grants(frozenset()) if left[grant.number] > 0),
        OVERAGE,
    )


def parts_of(account: Account, parts: Iterable[tuple[int, int]]) -> tuple[Part, ...]:
    """One list in which each grant comes once, in the order in which they were taken."""
    return joined((Part(number, amount, account.is_scoped(number)) for number, amount in parts), ())


def hold_text(hold: Hold | None) -> str:
    return (
        "0 - -"
        if hold is None
        else f"{hold.amount if hold.open else 0} {hold.day} {hold.expires_ms}"
    )


def budgets_text(account: Account, budgets: Iterable[Budget], hold: Hold | None = None) -> str:
    """Those that a call meets, as they stand; or those that a hold counts in."""
    counted = {window.number: window for window in hold.windows} if hold else {}
    return (
        ";".join(_matched(account, budget, counted.get(budget.number)) for budget in budgets) or "-"
    )


def _matched(account: Account, budget: Budget, window: Window | None) -> str:
    now = budget.now(account.hour)
    counted = window or now
    end_hour = hours_of(budget.window, account.hour)[1]
    flags = ("h" if budget.hard else "s") + ("p" if counted != now else "")
    sums = f"{account.remaining_of(budget)},{account.held_in(now)},{budget.limit}"
    return f"{budget.name},{counted.start_hour},{_or_dash(end_hour)},{sums},{flags}"


def _done(line: Line, deed: Deed, at_ms: int, day: int) -> str:
    return f"{line.kind} {at_ms} {day} {line.amount} {deed.hold} {deed.flags or '-'} {deed.hold_id}"


def _allocation(
    taken: tuple[Part, ...],
    returned: tuple[Part, ...] = (),
    lapsed: tuple[Part, ...] = (),
    *budgets: str,
) -> str:
    return "/".join(
        (encode_parts(taken), encode_parts(returned), encode_parts(lapsed), *(budgets or ("-",)))
    )


def _crossing_text(crossing: tuple[object, ...]) -> str:
    """The budget's name has the value in it."""
    subject, budget_id, *rest, value = map(str, crossing)
    return ",".join((subject, f"{budget_id}{value}" or "-", *rest))


def _or_dash(number: int | None) -> str:
    return "-" if number is None else str(number)
