"""Defines the tables that only administrators' calls write: top-ups, vouchers, budgets.

The rows are as recorded, whether or not the gate has applied them.
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
)

from meter.database.columns import key_column, required
from meter.database.schema import metadata

__all__ = [
    "budgets",
    "metadata",  # of all tables, schema.py's too
    "top_ups",
    "voucher_batches",
    "voucher_codes",
    "voucher_guesses",
    "voucher_redemptions",
]

# A purchase of credits. Its credits are a grant, recorded in the transaction that makes it succeed.
top_ups = Table(
    "top_ups",
    metadata,
    key_column("top_up_id", String(64)),
    required("account_id", String(128)),
    required("request_id", String(128)),
    required("fingerprint", String(64)),  # of the request that made it
    required("amount_nanos", BigInteger),
    required("currency", String(3)),
    required("payment_reference", String(128)),
    required("payment_method", String(64)),
    required("status", String(16)),  # a name of meter.v1.TopUpStatus
    # When the credits expire: as asked for, and as granted once the top-up has succeeded.
    Column("expires_at_ms", BigInteger),
    required("non_refundable", Boolean),
    required("grant_id", String(64)),  # empty until it succeeds
    required("create_time_ms", BigInteger),
    required("origin", String(16)),  # a name of meter.v1.TopUpOrigin
    required("refunded_nanos", BigInteger),  # credits taken back for money that went back
    UniqueConstraint("account_id", "request_id", name="top_ups_request"),
    UniqueConstraint("payment_reference", "account_id", name="top_ups_payment"),
    Index("top_ups_newest", "account_id", "create_time_ms", "top_up_id"),
)

voucher_batches = Table(
    "voucher_batches",
    metadata,
    key_column("batch_id", String(64)),
    Column("request_id", String(128), unique=True),
    required("amount_nanos", BigInteger),
    required("currency", String(3)),
    required("type", String(16)),  # VOUCHER or PROMOTION
    Column("expires_at_ms", BigInteger),  # until when a code can be redeemed
    required("credits_live_ms", BigInteger),  # 0: for good
    required("codes", Integer),
    required("uses_per_code", Integer),
    required("uses_per_account", Integer),
    required("priority", Integer),
    required("description", Text),
    # JSON list of labels, as in meter.journal.operations.GrantCredits.
    required("scope", Text),
    required("create_time_ms", BigInteger),
)

# The codes, by their keyed hashes: a reader of the table can redeem none of the codes.
voucher_codes = Table(
    "voucher_codes",
    metadata,
    key_column("digest", String(64)),  # meter.admin.voucher_codes.digest, as hex
    Column("batch_id", String(64), nullable=False, index=True),
    required("uses", Integer),
)

voucher_redemptions = Table(
    "voucher_redemptions",
    metadata,
    key_column("account_id", String(128)),
    key_column("request_id", String(128)),
    Column("digest", String(64), nullable=False, index=True),
    required("redeemed_at_ms", BigInteger),
)

# Codes that an account tried in vain, one after the other.
voucher_guesses = Table(
    "voucher_guesses",
    metadata,
    key_column("account_id", String(128)),
    required("failures", Integer),
    # By the real clock; a time up to the last failure is no pause.
    required("paused_until_ms", BigInteger),
)

# Budgets as set; what is used of each is counted from the entries.
budgets = Table(
    "budgets",
    metadata,
    key_column("account_id", String(128)),
    key_column("budget_id", String(64)),
    required("labels", Text),  # JSON list of "key=value", sorted
    required("period", String(16)),  # day, week, month or lifetime
    required("hard", Boolean),
    required("limit_nanos", BigInteger),
    # JSON: [[threshold id, amount | null, percent | null], ...], as given.
    required("thresholds", Text),
)
