"""RPCs to set, delete and list budgets: bounds on the use by requests of some dimensions."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

from gate.admin.fields import (
    Canonical,
    check_name,
    check_names,
    check_request_id,
    check_setting,
    new_request_id,
)
from gate.admin.pages import page_starts_after
from gate.admin.thresholds import check_percent
from gate.store.restore import Restorer
from gate.validation import MAX_DIMENSION_KEY, MAX_DIMENSION_VALUE
from meter.admin.budget_use import BudgetUse, BudgetUses, ValueUse
from meter.admin.budgets import BudgetRow, Budgets, BudgetThreshold
from meter.errors import InvalidField
from meter.ids import check_id
from meter.journal.counter_names import EACH, NO_VALUE, scope_of
from meter.journal.operations import DeleteBudget
from meter.pagination import page_of
from meter.prices import UnknownModel
from meter.times import MS_PER_HOUR, timestamp
from meter.v1 import accounts_pb2 as pb
from meter.windows import DAY, HOUR, LIFETIME, MONTH, WEEK

MAX_THRESHOLDS = 10

_PERIODS = {
    pb.DAILY: DAY,
    pb.WEEKLY: WEEK,
    pb.MONTHLY: MONTH,
    pb.LIFETIME: LIFETIME,
    pb.HOURLY: HOUR,
}
_WINDOWS = {period: window for window, period in _PERIODS.items()}


class BudgetMethods:
    """Serves the RPCs about budgets.

    `wait_until_flushed` returns once the ledger holds all that Redis has acknowledged for an
    account.
    """

    def __init__(
        self,
        budgets: Budgets,
        uses: BudgetUses,
        restorer: Restorer,
        wait_until_flushed: Callable[[str | None], Awaitable[None]],
        canonical: Canonical,
    ) -> None:
        self._budgets = budgets
        self._uses = uses
        self._restorer = restorer
        self._wait_until_flushed = wait_until_flushed
        self._canonical = canonical

    async def SetBudget(self, request: pb.SetBudgetRequest) -> pb.Budget:
        check_id("account_id", request.account_id)
        check_request_id(request.request_id, required=False)
        budget = self._budget_row(request.account_id, request.budget)
        operation = await asyncio.to_thread(
            self._budgets.set,
            request.account_id,
            budget,
            request_id=request.request_id or new_request_id(),
        )
        await self._restorer.apply(operation)
        reply = _budget_message(budget)
        reply.warnings.extend(self._warnings(request.account_id, request.budget.scope))
        return reply

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
        scope = scope_of(operation.change.labels, NO_VALUE)
        return pb.Budget(budget_id=request.budget_id, scope=scope)

    async def ListBudgets(self, request: pb.ListBudgetsRequest) -> pb.ListBudgetsResponse:
        check_id("account_id", request.account_id)
        page = page_of(request, request.page_size, request.page_token, (str,))
        await self._wait_until_flushed(request.account_id)
        uses = await asyncio.to_thread(self._uses.all, request.account_id)
        after = page_starts_after(page)
        rows = [use for use in uses if use.budget.budget_id > after]
        budgets, token = page.fill(
            rows,
            map(_budget_use_message, rows),
            lambda use: (use.budget.budget_id,),
        )
        return pb.ListBudgetsResponse(budgets=budgets, next_page_token=token)

    async def ListBudgetValues(
        self,
        request: pb.ListBudgetValuesRequest,
    ) -> pb.ListBudgetValuesResponse:
        check_id("account_id", request.account_id)
        check_name("budget_id", request.budget_id)
        page = page_of(request, request.page_size, request.page_token, (str,))
        await self._wait_until_flushed(request.account_id)
        after = None
        if page.after is not None:
            after = str(page.after[0])
        use, rows = await asyncio.to_thread(
            self._uses.values,
            request.account_id,
            request.budget_id,
            after,
            page.limit,
        )
        messages = (_value_message(use.budget.labels, row) for row in rows)
        values, token = page.fill(rows, messages, lambda row: (row.value,))
        return pb.ListBudgetValuesResponse(
            budget=_budget_use_message(use),
            values=values,
            next_page_token=token,
        )

    def _budget_row(self, account_id: str, budget: pb.Budget) -> BudgetRow:
        """Returns the row for the budget; raises InvalidField for a bad field."""
        check_name("budget.budget_id", budget.budget_id)
        if budget.window not in _PERIODS:
            windows = ", ".join(pb.BudgetWindow.keys()[1:])
            raise InvalidField("budget.window", f"must be one of {windows}")
        # A soft limit is a level that the use crosses, so 0 would never be crossed.
        least = 1 if budget.soft else 0
        check_setting("budget.limit_nanos", budget.limit_nanos, least)
        return BudgetRow(
            budget_id=budget.budget_id,
            labels=self._labels(account_id, budget.scope),
            period=_PERIODS[budget.window],
            hard=not budget.soft,
            limit_nanos=budget.limit_nanos,
            thresholds=_thresholds_of(budget.thresholds),
        )

    def _labels(
        self,
        account_id: str,
        scope: Mapping[str, str],
    ) -> tuple[str, ...]:
        """Returns the scope as sorted "key=value" labels, a model by the canonical name."""
        _check_scope(scope)
        labels = []
        for key, value in scope.items():
            label_value = value
            if key == "model" and value != EACH:
                label_value = self._canonical_model(account_id, value)
            labels.append(f"{key}={label_value}")
        return tuple(sorted(labels))

    def _warnings(self, account_id: str, scope: Mapping[str, str]) -> Iterator[str]:
        """Yields why a budget of this scope may count nothing."""
        if scope.get("model", EACH) == EACH:
            return
        try:
            self._canonical(scope["model"], account_id)
        except UnknownModel as error:
            yield f"{error}; until then the budget counts no usage that is priced"

    def _canonical_model(self, account_id: str, model: str) -> str:
        try:
            return self._canonical(model, account_id)
        except UnknownModel:
            return model  # requests of a plain amount may name any model


def _check_scope(scope: Mapping[str, str]) -> None:
    if len(scope) not in (1, 2):
        raise InvalidField(
            "budget.scope",
            f"one or two dimensions, such as api_key; there are {len(scope)}",
        )
    for key, value in scope.items():
        _check_scope_key(key)
        _check_scope_value(value)


def _check_scope_key(key: str) -> None:
    has_length = 1 <= len(key) <= MAX_DIMENSION_KEY
    if not has_length or not key.isprintable() or "=" in key:
        raise InvalidField(
            "budget.scope",
            f'keys are 1 to {MAX_DIMENSION_KEY} printable characters without "="',
        )


def _check_scope_value(value: str) -> None:
    has_length = 1 <= len(value) <= MAX_DIMENSION_VALUE
    if not has_length or not value.isprintable():
        raise InvalidField(
            "budget.scope",
            f"values are 1 to {MAX_DIMENSION_VALUE} printable characters",
        )


def _thresholds_of(messages: Sequence[pb.BudgetThreshold]) -> tuple[BudgetThreshold, ...]:
    field = "budget.thresholds"
    ids = [message.threshold_id for message in messages]
    check_names(field, "threshold_id", ids, MAX_THRESHOLDS)
    return tuple(
        _threshold_of(f"{field}[{index}]", message) for index, message in enumerate(messages)
    )


def _threshold_of(field: str, message: pb.BudgetThreshold) -> BudgetThreshold:
    level = message.WhichOneof("level")
    if level == "percent":
        check_percent(f"{field}.percent", message.percent)
        return BudgetThreshold(message.threshold_id, None, message.percent)
    if level is None:
        raise InvalidField(f"{field}.amount_nanos", "one of amount_nanos and percent is required")
    check_setting(f"{field}.amount_nanos", message.amount_nanos, least=1)
    return BudgetThreshold(message.threshold_id, message.amount_nanos, None)


def _budget_use_message(use: BudgetUse) -> pb.Budget:
    """Returns the budget with the use in the present window."""
    budget = _budget_message(use.budget)
    budget.used_nanos = use.used_nanos
    budget.held_nanos = use.held_nanos
    budget.value_count = use.value_count
    if use.end_hour is not None:
        budget.resets_at.CopyFrom(timestamp(use.end_hour * MS_PER_HOUR))
    return budget


def _value_message(labels: tuple[str, ...], use: ValueUse) -> pb.BudgetValue:
    return pb.BudgetValue(
        scope=scope_of(labels, use.value),
        used_nanos=use.used_nanos,
        held_nanos=use.held_nanos,
    )


def _budget_message(row: BudgetRow) -> pb.Budget:
    return pb.Budget(
        budget_id=row.budget_id,
        scope=scope_of(row.labels, NO_VALUE),
        window=_WINDOWS[row.period],
        soft=not row.hard,
        limit_nanos=row.limit_nanos,
        thresholds=map(_threshold_message, row.thresholds),
    )


def _threshold_message(threshold: BudgetThreshold) -> pb.BudgetThreshold:
    return pb.BudgetThreshold(
        threshold_id=threshold.threshold_id,
        amount_nanos=threshold.amount_nanos,
        percent=threshold.percent,
    )
