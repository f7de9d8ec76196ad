"""Uses an installation in every way in which a process touches the store or the ledger."""

from gate.v1.gate_pb2 import DENIED
from meter.admin.voucher_codes import new_code
from meter.v1.accounts_pb2 import (
    PENDING,
    CompleteTopUpRequest,
    CreateTopUpRequest,
    CreateVouchersRequest,
    DeleteBudgetRequest,
    ListAccountsRequest,
    RedeemVoucherRequest,
    TopUp,
    VoidGrantRequest,
    VoucherBatch,
)
from meter.v1.ledger_pb2 import EXPIRE, CheckBooksRequest, ListInvoicesRequest
from meter.v1.payments_pb2 import (
    AddPaymentMethodRequest,
    AutoRecharge,
    BuyCreditsRequest,
    RefundTopUpRequest,
    SetAutoRechargeRequest,
)
from support.customer import CREDIT, Customer, at, new_customer, new_id
from support.doors import reason_of
from support.servers import wait_until
from support.stack import Client


def use_everything(client: Client) -> None:
    """Makes every kind of change and reading; the books must be right at the end."""
    customer = new_customer(client, "10", test_clock_time=at("2026-01-31T00:00:00Z"))
    _spend(customer)
    _move_money(client, customer)
    customer.advance("2026-02-02T00:00:00Z")
    customer.invoice("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z")
    client.ledger.ListInvoices(ListInvoicesRequest())
    for read in (customer.entries, customer.events, customer.grants, customer.usage):
        read()
    client.accounts.ListAccounts(ListAccountsRequest())
    _let_a_hold_expire(client)
    _buy(client)
    assert not client.ledger.CheckBooks(CheckBooksRequest()).findings


def _spend(customer: Customer) -> None:
    customer.set_budget("team", CREDIT, {"user": "ada"}, soft=True)
    customer.update(daily_limit_nanos=5 * CREDIT)
    hold = customer.authorize(CREDIT, dimensions={"user": "ada"})
    customer.extend(hold.hold_id, 5)
    customer.debit(CREDIT, hold_id=hold.hold_id)
    customer.debit(usage={"model": "gpt-4o", "input_tokens": 5})
    customer.release(customer.authorize(1).hold_id)
    assert customer.authorize(100 * CREDIT).decision == DENIED
    customer.client.accounts.DeleteBudget(
        DeleteBudgetRequest(account_id=customer.account_id, budget_id="team")
    )


def _move_money(client: Client, customer: Customer) -> None:
    own = {"account_id": customer.account_id}
    grant = customer.grant(5)
    client.accounts.VoidGrant(
        VoidGrantRequest(**own, request_id=new_id(), grant_id=grant.grant_id, reason="a mistake")
    )
    top_up = TopUp(
        **own, amount_nanos=10 * CREDIT, payment_reference=new_id(), status=PENDING, currency="USD"
    )
    made = client.accounts.CreateTopUp(CreateTopUpRequest(request_id=new_id(), top_up=top_up))
    client.accounts.CompleteTopUp(
        CompleteTopUpRequest(**own, top_up_id=made.top_up_id, status="SUCCEEDED")
    )
    batch = VoucherBatch(batch_id=new_id(), amount_nanos=5, currency="USD", codes=1)
    made = client.accounts.CreateVouchers(CreateVouchersRequest(batch=batch))
    for code in (new_code(), made.codes[0]):
        _redeem(client, RedeemVoucherRequest(**own, request_id=new_id(), code=code))


def _redeem(client: Client, request: RedeemVoucherRequest) -> None:
    assert reason_of(client.accounts.RedeemVoucher, request) in ("OK", "VOUCHER_INVALID")


def _buy(client: Client) -> None:
    customer = new_customer(client, "1")
    own = {"account_id": customer.account_id}
    client.payments.AddPaymentMethod(AddPaymentMethodRequest(**own, test_method="test_visa"))
    rule = AutoRecharge(
        **own,
        enabled=True,
        threshold_nanos=5 * CREDIT,
        amount_nanos=10 * CREDIT,
        no_monthly_limit=True,
    )
    client.payments.SetAutoRecharge(SetAutoRechargeRequest(rule=rule))
    wait_until(lambda: customer.balance().remaining_nanos == 11 * CREDIT, 30)
    request = BuyCreditsRequest(
        **own, request_id=new_id(), amount_nanos=25 * CREDIT, default_method=True
    )
    payment = client.payments.BuyCredits(request)
    wait_until(lambda: customer.balance().remaining_nanos == 36 * CREDIT, 30)
    client.payments.RefundTopUp(
        RefundTopUpRequest(
            **own, request_id=new_id(), top_up_id=payment.top_up_id, reason="a mistake"
        )
    )


def _let_a_hold_expire(client: Client) -> None:
    customer = new_customer(client, "1")
    customer.authorize(1, hold_ttl_ms=1)
    wait_until(lambda: customer.entries(EXPIRE))
