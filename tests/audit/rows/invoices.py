"""Rows on the invoices of both books."""

from audit.rows.breaking import Row, document, entry, no_invoice, row
from meter.audit import Invariant as Rule
from meter.v1 import ledger_pb2 as pb
from support.histories import FEBRUARY

FIRST = "INV-000001"
SECOND = "INV-000002"
DIFFERS = ": computed again from its entries it differs: "

PLAIN_ROWS = [
    Row(Rule.INVOICES, ": is recorded as ", row("invoices", {"total_nanos": 1}, invoice_number=FIRST)),
    Row(Rule.INVOICES, ": is recorded as ", document(FIRST, status=pb.DRAFT)),
    Row(Rule.INVOICES, f"{SECOND}: has a time that {FIRST} has", row("invoices", {"period_end_ms": FEBRUARY + 1}, invoice_number=FIRST)),
    Row(Rule.INVOICES, ": its lines add up to ", row("invoice_lines", {"amount_nanos": 1}, invoice_number=FIRST, line=1)),
    Row(Rule.INVOICES, ": the lines recorded are not those of its document", row("invoice_lines", None, invoice_number=FIRST, line=1)),
    Row(Rule.INVOICES, DIFFERS, document(FIRST, opening_balance_nanos=1)),
    Row(Rule.INVOICES, ": credits applied and overage are not its total of ", document(FIRST, overage_due_nanos=1)),
    Row(Rule.INVOICES, DIFFERS, document(SECOND, closing_balance_nanos=1)),
    Row(Rule.INVOICES, DIFFERS, document(SECOND, entry_count=99)),
    Row(Rule.INVOICES, DIFFERS, entry("DEBIT", occurred_at_ms=FEBRUARY)),
    Row(Rule.INVOICES, ": cannot be computed again: ", entry("DEBIT", usage_lines="[]")),
    Row(Rule.INVOICES, ", but there are ", no_invoice(FIRST)),
]  # fmt: skip

CREDIT_ROWS = [
    Row(Rule.INVOICES, ": payments and overage used add up to ", document(FIRST, overage_used_nanos=1)),
    Row(Rule.INVOICES, ": credits applied and overage are not its total of ", document(FIRST, overage_carried_nanos=1)),
    Row(Rule.INVOICES, "debt_paid_nanos 1 (now ", document(SECOND, debt_paid_nanos=1, entry_count=99)),
    Row(Rule.INVOICES, "credits_expired_nanos 1 (now ", document(FIRST, credits_expired_nanos=1)),
    Row(Rule.INVOICES, DIFFERS, row("grants", {"type": "REFUND"}, account_id="acme", number=2)),
    Row(Rule.INVOICES, ": cannot be computed again: ", entry("DEBIT", burned="[]")),
]  # fmt: skip
