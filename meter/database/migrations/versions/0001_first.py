"""Every table of the ledger."""

import sqlalchemy as sa
from alembic import op

from meter.database.migrations.notifications import create_notifications
from meter.database.migrations.payments import create_payments

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_shards()
    _create_accounts()
    _create_operations()
    _create_entries()
    for name in ("usage_hourly", "usage_daily"):
        _create_usage(name)
    _create_grants()
    _create_holds()
    _create_budgets()
    _create_events()
    _create_price_versions()
    _create_invoices()
    _create_top_ups()
    _create_vouchers()
    _create_redemptions()
    create_notifications()
    create_payments()


def _create_shards() -> None:
    op.create_table(
        "identity",
        sa.Column("ledger_id", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("ledger_id"),
    )
    op.create_table(
        "shards",
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("watermark_seq", sa.BigInteger(), nullable=False),
        sa.Column("store_id", sa.String(length=36), nullable=False),
        sa.Column("store_name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("shard"),
    )
    op.create_table(
        "reconciliations",
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("shard", "epoch", "seq"),
    )
    op.create_table(
        "epochs",
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("opened_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("shard", "epoch"),
    )
    op.create_table(
        "journal_gaps",
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("first_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("found_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("shard", "epoch", "first_seq"),
    )


def _create_accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("account_id", sa.String(length=128), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("overage_protection_nanos", sa.BigInteger(), nullable=False),
        sa.Column("daily_limit_nanos", sa.BigInteger(), nullable=True),
        sa.Column("test_clock_ms", sa.BigInteger(), nullable=True),
        sa.Column("overage_policy", sa.String(length=16), nullable=False),
        sa.Column("spend_management", sa.Boolean(), nullable=False),
        sa.Column("thresholds", sa.Text(), nullable=False),
        sa.Column("graces", sa.Text(), nullable=False),
        sa.Column("billing_emails", sa.Text(), nullable=False),
        sa.Column("alert_emails", sa.Text(), nullable=False),
        sa.Column("create_time_ms", sa.BigInteger(), nullable=False),
        sa.Column("granted_nanos", sa.BigInteger(), nullable=False),
        sa.Column("recorded_op", sa.BigInteger(), nullable=False),
        sa.Column("applied_op", sa.BigInteger(), nullable=False),
        sa.Column("applied_status", sa.String(length=16), nullable=False),
        sa.Column("applied_clock_ms", sa.BigInteger(), nullable=True),
        sa.Column("applied_settings", sa.Text(), nullable=False),
        sa.Column("remaining_nanos", sa.BigInteger(), nullable=False),
        sa.Column("held_nanos", sa.BigInteger(), nullable=False),
        sa.Column("recharge_below_nanos", sa.BigInteger(), nullable=True),
        sa.Column("day", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account_id"),
    )
    op.create_index(
        "accounts_pending",
        "accounts",
        ["account_id"],
        unique=False,
        sqlite_where=sa.text("recorded_op > applied_op"),
        postgresql_where=sa.text("recorded_op > applied_op"),
    )


def _create_operations() -> None:
    op.create_table(
        "operations",
        sa.Column("account_id", sa.String(length=128), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("request_id", sa.String(length=160), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("recorded_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "seq"),
        sa.UniqueConstraint("account_id", "request_id", name="operations_request"),
    )


def _create_entries() -> None:
    op.create_table(
        "entries",
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("account_id", sa.String(length=128), nullable=False),
        sa.Column("request_id", sa.String(length=160), nullable=True),
        sa.Column("duplicate_of", sa.String(length=64), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("occurred_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("usage_day", sa.BigInteger(), nullable=False),
        sa.Column("amount_nanos", sa.BigInteger(), nullable=False),
        sa.Column("balance_nanos", sa.BigInteger(), nullable=False),
        sa.Column("held_nanos", sa.BigInteger(), nullable=False),
        sa.Column("shortfall_nanos", sa.BigInteger(), nullable=False),
        sa.Column("grace_nanos", sa.BigInteger(), nullable=False),
        sa.Column("burned", sa.Text(), nullable=False),
        sa.Column("overage_nanos", sa.BigInteger(), nullable=False),
        sa.Column("hold_id", sa.String(length=128), nullable=False),
        sa.Column("model", sa.String(length=256), nullable=False),
        sa.Column("price_version", sa.String(length=32), nullable=False),
        sa.Column("usage_lines", sa.Text(), nullable=False),
        sa.Column("dimensions", sa.Text(), nullable=False),
        sa.Column("traffic_class", sa.String(length=128), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("incurred", sa.Boolean(), nullable=False),
        sa.Column("effect", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("shard", "epoch", "seq"),
        sa.UniqueConstraint("account_id", "request_id", name="entries_request"),
    )
    op.create_index("entries_history", "entries", ["account_id", "epoch", "seq"], unique=False)


def _create_usage(name: str) -> None:
    op.create_table(
        name,
        sa.Column("account_id", sa.String(length=128), nullable=False),
        sa.Column("start_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("model", sa.String(length=256), nullable=False),
        sa.Column("unit", sa.String(length=64), nullable=False),
        sa.Column("dimension", sa.String(length=64), nullable=False),
        sa.Column("value", sa.String(length=256), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("amount_nanos", sa.BigInteger(), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "start_ms", "model", "unit", "dimension", "value"),
        sqlite_with_rowid=False,
    )


def _create_grants() -> None:
    op.create_table(
        "grants",
        sa.Column("grant_id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=128), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("request_id", sa.String(length=160), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("amount_nanos", sa.BigInteger(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("effective_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("pays_debt", sa.Boolean(), nullable=False),
        sa.Column("non_refundable", sa.Boolean(), nullable=False),
        sa.Column("create_time_ms", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("left_nanos", sa.BigInteger(), nullable=False),
        sa.Column("held_nanos", sa.BigInteger(), nullable=False),
        sa.Column("spent_nanos", sa.BigInteger(), nullable=False),
        sa.Column("expired_nanos", sa.BigInteger(), nullable=False),
        sa.Column("voided_nanos", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("grant_id"),
    )
    op.create_index("grants_number", "grants", ["account_id", "number"], unique=True)
    op.create_index(op.f("ix_grants_account_id"), "grants", ["account_id"], unique=False)
    is_live = sa.text("state = 'LIVE'")
    op.create_index(
        "grants_expiring",
        "grants",
        ["expires_at_ms"],
        unique=False,
        sqlite_where=is_live,
        postgresql_where=is_live,
    )


def _create_holds() -> None:
    op.create_table(
        "open_holds",
        sa.Column("account_id", sa.String(length=128), nullable=False),
        sa.Column("hold_id", sa.String(length=128), nullable=False),
        sa.Column("amount_nanos", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("authorized_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("pins", sa.Text(), nullable=False),
        sa.Column("budgets", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "hold_id"),
    )


def _create_budgets() -> None:
    op.create_table(
        "budgets",
        sa.Column("account_id", sa.String(length=128), nullable=False),
        sa.Column("budget_id", sa.String(length=64), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("period", sa.String(length=16), nullable=False),
        sa.Column("hard", sa.Boolean(), nullable=False),
        sa.Column("limit_nanos", sa.BigInteger(), nullable=False),
        sa.Column("thresholds", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "budget_id"),
    )
    op.create_table(
        "applied_budgets",
        sa.Column("account_id", sa.String(length=128), nullable=False),
        sa.Column("budget_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("period", sa.String(length=16), nullable=False),
        sa.Column("hard", sa.Boolean(), nullable=False),
        sa.Column("limit_nanos", sa.BigInteger(), nullable=False),
        sa.Column("levels", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "budget_id"),
    )
    op.create_table(
        "budget_windows",
        sa.Column("account_id", sa.String(length=128), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("start_hour", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("used_nanos", sa.BigInteger(), nullable=False),
        sa.Column("held_nanos", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "number", "start_hour", "value"),
    )


def _create_events() -> None:
    op.create_table(
        "events",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.String(length=40), nullable=False),
        sa.Column("once_key", sa.Text(), nullable=False),
        sa.Column("account_id", sa.String(length=128), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("occurred_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("event_id"),
        sa.UniqueConstraint("once_key"),
    )
    op.create_index("events_history", "events", ["account_id", "number"], unique=False)


def _create_price_versions() -> None:
    op.create_table(
        "price_versions",
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("model", sa.String(length=256), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("recorded_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version"),
    )


def _create_invoices() -> None:
    op.create_table(
        "invoices",
        sa.Column("invoice_number", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=128), nullable=False),
        sa.Column("period_start_ms", sa.BigInteger(), nullable=False),
        sa.Column("period_end_ms", sa.BigInteger(), nullable=False),
        sa.Column("total_nanos", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("invoice_number"),
    )
    op.create_index(
        "invoices_period",
        "invoices",
        ["account_id", "period_start_ms", "period_end_ms"],
        unique=False,
    )
    op.create_table(
        "invoice_lines",
        sa.Column("invoice_number", sa.String(length=32), nullable=False),
        sa.Column("line", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("model", sa.String(length=256), nullable=False),
        sa.Column("unit", sa.String(length=64), nullable=False),
        sa.Column("price_version", sa.String(length=32), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("amount_nanos", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("invoice_number", "line"),
    )


def _create_top_ups() -> None:
    op.create_table(
        "top_ups",
        sa.Column("top_up_id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=128), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("amount_nanos", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("payment_reference", sa.String(length=128), nullable=False),
        sa.Column("payment_method", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("non_refundable", sa.Boolean(), nullable=False),
        sa.Column("grant_id", sa.String(length=64), nullable=False),
        sa.Column("create_time_ms", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("refunded_nanos", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("top_up_id"),
        sa.UniqueConstraint("payment_reference", "account_id", name="top_ups_payment"),
        sa.UniqueConstraint("account_id", "request_id", name="top_ups_request"),
    )
    op.create_index(
        "top_ups_newest", "top_ups", ["account_id", "create_time_ms", "top_up_id"], unique=False
    )


def _create_vouchers() -> None:
    op.create_table(
        "voucher_batches",
        sa.Column("batch_id", sa.String(length=64), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=True),
        sa.Column("amount_nanos", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("credits_live_ms", sa.BigInteger(), nullable=False),
        sa.Column("codes", sa.Integer(), nullable=False),
        sa.Column("uses_per_code", sa.Integer(), nullable=False),
        sa.Column("uses_per_account", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("create_time_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("batch_id"),
        sa.UniqueConstraint("request_id"),
    )
    op.create_table(
        "voucher_codes",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("batch_id", sa.String(length=64), nullable=False),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index(op.f("ix_voucher_codes_batch_id"), "voucher_codes", ["batch_id"], unique=False)


def _create_redemptions() -> None:
    op.create_table(
        "voucher_redemptions",
        sa.Column("account_id", sa.String(length=128), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("redeemed_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "request_id"),
    )
    op.create_index(
        op.f("ix_voucher_redemptions_digest"), "voucher_redemptions", ["digest"], unique=False
    )
    op.create_table(
        "voucher_guesses",
        sa.Column("account_id", sa.String(length=128), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("paused_until_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id"),
    )
