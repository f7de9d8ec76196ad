"""Books with something of everything, for what checks them."""

from meter.admin.budgets import BudgetRow, BudgetThreshold
from meter.database.engine import Ledger
from meter.journal.operations import NEXT_PURCHASE, Grace, Threshold
from meter.ledger.denials import DenialEvent, record_denials
from support.histories import DAY, FEBRUARY, HOUR, JANUARY, Scribe, compute_invoice, usage

ADA = {"user": "ada"}
CHAT = {"service": "chat"}


def plain_books(ledger: Ledger) -> Scribe:
    """Usage, holds, a duplicate, invoices."""
    scribe = Scribe(ledger)
    scribe.create("acme", overage=500, limit=10_000)
    scribe.create("beta")
    scribe.create("idle")
    scribe.grant(1000)
    scribe.debit(
        100,
        pricing=usage(("input_tokens", 9, 40), ("output_tokens", 1, 60)),
        dimensions={"key": "k", "user": "u"},
    )
    scribe.grant(7, "beta")
    _use_holds(scribe)
    scribe.now_ms = JANUARY + DAY - 60_000
    overnight = scribe.authorize(50)
    scribe.now_ms = JANUARY + DAY
    scribe.debit(40, hold=overnight)
    scribe.debit(3000)
    scribe.update(overage_protection_nanos=100, daily_limit_nanos=None)
    scribe.now_ms = FEBRUARY + HOUR
    request_id = scribe.debit(5)
    scribe.debit(5, request_id=request_id)
    scribe.flush()
    scribe.apply_pending()
    scribe.grant(3000)
    scribe.authorize(1)
    scribe.now_ms = FEBRUARY + DAY
    compute_invoice(scribe, JANUARY, FEBRUARY)
    compute_invoice(scribe, FEBRUARY, FEBRUARY + DAY)
    return scribe


def credit_books(ledger: Ledger) -> Scribe:
    """Grants of every kind and fate, budgets, thresholds, grace."""
    scribe = Scribe(ledger)
    scribe.create(
        "acme",
        overage=100,
        limit=10_000,
        overage_policy=NEXT_PURCHASE,
        graces=(Grace("inbound", HOUR, 200),),
        thresholds=(Threshold("half", "daily_use", 200), Threshold("low", "low_balance", 50)),
    )
    scribe.grant(1000)
    scribe.grant(100, type="VOUCHER", expires_at_ms=JANUARY + 2 * HOUR)
    scribe.grant(40, type="PROMOTION", priority=10, scope=("model=a/b", "service=chat"))
    scribe.grant(300, effective_at_ms=JANUARY + DAY)
    withdrawn = scribe.grant(60, effective_at_ms=FEBRUARY)
    scribe.void(withdrawn)
    half = (BudgetThreshold("half", None, 50),)
    scribe.set_budget(BudgetRow("ada", ("user=ada",), "day", True, 500, half))
    scribe.set_budget(BudgetRow("chats", ("service=chat",), "month", False, 60, ()))
    scribe.grant(15, type="PROMOTION", priority=90, expires_at_ms=JANUARY + DAY)
    scribe.debit(10)
    scribe.debit(25, pricing=usage(("input_tokens", 1, 25), model="a/b"), dimensions=CHAT)
    _outlive_a_grant(scribe)
    _run_out(scribe)
    _be_denied(scribe)
    scribe.now_ms = FEBRUARY + HOUR
    compute_invoice(scribe, JANUARY, FEBRUARY)
    compute_invoice(scribe, FEBRUARY, FEBRUARY + HOUR)
    return scribe


def _use_holds(scribe: Scribe) -> None:
    settled, released, expired = (scribe.authorize(amount) for amount in (30, 20, 10))
    scribe.extend(settled, 5)
    scribe.debit(50, hold=settled)
    scribe.release(released)
    scribe.now_ms += 700_000
    scribe.expire(expired)
    scribe.debit(8, hold=expired)
    scribe.expire(scribe.authorize(1))


def _outlive_a_grant(scribe: Scribe) -> None:
    """The voucher of 100 expires, of which a hold has some."""
    scribe.now_ms = JANUARY + 2 * HOUR - 10
    settled = scribe.authorize(60, dimensions=ADA)
    released = scribe.authorize(20)
    scribe.extend(settled, 15)
    scribe.now_ms = JANUARY + 2 * HOUR
    scribe.debit(70, hold=settled)
    scribe.release(released)
    scribe.void(scribe.grant(30), 10)


def _be_denied(scribe: Scribe) -> None:
    """For each reason that the account can have had."""
    scribe.flush()
    day = scribe.now_ms // DAY
    for reason, budget_id in (
        ("INSUFFICIENT_CREDITS", ""),
        ("DAILY_LIMIT_EXCEEDED", ""),
        ("BUDGET_EXCEEDED", "ada"),
    ):
        denial = DenialEvent("acme", reason, budget_id, "", day * 24, scribe.now_ms, 0)
        record_denials(scribe.ledger, [denial])


def _run_out(scribe: Scribe) -> None:
    late = scribe.authorize(80, dimensions=ADA)
    scribe.debit(200, dimensions=ADA)
    scribe.now_ms = JANUARY + DAY
    scribe.debit(90, hold=late, dimensions=ADA)
    scribe.debit(7, hold=scribe.authorize(9), incurred=False)
    scribe.debit(980)
    scribe.debit(130, incurred=False, traffic_class="inbound")
    scribe.debit(20, incurred=False, traffic_class="inbound")
    scribe.now_ms = FEBRUARY
    scribe.grant(1000)
    scribe.delete_budget("chats")
    scribe.authorize(40, dimensions=ADA)
    half = (BudgetThreshold("half", None, 50),)
    scribe.set_budget(BudgetRow("teams", ("team=*",), "hour", True, 50, half))
    scribe.debit(30, dimensions={"team": "x/y"})
