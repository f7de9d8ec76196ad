"""`meter.v1.Accounts` as one service, composed of the methods for each resource."""

from collections.abc import Awaitable, Callable
from typing import Any

from gate.admin.accounts import AccountMethods
from gate.admin.budgets import BudgetMethods
from gate.admin.grants import GrantMethods
from gate.admin.top_ups import TopUpMethods
from gate.admin.vouchers import VoucherMethods

Method = Callable[[Any], Awaitable[Any]]


class AccountsService:
    """Has an attribute for each RPC; proto/meter/v1/accounts.proto documents the RPCs."""

    def __init__(
        self,
        accounts: AccountMethods,
        grants: GrantMethods,
        top_ups: TopUpMethods,
        vouchers: VoucherMethods,
        budgets: BudgetMethods,
        require_admission: Callable[[str], None],
    ) -> None:
        """`require_admission` raises for an account whose shard waits for a person.

        What is recorded for such an account could not be applied.
        """
        self._require_admission = require_admission
        self.CreateAccount = self._guarded(accounts.CreateAccount)
        self.GetAccount = accounts.GetAccount
        self.ListAccounts = accounts.ListAccounts
        self.UpdateAccount = self._guarded(accounts.UpdateAccount)
        self.AdvanceTestClock = self._guarded(accounts.AdvanceTestClock)

        self.GrantCredits = self._guarded(grants.GrantCredits)
        self.VoidGrant = self._guarded(grants.VoidGrant)

        self.CreateTopUp = self._guarded(top_ups.CreateTopUp)
        self.CompleteTopUp = self._guarded(top_ups.CompleteTopUp)
        self.ListTopUps = top_ups.ListTopUps

        self.CreateVouchers = vouchers.CreateVouchers
        self.RedeemVoucher = self._guarded(vouchers.RedeemVoucher)
        self.ListVoucherBatches = vouchers.ListVoucherBatches

        self.SetBudget = self._guarded(budgets.SetBudget)
        self.DeleteBudget = self._guarded(budgets.DeleteBudget)
        self.ListBudgets = budgets.ListBudgets
        self.ListBudgetValues = budgets.ListBudgetValues

    def _guarded(self, method: Method) -> Method:
        """Returns the method, which changes an account only if the change can be applied."""

        async def change(request: Any) -> Any:
            self._require_admission(_account_of(request))
            return await method(request)

        return change


def _account_of(request: Any) -> str:
    """Returns the id of the account that the request changes; its form is checked later."""
    for resource in ("account", "top_up"):
        if resource in request.DESCRIPTOR.fields_by_name:
            return str(getattr(request, resource).account_id)
    return str(request.account_id)
