"""Defines the tables of what is sent: webhooks, their deliveries, and mails.

Events, which deliveries are about, stand in `schema.py`.
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

from meter.database.payments_schema import metadata

__all__ = [
    "event_followers",
    "mails",
    "metadata",  # of all tables, those of the other modules too
    "webhook_deliveries",
    "webhook_endpoints",
]
from meter.database.columns import key_column, required

_WAITING = text("state = 'WAITING'")
_QUEUED = text("state = 'QUEUED'")

# How far each follower of the events has come. The lock of its row leaves one process at a time.
event_followers = Table(
    "event_followers",
    metadata,
    key_column("name", String(32)),
    required("number", BigInteger),  # of the last event that was followed
)

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    key_column("endpoint_id", String(40)),
    required("account_id", String(128)),  # empty: the operator's, of all accounts
    required("request_id", String(160)),
    required("fingerprint", String(64)),  # of what the request asked for
    required("url", Text),
    required("types", Text),  # JSON: a list; empty: all
    required("status", String(16)),  # ENABLED or DISABLED
    required("disabled_reason", Text),
    required("secret_version", Integer),  # from which the secret is computed
    Column("old_secret_until_ms", BigInteger),  # until when the version before signs too
    Column("failing_since_ms", BigInteger),  # null: the last attempt succeeded, or there was none
    required("times_out", Boolean),  # the last attempt had no answer in time
    # Events up to this number need no delivery: recorded before the endpoint wanted what it wants
    # now, or so old that their deliveries were removed.
    required("since_number", BigInteger),
    required("create_time_ms", BigInteger),
    UniqueConstraint("account_id", "request_id", name="webhook_endpoints_request"),
)

# One row for an endpoint and an event that the endpoint wants.
webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    key_column("endpoint_id", String(40)),
    key_column("number", BigInteger),  # of the event
    required("state", String(16)),  # WAITING, DELIVERED or GIVEN_UP
    required("attempts", Integer),
    required("next_ms", BigInteger),  # when the next attempt is due
    # Who is at it: a result counts only under the token. Empty: nobody.
    required("lease_token", String(32)),
    required("lease_until_ms", BigInteger),
    required("last_status", Integer),  # 0: none
    required("last_error", Text),
    Column("delivered_at_ms", BigInteger),
    Index(
        "webhook_deliveries_waiting",
        "next_ms",
        sqlite_where=_WAITING,
        postgresql_where=_WAITING,
    ),
)

# Mails, each once for what it tells and whom.
mails = Table(
    "mails",
    metadata,
    key_column("mail_id", String(40)),
    Column("once_key", Text, nullable=False, unique=True),
    required("account_id", String(128)),  # empty: the operator's
    required("number", BigInteger),  # of the event; 0: none
    required("type", String(64)),  # of the event; else mail.test or mail.limit
    required("recipient", String(254)),
    required("state", String(16)),  # QUEUED, SENT, UNDELIVERABLE or SUPPRESSED
    required("attempts", Integer),
    required("next_ms", BigInteger),  # when the next attempt is due
    required("lease_token", String(32)),  # as those of webhook_deliveries
    required("lease_until_ms", BigInteger),
    required("reply", Text),  # the mail server's last
    required("queued_at_ms", BigInteger),
    Column("sent_at_ms", BigInteger),
    Index("mails_history", "account_id", "queued_at_ms"),
    Index("mails_queued", "next_ms", sqlite_where=_QUEUED, postgresql_where=_QUEUED),
)
