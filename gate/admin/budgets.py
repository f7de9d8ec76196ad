"""Budgets: bounds on what requests with certain dimension values use."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from gate.admin.fields import (
    Canonical,
    check_name,
    check_names,
    check_request_id,
    check_setting,
    new_request_id,
)
from gate.admin.thresholds import check_percent
from gate.store.restore import Restorer
from gate.validation import MAX_DIMENSION_KEY, MAX_DIMENSION_VALUE
from meter.admin.budgets import BudgetRow, Budgets, BudgetThreshold, BudgetUse
from meter.errors import InvalidField
from meter.ids import check_id
from meter.journal.operations import DeleteBudget
from meter.pagination import page_of
from meter.prices import UnknownModel
from meter.times import MS_PER_DAY, timestamp
from meter.v1 import accounts_pb2 as pb
from meter.windows import DAY, LIFETIME, MONTH, WEEK

MAX_THRESHOLDS = 10

_PERIODS = {pb.DAILY: DAY, pb.WEEKLY: WEEK, pb.MONTHLY: MONTH, pb.LIFETIME: LIFETIME}


class BudgetMethods:
    """Budgets set, deleted and listed.

    `wait_until_flushed` returns when the ledger holds all that Redis had acknowledged for an
    account.
    """

    def __init__(
        self,
        budgets: Budgets,
        restorer: Restorer,
        wait_until_flushed: Callable[[str | None], Awaitable[None]],
        canonical: Canonical,
    ) -> None:
        self._budgets = budgets
        self._restorer = restorer
        self._wait_until_flushed = wait_until_flushed
        self._canonical = canonical

    async def SetBudget(self, request: pb.SetBudgetRequest) -> pb.Budget:
        check_id("account_id", request.account_id)
        check_request_id(request.request_id, required=False)
        wanted = self._wanted(request.account_id, request.budget)
        operation = await asyncio.to_thread(
            self._budgets.set,
            request.account_id,
            wanted,
            request_id=request.request_id or new_request_id(),
        )
        await self._restorer.apply(operation)
        return _message(wanted)

    async def DeleteBudget(self, request: pb.DeleteBudgetRequest) -> pb.Budget:
        check_id("account_id", request.account_id)
        check_request_id(request.request_id, required=False)
        check_name("budget_id", request.budget_id)
        operation = await asyncio.to_thread(
            self._budgets.delete,
            request.account_id,
            request.budget_id,
            request_id=request.request_id or new_request_id(),
        )
        await self._restorer.apply(operation)
        assert isinstance(operation.change, DeleteBudget)
        return pb.Budget(budget_id=request.budget_id, scope=_scope(operation.change.labels))

    async def ListBudgets(self, request: pb.ListBudgetsRequest) -> pb.ListBudgetsResponse:
        check_id("account_id", request.account_id)
        page = page_of(request, request.page_size, request.page_token, (str,))
        await self._wait_until_flushed(request.account_id)
        found = await asyncio.to_thread(self._budgets.used, request.account_id)
        after = str(page.after[0]) if page.after else ""
        rows = [each for each in found if each.budget.budget_id > after]
        token = page.token((rows[page.size - 1].budget.budget_id,)) if len(rows) > page.size else ""
        return pb.ListBudgetsResponse(
            budgets=map(_listed, rows[: page.size]), next_page_token=token
        )

    def _wanted(self, account_id: str, budget: pb.Budget) -> BudgetRow:
        check_name("budget.budget_id", budget.budget_id)
        if budget.window not in _PERIODS:
            raise InvalidField(
                "budget.window", f"must be one of {', '.join(pb.BudgetWindow.keys()[1:])}"
            )
        check_setting("budget.limit_nanos", budget.limit_nanos, least=1 if budget.soft else 0)
        check_names(
            "budget.thresholds",
            "threshold_id",
            [each.threshold_id for each in budget.thresholds],
            MAX_THRESHOLDS,
        )
        return BudgetRow(
            budget_id=budget.budget_id,
            labels=self._labels(account_id, budget.scope),
            period=_PERIODS[budget.window],
            hard=not budget.soft,
            limit_nanos=budget.limit_nanos,
            thresholds=tuple(
                _threshold(f"budget.thresholds[{n}]", each)
                for n, each in enumerate(budget.thresholds)
            ),
        )

    def _labels(self, account_id: str, scope: Mapping[str, str]) -> tuple[str, ...]:
        if len(scope) not in (1, 2):
            raise InvalidField(
                "budget.scope", f"one or two dimensions, such as api_key; there are {len(scope)}"
            )
        for key, value in scope.items():
            if not 1 <= len(key) <= MAX_DIMENSION_KEY or not key.isprintable() or "=" in key:
                raise InvalidField(
                    "budget.scope",
                    f'keys are 1 to {MAX_DIMENSION_KEY} printable characters without "="',
                )
            if not 1 <= len(value) <= MAX_DIMENSION_VALUE or not value.isprintable():
                raise InvalidField(
                    "budget.scope", f"values are 1 to {MAX_DIMENSION_VALUE} printable characters"
                )
        return tuple(
            sorted(f"{key}={self._value(account_id, key, value)}" for key, value in scope.items())
        )

    def _value(self, account_id: str, key: str, value: str) -> str:
        """A model's canonical name, by which usage is known; any other value as it is."""
        try:
            return self._canonical(value, account_id) if key == "model" else value
        except UnknownModel:
            return value  # requests of a plain amount may name any


def _threshold(field: str, message: pb.BudgetThreshold) -> BudgetThreshold:
    level = message.WhichOneof("level")
    if level == "percent":
        check_percent(f"{field}.percent", message.percent)
        return BudgetThreshold(message.threshold_id, None, message.percent)
    if level is None:
        raise InvalidField(f"{field}.amount_nanos", "one of amount_nanos and percent is required")
    check_setting(f"{field}.amount_nanos", message.amount_nanos, least=1)
    return BudgetThreshold(message.threshold_id, message.amount_nanos, None)


def _listed(use: BudgetUse) -> pb.Budget:
    budget = _message(use.budget)
    budget.used_nanos = use.used_nanos
    budget.held_nanos = use.held_nanos
    if use.end_day is not None:
        budget.resets_at.CopyFrom(timestamp(use.end_day * MS_PER_DAY))
    return budget


def _message(row: BudgetRow) -> pb.Budget:
    window = next(number for number, period in _PERIODS.items() if period == row.period)
    return pb.Budget(
        budget_id=row.budget_id,
        scope=_scope(row.labels),
        window=window,
        soft=not row.hard,
        limit_nanos=row.limit_nanos,
        thresholds=[
            pb.BudgetThreshold(
                threshold_id=each.threshold_id, amount_nanos=each.amount_nanos, percent=each.percent
            )
            for each in row.thresholds
        ],
    )


def _scope(labels: tuple[str, ...]) -> dict[str, str]:
    return {key: value for key, _, value in (label.partition("=") for label in labels)}
