"""The tables of money that comes in."""

import sqlalchemy as sa
from alembic import op


def create_payments() -> None:
    for create in (
        _create_customers,
        _create_payment_methods,
        _create_method_setups,
        _create_payments,
        _create_payment_attempts,
        _create_auto_recharges,
        _create_recharges,
        _create_recharge_wants,
        _create_reversals,
        _create_provider_hints,
        _create_provider_cursors,
        _create_test_objects,
    ):
        create()


def _create_customers() -> None:
    op.create_table(
        "customers",
        sa.Column("provider", sa.String(length=16), autoincrement=False, nullable=False),
        sa.Column("account_id", sa.String(length=128), autoincrement=False, nullable=False),
        sa.Column("customer_ref", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("provider", "account_id"),
        sa.UniqueConstraint("provider", "customer_ref", name="customers_ref"),
    )


def _create_payment_methods() -> None:
    op.create_table(
        "payment_methods",
        sa.Column("method_id", sa.String(length=64), autoincrement=False, nullable=False),
        sa.Column("account_id", sa.String(length=128), nullable=False),
        sa.Column("provider", sa.String(length=16), nullable=False),
        sa.Column("method_ref", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("brand", sa.String(length=32), nullable=False),
        sa.Column("last4", sa.String(length=8), nullable=False),
        sa.Column("holder", sa.String(length=255), nullable=False),
        sa.Column("exp_month", sa.Integer(), nullable=False),
        sa.Column("exp_year", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("is_removed", sa.Boolean(), nullable=False),
        sa.Column("added_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("method_id"),
        sa.UniqueConstraint("provider", "method_ref", name="payment_methods_ref"),
    )
    op.create_index(
        "payment_methods_default",
        "payment_methods",
        ["account_id"],
        unique=True,
        sqlite_where=sa.text("is_default"),
        postgresql_where=sa.text("is_default"),
    )
    op.create_index(
        "payment_methods_list", "payment_methods", ["account_id", "added_at_ms"], unique=False
    )


def _create_method_setups() -> None:
    op.create_table(
        "method_setups",
        sa.Column("setup_id", sa.String(length=64), autoincrement=False, nullable=False),
        sa.Column("account_id", sa.String(length=128), nullable=False),
        sa.Column("provider", sa.String(length=16), nullable=False),
        sa.Column("setup_ref", sa.String(length=255), nullable=False),
        sa.Column("make_default", sa.Boolean(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("setup_id"),
    )
    op.create_index("method_setups_open", "method_setups", ["account_id", "is_open"], unique=False)


def _create_payments() -> None:
    op.create_table(
        "payments",
        sa.Column("payment_id", sa.String(length=64), autoincrement=False, nullable=False),
        sa.Column("account_id", sa.String(length=128), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("subject_id", sa.String(length=64), nullable=False),
        sa.Column("provider", sa.String(length=16), nullable=False),
        sa.Column("payment_ref", sa.String(length=255), nullable=False),
        sa.Column("hosted", sa.Boolean(), nullable=False),
        sa.Column("method_id", sa.String(length=64), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("cancel_wanted", sa.Boolean(), nullable=False),
        sa.Column("failure_class", sa.String(length=16), nullable=False),
        sa.Column("failure_code", sa.String(length=64), nullable=False),
        sa.Column("failure_text", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("declines", sa.Integer(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=True),
        sa.Column("troubles", sa.Integer(), nullable=False),
        sa.Column("action_expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("received_minor", sa.BigInteger(), nullable=False),
        sa.Column("create_time_ms", sa.BigInteger(), nullable=False),
        sa.Column("settled_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("lease_token", sa.String(length=64), nullable=False),
        sa.Column("lease_until_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("payment_id"),
        sa.UniqueConstraint("purpose", "subject_id", name="payments_subject"),
    )
    op.create_index(
        "payments_due",
        "payments",
        ["due_ms"],
        unique=False,
        sqlite_where=sa.text("due_ms IS NOT NULL"),
        postgresql_where=sa.text("due_ms IS NOT NULL"),
    )
    op.create_index(
        "payments_newest", "payments", ["account_id", "create_time_ms", "payment_id"], unique=False
    )
    op.create_index("payments_ref", "payments", ["provider", "payment_ref"], unique=False)


def _create_payment_attempts() -> None:
    op.create_table(
        "payment_attempts",
        sa.Column("payment_id", sa.String(length=64), autoincrement=False, nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("method_id", sa.String(length=64), nullable=False),
        sa.Column("off_session", sa.Boolean(), nullable=False),
        sa.Column("idempotency_key", sa.String(length=128), nullable=False),
        sa.Column("charge_before", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("started_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("payment_id", "attempt"),
        sa.UniqueConstraint("idempotency_key", name="payment_attempts_key"),
    )


def _create_auto_recharges() -> None:
    op.create_table(
        "auto_recharges",
        sa.Column("account_id", sa.String(length=128), autoincrement=False, nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("threshold_nanos", sa.BigInteger(), nullable=False),
        sa.Column("amount_nanos", sa.BigInteger(), nullable=True),
        sa.Column("target_nanos", sa.BigInteger(), nullable=True),
        sa.Column("monthly_limit_nanos", sa.BigInteger(), nullable=True),
        sa.Column("method_id", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("suspended_fingerprint", sa.String(length=64), nullable=False),
        sa.Column("retry_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("set_by", sa.String(length=128), nullable=False),
        sa.Column("set_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id"),
    )
    op.create_index(
        "auto_recharges_retry", "auto_recharges", ["state", "retry_at_ms"], unique=False
    )


def _create_recharges() -> None:
    op.create_table(
        "recharges",
        sa.Column("recharge_id", sa.String(length=64), autoincrement=False, nullable=False),
        sa.Column("account_id", sa.String(length=128), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("remaining_nanos", sa.BigInteger(), nullable=False),
        sa.Column("amount_nanos", sa.BigInteger(), nullable=False),
        sa.Column("top_up_id", sa.String(length=64), nullable=False),
        sa.Column("payment_id", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("opened_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("closed_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("recharge_id"),
        sa.UniqueConstraint("payment_id", name="recharges_payment"),
    )
    op.create_index(
        "recharges_newest", "recharges", ["account_id", "opened_at_ms", "recharge_id"], unique=False
    )
    op.create_index(
        "recharges_open",
        "recharges",
        ["account_id"],
        unique=True,
        sqlite_where=sa.text("state = 'OPEN'"),
        postgresql_where=sa.text("state = 'OPEN'"),
    )


def _create_recharge_wants() -> None:
    op.create_table(
        "recharge_wants",
        sa.Column("account_id", sa.String(length=128), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id"),
    )


def _create_reversals() -> None:
    op.create_table(
        "reversals",
        sa.Column("reversal_id", sa.String(length=64), autoincrement=False, nullable=False),
        sa.Column("account_id", sa.String(length=128), nullable=False),
        sa.Column("payment_id", sa.String(length=64), nullable=False),
        sa.Column("top_up_id", sa.String(length=64), nullable=False),
        sa.Column("request_id", sa.String(length=160), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("grant_id", sa.String(length=64), nullable=False),
        sa.Column("target_nanos", sa.BigInteger(), nullable=False),
        sa.Column("voided_nanos", sa.BigInteger(), nullable=False),
        sa.Column("regranted_nanos", sa.BigInteger(), nullable=False),
        sa.Column("paid_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("voiding", sa.String(length=160), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=True),
        sa.Column("troubles", sa.Integer(), nullable=False),
        sa.Column("create_time_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("reversal_id"),
        sa.UniqueConstraint("account_id", "request_id", name="reversals_request"),
    )
    op.create_index(
        "reversals_due",
        "reversals",
        ["due_ms"],
        unique=False,
        sqlite_where=sa.text("due_ms IS NOT NULL"),
        postgresql_where=sa.text("due_ms IS NOT NULL"),
    )
    op.create_index("reversals_payment", "reversals", ["payment_id"], unique=False)


def _create_provider_hints() -> None:
    op.create_table(
        "provider_hints",
        sa.Column("provider", sa.String(length=16), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.String(length=255), autoincrement=False, nullable=False),
        sa.Column("refs", sa.Text(), nullable=False),
        sa.Column("received_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("provider", "event_id"),
    )
    op.create_index(
        "provider_hints_due",
        "provider_hints",
        ["due_ms"],
        unique=False,
        sqlite_where=sa.text("due_ms IS NOT NULL"),
        postgresql_where=sa.text("due_ms IS NOT NULL"),
    )


def _create_provider_cursors() -> None:
    op.create_table(
        "provider_cursors",
        sa.Column("provider", sa.String(length=16), autoincrement=False, nullable=False),
        sa.Column("cursor", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("provider"),
    )


def _create_test_objects() -> None:
    op.create_table(
        "test_objects",
        sa.Column("ref", sa.String(length=255), autoincrement=False, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("ref"),
    )
