"""Builds `meter.v1.Accounts` for the composition root."""

from gate.admin.accounts import AccountMethods
from gate.admin.budgets import BudgetMethods
from gate.admin.grants import GrantMethods
from gate.admin.service import AccountsService
from gate.admin.top_ups import TopUpMethods
from gate.admin.vouchers import VoucherMethods
from gate.pricing import Pricer
from gate.settings import Settings
from gate.store.keys import shard_of
from gate.store.reaper import Reaper
from gate.store_parts import StoreParts
from meter.admin.budget_use import BudgetUses
from meter.admin.budgets import Budgets
from meter.admin.top_ups import TopUps
from meter.admin.vouchers import Vouchers
from meter.database.engine import Ledger


def accounts_service(
    settings: Settings,
    ledger: Ledger,
    parts: StoreParts,
    reaper: Reaper,
    pricer: Pricer,
) -> AccountsService:
    """Builds meter.v1.Accounts, whose changes are recorded in the ledger and act on the store."""
    operations = parts.operations
    restorer = parts.restorer
    wait_until_flushed = parts.barrier.wait
    top_ups = TopUps(
        ledger,
        settings.top_up_expiry_days,
        reference_per_account=settings.payment_reference_per_account,
    )
    return AccountsService(
        AccountMethods(
            operations,
            restorer,
            reaper,
            parts.expiry,
            settings.shards,
        ),
        GrantMethods(
            operations,
            restorer,
            wait_until_flushed,
            pricer.canonical,
        ),
        TopUpMethods(operations, top_ups, restorer, settings.top_up_bounds),
        VoucherMethods(
            Vouchers(ledger),
            restorer,
            settings.voucher_secret(),
            pricer.canonical,
        ),
        BudgetMethods(
            Budgets(ledger),
            BudgetUses(ledger),
            restorer,
            wait_until_flushed,
            pricer.canonical,
        ),
        lambda account_id: parts.shards.require_admission(shard_of(account_id, settings.shards)),
    )
