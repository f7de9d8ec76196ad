"""Defines the ledger's tables.

Times are UTC milliseconds, days are numbers since 1970-01-01, amounts are nanos. Entries,
operations, epochs, gaps, reconciliations and price versions are append-only: a correction is a new
row. The other tables are projections, which `creditgate check` recomputes from the entries. The
tables that only administrators' calls write are in `admin_schema.py`.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from meter.database.columns import key_column, required

metadata = MetaData()

_PENDING = text("recorded_op > applied_op")
_LIVE = text("state = 'LIVE'")

# One row: a random name, by which stores know the ledger.
identity = Table("identity", metadata, key_column("ledger_id", String(36)))

# The flushed position of each shard, and the store that the shard was last opened on (empty before
# the first time). The lock of a shard's row leaves one writer among flushers.
shards = Table(
    "shards",
    metadata,
    key_column("shard", Integer),
    required("epoch", BigInteger),
    required("watermark_seq", BigInteger),
    required("store_id", String(36)),
    required("store_name", Text),
)

# What an older ledger took over from the store: the account as it was then, behind each entry of
# kind RECONCILED.
reconciliations = Table(
    "reconciliations",
    metadata,
    key_column("shard", Integer),
    key_column("epoch", BigInteger),
    key_column("seq", BigInteger),
    required("body", Text),  # JSON: meter.ledger.reconciliation.taken_over.TakenOver
)

# Every epoch that began, and why.
epochs = Table(
    "epochs",
    metadata,
    key_column("shard", Integer),
    key_column("epoch", BigInteger),
    required("opened_at_ms", BigInteger),
    required("reason", Text),
)

# Positions of journal entries that were lost: never in the ledger, or written anew after Redis had
# lost the first, which the ledger has.
journal_gaps = Table(
    "journal_gaps",
    metadata,
    key_column("shard", Integer),
    key_column("epoch", BigInteger),
    key_column("first_seq", BigInteger),
    required("last_seq", BigInteger),
    required("found_at_ms", BigInteger),
)

# Settings as recorded (they are durable here before they act), sums as flushed.
accounts = Table(
    "accounts",
    metadata,
    key_column("account_id", String(128)),
    required("shard", Integer),
    required("currency", String(3)),
    required("status", String(16)),
    required("overage_protection_nanos", BigInteger),
    Column("daily_limit_nanos", BigInteger),
    Column("test_clock_ms", BigInteger),
    required("overage_policy", String(16)),
    required("spend_management", Boolean),
    # JSON: meter.journal.operations.Threshold, as given.
    required("thresholds", Text),
    required("graces", Text),  # JSON: meter.journal.operations.Grace
    required("billing_emails", Text),  # JSON: a list of addresses
    required("alert_emails", Text),
    required("create_time_ms", BigInteger),
    # Recorded grants, applied or not: keeps the sums within int64.
    required("granted_nanos", BigInteger),
    required("recorded_op", BigInteger),  # number of the last operation recorded
    # Number of the last operation flushed; later operations are pending.
    required("applied_op", BigInteger),
    required("applied_status", String(16)),  # as of `applied_op`
    Column("applied_clock_ms", BigInteger),  # as of `applied_op`
    # meter.journal.applied_settings.Settings, as of `applied_op`.
    required("applied_settings", Text),
    required("remaining_nanos", BigInteger),
    required("held_nanos", BigInteger),
    # The level of the account's armed rule of auto-recharge; null: none is armed.
    Column("recharge_below_nanos", BigInteger),
    required("day", BigInteger),  # the day of `state`
    # meter.journal.account_sums.AccountSums after the last entry flushed, as tokens.
    required("state", Text),
    Index(
        "accounts_pending",
        "account_id",
        sqlite_where=_PENDING,
        postgresql_where=_PENDING,
    ),
)

operations = Table(
    "operations",
    metadata,
    key_column("account_id", String(128)),
    key_column("seq", BigInteger),
    required("request_id", String(160)),
    required("body", Text),  # meter.journal.operations.Operation as JSON
    required("recorded_at_ms", BigInteger),
    required("actor", String(64)),  # the name of the caller's token; empty without tokens
    UniqueConstraint("account_id", "request_id", name="operations_request"),
)

# Every journal entry, once, in the journal's order.
entries = Table(
    "entries",
    metadata,
    key_column("shard", Integer),
    key_column("epoch", BigInteger),
    key_column("seq", BigInteger),
    required("account_id", String(128)),
    Column("request_id", String(160)),  # null: no request caused it, or it is a duplicate
    # Entry id of the first of this request id; this one's credits are given back.
    Column("duplicate_of", String(64)),
    required("kind", String(16)),  # a name of meter.v1.EntryKind
    required("occurred_at_ms", BigInteger),
    required("usage_day", BigInteger),
    required("amount_nanos", BigInteger),
    required("balance_nanos", BigInteger),
    required("held_nanos", BigInteger),
    required("shortfall_nanos", BigInteger),
    required("grace_nanos", BigInteger),  # what grace carried
    # JSON: [[grant's number, nanos], ...]; number 0 is overage. Says whose credits were pinned,
    # charged or taken away, and which grant a grant's entry is about.
    required("burned", Text),
    # Of a debit: taken from overage. Of DEBT_PAID: overage paid back, negative.
    required("overage_nanos", BigInteger),
    required("hold_id", String(128)),  # empty: none
    required("model", String(256)),
    required("price_version", String(32)),
    # JSON: [[unit, quantity, nanos], ...], adding up to a debit.
    required("usage_lines", Text),
    required("dimensions", Text),  # JSON object
    required("traffic_class", String(128)),
    required("description", Text),
    required("late", Boolean),
    required("incurred", Boolean),
    required("effect", Text),  # the effect line, for whoever replays the journal
    UniqueConstraint("account_id", "request_id", name="entries_request"),
    Index("entries_history", "account_id", "epoch", "seq"),
)


def _usage_table(name: str) -> Table:
    """Defines a table of sums by time, model and unit.

    Rows with an empty `dimension` hold the whole; the other rows split the whole by the values of
    one dimension.
    """
    return Table(
        name,
        metadata,
        key_column("account_id", String(128)),
        key_column("start_ms", BigInteger),
        key_column("model", String(256)),
        key_column("unit", String(64)),
        key_column("dimension", String(64)),
        key_column("value", String(256)),
        required("quantity", BigInteger),
        required("amount_nanos", BigInteger),
        required("requests", BigInteger),
        sqlite_with_rowid=False,
    )


usage_hourly = _usage_table("usage_hourly")
usage_daily = _usage_table("usage_daily")

# Grants, and what became of their credits: amount = left + held + spent + expired + voided.
grants = Table(
    "grants",
    metadata,
    key_column("grant_id", String(64)),
    Column("account_id", String(128), nullable=False, index=True),
    # Of the operation that made it: how effect lines name it.
    required("number", BigInteger),
    required("request_id", String(160)),
    required("type", String(16)),
    required("amount_nanos", BigInteger),
    required("priority", Integer),
    Column("effective_at_ms", BigInteger),
    Column("expires_at_ms", BigInteger),
    required("description", Text),
    # JSON: labels, as in meter.journal.operations.GrantCredits.
    required("scope", Text),
    required("pays_debt", Boolean),
    required("non_refundable", Boolean),
    required("create_time_ms", BigInteger),
    required("state", String(16)),  # a name of meter.v1.GrantState
    required("left_nanos", BigInteger),  # not pinned by holds
    required("held_nanos", BigInteger),
    required("spent_nanos", BigInteger),
    required("expired_nanos", BigInteger),
    required("voided_nanos", BigInteger),
    Index("grants_number", "account_id", "number", unique=True),
    Index(
        "grants_expiring",
        "expires_at_ms",
        sqlite_where=_LIVE,
        postgresql_where=_LIVE,
    ),
)

# Budgets as of the flushed position, and what each counted in its windows. A budget that was made
# anew is another budget: `number` tells the two apart.
applied_budgets = Table(
    "applied_budgets",
    metadata,
    key_column("account_id", String(128)),
    key_column("budget_id", String(64)),
    required("number", BigInteger),  # of the operation that made it
    required("labels", Text),  # JSON: one or two "key=value"
    required("period", String(16)),
    required("hard", Boolean),
    required("limit_nanos", BigInteger),
    required("levels", Text),  # JSON: [[threshold id, nanos], ...], ascending
)

budget_windows = Table(
    "budget_windows",
    metadata,
    key_column("account_id", String(128)),
    key_column("number", BigInteger),
    key_column("start_hour", BigInteger),  # UTC hour, counted from 1970
    # Of the counter (meter.journal.counter_names); empty: the budget is not for each value.
    key_column("value", Text),
    required("used_nanos", BigInteger),
    required("held_nanos", BigInteger),
)

# What happened that somebody may want to be told of, written in the transaction of the fact: the
# outbox. Numbered from 1 without gaps in the order of the commits.
events = Table(
    "events",
    metadata,
    key_column("number", BigInteger),
    Column("event_id", String(40), nullable=False, unique=True),  # made from `once_key`
    Column("once_key", Text, nullable=False, unique=True),  # an event is recorded once
    required("account_id", String(128)),  # empty: an event of the operator's
    required("type", String(64)),  # such as threshold.crossed
    required("occurred_at_ms", BigInteger),  # by the account's clock
    required("recorded_at_ms", BigInteger),
    required("data", Text),  # JSON, never changed: meter.ledger.events.Event
    Index("events_history", "account_id", "number"),
)

# Holds that are open as of the flushed position; the entries tell how each hold ended.
open_holds = Table(
    "open_holds",
    metadata,
    key_column("account_id", String(128)),
    key_column("hold_id", String(128)),
    required("amount_nanos", BigInteger),
    required("day", BigInteger),
    required("expires_ms", BigInteger),
    required("authorized_at_ms", BigInteger),
    required("pins", Text),  # "7:30,9s:10": nanos by grant, as in effect lines
    # "name,first hour,number;..." of the budgets' counters that the hold counts in.
    required("budgets", Text),
)

price_versions = Table(
    "price_versions",
    metadata,
    key_column("version", String(32)),
    required("model", String(256)),
    required("body", Text),  # meter.prices.ModelPrice as JSON
    required("recorded_at_ms", BigInteger),
)

# The final invoices; a draft is in no table. No two of an account have a day in common.
invoices = Table(
    "invoices",
    metadata,
    key_column("invoice_number", String(32)),
    required("account_id", String(128)),
    required("period_start_ms", BigInteger),
    required("period_end_ms", BigInteger),
    required("total_nanos", BigInteger),
    # meter.v1.Invoice, serialized deterministically: the same bytes on every reading.
    required("body", LargeBinary),
    Index("invoices_period", "account_id", "period_start_ms", "period_end_ms"),
)

invoice_lines = Table(
    "invoice_lines",
    metadata,
    key_column("invoice_number", String(32)),
    key_column("line", Integer),
    required("model", String(256)),
    required("unit", String(64)),
    required("price_version", String(32)),
    required("quantity", BigInteger),
    required("amount_nanos", BigInteger),
)
