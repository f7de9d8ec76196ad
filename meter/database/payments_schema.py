"""Defines the tables of money that comes in: methods, payments, recharges, reversals.

Billing alone writes the rows. Amounts are minor units of the row's currency, unless a column's name
ends with `_nanos`. No table holds a card's number, a client's secret, or a link that carries one.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from meter.database import admin_schema
from meter.database.columns import key_column, required

__all__ = [
    "auto_recharges",
    "customers",
    "metadata",  # of all tables, admin_schema.py's too
    "method_setups",
    "payment_attempts",
    "payment_methods",
    "payments",
    "provider_cursors",
    "provider_hints",
    "recharge_wants",
    "recharges",
    "reversals",
    "test_objects",
]

metadata = admin_schema.metadata

_IS_DEFAULT = text("is_default")
_IS_OPEN = text("state = 'OPEN'")
_IS_DUE = text("due_ms IS NOT NULL")

# What the payment provider calls an account.
customers = Table(
    "customers",
    metadata,
    key_column("provider", String(16)),
    key_column("account_id", String(128)),
    required("customer_ref", String(255)),
    UniqueConstraint("provider", "customer_ref", name="customers_ref"),
)

# What an account may pay with. The provider has the rest.
payment_methods = Table(
    "payment_methods",
    metadata,
    key_column("method_id", String(64)),
    required("account_id", String(128)),
    required("provider", String(16)),
    required("method_ref", String(255)),
    required("kind", String(32)),  # card, sepa_debit
    required("brand", String(32)),
    required("last4", String(8)),
    required("holder", String(255)),
    required("exp_month", Integer),  # 0: does not expire
    required("exp_year", Integer),
    required("fingerprint", String(64)),  # the same for the same card, saved anew
    required("is_default", Boolean),
    required("is_removed", Boolean),
    required("added_at_ms", BigInteger),
    UniqueConstraint("provider", "method_ref", name="payment_methods_ref"),
    Index(
        "payment_methods_default",
        "account_id",
        unique=True,
        sqlite_where=_IS_DEFAULT,
        postgresql_where=_IS_DEFAULT,
    ),
    Index("payment_methods_list", "account_id", "added_at_ms"),
)

# Pages of the provider on which somebody may save a method.
method_setups = Table(
    "method_setups",
    metadata,
    key_column("setup_id", String(64)),
    required("account_id", String(128)),
    required("provider", String(16)),
    required("setup_ref", String(255)),
    required("make_default", Boolean),
    required("is_open", Boolean),
    required("expires_at_ms", BigInteger),
    Index("method_setups_open", "account_id", "is_open"),
)

# A payment for one thing. At the provider there is at most one object that can take its money.
payments = Table(
    "payments",
    metadata,
    key_column("payment_id", String(64)),
    required("account_id", String(128)),
    required("purpose", String(16)),  # TOP_UP, RECHARGE
    required("subject_id", String(64)),  # the top-up
    required("provider", String(16)),
    required("payment_ref", String(255)),  # empty until the provider has the object
    required("hosted", Boolean),  # paid on a page of the provider
    required("method_id", String(64)),  # empty: not known yet
    required("amount_minor", BigInteger),
    required("currency", String(3)),
    required("state", String(16)),  # a name of meter.v1.PaymentState
    required("cancel_wanted", Boolean),  # no attempt begins any more
    # Of the newest attempt; empty: none has failed. The class is one of meter.payments.provider's.
    required("failure_class", String(16)),
    required("failure_code", String(64)),
    required("failure_text", Text),
    required("attempts", Integer),
    required("declines", Integer),  # that a later attempt may mend
    # When billing has to do something next; null: never. Also the time of the next attempt.
    Column("due_ms", BigInteger),
    required("troubles", Integer),  # how often the provider did not answer, one after the other
    required("action_expires_ms", BigInteger),  # 0: nothing is expected of the customer
    required("received_minor", BigInteger),
    required("create_time_ms", BigInteger),
    required("settled_at_ms", BigInteger),  # 0: not settled
    required("lease_token", String(64)),
    required("lease_until_ms", BigInteger),
    UniqueConstraint("purpose", "subject_id", name="payments_subject"),
    Index("payments_newest", "account_id", "create_time_ms", "payment_id"),
    Index("payments_ref", "provider", "payment_ref"),
    Index("payments_due", "due_ms", sqlite_where=_IS_DUE, postgresql_where=_IS_DUE),
)

payment_attempts = Table(
    "payment_attempts",
    metadata,
    key_column("payment_id", String(64)),
    key_column("attempt", Integer),
    required("method_id", String(64)),
    required("off_session", Boolean),
    required("idempotency_key", String(128)),
    required("charge_before", String(255)),  # the provider's newest charge before; empty: none
    required("state", String(16)),  # SENT, PAID, DECLINED, ACTION, CANCELLED
    required("started_at_ms", BigInteger),
    required("ended_at_ms", BigInteger),  # 0: SENT
    UniqueConstraint("idempotency_key", name="payment_attempts_key"),
)

# The rules by which an account's credits refill themselves.
auto_recharges = Table(
    "auto_recharges",
    metadata,
    key_column("account_id", String(128)),
    required("enabled", Boolean),
    required("threshold_nanos", BigInteger),
    Column("amount_nanos", BigInteger),  # this or the target
    Column("target_nanos", BigInteger),
    Column("monthly_limit_nanos", BigInteger),  # null: no limit
    required("method_id", String(64)),  # empty: the default method
    required("state", String(16)),  # a name of meter.v1.AutoRecharge.State
    required("reason", String(64)),
    required("suspended_fingerprint", String(64)),  # of the method that failed
    Column("retry_at_ms", BigInteger),
    required("version", BigInteger),
    required("set_by", String(128)),
    required("set_at_ms", BigInteger),
    Index("auto_recharges_retry", "state", "retry_at_ms"),
)

recharges = Table(
    "recharges",
    metadata,
    key_column("recharge_id", String(64)),
    required("account_id", String(128)),
    required("version", BigInteger),  # of the rule
    required("remaining_nanos", BigInteger),  # at which it was opened
    required("amount_nanos", BigInteger),
    required("top_up_id", String(64)),
    required("payment_id", String(64)),
    required("state", String(16)),  # OPEN, SUCCEEDED, FAILED
    required("opened_at_ms", BigInteger),
    required("closed_at_ms", BigInteger),  # 0: open
    Index(
        "recharges_open",
        "account_id",
        unique=True,
        sqlite_where=_IS_OPEN,
        postgresql_where=_IS_OPEN,
    ),
    Index("recharges_newest", "account_id", "opened_at_ms", "recharge_id"),
    UniqueConstraint("payment_id", name="recharges_payment"),
)

# Accounts that the flusher found at or below the level of an armed rule.
recharge_wants = Table(
    "recharge_wants",
    metadata,
    key_column("account_id", String(128)),
    required("at_ms", BigInteger),
)

# Money that went back, and the credits that are taken back for it. Of each payment one row for
# each refund of ours, and one for all that the provider itself has taken back.
reversals = Table(
    "reversals",
    metadata,
    key_column("reversal_id", String(64)),
    required("account_id", String(128)),
    required("payment_id", String(64)),
    required("top_up_id", String(64)),
    required("request_id", String(160)),
    required("kind", String(16)),  # REFUND, or PROVIDER
    required("state", String(16)),  # TAKING, PAYING, SUCCEEDED, FAILED
    required("reason", Text),
    required("grant_id", String(64)),  # the top-up's
    required("target_nanos", BigInteger),  # credits that are to be taken back
    required("voided_nanos", BigInteger),
    required("regranted_nanos", BigInteger),
    required("paid_minor", BigInteger),  # that went back
    required("currency", String(3)),
    required("steps", Integer),  # changes of credits recorded so far
    required("voiding", String(160)),  # request id of the one on its way; empty: none
    Column("due_ms", BigInteger),  # null: nothing is to be done
    required("troubles", Integer),
    required("create_time_ms", BigInteger),
    UniqueConstraint("account_id", "request_id", name="reversals_request"),
    Index("reversals_payment", "payment_id"),
    Index("reversals_due", "due_ms", sqlite_where=_IS_DUE, postgresql_where=_IS_DUE),
)

# What events of the provider name. An event comes any number of times, and in any order.
provider_hints = Table(
    "provider_hints",
    metadata,
    key_column("provider", String(16)),
    key_column("event_id", String(255)),
    required("refs", Text),  # JSON: names of payments, pages and customers
    required("received_at_ms", BigInteger),
    Column("due_ms", BigInteger),  # null: handled
    required("failures", Integer),
    Index("provider_hints_due", "due_ms", sqlite_where=_IS_DUE, postgresql_where=_IS_DUE),
)

# Up to which event each provider was read.
provider_cursors = Table(
    "provider_cursors",
    metadata,
    key_column("provider", String(16)),
    required("cursor", String(255)),
)

# What the `test` provider has in place of a provider's own computers.
test_objects = Table(
    "test_objects",
    metadata,
    key_column("ref", String(255)),
    required("body", Text),  # JSON
)
