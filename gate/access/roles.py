"""Says which roles may make each call. A call that is added to a service has its line here."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What the bearer of a token is; docs/security.md tells what each role is for."""

    GATE = "gate"
    READ = "read"
    CUSTOMER = "customer"
    FINANCE = "finance"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Right:
    """Holds the roles that may make a call, and whether the call changes the books' subject.

    What changes something is logged, and the ledger keeps who did it.
    """

    roles: frozenset[Role]
    is_change: bool


def _right(*roles: Role, is_change: bool) -> Right:
    return Right(frozenset((*roles, Role.ADMIN)), is_change)


_READERS = (Role.READ, Role.CUSTOMER, Role.FINANCE)
SPEND = _right(Role.GATE, is_change=False)
LOOK = _right(Role.GATE, *_READERS, is_change=False)
READ = _right(*_READERS, is_change=False)
AUDIT = _right(Role.FINANCE, is_change=False)
BUY = _right(Role.CUSTOMER, Role.FINANCE, is_change=True)
CONFIRM = _right(Role.CUSTOMER, Role.FINANCE, is_change=False)
MONEY = _right(Role.FINANCE, is_change=True)
MANAGE = _right(is_change=True)

RIGHTS: Mapping[str, Right] = {
    "gate.v1.Gate.Authorize": SPEND,
    "gate.v1.Gate.Debit": SPEND,
    "gate.v1.Gate.Release": SPEND,
    "gate.v1.Gate.Extend": SPEND,
    "gate.v1.Gate.Batch": SPEND,
    "gate.v1.Gate.GetBalance": LOOK,
    "gate.v1.Gate.EstimateCost": LOOK,
    "envoy.service.auth.v3.Authorization.Check": SPEND,
    "envoy.service.ratelimit.v3.RateLimitService.ShouldRateLimit": SPEND,
    "meter.v1.Accounts.CreateAccount": MANAGE,
    "meter.v1.Accounts.GetAccount": READ,
    "meter.v1.Accounts.ListAccounts": READ,
    "meter.v1.Accounts.UpdateAccount": MANAGE,
    "meter.v1.Accounts.AdvanceTestClock": MANAGE,
    "meter.v1.Accounts.GrantCredits": MONEY,
    "meter.v1.Accounts.VoidGrant": MONEY,
    "meter.v1.Accounts.CreateTopUp": MONEY,
    "meter.v1.Accounts.CompleteTopUp": MONEY,
    "meter.v1.Accounts.ListTopUps": READ,
    "meter.v1.Accounts.CreateVouchers": MONEY,
    "meter.v1.Accounts.RedeemVoucher": BUY,
    "meter.v1.Accounts.ListVoucherBatches": READ,
    "meter.v1.Accounts.SetBudget": MANAGE,
    "meter.v1.Accounts.DeleteBudget": MANAGE,
    "meter.v1.Accounts.ListBudgets": READ,
    "meter.v1.Accounts.ListBudgetValues": READ,
    "meter.v1.Ledger.ListEntries": READ,
    "meter.v1.Ledger.QueryUsage": READ,
    "meter.v1.Ledger.CreateInvoice": MONEY,
    "meter.v1.Ledger.GetInvoice": READ,
    "meter.v1.Ledger.ListInvoices": READ,
    "meter.v1.Ledger.ListGrants": READ,
    "meter.v1.Ledger.ListHolds": READ,
    "meter.v1.Ledger.ListEvents": READ,
    "meter.v1.Ledger.CheckBooks": AUDIT,
    "meter.v1.Payments.AddPaymentMethod": BUY,
    "meter.v1.Payments.ListPaymentMethods": READ,
    "meter.v1.Payments.SetDefaultPaymentMethod": BUY,
    "meter.v1.Payments.RemovePaymentMethod": BUY,
    "meter.v1.Payments.BuyCredits": BUY,
    "meter.v1.Payments.GetPayment": READ,
    "meter.v1.Payments.ListPayments": READ,
    "meter.v1.Payments.GetPaymentAction": CONFIRM,
    "meter.v1.Payments.CancelPayment": BUY,
    "meter.v1.Payments.CompletePayment": MONEY,
    "meter.v1.Payments.RefundTopUp": MONEY,
    "meter.v1.Payments.SetAutoRecharge": BUY,
    "meter.v1.Payments.GetAutoRecharge": READ,
    "meter.v1.Payments.ResumeAutoRecharge": BUY,
    "meter.v1.Payments.ListRecharges": READ,
    "meter.v1.Payments.CheckPayments": AUDIT,
    "meter.v1.Notifications.CreateEndpoint": MANAGE,
    "meter.v1.Notifications.UpdateEndpoint": MANAGE,
    "meter.v1.Notifications.DeleteEndpoint": MANAGE,
    "meter.v1.Notifications.ListEndpoints": READ,
    "meter.v1.Notifications.RotateSecret": MANAGE,
    "meter.v1.Notifications.TestEndpoint": MANAGE,
    "meter.v1.Notifications.ListDeliveries": AUDIT,
    "meter.v1.Notifications.ResendDeliveries": MANAGE,
    "meter.v1.Notifications.ListMails": READ,
    "meter.v1.Notifications.ResendMail": MANAGE,
    "meter.v1.Notifications.SendTestMail": MANAGE,
}
