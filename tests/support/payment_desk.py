"""Takes payments in the test's own process: all parts but the gate, on a real ledger, with a clock
that the test moves.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from prometheus_client import CollectorRegistry
from sqlalchemy import Table, event, func, select, update

from meter.admin.top_up_bounds import TopUpBounds
from meter.admin.top_ups import TopUps
from meter.database.engine import Ledger
from meter.database.payments_schema import payments
from meter.database.schema import accounts
from meter.payments.method_rows import MethodRow
from meter.payments.methods import Methods
from meter.payments.metrics import PaymentMetrics
from meter.payments.outcomes import Outcomes
from meter.payments.payer import Payer
from meter.payments.payment_rows import PaymentRow, find_payment
from meter.payments.provider import Provider
from meter.payments.providers.simulated import SimulatedProvider
from meter.payments.purchases import Purchase, Purchases
from meter.payments.recharge_rows import RuleRow
from meter.payments.recharges import Recharges, require_rule
from meter.payments.reversals import Reversals
from meter.payments.settlement import Settlement
from meter.payments.worker import PaymentWorker
from support.recorded_accounts import CREDIT, grants, open_account, rows

HOUR = 3_600_000
RETRIES_MS = (HOUR, 24 * HOUR, 72 * HOUR)
LEASE_LAPSES_MS = 61_000
PER_HOUR = 6

_numbers = count(1)


class Killed(BaseException):
    """Ends the work at a chosen point, as a kill would: nothing of ours may catch it."""


class PaymentDesk:
    """Has what billing has for payments."""

    def __init__(
        self, ledger: Ledger, provider: Provider | None = None, account_id: str = ""
    ) -> None:
        """Opens an account, unless `account_id` names one that is there."""
        self.ledger = ledger
        self.account_id = account_id or f"payer-{next(_numbers)}"
        if not account_id:
            open_account(ledger, self.account_id, test_clock_ms=None)
        self.now_ms = 1_772_366_400_000
        self.simulated = SimulatedProvider(ledger, self.clock)
        self.provider = provider or self.simulated
        self.top_ups = TopUps(ledger, 365, reference_per_account=False)
        settlement = Settlement(self.top_ups, RETRIES_MS)
        self.metrics = PaymentMetrics(CollectorRegistry())
        self.payer = Payer(
            ledger, self.provider, settlement, self.clock, lambda _: None, self.metrics
        )
        self.purchases = Purchases(
            ledger, self.provider, self.top_ups, TopUpBounds("{}"), self.clock
        )
        self.methods = Methods(ledger, self.provider, self.clock)
        self.outcomes = Outcomes(ledger, self.provider, self.payer, self.clock)
        self.recharges = Recharges(
            ledger,
            self.purchases,
            self.payer,
            TopUpBounds("{}"),
            PER_HOUR,
            self.clock,
            self.metrics,
        )
        self.reversals = Reversals(ledger, self.provider, self.clock, lambda _: None, suspends=True)
        self.worker = PaymentWorker(ledger, self.provider, self.payer, self.clock)
        self.spent_nanos = 0
        self.flush()

    def clock(self) -> int:
        return self.now_ms

    def save(self, test_method: str, *, default: bool = True) -> MethodRow:
        """Saves a method of the provider `test`."""
        setup = self.methods.begin_setup(
            self.account_id, as_default=default, test_method=test_method
        )
        assert setup.method is not None
        return setup.method

    def buy(self, credits: int = 25, **fields: object) -> PaymentRow:
        """Buys credits, and takes the payment as far as it goes now."""
        row = self.purchases.buy(self.purchase(credits, **fields))
        return self.payer.advance(self.account_id, row.payment_id)

    def purchase(self, credits: int = 25, **fields: object) -> Purchase:
        """Returns a purchase by the default method."""
        number = next(_numbers)
        given = {
            "request_id": f"buy-{number}",
            "fingerprint": f"{number}",
            "method_id": "",
            "hosted": False,
            "expires_at_ms": None,
            "non_refundable": False,
            **fields,
        }
        return Purchase(account_id=self.account_id, amount_nanos=credits * CREDIT, **given)

    def payment(self, row: PaymentRow) -> PaymentRow:
        """Returns the payment as it is recorded now."""
        with self.ledger.read() as connection:
            return find_payment(connection, row.account_id, row.payment_id)

    def flush(self, spent_credits: int = 0) -> None:
        """Spends credits, and has the ledger hold all that is recorded, as a flusher does."""
        self.spent_nanos += spent_credits * CREDIT
        own = accounts.c.account_id == self.account_id
        values = {
            "remaining_nanos": accounts.c.granted_nanos - self.spent_nanos,
            "applied_op": accounts.c.recorded_op,
        }
        with self.ledger.write() as connection:
            connection.execute(update(accounts).where(own).values(values))

    def set_rule(self, **fields: object) -> tuple[RuleRow, PaymentRow | None]:
        """Sets a rule: below 10 credits, 25 are bought, as often as it takes."""
        given = {
            "threshold_nanos": 10 * CREDIT,
            "amount_nanos": 25 * CREDIT,
            "target_nanos": None,
            "monthly_limit_nanos": None,
            "method_id": "",
            "set_by": "ada",
            **fields,
        }
        wanted = RuleRow(self.account_id, enabled=True, version=0, set_at_ms=0, **given)
        return self.recharges.set_rule(wanted)

    def rule(self) -> RuleRow:
        """Returns the account's rule as it is now."""
        with self.ledger.read() as connection:
            return require_rule(connection, self.account_id)

    def recharge(self) -> None:
        """Lets billing look at this account's level, and take on what is due."""
        self.recharges.sweep()
        self.recharges.charge_if_low(self.account_id)
        self.worker.run_once()

    def pass_time(self, ms: int) -> None:
        """Lets time pass, in which billing and flusher do their work."""
        end_ms = self.now_ms + ms
        while self.now_ms < end_ms:
            self.now_ms = min(self.now_ms + 6 * HOUR, end_ms)
            self.recharge()
            self.flush()

    def work_until_idle(self) -> None:
        """Moves the clock to each payment that is due, until none is any more."""
        query = select(func.min(payments.c.due_ms))
        for _ in range(200):
            with self.ledger.read() as connection:
                due_ms = connection.scalar(query)
            if due_ms is None:
                return
            self.now_ms = max(self.now_ms, due_ms)
            self.worker.run_once()
        raise AssertionError("payments are due for ever")

    def taken(self, row: PaymentRow) -> int:
        """Returns how often the provider has taken the payment's money."""
        return self.simulated.charges().get(self.payment(row).payment_ref, 0)

    def granted(self) -> list[int]:
        """Returns the credits that were granted, in whole credits."""
        changes = grants(self.ledger, self.account_id)
        return [change.amount_nanos // CREDIT for change in changes]

    def rows(self, table: Table) -> list[Any]:
        """Returns the account's rows of a table."""
        return [row for row in rows(self.ledger, table) if row.account_id == self.account_id]


@contextmanager
def killed_at(ledger: Ledger, point: int) -> Iterator[list[int]]:
    """Kills the work at its n-th begin or commit of a transaction.

    A commit that is killed did not happen; a begin that is killed comes after a commit that did.
    Yields a list that has an item if the point was reached.
    """
    reached: list[int] = []
    points = count(1)

    def kill(*_: object) -> None:
        if not reached and next(points) == point:
            reached.append(point)
            raise Killed

    for name in ("begin", "commit"):
        event.listen(ledger.engine, name, kill)
    try:
        yield reached
    except Killed:
        pass
    finally:
        for name in ("begin", "commit"):
            event.remove(ledger.engine, name, kill)
