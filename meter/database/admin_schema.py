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
    Column("top_up_id", String(64), primary_key=True),
    Column("account_id", String(128), nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("fingerprint", String(64), nullable=False),  # of the request that made it
    Column("amount_nanos", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("payment_reference", String(128), nullable=False),
    Column("payment_method", String(64), nullable=False),
    Column("status", String(16), nullable=False),  # a name of meter.v1.TopUpStatus
    # When the credits expire: as asked for, and as granted once the top-up has succeeded.
    Column("expires_at_ms", BigInteger),
    Column("non_refundable", Boolean, nullable=False),
    Column("grant_id", String(64), nullable=False),  # empty until it succeeds
    Column("create_time_ms", BigInteger, nullable=False),
    UniqueConstraint("account_id", "request_id", name="top_ups_request"),
    UniqueConstraint("account_id", "payment_reference", name="top_ups_payment"),
    Index("top_ups_newest", "account_id", "create_time_ms", "top_up_id"),
)

voucher_batches = Table(
    "voucher_batches",
    metadata,
    Column("batch_id", String(64), primary_key=True),
    Column("request_id", String(128), unique=True),
    Column("amount_nanos", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("type", String(16), nullable=False),  # VOUCHER or PROMOTION
    Column("expires_at_ms", BigInteger),  # until when a code can be redeemed
    Column("credits_live_ms", BigInteger, nullable=False),  # 0: for good
    Column("codes", Integer, nullable=False),
    Column("uses_per_code", Integer, nullable=False),
    Column("uses_per_account", Integer, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("description", Text, nullable=False),
    # JSON list of labels, as in meter.journal.operations.GrantCredits.
    Column("scope", Text, nullable=False),
    Column("create_time_ms", BigInteger, nullable=False),
)

# The codes, by their keyed hashes: a reader of the table can redeem none of the codes.
voucher_codes = Table(
    "voucher_codes",
    metadata,
    Column("digest", String(64), primary_key=True),  # meter.admin.voucher_codes.digest, as hex
    Column("batch_id", String(64), nullable=False, index=True),
    Column("uses", Integer, nullable=False),
)

voucher_redemptions = Table(
    "voucher_redemptions",
    metadata,
    Column("account_id", String(128), primary_key=True),
    Column("request_id", String(128), primary_key=True),
    Column("digest", String(64), nullable=False, index=True),
    Column("redeemed_at_ms", BigInteger, nullable=False),
)

# Codes that an account tried in vain, one after the other.
voucher_guesses = Table(
    "voucher_guesses",
    metadata,
    Column("account_id", String(128), primary_key=True),
    Column("failures", Integer, nullable=False),
    # By the real clock; a time up to the last failure is no pause.
    Column("paused_until_ms", BigInteger, nullable=False),
)

# Budgets as set; what is used of each is counted from the entries.
budgets = Table(
    "budgets",
    metadata,
    Column("account_id", String(128), primary_key=True),
    Column("budget_id", String(64), primary_key=True),
    Column("labels", Text, nullable=False),  # JSON list of "key=value", sorted
    Column("period", String(16), nullable=False),  # day, week, month or lifetime
    Column("hard", Boolean, nullable=False),
    Column("limit_nanos", BigInteger, nullable=False),
    # JSON: [[threshold id, amount | null, percent | null], ...], as given.
    Column("thresholds", Text, nullable=False),
)
