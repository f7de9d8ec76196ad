"""Makes a delivery of each event for each endpoint that wants the event, and a mail for each person
who is to be told: exactly once.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select

from meter.database.engine import Ledger, insert_or_ignore
from meter.database.notifications_schema import webhook_deliveries
from meter.database.schema import events
from meter.notifications.endpoints import EndpointRow, enabled_endpoints
from meter.notifications.followers import (
    WEBHOOKS,
    followed_number,
    lock_follower,
    move_follower,
)
from meter.notifications.mails import MailRules, queue_mails

_BATCH = 200  # bounds how long the other writers of an SQLite ledger wait


def fan_out(ledger: Ledger, rules: MailRules, now_ms: int) -> int:
    """Makes deliveries and mails of the next events, and returns how many events were followed.

    They and the number of the last event are written in one transaction.
    """
    if not _has_new(ledger):
        return 0
    with ledger.write() as connection:
        number = lock_follower(connection, WEBHOOKS)
        found = _events_behind(connection, number)
        if not found:
            return 0
        endpoints = enabled_endpoints(connection)
        insert_or_ignore(connection, webhook_deliveries, _rows(found, endpoints, now_ms))
        queue_mails(connection, found, rules, now_ms)
        move_follower(connection, WEBHOOKS, found[-1].number)
        return len(found)


def new_delivery(endpoint_id: str, number: int, now_ms: int) -> dict[str, object]:
    """Returns the row of a delivery that was not tried yet."""
    return {
        "endpoint_id": endpoint_id,
        "number": number,
        "state": "WAITING",
        "attempts": 0,
        "next_ms": now_ms,
        "lease_token": "",
        "lease_until_ms": 0,
        "last_status": 0,
        "last_error": "",
        "delivered_at_ms": None,
    }


def _has_new(ledger: Ledger) -> bool:
    """Says whether there are events to follow, without a lock in the way of others."""
    with ledger.read() as connection:
        newest = connection.scalar(select(func.max(events.c.number))) or 0
        return followed_number(connection, WEBHOOKS) != newest


def _events_behind(connection: Connection, number: int) -> Sequence[Row[Any]]:
    query = select(events).where(events.c.number > number).order_by(events.c.number)
    return connection.execute(query.limit(_BATCH)).all()


def _rows(
    found: Iterable[Row[Any]],
    endpoints: Sequence[EndpointRow],
    now_ms: int,
) -> Iterator[dict[str, object]]:
    for event in found:
        data = json.loads(event.data)
        for endpoint in endpoints:
            if endpoint.wants(event.account_id, event.type, data):
                yield new_delivery(endpoint.endpoint_id, event.number, now_ms)
