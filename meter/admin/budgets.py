"""Records budgets as set; what is used of a budget is counted from the journal."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, delete, select

from meter.admin.accounts import lock_account
from meter.admin.recording import record, recorded
from meter.database.admin_schema import budgets
from meter.database.engine import Ledger, upsert
from meter.errors import FailedPrecondition, NotFound
from meter.journal.counter_names import is_for_each_value
from meter.journal.operations import Change, DeleteBudget, Operation, SetBudget

MAX_BUDGETS = 1000  # of one account
MAX_MATCHING = 8  # that one request may match

_Names = tuple[str, ...]  # of labels, or of the labels' dimensions


@dataclass(frozen=True, slots=True)
class BudgetThreshold:
    """Holds a threshold as given: an amount, or a percentage of the budget's limit."""

    threshold_id: str
    amount_nanos: int | None
    percent: int | None

    def nanos(self, limit_nanos: int) -> int:
        """Returns the threshold as an amount, rounded down."""
        if self.amount_nanos:
            return self.amount_nanos
        return limit_nanos * (self.percent or 0) // 100


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """Holds a budget as set."""

    budget_id: str
    labels: tuple[str, ...]  # sorted
    period: str
    hard: bool
    limit_nanos: int
    thresholds: tuple[BudgetThreshold, ...]

    def levels(self) -> tuple[tuple[str, int], ...]:
        """Returns (threshold id, nanos), ascending; a threshold of 0 nanos is left out.

        A soft budget without thresholds has its limit as a threshold, or it would do nothing.
        """
        if not self.thresholds and not self.hard:
            return (("limit", self.limit_nanos),)
        levels = list(self._threshold_levels())
        levels.sort(key=lambda level: (level[1], level[0]))
        return tuple(levels)

    def _threshold_levels(self) -> Iterator[tuple[str, int]]:
        for threshold in self.thresholds:
            nanos = threshold.nanos(self.limit_nanos)
            if nanos:
                yield threshold.threshold_id, nanos


class Budgets:
    """Records the budgets of all accounts.

    Any of the methods may raise LedgerUnavailable or AccountNotFound.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def set(
        self,
        account_id: str,
        wanted: BudgetRow,
        *,
        request_id: str,
    ) -> Operation:
        """Records a budget, new or changed; a repeat returns the first operation.

        Raises FailedPrecondition if there would be too many budgets; RequestIdReused.
        """

        is_same = partial(_is_same_budget, wanted)
        with self._ledger.write() as connection:
            account = lock_account(connection, account_id)
            operation = recorded(connection, account, request_id, is_same)
            if operation is not None:
                return operation
            present = budgets_by_id(connection, account_id)
            change = _change(present.get(wanted.budget_id), wanted)
            present[wanted.budget_id] = wanted
            _check_number(present.values())
            _store(connection, account_id, wanted)
            return record(connection, account, request_id, change)

    def delete(
        self,
        account_id: str,
        budget_id: str,
        *,
        request_id: str,
    ) -> Operation:
        """Records that a budget is deleted; a repeat returns the first operation.

        Raises NotFound for an unknown budget; RequestIdReused.
        """

        is_same = partial(_is_same_deletion, budget_id)
        with self._ledger.write() as connection:
            account = lock_account(connection, account_id)
            operation = recorded(connection, account, request_id, is_same)
            if operation is not None:
                return operation
            budget = find_budget(connection, account_id, budget_id)
            _delete(connection, account_id, budget_id)
            change = DeleteBudget(budget_id, budget.labels)
            return record(connection, account, request_id, change)


def budgets_by_id(
    connection: Connection,
    account_id: str,
) -> dict[str, BudgetRow]:
    """Returns the account's budgets in the order of their ids."""
    rows = connection.execute(_select_budgets(account_id)).mappings()
    found = [_budget(row) for row in rows]
    found.sort(key=lambda budget: budget.budget_id)
    return {budget.budget_id: budget for budget in found}


def _select_budgets(account_id: str) -> Select[Any]:
    columns = [budgets.c[name] for name in BudgetRow.__dataclass_fields__]
    return select(*columns).where(budgets.c.account_id == account_id)


def find_budget(
    connection: Connection,
    account_id: str,
    budget_id: str,
) -> BudgetRow:
    """Returns the budget; raises NotFound if the account has none of this id."""
    budget = budgets_by_id(connection, account_id).get(budget_id)
    if budget is None:
        message = f"budget_id: account {account_id} has no budget {budget_id}"
        raise NotFound("BUDGET_NOT_FOUND", message, "budget_id")
    return budget


def _budget(row: RowMapping) -> BudgetRow:
    thresholds = json.loads(row["thresholds"])
    columns: dict[str, Any] = dict(row)
    columns["labels"] = tuple(json.loads(row["labels"]))
    columns["thresholds"] = tuple(BudgetThreshold(*each) for each in thresholds)
    return BudgetRow(**columns)


def _change(before: BudgetRow | None, wanted: BudgetRow) -> SetBudget:
    """Returns the operation's change."""
    return SetBudget(
        budget_id=wanted.budget_id,
        labels=wanted.labels,
        window=wanted.period,
        hard=wanted.hard,
        limit_nanos=wanted.limit_nanos,
        levels=wanted.levels(),
        anew=_is_anew(before, wanted),
        replaces=_replaced_labels(before, wanted),
    )


def _is_anew(before: BudgetRow | None, wanted: BudgetRow) -> bool:
    """Returns whether the budget is new: other labels or another period make the budget anew."""
    if before is None:
        return True
    return before.labels != wanted.labels or before.period != wanted.period


def _replaced_labels(before: BudgetRow | None, wanted: BudgetRow) -> tuple[str, ...]:
    if before is None or before.labels == wanted.labels:
        return ()
    return before.labels


def _is_same_budget(wanted: BudgetRow, was: Change) -> bool:
    """Returns whether the recorded change set the wanted budget, whatever was there before."""
    if not isinstance(was, SetBudget):
        return False
    as_new = replace(
        was,
        anew=True,
        replaces=(),
    )
    return as_new == _change(None, wanted)


def _is_same_deletion(budget_id: str, was: Change) -> bool:
    return isinstance(was, DeleteBudget) and was.budget_id == budget_id


def _check_number(all_budgets: Iterable[BudgetRow]) -> None:
    """Raises FailedPrecondition for too many budgets, in all or for a single request to match.

    A request has a single value for each dimension: of the budgets on the same dimensions, the
    request matches at most the budgets with the same labels, and those for each value besides.
    """
    number_by_labels = Counter(budget.labels for budget in all_budgets)
    if number_by_labels.total() > MAX_BUDGETS:
        message = f"budget: an account has at most {MAX_BUDGETS}"
        raise FailedPrecondition("TOO_MANY_BUDGETS", message, "budget")
    most_by_dimensions = _most_by_dimensions(number_by_labels)
    matching = sum(most_by_dimensions.values())
    if matching > MAX_MATCHING:
        message = (
            f"budget: one request could meet {matching} budgets,"
            f" and at most {MAX_MATCHING} are allowed: {_listed(most_by_dimensions)}"
        )
        raise FailedPrecondition("TOO_MANY_BUDGETS", message, "budget")


def _most_by_dimensions(number_by_labels: Mapping[_Names, int]) -> dict[_Names, int]:
    """Returns how many budgets on the same dimensions a request can match at most."""
    most_by_dimensions: dict[_Names, int] = {}
    for labels, number in number_by_labels.items():
        dimensions = tuple(map(_dimension, labels))
        most = most_by_dimensions.get(dimensions, 0)
        most_by_dimensions[dimensions] = max(number, most)
    return most_by_dimensions


def _dimension(label: str) -> str:
    """Returns the label's key; the whole label, if it stands for each value."""
    if is_for_each_value([label]):
        return label
    return label.partition("=")[0]


def _listed(most_by_dimensions: Mapping[_Names, int]) -> str:
    counts = [
        f"{number} on {' and '.join(dimensions)}"
        for dimensions, number in sorted(most_by_dimensions.items())
    ]
    return ", ".join(counts)


def keep_recorded_budget(
    connection: Connection,
    account_id: str,
    change: SetBudget | DeleteBudget,
) -> None:
    """Keeps a budget as an operation leaves it; its thresholds as amounts."""
    if isinstance(change, DeleteBudget):
        _delete(connection, account_id, change.budget_id)
        return
    thresholds = tuple(
        BudgetThreshold(threshold_id, nanos, None) for threshold_id, nanos in change.levels
    )
    budget = BudgetRow(
        budget_id=change.budget_id,
        labels=change.labels,
        period=change.window,
        hard=change.hard,
        limit_nanos=change.limit_nanos,
        thresholds=thresholds,
    )
    _store(connection, account_id, budget)


def _store(
    connection: Connection,
    account_id: str,
    budget: BudgetRow,
) -> None:
    key = {
        "account_id": account_id,
        "budget_id": budget.budget_id,
    }
    values = _values(budget)
    statement = upsert(connection.dialect.name, budgets).values(**key, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))


def _values(budget: BudgetRow) -> dict[str, object]:
    thresholds = [astuple(threshold) for threshold in budget.thresholds]
    return {
        "labels": json.dumps(budget.labels),
        "period": budget.period,
        "hard": budget.hard,
        "limit_nanos": budget.limit_nanos,
        "thresholds": json.dumps(thresholds),
    }


def _delete(
    connection: Connection,
    account_id: str,
    budget_id: str,
) -> None:
    statement = delete(budgets).where(
        budgets.c.account_id == account_id,
        budgets.c.budget_id == budget_id,
    )
    connection.execute(statement)
