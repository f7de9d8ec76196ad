"""The accounts that are under load while something is killed."""

from typing import Any

from chaos.administration import MILLI, budget
from chaos.audit import OPENING
from meter.money import parse_credits
from meter.v1.accounts_pb2 import NEXT_PURCHASE, Grace, SetBudgetRequest, Threshold
from support.stack import Client

# On several shards: one soon runs out of credits and goes on in grace, one has a daily limit, one
# an overage protection that is changed and debt that is paid by top-ups, one thresholds, one
# budgets, one little but what is granted for a moment.
ACCOUNTS: dict[str, tuple[str, dict[str, Any]]] = {
    "rich-1": ("1000", {}),
    "rich-2": ("1000", {"spend_management_off": True}),
    "poor": ("0.05", {"graces": [Grace(traffic_class="inbound", amount_nanos=10 * MILLI)]}),
    "limited": ("1000", {"daily_limit_nanos": 200 * MILLI}),
    "overdrawn": (
        "0.01",
        {"overage_protection_nanos": 100 * MILLI, "overage_policy": NEXT_PURCHASE},
    ),
    "watched": (
        "0.1",
        {
            "thresholds": [
                Threshold(threshold_id=f"{n}", subject=Threshold.DAILY_USE, amount_nanos=n * MILLI)
                for n in range(1, 40)
            ]
            + [Threshold(threshold_id="low", subject=Threshold.LOW_BALANCE, percent=50)]
        },
    ),
    "budgeted": ("1000", {}),
    "promoted": ("0.001", {}),
}
CALLS_BETWEEN = (20, 120)  # answered calls from one kill to the next
# What an administrator sells is as little as what gateways spend.
SETTINGS = {"top_up_bounds": '{"USD": null}'}


def open_accounts(client: Client) -> None:
    for account_id, (granted, settings) in ACCOUNTS.items():
        client.open_account(account_id, **settings)
        client.grant(account_id, parse_credits(granted), request_id=f"{OPENING}grant")
    for name in ("hard", "soft"):
        request = SetBudgetRequest(
            account_id="budgeted", request_id=f"{OPENING}{name}", budget=budget(name, 50 * MILLI)
        )
        client.accounts.SetBudget(request)
