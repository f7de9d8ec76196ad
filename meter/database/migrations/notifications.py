"""Creates the tables of meter/database/notifications_schema.py."""

import sqlalchemy as sa
from alembic import op


def create_notifications() -> None:
    op.create_table(
        "event_followers",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    _create_endpoints()
    _create_deliveries()
    _create_mails()


def _create_endpoints() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("endpoint_id", sa.String(length=40), nullable=False),
        sa.Column("account_id", sa.String(length=128), nullable=False),
        sa.Column("request_id", sa.String(length=160), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("types", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("disabled_reason", sa.Text(), nullable=False),
        sa.Column("secret_version", sa.Integer(), nullable=False),
        sa.Column("old_secret_until_ms", sa.BigInteger(), nullable=True),
        sa.Column("failing_since_ms", sa.BigInteger(), nullable=True),
        sa.Column("times_out", sa.Boolean(), nullable=False),
        sa.Column("since_number", sa.BigInteger(), nullable=False),
        sa.Column("create_time_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint_id"),
        sa.UniqueConstraint("account_id", "request_id", name="webhook_endpoints_request"),
    )


def _create_deliveries() -> None:
    waiting = sa.text("state = 'WAITING'")
    op.create_table(
        "webhook_deliveries",
        sa.Column("endpoint_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_ms", sa.BigInteger(), nullable=False),
        sa.Column("lease_token", sa.String(length=32), nullable=False),
        sa.Column("lease_until_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_status", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("delivered_at_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("endpoint_id", "number"),
    )
    op.create_index(
        "webhook_deliveries_waiting",
        "webhook_deliveries",
        ["next_ms"],
        unique=False,
        sqlite_where=waiting,
        postgresql_where=waiting,
    )


def _create_mails() -> None:
    queued = sa.text("state = 'QUEUED'")
    op.create_table(
        "mails",
        sa.Column("mail_id", sa.String(length=40), nullable=False),
        sa.Column("once_key", sa.Text(), nullable=False),
        sa.Column("account_id", sa.String(length=128), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("recipient", sa.String(length=254), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_ms", sa.BigInteger(), nullable=False),
        sa.Column("lease_token", sa.String(length=32), nullable=False),
        sa.Column("lease_until_ms", sa.BigInteger(), nullable=False),
        sa.Column("reply", sa.Text(), nullable=False),
        sa.Column("queued_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("sent_at_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("mail_id"),
        sa.UniqueConstraint("once_key"),
    )
    op.create_index("mails_history", "mails", ["account_id", "queued_at_ms"], unique=False)
    op.create_index(
        "mails_queued",
        "mails",
        ["next_ms"],
        unique=False,
        sqlite_where=queued,
        postgresql_where=queued,
    )
