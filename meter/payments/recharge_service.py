"""Serves the calls about auto-recharge, which are part of meter.v1.Payments."""

import asyncio
from collections.abc import Mapping

from meter.admin.accounts import AccountRow, find_account, require_account
from meter.admin.top_up_bounds import TopUpBound, check_bounds, check_payable
from meter.database.engine import Ledger
from meter.database.errors import AccountNotFound
from meter.errors import InvalidField
from meter.ids import check_id, check_text
from meter.money import SETTING_MAX, grouped_credits
from meter.pagination import Page, Place, page_of
from meter.payments.messages import payment_message
from meter.payments.method_rows import usable_method
from meter.payments.payment_rows import PaymentRow
from meter.payments.provider import Provider
from meter.payments.recharge_rows import RechargeRow, RuleRow, find_rule, newest_recharges
from meter.payments.recharges import Recharges
from meter.times import optional_timestamp, timestamp
from meter.v1 import payments_pb2 as pb

_MOST_NAME_BYTES = 128


class RechargeMethods:
    """Implements the calls; proto/meter/v1/payments.proto says what each call means."""

    def __init__(
        self,
        ledger: Ledger,
        provider: Provider,
        recharges: Recharges,
        bounds: Mapping[str, TopUpBound],
    ) -> None:
        """`bounds` has the least and most amount of one top-up by currency."""
        self._ledger = ledger
        self._provider = provider
        self._recharges = recharges
        self._bounds = bounds

    async def SetAutoRecharge(
        self, request: pb.SetAutoRechargeRequest
    ) -> pb.SetAutoRechargeResponse:
        rule = request.rule
        check_id("rule.account_id", rule.account_id)
        check_text("rule.set_by", rule.set_by, _MOST_NAME_BYTES)
        return await asyncio.to_thread(self._set, rule)

    async def GetAutoRecharge(self, request: pb.GetAutoRechargeRequest) -> pb.AutoRecharge:
        check_id("account_id", request.account_id)
        return await asyncio.to_thread(self._get, request.account_id)

    async def ResumeAutoRecharge(
        self, request: pb.GetAutoRechargeRequest
    ) -> pb.SetAutoRechargeResponse:
        check_id("account_id", request.account_id)
        rule, payment = await asyncio.to_thread(self._recharges.resume, request.account_id)
        return await asyncio.to_thread(self._response, rule, payment)

    async def ListRecharges(self, request: pb.ListRechargesRequest) -> pb.ListRechargesResponse:
        check_id("account_id", request.account_id)
        page = page_of(request, request.page_size, request.page_token, (int, str))
        return await asyncio.to_thread(self._list, request.account_id, page)

    def _set(self, rule: pb.AutoRecharge) -> pb.SetAutoRechargeResponse:
        if not rule.enabled:
            return self._response(*self._recharges.turn_off(rule.account_id, rule.set_by))
        with self._ledger.read() as connection:
            account = find_account(connection, rule.account_id)
            if account is None:
                raise AccountNotFound(rule.account_id)
            usable_method(connection, rule.account_id, self._provider.name, rule.method_id)
        self._check(rule, account)
        return self._response(*self._recharges.set_rule(_rule_row(rule)))

    def _check(self, rule: pb.AutoRecharge, account: AccountRow) -> None:
        """Raises InvalidField for a rule that could never charge, or would charge for ever."""
        if not 0 <= rule.threshold_nanos <= SETTING_MAX:
            raise InvalidField("rule.threshold_nanos", f"must be 0 to {SETTING_MAX} nanos")
        size = rule.WhichOneof("size")
        if size is None:
            raise InvalidField("rule.amount_nanos", "give amount_nanos, or target_nanos")
        if size == "amount_nanos":
            least_nanos = rule.amount_nanos
            check_bounds("rule.amount_nanos", rule.amount_nanos, account.currency, self._bounds)
            check_payable("rule.amount_nanos", rule.amount_nanos, account.currency)
        else:
            least_nanos = self._check_target(rule, account)
        if least_nanos <= 0:
            raise InvalidField(f"rule.{size}", "must be above 0")
        _check_limit(rule, least_nanos)

    def _check_target(self, rule: pb.AutoRecharge, account: AccountRow) -> int:
        """Returns the least that the rule may charge."""
        if not rule.threshold_nanos < rule.target_nanos <= SETTING_MAX:
            message = f"must be above the threshold, {grouped_credits(rule.threshold_nanos)}"
            raise InvalidField("rule.target_nanos", message)
        bound = self._bounds.get(account.currency)
        gap_nanos = rule.target_nanos - rule.threshold_nanos
        if bound is None:
            return gap_nanos
        return max(gap_nanos, bound.least_nanos)

    def _get(self, account_id: str) -> pb.AutoRecharge:
        with self._ledger.read() as connection:
            require_account(connection, account_id)
            rule = find_rule(connection, account_id)
            if rule is None:
                return pb.AutoRecharge(account_id=account_id, state=pb.AutoRecharge.OFF)
            spent_nanos = self._recharges.spent_nanos(connection, account_id)
        return _rule_message(rule, spent_nanos)

    def _response(self, rule: RuleRow, payment: PaymentRow | None) -> pb.SetAutoRechargeResponse:
        response = pb.SetAutoRechargeResponse(rule=self._get(rule.account_id))
        if payment is not None:
            response.charging.CopyFrom(payment_message(payment))
        return response

    def _list(self, account_id: str, page: Page) -> pb.ListRechargesResponse:
        before = None
        if page.after is not None:
            opened_at_ms, recharge_id = page.after
            before = (int(opened_at_ms), str(recharge_id))
        with self._ledger.read() as connection:
            require_account(connection, account_id)
            rows = newest_recharges(connection, account_id, page.limit, before)
        recharges, token = page.fill(rows, map(_recharge_message, rows), _place_of)
        return pb.ListRechargesResponse(recharges=recharges, next_page_token=token)


def _check_limit(rule: pb.AutoRecharge, least_nanos: int) -> None:
    if rule.WhichOneof("limit") is None or (
        rule.WhichOneof("limit") == "no_monthly_limit" and not rule.no_monthly_limit
    ):
        message = "is required; say no_monthly_limit if there is to be none"
        raise InvalidField("rule.monthly_limit_nanos", message)
    if not rule.no_monthly_limit and not least_nanos <= rule.monthly_limit_nanos <= SETTING_MAX:
        message = f"must be at least what is charged at once, {grouped_credits(least_nanos)}"
        raise InvalidField("rule.monthly_limit_nanos", message)


def _rule_row(rule: pb.AutoRecharge) -> RuleRow:
    amount_nanos = None
    target_nanos = None
    if rule.WhichOneof("size") == "amount_nanos":
        amount_nanos = rule.amount_nanos
    else:
        target_nanos = rule.target_nanos
    limit_nanos = None
    if not rule.no_monthly_limit:
        limit_nanos = rule.monthly_limit_nanos
    return RuleRow(
        account_id=rule.account_id,
        enabled=True,
        threshold_nanos=rule.threshold_nanos,
        amount_nanos=amount_nanos,
        target_nanos=target_nanos,
        monthly_limit_nanos=limit_nanos,
        method_id=rule.method_id,
        version=0,
        set_by=rule.set_by,
        set_at_ms=0,
    )


def _rule_message(rule: RuleRow, spent_nanos: int) -> pb.AutoRecharge:
    message = pb.AutoRecharge(
        account_id=rule.account_id,
        enabled=rule.enabled,
        threshold_nanos=rule.threshold_nanos,
        method_id=rule.method_id,
        state=rule.state,
        reason=rule.reason,
        next_attempt_at=optional_timestamp(rule.retry_at_ms),
        spent_this_month_nanos=spent_nanos,
        version=rule.version,
        set_by=rule.set_by,
        set_at=timestamp(rule.set_at_ms),
    )
    if rule.amount_nanos is not None:
        message.amount_nanos = rule.amount_nanos
    if rule.target_nanos is not None:
        message.target_nanos = rule.target_nanos
    if rule.monthly_limit_nanos is None:
        message.no_monthly_limit = True
    else:
        message.monthly_limit_nanos = rule.monthly_limit_nanos
    return message


def _recharge_message(row: RechargeRow) -> pb.Recharge:
    return pb.Recharge(
        recharge_id=row.recharge_id,
        account_id=row.account_id,
        rule_version=row.version,
        remaining_nanos=row.remaining_nanos,
        amount_nanos=row.amount_nanos,
        top_up_id=row.top_up_id,
        payment_id=row.payment_id,
        state=row.state,
        opened_at=timestamp(row.opened_at_ms),
        closed_at=optional_timestamp(row.closed_at_ms or None),
    )


def _place_of(row: RechargeRow) -> Place:
    return row.opened_at_ms, row.recharge_id
