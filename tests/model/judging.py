"""Whether an account may spend so much, and how much it may."""

from dataclasses import dataclass

from gate.v1.gate_pb2 import Denial, Reason
from meter.journal.operations import Grace
from model.account import Account
from model.days import DAY_MS, at
from model.facts import MOST_OF_A_SETTING, Budget, Labels


@dataclass(frozen=True)
class Asked:
    """What a call asks to spend at least, and what decides whose credits those are."""

    need: int
    labels: Labels
    budgets: list[Budget]
    traffic_class: str


def reason(account: Account, asked: Asked) -> str:
    """Why so much may not be spent; empty if it may."""
    if account.suspended:
        return "ACCOUNT_SUSPENDED"
    if not asked.need:
        return ""
    if asked.need > account.covered(asked.labels) and not _is_graced(account, asked):
        return "INSUFFICIENT_CREDITS"
    if (
        account.spend_management
        and account.limit is not None
        and asked.need > account.day_remaining
    ):
        return "DAILY_LIMIT_EXCEEDED"
    return "BUDGET_EXCEEDED" if _exceeded(account, asked) else ""


def needs_grace(account: Account, asked: Asked) -> bool:
    return asked.need > max(0, account.covered(asked.labels))


def most(account: Account, asked: Asked, with_grace: bool) -> int:
    """The most that may be spent."""
    grace = account.open_grace(asked.traffic_class) if with_grace else None
    carried = 0 if grace is None else _carried(grace)
    return min([account.covered(asked.labels) + carried, *account.bounds(asked.budgets)])


def denial(account: Account, asked: Asked) -> Denial:
    """Without the tokens that would be affordable."""
    why = reason(account, asked)
    affordable = 0
    if not account.suspended:
        affordable = max(0, most(account, asked, with_grace=True))
    told = Denial(
        reason=Reason.Value(why),
        shortfall_nanos=max(0, asked.need - affordable),
        affordable_nanos=affordable,
    )
    if why == "DAILY_LIMIT_EXCEEDED" and asked.need <= (account.limit or 0):
        told.resets_at.CopyFrom(at((account.day + 1) * DAY_MS))
    if why == "BUDGET_EXCEEDED":
        remaining, name = min(_exceeded(account, asked))
        budget = next(budget for budget in asked.budgets if budget.name == name)
        told.budget.CopyFrom(budget.told(remaining, account.hour))
        if told.budget.HasField("resets_at") and asked.need <= told.budget.limit_nanos:
            told.resets_at.CopyFrom(told.budget.resets_at)
    return told


def _is_graced(account: Account, asked: Asked) -> bool:
    grace = account.open_grace(asked.traffic_class)
    return grace is not None and asked.need <= account.covered(asked.labels) + _carried(grace)


def _carried(grace: Grace) -> int:
    return MOST_OF_A_SETTING if grace.amount_nanos is None else grace.amount_nanos


def _exceeded(account: Account, asked: Asked) -> list[tuple[int, str]]:
    """Room and name of the hard budgets that have not so much."""
    hard = [budget for budget in asked.budgets if budget.hard and account.spend_management]
    bounds = [(account.remaining_of(budget), budget.name) for budget in hard]
    return [(remaining, name) for remaining, name in bounds if asked.need > remaining]
