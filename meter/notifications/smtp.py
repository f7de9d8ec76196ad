"""Sends a message by SMTP, encrypted unless the server is on this machine."""

import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage

from meter.notifications.mails import SmtpReply
from meter.smtp_server import SmtpServer

_TIMEOUT_S = 15.0
_MAX_REPLY_CHARACTERS = 500
_ACCEPTED = 250


@dataclass(frozen=True, slots=True)
class SmtpClient:
    """Sends to a mail server, one connection for each message."""

    server: SmtpServer
    trust: ssl.SSLContext

    def send(self, message: EmailMessage) -> SmtpReply:
        """Sends the message, and returns the server's answer; never raises.

        Code 0 is for whatever another attempt may heal: no connection, no encryption, no login.
        """
        try:
            with self._connected() as connection:
                connection.send_message(message)
                return SmtpReply(_ACCEPTED, "accepted")
        except smtplib.SMTPRecipientsRefused as error:
            [(code, text)] = error.recipients.values()
            return SmtpReply(code, _told(text))
        except smtplib.SMTPAuthenticationError as error:
            return SmtpReply(
                0, f"the login was refused: {error.smtp_code} {_told(error.smtp_error)}"
            )
        except smtplib.SMTPResponseException as error:
            return SmtpReply(error.smtp_code, _told(error.smtp_error))
        except (OSError, smtplib.SMTPException) as error:
            return SmtpReply(0, _told(str(error)) or type(error).__name__)

    def _connected(self) -> smtplib.SMTP:
        server = self.server
        if server.scheme == "smtps":
            connection: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, timeout=_TIMEOUT_S, context=self.trust
            )
        else:
            connection = smtplib.SMTP(server.host, server.port, timeout=_TIMEOUT_S)
        try:
            if server.scheme == "smtp+starttls":
                connection.starttls(context=self.trust)
            if server.user:
                connection.login(server.user, server.password)
        except BaseException:
            connection.close()
            raise
        return connection


def _told(text: str | bytes) -> str:
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    printable = "".join(each for each in text if each.isprintable())
    return printable[:_MAX_REPLY_CHARACTERS]
