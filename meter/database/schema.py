"""Defines the ledger's tables.

Times are UTC milliseconds, days are numbers since 1970-01-01, amounts are nanos. Entries,
operations, epochs, gaps and price versions are append-only: a correction is a new row. The other
tables are projections, which `creditgate check` recomputes from the entries. The tables that only
administrators' calls write are in `admin_schema.py`.
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

metadata = MetaData()

_PENDING = text("recorded_op > applied_op")

# The flushed position of each shard. The lock of a shard's row leaves one writer among flushers.
shards = Table(
    "shards",
    metadata,
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),
    Column("watermark_seq", BigInteger, nullable=False),
)

# Every epoch that began, and why.
epochs = Table(
    "epochs",
    metadata,
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("opened_at_ms", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
)

# Positions of journal entries that were lost: never in the ledger, or written anew after Redis had
# lost the first, which the ledger has.
journal_gaps = Table(
    "journal_gaps",
    metadata,
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("first_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("found_at_ms", BigInteger, nullable=False),
)

# Settings as recorded (they are durable here before they act), sums as flushed.
accounts = Table(
    "accounts",
    metadata,
    Column("account_id", String(128), primary_key=True),
    Column("shard", Integer, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("status", String(16), nullable=False),
    Column("overage_protection_nanos", BigInteger, nullable=False),
    Column("daily_limit_nanos", BigInteger),
    Column("test_clock_ms", BigInteger),
    Column("overage_policy", String(16), nullable=False),
    Column("spend_management", Boolean, nullable=False),
    # JSON: meter.journal.operations.Threshold, as given.
    Column("thresholds", Text, nullable=False),
    Column("graces", Text, nullable=False),  # JSON: meter.journal.operations.Grace
    Column("create_time_ms", BigInteger, nullable=False),
    # Recorded grants, applied or not: keeps the sums within int64.
    Column("granted_nanos", BigInteger, nullable=False),
    Column("recorded_op", BigInteger, nullable=False),  # number of the last operation recorded
    # Number of the last operation flushed; later operations are pending.
    Column("applied_op", BigInteger, nullable=False),
    Column("applied_status", String(16), nullable=False),  # as of `applied_op`
    Column("applied_clock_ms", BigInteger),  # as of `applied_op`
    # meter.journal.applied_settings.Settings, as of `applied_op`.
    Column("applied_settings", Text, nullable=False),
    Column("remaining_nanos", BigInteger, nullable=False),
    Column("held_nanos", BigInteger, nullable=False),
    Column("day", BigInteger, nullable=False),  # the day of `state`
    # meter.journal.account_sums.AccountSums after the last entry flushed, as tokens.
    Column("state", Text, nullable=False),
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
    Column("account_id", String(128), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("request_id", String(160), nullable=False),
    Column("body", Text, nullable=False),  # meter.journal.operations.Operation as JSON
    Column("recorded_at_ms", BigInteger, nullable=False),
    UniqueConstraint("account_id", "request_id", name="operations_request"),
)

# Every journal entry, once, in the journal's order.
entries = Table(
    "entries",
    metadata,
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("account_id", String(128), nullable=False),
    Column("request_id", String(160)),  # null: no request caused it, or it is a duplicate
    # Entry id of the first of this request id; this one's credits are given back.
    Column("duplicate_of", String(64)),
    Column("kind", String(16), nullable=False),  # a name of meter.v1.EntryKind
    Column("occurred_at_ms", BigInteger, nullable=False),
    Column("usage_day", BigInteger, nullable=False),
    Column("amount_nanos", BigInteger, nullable=False),
    Column("balance_nanos", BigInteger, nullable=False),
    Column("held_nanos", BigInteger, nullable=False),
    Column("shortfall_nanos", BigInteger, nullable=False),
    Column("grace_nanos", BigInteger, nullable=False),  # what grace carried
    # JSON: [[grant's number, nanos], ...]; number 0 is overage. Says whose credits were pinned,
    # charged or taken away, and which grant a grant's entry is about.
    Column("burned", Text, nullable=False),
    # Of a debit: taken from overage. Of DEBT_PAID: overage paid back, negative.
    Column("overage_nanos", BigInteger, nullable=False),
    Column("hold_id", String(128), nullable=False),  # empty: none
    Column("model", String(256), nullable=False),
    Column("price_version", String(32), nullable=False),
    # JSON: [[unit, quantity, nanos], ...], adding up to a debit.
    Column("usage_lines", Text, nullable=False),
    Column("dimensions", Text, nullable=False),  # JSON object
    Column("traffic_class", String(128), nullable=False),
    Column("description", Text, nullable=False),
    Column("late", Boolean, nullable=False),
    Column("incurred", Boolean, nullable=False),
    Column("effect", Text, nullable=False),  # the effect line, for whoever replays the journal
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
        Column("account_id", String(128), primary_key=True),
        Column("start_ms", BigInteger, primary_key=True, autoincrement=False),
        Column("model", String(256), primary_key=True),
        Column("unit", String(64), primary_key=True),
        Column("dimension", String(64), primary_key=True),
        Column("value", String(256), primary_key=True),
        Column("quantity", BigInteger, nullable=False),
        Column("amount_nanos", BigInteger, nullable=False),
        Column("requests", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


usage_hourly = _usage_table("usage_hourly")
usage_daily = _usage_table("usage_daily")

# Grants, and what became of their credits: amount = left + held + spent + expired + voided.
grants = Table(
    "grants",
    metadata,
    Column("grant_id", String(64), primary_key=True),
    Column("account_id", String(128), nullable=False, index=True),
    # Of the operation that made it: how effect lines name it.
    Column("number", BigInteger, nullable=False),
    Column("request_id", String(160), nullable=False),
    Column("type", String(16), nullable=False),
    Column("amount_nanos", BigInteger, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("effective_at_ms", BigInteger),
    Column("expires_at_ms", BigInteger),
    Column("description", Text, nullable=False),
    # JSON: labels, as in meter.journal.operations.GrantCredits.
    Column("scope", Text, nullable=False),
    Column("pays_debt", Boolean, nullable=False),
    Column("non_refundable", Boolean, nullable=False),
    Column("create_time_ms", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),  # a name of meter.v1.GrantState
    Column("left_nanos", BigInteger, nullable=False),  # not pinned by holds
    Column("held_nanos", BigInteger, nullable=False),
    Column("spent_nanos", BigInteger, nullable=False),
    Column("expired_nanos", BigInteger, nullable=False),
    Column("voided_nanos", BigInteger, nullable=False),
    Index("grants_number", "account_id", "number", unique=True),
)

# Budgets as of the flushed position, and what each used in its windows. A budget that was made anew
# is another budget: `number` tells the two apart.
applied_budgets = Table(
    "applied_budgets",
    metadata,
    Column("account_id", String(128), primary_key=True),
    Column("budget_id", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False),  # of the operation that made it
    Column("labels", Text, nullable=False),  # JSON: one or two "key=value"
    Column("period", String(16), nullable=False),
    Column("hard", Boolean, nullable=False),
    Column("limit_nanos", BigInteger, nullable=False),
    Column("levels", Text, nullable=False),  # JSON: [[threshold id, nanos], ...], ascending
)

budget_windows = Table(
    "budget_windows",
    metadata,
    Column("account_id", String(128), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("start_day", BigInteger, primary_key=True, autoincrement=False),
    Column("used_nanos", BigInteger, nullable=False),
    Column("held_nanos", BigInteger, nullable=False),
)

# Thresholds that were crossed, each once in its window, numbered in the order of their commits.
events = Table(
    "events",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("account_id", String(128), nullable=False),
    # A name of meter.v1.Event's: DAILY_USE, LOW_BALANCE, BUDGET.
    Column("subject", String(16), nullable=False),
    Column("budget_id", String(64), nullable=False),  # empty: none
    # Of the operation that made the budget; 0: none.
    Column("budget_number", BigInteger, nullable=False),
    Column("threshold_id", String(64), nullable=False),
    # The window in which the threshold was crossed, as meter.journal.effect.Crossing has it.
    Column("period", String(32), nullable=False),
    Column("level_nanos", BigInteger, nullable=False),
    Column("value_nanos", BigInteger, nullable=False),
    Column("occurred_at_ms", BigInteger, nullable=False),
    Column("entry_id", String(64), nullable=False),
    UniqueConstraint(
        "account_id",
        "subject",
        "budget_id",
        "budget_number",
        "threshold_id",
        "period",
        "level_nanos",
        name="events_once",
    ),
    Index("events_history", "account_id", "number"),
)

# Holds that are open as of the flushed position; the entries tell how each hold ended.
open_holds = Table(
    "open_holds",
    metadata,
    Column("account_id", String(128), primary_key=True),
    Column("hold_id", String(128), primary_key=True),
    Column("amount_nanos", BigInteger, nullable=False),
    Column("day", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("authorized_at_ms", BigInteger, nullable=False),
    Column("pins", Text, nullable=False),  # "7:30,9s:10": nanos by grant, as in effect lines
    # "id,start day,number;..." of the budgets that the hold counts in.
    Column("budgets", Text, nullable=False),
)

price_versions = Table(
    "price_versions",
    metadata,
    Column("version", String(32), primary_key=True),
    Column("model", String(256), nullable=False),
    Column("body", Text, nullable=False),  # meter.prices.ModelPrice as JSON
    Column("recorded_at_ms", BigInteger, nullable=False),
)

# A draft has a row for each time the draft came out differently, and the last row counts. A final
# invoice is one more row, and the last.
invoices = Table(
    "invoices",
    metadata,
    Column("invoice_number", String(32), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("account_id", String(128), nullable=False),
    Column("period_start_ms", BigInteger, nullable=False),
    Column("period_end_ms", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),
    Column("total_nanos", BigInteger, nullable=False),
    # meter.v1.Invoice, serialized deterministically: the same bytes on every reading.
    Column("body", LargeBinary, nullable=False),
    Index("invoices_period", "account_id", "period_start_ms", "period_end_ms"),
)

invoice_lines = Table(
    "invoice_lines",
    metadata,
    Column("invoice_number", String(32), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("model", String(256), nullable=False),
    Column("unit", String(64), nullable=False),
    Column("price_version", String(32), nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("amount_nanos", BigInteger, nullable=False),
)
