"""`meter.v1.Accounts` as one service, composed of the methods for each resource."""

from gate.admin.accounts import AccountMethods
from gate.admin.budgets import BudgetMethods
from gate.admin.grants import GrantMethods
from gate.admin.top_ups import TopUpMethods
from gate.admin.vouchers import VoucherMethods


class AccountsService:
    """Has an attribute for each RPC; proto/meter/v1/accounts.proto documents the RPCs."""

    def __init__(
        self,
        accounts: AccountMethods,
        grants: GrantMethods,
        top_ups: TopUpMethods,
        vouchers: VoucherMethods,
        budgets: BudgetMethods,
    ) -> None:
        self.CreateAccount = accounts.CreateAccount
        self.GetAccount = accounts.GetAccount
        self.ListAccounts = accounts.ListAccounts
        self.UpdateAccount = accounts.UpdateAccount
        self.AdvanceTestClock = accounts.AdvanceTestClock

        self.GrantCredits = grants.GrantCredits
        self.VoidGrant = grants.VoidGrant

        self.CreateTopUp = top_ups.CreateTopUp
        self.CompleteTopUp = top_ups.CompleteTopUp
        self.ListTopUps = top_ups.ListTopUps

        self.CreateVouchers = vouchers.CreateVouchers
        self.RedeemVoucher = vouchers.RedeemVoucher
        self.ListVoucherBatches = vouchers.ListVoucherBatches

        self.SetBudget = budgets.SetBudget
        self.DeleteBudget = budgets.DeleteBudget
        self.ListBudgets = budgets.ListBudgets
