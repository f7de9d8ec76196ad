"""Implements the calls of Notifications that are about mails."""

import asyncio
from collections.abc import Callable
from typing import Any

from sqlalchemy import Row

from meter.emails import check_email
from meter.ids import check_id
from meter.notifications.mails import Mails
from meter.pagination import Page, page_of
from meter.times import optional_timestamp, timestamp
from meter.v1 import notifications_pb2 as pb

_MAIL_PLACE = (int, str)


class MailMethods:
    """Lists mails, and sends them again."""

    def __init__(self, mails: Mails, clock: Callable[[], int]) -> None:
        self._mails = mails
        self._clock = clock

    async def ListMails(self, request: pb.ListMailsRequest) -> pb.ListMailsResponse:
        if request.account_id:
            check_id("account_id", request.account_id)
        page = page_of(request, request.page_size, request.page_token, _MAIL_PLACE)
        rows = await asyncio.to_thread(
            self._mails.newest,
            request.account_id,
            _before(page),
            page.limit,
        )
        mails, token = page.fill(
            rows,
            map(_mail, rows),
            lambda row: (row.queued_at_ms, row.mail_id),
        )
        return pb.ListMailsResponse(mails=mails, next_page_token=token)

    async def ResendMail(self, request: pb.ResendMailRequest) -> pb.Mail:
        check_id("mail_id", request.mail_id)
        row = await asyncio.to_thread(self._mails.resend, request.mail_id, self._clock())
        return _mail(row)

    async def SendTestMail(self, request: pb.SendTestMailRequest) -> pb.Mail:
        check_email("recipient", request.recipient)
        mail_id = await asyncio.to_thread(
            self._mails.queue_test,
            request.recipient,
            self._clock(),
        )
        return _mail(await asyncio.to_thread(self._mails.get, mail_id))


def _before(page: Page) -> tuple[int, str] | None:
    """Returns the place before which the page begins."""
    if page.after is None:
        return None
    queued_at_ms, mail_id = page.after
    return (int(queued_at_ms), str(mail_id))


def _mail(row: Row[Any]) -> pb.Mail:
    return pb.Mail(
        mail_id=row.mail_id,
        account_id=row.account_id,
        type=row.type,
        recipient=row.recipient,
        state=row.state,
        attempts=row.attempts,
        reply=row.reply,
        queued_at=timestamp(row.queued_at_ms),
        sent_at=optional_timestamp(row.sent_at_ms),
    )
