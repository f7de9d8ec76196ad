"""kill -9 of billing, of the gate and of the flusher while cards are charged: what was taken is
what was granted.
"""

import random
import threading
from collections.abc import Callable
from itertools import count

import grpc
import pytest

from chaos.load import RECONNECT
from gate.v1.gate_pb2 import DebitRequest
from meter.database.migrate import open_ledger
from meter.payments.providers.simulated import SimulatedProvider
from meter.times import now_ms
from meter.v1.ledger_pb2 import CheckBooksRequest
from meter.v1.payments_pb2 import (
    AddPaymentMethodRequest,
    AutoRecharge,
    BuyCreditsRequest,
    CheckPaymentsRequest,
    GetPaymentRequest,
    ListPaymentsRequest,
    Payment,
    PaymentState,
    SetAutoRechargeRequest,
)
from support.customer import CREDIT, Customer
from support.servers import wait_until
from support.stack import Client, Stack, running_stack

pytest_plugins = ("support.ledgers",)

FINAL = (PaymentState.PAID, PaymentState.CANCELLED)
METHODS = ("test_visa", "test_slow", "test_declines_twice", "test_stolen")
ACCOUNTS = 8
SETTINGS = {"payments": "test", "recharge_retries": "1s,1s,1s", "recharges_per_hour": "1000"}


def until_answered(call: Callable[[], object]) -> object:
    """Repeats a call, with the same request id, until somebody is there to answer it."""
    answers: list[object] = []

    def answered() -> bool:
        try:
            answers.append(call())
        except grpc.RpcError as error:
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                raise
            return False
        return True

    wait_until(answered, 60)
    return answers[-1]


class Shopper(threading.Thread):
    """Spends, and buys by hand, until told to stop."""

    def __init__(self, stack: Stack, number: int, stop: threading.Event) -> None:
        super().__init__()
        self.client = Client(stack.targets[0], stack.billing_targets[0], RECONNECT)
        self.customer = Customer(self.client, f"shopper-{number}")
        self.error: BaseException | None = None
        self._method = METHODS[number % len(METHODS)]
        self._random = random.Random(number)
        self._stopped = stop
        self._numbers = count(1)

    def run(self) -> None:
        try:
            self._open()
            while not self._stopped.is_set():
                self._spend()
                self._buy()
                self._stopped.wait(0.05)
        except BaseException as error:  # told by the test's own thread
            self.error = error

    def payments(self) -> list[Payment]:
        request = ListPaymentsRequest(account_id=self.customer.account_id, page_size=1000)
        return list(self.client.payments.ListPayments(request).payments)

    def has_settled(self) -> bool:
        """Says whether all payments have ended; looks at those that a kill left waiting."""
        waiting = [payment for payment in self.payments() if payment.state not in FINAL]
        for payment in waiting:
            request = GetPaymentRequest(
                account_id=payment.account_id, payment_id=payment.payment_id
            )
            self.client.payments.GetPayment(request)
        return not waiting

    def _open(self) -> None:
        name = self.customer.account_id
        until_answered(lambda: self.client.open_account(name, "15"))
        add = AddPaymentMethodRequest(account_id=name, test_method=self._method)
        until_answered(lambda: self.client.payments.AddPaymentMethod(add))
        rule = AutoRecharge(
            account_id=name,
            enabled=True,
            threshold_nanos=10 * CREDIT,
            amount_nanos=5 * CREDIT,
            no_monthly_limit=True,
        )
        request = SetAutoRechargeRequest(rule=rule)
        until_answered(lambda: self.client.payments.SetAutoRecharge(request))

    def _spend(self) -> None:
        request = self.customer.asks(DebitRequest, self._random.randint(1, CREDIT))
        until_answered(lambda: self.client.gate.Debit(request))

    def _buy(self) -> None:
        if self._random.random() > 0.1:
            return
        request = BuyCreditsRequest(
            account_id=self.customer.account_id,
            request_id=f"buy-{next(self._numbers)}",
            amount_nanos=5 * CREDIT,
            default_method=True,
        )
        until_answered(lambda: self.client.payments.BuyCredits(request))


def taken_by_provider(ledger_url: str) -> list[int]:
    ledger = open_ledger(ledger_url)
    try:
        return list(SimulatedProvider(ledger, now_ms).charges().values())
    finally:
        ledger.close()


@pytest.mark.chaos
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kills", [30])
def test_what_was_taken_is_what_was_granted_whoever_is_killed(ledger_url: str, kills: int) -> None:
    random_source = random.Random(kills)
    stop = threading.Event()
    with running_stack(ledger_url, billings=2, durable=True, **SETTINGS) as stack:
        shoppers = [Shopper(stack, number, stop) for number in range(ACCOUNTS)]
        for shopper in shoppers:
            shopper.start()
        for _ in range(kills):
            processes = [*stack.billings, *stack.billings, *stack.gates, *stack.flushers]
            victim = random_source.choice(processes)
            stop.wait(random_source.uniform(0.05, 1.0))
            victim.kill()
            victim.start()
        stop.set()
        for shopper in shoppers:
            shopper.join()
            assert shopper.error is None, shopper.error

        for shopper in shoppers:
            wait_until(shopper.has_settled, 120)
        client = shoppers[0].client
        findings = until_answered(lambda: client.ledger.CheckBooks(CheckBooksRequest())).findings
        assert list(findings) == []
        assert not client.payments.CheckPayments(CheckPaymentsRequest()).findings
        paid = [
            payment
            for shopper in shoppers
            for payment in shopper.payments()
            if payment.state == PaymentState.PAID
        ]
        taken = taken_by_provider(stack.ledger_url)
        assert max(taken) == 1
        assert sum(taken) == len(paid) > ACCOUNTS
        for shopper in shoppers:
            shopper.client.close()
