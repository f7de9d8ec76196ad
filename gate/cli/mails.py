"""Commands to list mails, send them again, and try the mail server."""

from typing import Annotated

import typer
from rich.table import Table

from gate.cli.command_group import add_group
from gate.cli.connection import TIMEOUT_S, AsJson, notifications_service, when
from gate.cli.options import Limit, OnlyAccount, PageToken
from gate.cli.output import enum_text, print_page, print_reply
from meter.v1.notifications_pb2 import (
    ListMailsRequest,
    ListMailsResponse,
    Mail,
    MailState,
    ResendMailRequest,
    SendTestMailRequest,
)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    add_group(
        app,
        "mail",
        "Mails about events: list them, send them again, try the mail server.",
        {
            "list": list_mails,
            "resend": resend,
            "test": send_test,
        },
    )


def list_mails(
    account_id: OnlyAccount = "",
    limit: Limit = 50,
    page_token: PageToken = "",
    as_json: AsJson = False,
) -> None:
    """List mails, newest first, and what became of them."""
    request = ListMailsRequest(
        account_id=account_id,
        page_size=limit,
        page_token=page_token,
    )
    with notifications_service() as call:
        page = call.ListMails(request, timeout=TIMEOUT_S)
    print_page(page, as_json, _mails_table)


def resend(
    mail_id: Annotated[str, typer.Argument(metavar="MAIL", help="Mail id.")],
    as_json: AsJson = False,
) -> None:
    """Send a mail again, whatever became of it."""
    with notifications_service() as call:
        mail = call.ResendMail(ResendMailRequest(mail_id=mail_id), timeout=TIMEOUT_S)
    print_reply(mail, as_json, _mail_text)


def send_test(
    recipient: Annotated[str, typer.Argument(metavar="RECIPIENT", help="NAME@HOST.")],
    as_json: AsJson = False,
) -> None:
    """Send a test mail; `creditgate mail list` tells what became of it."""
    with notifications_service() as call:
        mail = call.SendTestMail(SendTestMailRequest(recipient=recipient), timeout=TIMEOUT_S)
    print_reply(mail, as_json, _mail_text)


def _mail_text(mail: Mail) -> str:
    state = enum_text(MailState, mail.state)
    return f"mail {mail.mail_id} to {mail.recipient}: {state}"


def _mails_table(page: ListMailsResponse) -> Table:
    table = Table("when (UTC)", "mail", "account", "about", "to", "state", "reply", box=None)
    for mail in page.mails:
        table.add_row(
            when(mail.queued_at),
            mail.mail_id,
            mail.account_id,
            mail.type,
            mail.recipient,
            enum_text(MailState, mail.state),
            mail.reply[:60],
        )
    return table
