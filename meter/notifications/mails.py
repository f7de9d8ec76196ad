"""Keeps the mails: whom each is for, who is at which, and what came of each."""

import json
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, func, select, tuple_, update

from meter.database.engine import Ledger, insert_or_ignore
from meter.database.notifications_schema import mails
from meter.database.schema import accounts, events
from meter.errors import NotFound
from meter.notifications.followers import WEBHOOKS, lock_follower
from meter.notifications.recipients import Contacts, once_key_of, recipients_of
from meter.notifications.retries import MAIL_WAITS_MS, wait_ms
from meter.times import MS_PER_DAY

QUEUED = "QUEUED"
SENT = "SENT"
UNDELIVERABLE = "UNDELIVERABLE"
SUPPRESSED = "SUPPRESSED"
DELAYED = "DELAYED"  # an attempt's outcome, after which another attempt follows

TEST = "mail.test"
LIMIT = "mail.limit"
MOST_A_DAY = 50  # mails of an account; then one that says so, and no more that day
_LEASE_MS = 120_000  # longer than any attempt takes
_MOST_CLAIMED = 4

_TABLE = mails.c


@dataclass(frozen=True, slots=True)
class MailRules:
    """Says whether mails are sent at all, and who the operator is."""

    enabled: bool
    operator: str  # empty: nobody

    @property
    def first_state(self) -> str:
        if self.enabled:
            return QUEUED
        return SUPPRESSED


class SmtpReply(NamedTuple):
    """Tells what a mail server answered; `code` 0 means that there was no answer."""

    code: int
    text: str


class ClaimedMail(NamedTuple):
    """Holds a mail that is ours to send, with the event's data and the account's currency."""

    mail: Row[Any]
    token: str
    data: dict[str, Any]
    occurred_at_ms: int
    currency: str


def queue_mails(
    connection: Connection,
    found: Sequence[Row[Any]],
    rules: MailRules,
    now_ms: int,
) -> None:
    """Queues the mails of the events. A mail that was queued before is not queued again."""
    contacts = _contacts(connection, {event.account_id for event in found})
    for event in found:
        data = json.loads(event.data)
        of_account = contacts.get(event.account_id, Contacts())
        for recipient in recipients_of(event.type, of_account, rules.operator):
            key = once_key_of(
                event.event_id,
                event.account_id,
                event.type,
                event.occurred_at_ms,
                data,
                recipient,
            )
            row = _row(event.account_id, event.number, event.type, recipient, key, rules, now_ms)
            _queue_within_limit(connection, row, rules, now_ms)


def _queue_within_limit(
    connection: Connection,
    row: dict[str, object],
    rules: MailRules,
    now_ms: int,
) -> None:
    account_id = str(row["account_id"])
    day = now_ms // MS_PER_DAY
    if _count_since(connection, account_id, day * MS_PER_DAY) >= MOST_A_DAY:
        recipient = str(row["recipient"])
        key = f"{LIMIT} {account_id} {day} {recipient}"
        row = _row(account_id, 0, LIMIT, recipient, key, rules, now_ms)
    insert_or_ignore(connection, mails, [row])


class Mails:
    """Claims mails and records what came of them. Each may raise LedgerUnavailable."""

    def __init__(self, ledger: Ledger, rules: MailRules, lease_ms: int = _LEASE_MS) -> None:
        self.rules = rules
        self._ledger = ledger
        self._lease_ms = lease_ms
        self._writing = threading.Lock()  # one of our threads at a time waits for the ledger

    def claim(self, now_ms: int) -> list[ClaimedMail]:
        """Returns mails that are due; nobody else sends them meanwhile."""
        query = _select_due(now_ms).limit(_MOST_CLAIMED)
        with self._ledger.read() as connection:
            if connection.execute(query).first() is None:
                return []
        token = uuid.uuid4().hex
        lease = {"lease_token": token, "lease_until_ms": now_ms + self._lease_ms}
        with self._writing, self._ledger.write() as connection:
            lock_follower(connection, WEBHOOKS)
            found = connection.execute(query).all()
            for row in found:
                own = _TABLE.mail_id == row.mail_id
                connection.execute(update(mails).where(own).values(lease))
            return [_claimed(connection, row, token) for row in found]

    def record(self, claimed: ClaimedMail, reply: SmtpReply, now_ms: int) -> str:
        """Records the mail server's answer, and returns SENT, DELAYED or UNDELIVERABLE.

        An empty text: the lease had ended, and nothing is recorded.
        """
        values = _after(claimed.mail.attempts + 1, reply, now_ms)
        ours = (
            _TABLE.mail_id == claimed.mail.mail_id,
            _TABLE.lease_token == claimed.token,
            _TABLE.state == QUEUED,
        )
        with self._writing, self._ledger.write() as connection:
            recorded = connection.execute(update(mails).where(*ours).values(values)).rowcount
        if not recorded:
            return ""
        if values["state"] == QUEUED:
            return DELAYED
        return str(values["state"])

    def queue_test(self, recipient: str, now_ms: int) -> str:
        """Queues a test mail, and returns its id."""
        row = _row("", 0, TEST, recipient, f"{TEST} {uuid.uuid4().hex}", self.rules, now_ms)
        with self._ledger.write() as connection:
            insert_or_ignore(connection, mails, [row])
        return str(row["mail_id"])

    def resend(self, mail_id: str, now_ms: int) -> Row[Any]:
        """Queues a mail again, whatever became of it; raises NotFound."""
        again = {
            "state": self.rules.first_state,
            "attempts": 0,
            "next_ms": now_ms,
            "lease_token": "",
            "lease_until_ms": 0,
            "sent_at_ms": None,
        }
        with self._ledger.write() as connection:
            own = _TABLE.mail_id == mail_id
            connection.execute(update(mails).where(own).values(again))
            row = connection.execute(select(mails).where(own)).first()
        if row is None:
            message = f"mail_id: there is no mail {mail_id}; ListMails tells them"
            raise NotFound("MAIL_NOT_FOUND", message, "mail_id")
        return row

    def get(self, mail_id: str) -> Row[Any]:
        """Returns a mail, which must exist."""
        with self._ledger.read() as connection:
            return connection.execute(select(mails).where(_TABLE.mail_id == mail_id)).one()

    def newest(
        self,
        account_id: str,
        before: tuple[int, str] | None,
        limit: int,
    ) -> Sequence[Row[Any]]:
        """Returns up to `limit` mails, newest first; an empty account stands for all."""
        place = (_TABLE.queued_at_ms, _TABLE.mail_id)
        query = select(mails).order_by(*(column.desc() for column in place)).limit(limit)
        if account_id:
            query = query.where(_TABLE.account_id == account_id)
        if before is not None:
            query = query.where(tuple_(*place) < tuple_(*before))
        with self._ledger.read() as connection:
            return connection.execute(query).all()


def _contacts(connection: Connection, account_ids: set[str]) -> dict[str, Contacts]:
    columns = (accounts.c.account_id, accounts.c.billing_emails, accounts.c.alert_emails)
    query = select(*columns).where(accounts.c.account_id.in_(account_ids))
    found = {}
    for account_id, billing, alert in connection.execute(query):
        found[account_id] = Contacts(json.loads(billing), json.loads(alert))
    return found


def _count_since(connection: Connection, account_id: str, since_ms: int) -> int:
    query = select(func.count()).where(
        _TABLE.account_id == account_id,
        _TABLE.queued_at_ms >= since_ms,
        _TABLE.type != LIMIT,
    )
    return connection.scalar(query) or 0


def _row(
    account_id: str,
    number: int,
    type_: str,
    recipient: str,
    once_key: str,
    rules: MailRules,
    now_ms: int,
) -> dict[str, object]:
    return {
        "mail_id": f"mail_{uuid.uuid4().hex}",
        "once_key": once_key,
        "account_id": account_id,
        "number": number,
        "type": type_,
        "recipient": recipient,
        "state": rules.first_state,
        "attempts": 0,
        "next_ms": now_ms,
        "lease_token": "",
        "lease_until_ms": 0,
        "reply": "",
        "queued_at_ms": now_ms,
        "sent_at_ms": None,
    }


def _select_due(now_ms: int) -> Select[Any]:
    return (
        select(mails)
        .where(
            _TABLE.state == QUEUED,
            _TABLE.next_ms <= now_ms,
            _TABLE.lease_until_ms <= now_ms,
        )
        .order_by(_TABLE.next_ms)
    )


def _claimed(connection: Connection, row: Row[Any], token: str) -> ClaimedMail:
    event = connection.execute(select(events).where(events.c.number == row.number)).first()
    of_account = select(accounts.c.currency).where(accounts.c.account_id == row.account_id)
    currency = connection.scalar(of_account) or ""
    if event is None:
        return ClaimedMail(row, token, {}, row.queued_at_ms, currency)
    return ClaimedMail(row, token, json.loads(event.data), event.occurred_at_ms, currency)


def _after(attempts: int, reply: SmtpReply, now_ms: int) -> dict[str, object]:
    """Returns the columns of a mail after an attempt."""
    values: dict[str, object] = {
        "state": QUEUED,
        "attempts": attempts,
        "lease_token": "",
        "lease_until_ms": 0,
        "reply": f"{reply.code or ''} {reply.text}".strip(),
    }
    if 200 <= reply.code < 300:
        return values | {"state": SENT, "sent_at_ms": now_ms}
    wait = wait_ms(MAIL_WAITS_MS, attempts)
    if reply.code >= 500 or wait is None:
        return values | {"state": UNDELIVERABLE}
    return values | {"next_ms": now_ms + wait}
