"""Says what each process needs to be allowed in a PostgreSQL ledger, and writes it as SQL.

The owner of the tables, who migrates, alone may change what was written for good: entries,
operations, price versions and invoices. A table that is added to the ledger has its line here.
"""

from collections.abc import Iterator, Mapping

GATE = "creditgate_gate"
FLUSHER = "creditgate_flusher"
BILLING = "creditgate_billing"
READER = "creditgate_reader"
ROLES = (GATE, FLUSHER, BILLING, READER)

_ADD = "INSERT"
_SET = "INSERT, UPDATE"
_KEEP = "INSERT, UPDATE, DELETE"

# By table, what a role may do besides SELECT, which all roles may.
PRIVILEGES: Mapping[str, Mapping[str, str]] = {
    "accounts": {GATE: _SET, FLUSHER: "UPDATE", BILLING: "UPDATE"},
    "applied_budgets": {FLUSHER: _KEEP},
    "auto_recharges": {BILLING: _SET},
    "budget_windows": {FLUSHER: _KEEP},
    "budgets": {GATE: _KEEP},
    "customers": {BILLING: _ADD},
    "entries": {FLUSHER: _ADD},
    "epochs": {GATE: _ADD, FLUSHER: _ADD, BILLING: _ADD},
    "event_followers": {BILLING: _SET},
    "events": {GATE: _ADD, FLUSHER: _ADD, BILLING: _ADD},
    "grants": {FLUSHER: _SET},
    "identity": {GATE: _ADD, FLUSHER: _ADD, BILLING: _ADD},
    "invoice_lines": {BILLING: _ADD},
    "invoices": {BILLING: _ADD},
    "journal_gaps": {FLUSHER: _ADD},
    "mails": {BILLING: _SET},
    "method_setups": {BILLING: _SET},
    "open_holds": {FLUSHER: _KEEP},
    "operations": {GATE: _ADD, FLUSHER: _ADD, BILLING: _ADD},
    "payment_attempts": {BILLING: _SET},
    "payment_methods": {BILLING: _SET},
    "payments": {BILLING: _SET},
    "price_versions": {GATE: _ADD, FLUSHER: _ADD},
    "provider_cursors": {BILLING: _SET},
    "provider_hints": {BILLING: _SET},
    "reconciliations": {},  # the owner alone reconciles
    "recharge_wants": {FLUSHER: _ADD, BILLING: _KEEP},
    "recharges": {BILLING: _SET},
    "reversals": {BILLING: _SET},
    "shards": {GATE: _SET, FLUSHER: _SET, BILLING: _SET},
    "test_objects": {BILLING: _KEEP},
    "top_ups": {GATE: _SET, BILLING: _SET},
    "usage_daily": {FLUSHER: _SET},
    "usage_hourly": {FLUSHER: _SET},
    "voucher_batches": {GATE: _ADD},
    "voucher_codes": {GATE: _SET},
    "voucher_guesses": {GATE: _SET},
    "voucher_redemptions": {GATE: _ADD},
    "webhook_deliveries": {BILLING: _KEEP},
    "webhook_endpoints": {BILLING: _KEEP},
}
_REVISIONS = "alembic_version"  # which form the tables have


def grants_sql() -> str:
    """Returns the statements that make the roles and give them what they need.

    The statements may be run again, after each migration, by the owner of the tables.
    """
    lines = [*_roles(), *_grants()]
    return "\n".join(lines)


def _roles() -> Iterator[str]:
    for role in ROLES:
        yield (
            f"DO $$ BEGIN CREATE ROLE {role} NOLOGIN;"
            " EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
        )


def _grants() -> Iterator[str]:
    everybody = ", ".join(ROLES)
    tables = ", ".join((*PRIVILEGES, _REVISIONS))
    yield f"REVOKE ALL ON {tables} FROM {everybody};"
    yield f"GRANT SELECT ON {tables} TO {everybody};"
    for table, rights in PRIVILEGES.items():
        for role, right in rights.items():
            yield f"GRANT {right} ON {table} TO {role};"
