"""The rule of webhooks: each event has one delivery for each enabled endpoint that wants it."""

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from meter.audit.findings import Findings, Invariant
from meter.database.notifications_schema import (
    event_followers,
    webhook_deliveries,
    webhook_endpoints,
)
from meter.database.schema import events
from meter.ledger.event_types import of_types


def check_deliveries(connection: Connection, findings: Findings) -> None:
    """Checks the deliveries of all events that were followed; a delivery is unique by its key."""
    followed = connection.scalar(select(func.max(event_followers.c.number))) or 0
    newest = connection.scalar(select(func.max(events.c.number))) or 0
    if followed > newest:
        detail = f"events were followed up to {followed}, but the last is {newest}"
        findings.add(Invariant.DELIVERIES, detail)
    enabled = select(webhook_endpoints).where(webhook_endpoints.c.status == "ENABLED")
    for endpoint in connection.execute(enabled).all():
        for detail in _missing(connection, endpoint, followed):
            findings.add(Invariant.DELIVERIES, detail, endpoint.account_id)
    for detail in _without_success(connection):
        findings.add(Invariant.DELIVERIES, detail)


def _missing(connection: Connection, endpoint: Row[Any], followed: int) -> Iterator[str]:
    query = _select_without_delivery(endpoint).where(events.c.number <= followed)
    for row in connection.execute(query.limit(Findings.LIMIT)):
        if json.loads(row.data).get("endpoint_id") != endpoint.endpoint_id:
            yield f"endpoint {endpoint.endpoint_id} wants event {row.number}, and has no delivery"


def _select_without_delivery(endpoint: Row[Any]) -> Select[Any]:
    made = select(webhook_deliveries.c.number).where(
        webhook_deliveries.c.endpoint_id == endpoint.endpoint_id
    )
    query = select(events.c.number, events.c.data).where(
        events.c.number > endpoint.since_number,
        events.c.number.not_in(made),
    )
    types = json.loads(endpoint.types)
    if types:
        query = query.where(of_types(events.c.type, types))
    if endpoint.account_id:
        query = query.where(events.c.account_id == endpoint.account_id)
    return query


def _without_success(connection: Connection) -> Iterator[str]:
    """Yields the deliveries that are recorded as delivered, though the answer was none of 2xx."""
    table = webhook_deliveries.c
    is_success = table.last_status.between(200, 299)
    query = select(table.endpoint_id, table.number).where(table.state == "DELIVERED", ~is_success)
    for row in connection.execute(query.limit(Findings.LIMIT)):
        yield f"event {row.number} is delivered to {row.endpoint_id}, whose answer was no success"
