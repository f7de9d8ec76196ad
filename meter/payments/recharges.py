"""Auto-recharge: buys credits for accounts whose remaining credits have fallen to a threshold.

The flusher tells which accounts are at or below the level of an armed rule. Whether credits are
bought is decided here, by the level as the ledger has it, under the account's lock.
"""

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, Select, delete, func, insert, select

from meter.admin.accounts import AccountRow, lock_account
from meter.admin.top_up_bounds import TopUpBound
from meter.database.engine import Ledger
from meter.database.payments_schema import auto_recharges, recharge_wants, recharges
from meter.database.schema import accounts
from meter.errors import FailedPrecondition, ServiceError
from meter.ledger.recharge_wants import want_recharges
from meter.payments.kept_rules import keep_rule
from meter.payments.metrics import PaymentMetrics
from meter.payments.payer import Payer
from meter.payments.payment_rows import (
    FINAL,
    RECHARGE,
    PaymentRow,
    find_payment,
    open_attempt,
    store_payment,
)
from meter.payments.purchases import AUTO, Purchase, Purchases
from meter.payments.recharge_rows import (
    ARMED,
    CAPPED,
    CHARGING,
    CONFIRMING,
    FAILED,
    OFF,
    SUSPENDED,
    WAITING,
    RechargeRow,
    RuleRow,
    find_rule,
    open_recharge,
)
from meter.payments.recharge_size import recharge_nanos
from meter.payments.told import HOURLY_LIMIT, tell_recharge
from meter.times import MS_PER_HOUR

MONTHLY_LIMIT = "MONTHLY_LIMIT"
_SWEEP_S = 5.0
_MOST_AT_ONCE = 200

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Level:
    """Holds an account's remaining credits; `is_settled` if no recorded change is on its way."""

    remaining_nanos: int
    is_settled: bool


class Recharges:
    """Keeps the rules of all accounts, and opens recharges."""

    def __init__(
        self,
        ledger: Ledger,
        purchases: Purchases,
        payer: Payer,
        bounds: Mapping[str, TopUpBound],
        per_hour: int,
        clock: Callable[[], int],
        metrics: PaymentMetrics,
    ) -> None:
        """An account has at most `per_hour` recharges in an hour; `clock` returns ms."""
        self._ledger = ledger
        self._purchases = purchases
        self._payer = payer
        self._bounds = bounds
        self._per_hour = per_hour
        self._clock = clock
        self._metrics = metrics
        self._sweep_due_s = 0.0

    def set_rule(self, wanted: RuleRow) -> tuple[RuleRow, PaymentRow | None]:
        """Records a rule that was checked, and charges at once if the account is below it.

        Also returns the payment that is on its way, if there is one. Raises AccountNotFound.
        """
        with self._ledger.write() as connection:
            lock_account(connection, wanted.account_id)
            before = find_rule(connection, wanted.account_id)
            rule = replace(wanted, version=1, set_at_ms=self._clock())
            if before is not None:
                rule = replace(rule, version=before.version + 1)
            if open_recharge(connection, wanted.account_id) is not None:
                rule = replace(rule, state=CHARGING)
            keep_rule(connection, rule)
        return self._charge_at_once(rule.account_id)

    def turn_off(self, account_id: str, set_by: str) -> tuple[RuleRow, PaymentRow | None]:
        """Turns the rule off: no attempt begins after the transaction.

        Also returns a payment that is with the provider already. Raises AccountNotFound;
        FailedPrecondition if the account has no rule.
        """
        with self._ledger.write() as connection:
            lock_account(connection, account_id)
            rule = require_rule(connection, account_id)
            off = replace(
                rule,
                enabled=False,
                state=OFF,
                reason="",
                retry_at_ms=None,
                version=rule.version + 1,
                set_by=set_by,
                set_at_ms=self._clock(),
            )
            keep_rule(connection, off)
            row = self._stop_open(connection, account_id)
            was_sent = row is not None and open_attempt(connection, row.payment_id) is not None
        if row is None:
            return off, None
        row = self._payer.advance(account_id, row.payment_id)
        if was_sent:
            return off, row
        return off, None

    def resume(self, account_id: str) -> tuple[RuleRow, PaymentRow | None]:
        """Arms a suspended rule. Raises FailedPrecondition if the rule is off."""
        with self._ledger.write() as connection:
            lock_account(connection, account_id)
            rule = require_rule(connection, account_id)
            if not rule.enabled:
                raise FailedPrecondition(
                    "RECHARGE_OFF",
                    f"account_id: auto-recharge of {account_id} is off; set it anew",
                    "account_id",
                )
            if rule.state in (SUSPENDED, CAPPED):
                keep_rule(connection, rule.armed())
        return self._charge_at_once(account_id)

    def work(self) -> None:
        """Opens the recharges that are wanted, and closes what is not wanted any more."""
        with self._ledger.read() as connection:
            query = select(recharge_wants.c.account_id).limit(_MOST_AT_ONCE)
            wanted = list(connection.scalars(query))
        if time.monotonic() >= self._sweep_due_s:
            self._sweep_due_s = time.monotonic() + _SWEEP_S
            wanted += self.sweep()
        for account_id in dict.fromkeys(wanted):
            self.charge_if_low(account_id)

    def sweep(self) -> list[str]:
        """Arms rules whose limit is over, and returns accounts that are low and armed.

        The flusher may not have told of these: a rule was armed while the account was low already.
        """
        self._end_caps()
        self._cancel_needless()
        with self._ledger.read() as connection:
            self._metrics.show_recharges(_count_by_state(connection))
            query = _select_by_level(ARMED).where(
                accounts.c.remaining_nanos <= auto_recharges.c.threshold_nanos
            )
            return list(connection.scalars(query))

    def charge_if_low(self, account_id: str) -> PaymentRow | None:
        """Opens a recharge if the account's armed rule wants one, and returns the payment."""
        with self._ledger.write() as connection:
            account = lock_account(connection, account_id)
            rule = find_rule(connection, account_id)
            if rule is None or rule.state != ARMED:
                _forget_want(connection, account_id)
                return None
            level = level_of(connection, account_id)
            if not level.is_settled:
                # What is recorded may lift the account: looked at again in the next round.
                want_recharges(connection, [account_id])
                return None
            _forget_want(connection, account_id)
            if level.remaining_nanos > rule.threshold_nanos:
                return None
            return self._open(connection, account, rule, level.remaining_nanos)

    def spent_nanos(self, connection: Connection, account_id: str) -> int:
        """Returns what recharges of this UTC month have charged, or are about to."""
        query = select(func.sum(recharges.c.amount_nanos)).where(
            recharges.c.account_id == account_id,
            recharges.c.state != FAILED,
            recharges.c.opened_at_ms >= _month_start_ms(self._clock()),
        )
        return int(connection.scalar(query) or 0)

    def _charge_at_once(self, account_id: str) -> tuple[RuleRow, PaymentRow | None]:
        row = self.charge_if_low(account_id)
        if row is not None:
            row = self._payer.advance(account_id, row.payment_id)
        with self._ledger.read() as connection:
            rule = require_rule(connection, account_id)
            running = open_recharge(connection, account_id)
            if row is None and running is not None:
                row = find_payment(connection, account_id, running.payment_id)
        return rule, row

    def _open(
        self,
        connection: Connection,
        account: AccountRow,
        rule: RuleRow,
        remaining_nanos: int,
    ) -> PaymentRow | None:
        now_ms = self._clock()
        if self._opened_lately(connection, account.account_id) >= self._per_hour:
            self._cap(connection, rule, HOURLY_LIMIT, now_ms + MS_PER_HOUR)
            return None
        bound = self._bounds.get(account.currency)
        left_nanos = self._left_nanos(connection, rule)
        nanos = recharge_nanos(rule, remaining_nanos, account.currency, bound, left_nanos)
        if not nanos:
            self._cap(connection, rule, MONTHLY_LIMIT, _next_month_ms(now_ms))
            return None
        try:
            return self._record(connection, account, rule, remaining_nanos, nanos)
        except ServiceError as error:
            # The checks come before the first write, so that nothing is half recorded.
            log.warning("recharge_suspended", reason=error.reason, error=str(error))
            keep_rule(connection, rule.suspended(error.reason))
            return None

    def _record(
        self,
        connection: Connection,
        account: AccountRow,
        rule: RuleRow,
        remaining_nanos: int,
        nanos: int,
    ) -> PaymentRow:
        recharge_id = f"rec{uuid.uuid4().hex}"
        purchase = _purchase(rule, recharge_id, nanos)
        self._purchases.check(connection, account, purchase)
        payment = self._purchases.record(connection, account, purchase)
        row = RechargeRow(
            recharge_id=recharge_id,
            account_id=account.account_id,
            version=rule.version,
            remaining_nanos=remaining_nanos,
            amount_nanos=nanos,
            top_up_id=payment.subject_id,
            payment_id=payment.payment_id,
            opened_at_ms=self._clock(),
        )
        connection.execute(insert(recharges), asdict(row))
        tell_recharge(connection, "charging", row)
        keep_rule(connection, replace(rule, state=CHARGING, reason="", retry_at_ms=None))
        return payment

    def _cap(self, connection: Connection, rule: RuleRow, reason: str, until_ms: int) -> None:
        keep_rule(connection, replace(rule, state=CAPPED, reason=reason, retry_at_ms=until_ms))

    def _left_nanos(self, connection: Connection, rule: RuleRow) -> int | None:
        if rule.monthly_limit_nanos is None:
            return None
        spent_nanos = self.spent_nanos(connection, rule.account_id)
        return max(rule.monthly_limit_nanos - spent_nanos, 0)

    def _opened_lately(self, connection: Connection, account_id: str) -> int:
        query = select(func.count()).where(
            recharges.c.account_id == account_id,
            recharges.c.opened_at_ms > self._clock() - MS_PER_HOUR,
        )
        return connection.scalar(query) or 0

    def _end_caps(self) -> None:
        query = select(auto_recharges.c.account_id).where(
            auto_recharges.c.state == CAPPED,
            auto_recharges.c.retry_at_ms <= self._clock(),
        )
        with self._ledger.read() as connection:
            over = list(connection.scalars(query.limit(_MOST_AT_ONCE)))
        for account_id in over:
            with self._ledger.write() as connection:
                lock_account(connection, account_id)
                rule = find_rule(connection, account_id)
                if rule is not None and rule.state == CAPPED:
                    keep_rule(connection, rule.armed())

    def _cancel_needless(self) -> None:
        """Cancels recharges that wait though other credits have lifted the account meanwhile."""
        query = _select_by_level(WAITING, CONFIRMING).where(
            accounts.c.remaining_nanos > auto_recharges.c.threshold_nanos
        )
        with self._ledger.read() as connection:
            lifted = list(connection.scalars(query))
        for account_id in lifted:
            with self._ledger.write() as connection:
                lock_account(connection, account_id)
                self._stop_open(connection, account_id)

    def _stop_open(self, connection: Connection, account_id: str) -> PaymentRow | None:
        """Lets no attempt of the open recharge begin any more, and has its payment cancelled."""
        recharge = open_recharge(connection, account_id)
        if recharge is None:
            return None
        row = find_payment(connection, account_id, recharge.payment_id)
        if row.state in FINAL:
            return None
        return store_payment(connection, replace(row, cancel_wanted=True, due_ms=self._clock()))


def require_rule(connection: Connection, account_id: str) -> RuleRow:
    """Returns the account's rule; raises FailedPrecondition if there is none."""
    rule = find_rule(connection, account_id)
    if rule is None:
        raise FailedPrecondition(
            "RECHARGE_OFF",
            f"account_id: auto-recharge of {account_id} was never set; use SetAutoRecharge",
            "account_id",
        )
    return rule


def _count_by_state(connection: Connection) -> dict[str, int]:
    query = select(auto_recharges.c.state, func.count()).group_by(auto_recharges.c.state)
    return {str(row[0]): int(row[1]) for row in connection.execute(query)}


def _forget_want(connection: Connection, account_id: str) -> None:
    connection.execute(delete(recharge_wants).where(recharge_wants.c.account_id == account_id))


def level_of(connection: Connection, account_id: str) -> Level:
    """Returns the account's remaining credits, as flushed."""
    query = select(
        accounts.c.remaining_nanos,
        accounts.c.recorded_op == accounts.c.applied_op,
    ).where(accounts.c.account_id == account_id)
    return Level(*connection.execute(query).one())


def _select_by_level(*states: str) -> Select[Any]:
    """Selects settled accounts whose rule is in one of the states."""
    return (
        select(auto_recharges.c.account_id)
        .join(accounts, accounts.c.account_id == auto_recharges.c.account_id)
        .where(
            auto_recharges.c.state.in_(states),
            accounts.c.recorded_op == accounts.c.applied_op,
        )
        .limit(_MOST_AT_ONCE)
    )


def _purchase(rule: RuleRow, recharge_id: str, nanos: int) -> Purchase:
    return Purchase(
        account_id=rule.account_id,
        request_id=f"recharge {recharge_id}",  # a space: no client can have chosen the same id
        fingerprint="",
        amount_nanos=nanos,
        method_id=rule.method_id,
        hosted=False,
        expires_at_ms=None,
        non_refundable=False,
        purpose=RECHARGE,
        origin=AUTO,
    )


def _month_start_ms(now_ms: int) -> int:
    return _ms(_month_of(now_ms))


def _next_month_ms(now_ms: int) -> int:
    later = _month_of(now_ms) + timedelta(days=32)
    return _ms(later.replace(day=1))


def _month_of(now_ms: int) -> datetime:
    moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000
