"""Sends one mail: makes the message, hands the message to the mail server, records the answer."""

from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from meter.notifications.mail_templates import MailTemplates
from meter.notifications.mails import ClaimedMail, Mails
from meter.notifications.metrics import NotificationMetrics
from meter.notifications.smtp import SmtpClient
from meter.times import timestamp


@dataclass(frozen=True, slots=True)
class MailSender:
    """Sends mails from the operator's address."""

    client: SmtpClient
    templates: MailTemplates
    mails: Mails
    metrics: NotificationMetrics
    mail_from: str
    clock: Callable[[], int]  # the present time in ms

    def send(self, claimed: ClaimedMail) -> None:
        """Attempts to send a mail, and records what came of it."""
        reply = self.client.send(self.message(claimed))
        outcome = self.mails.record(claimed, reply, self.clock())
        if outcome:
            self.metrics.mails.labels(outcome.lower()).inc()

    def message(self, claimed: ClaimedMail) -> EmailMessage:
        """Returns the message: the same one on every attempt, by its Message-ID."""
        mail = claimed.mail
        occurred_at = timestamp(claimed.occurred_at_ms).ToDatetime()
        values = {
            "type": mail.type,
            "account_id": mail.account_id,
            "currency": claimed.currency,
            "occurred_at": occurred_at.isoformat(sep=" ", timespec="seconds"),
            "data": claimed.data,
        }
        content = self.templates.render(mail.type, values)
        message = EmailMessage(policy=SMTP)
        message["From"] = self.mail_from
        message["To"] = mail.recipient
        message["Subject"] = content.subject
        message["Message-ID"] = f"<{mail.mail_id}@{_host_of(self.mail_from)}>"
        message["Date"] = format_datetime(timestamp(mail.queued_at_ms).ToDatetime())
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(content.text)
        if content.html:
            message.add_alternative(content.html, subtype="html")
        return message


def _host_of(address: str) -> str:
    return address.rpartition("@")[2].rstrip(">")
