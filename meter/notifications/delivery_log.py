"""Lists deliveries, sends them again, and removes old ones."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, delete, func, select, update

from meter.database.engine import Ledger, upsert
from meter.database.notifications_schema import webhook_deliveries, webhook_endpoints
from meter.database.schema import events
from meter.errors import FailedPrecondition, NotFound
from meter.ledger.event_types import of_types
from meter.notifications.deliveries import DELIVERED, WAITING
from meter.notifications.endpoints import ENABLED, EndpointRow, find_endpoint
from meter.notifications.fan_out import new_delivery
from meter.notifications.followers import WEBHOOKS, lock_follower

MAX_RESENT = 10_000
_TABLE = webhook_deliveries.c


class Resent(NamedTuple):
    """Says how many deliveries are sent again, and whether there are more since that time."""

    sent: int
    more: bool


class DeliveryLog:
    """Reads and resets deliveries. Any of the methods may raise LedgerUnavailable or NotFound."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def list(
        self,
        endpoint_id: str,
        state: str,
        before: int | None,
        limit: int,
    ) -> Sequence[Row[Any]]:
        """Returns up to `limit` deliveries with their events, newest event first.

        An empty `state` stands for any; with `before`, only events with lower numbers.
        """
        query = _select_newest(endpoint_id, state, before).limit(limit)
        with self._ledger.read() as connection:
            find_endpoint(connection, endpoint_id)
            return connection.execute(query).all()

    def resend_event(self, endpoint_id: str, event_id: str, now_ms: int) -> Resent:
        """Has an event sent again, whatever became of its delivery."""
        with self._ledger.write() as connection:
            endpoint, _ = _lock(connection, endpoint_id)
            query = _select_events(endpoint).where(events.c.event_id == event_id)
            number = connection.scalar(query)
            if number is None:
                message = f"event_id: endpoint {endpoint_id} has no event {event_id}"
                raise NotFound("EVENT_NOT_FOUND", message, "event_id")
            _reset(connection, endpoint_id, [number], now_ms)
            return Resent(1, more=False)

    def resend_since(self, endpoint_id: str, since_ms: int, now_ms: int) -> Resent:
        """Has all events sent again that were recorded since, and wanted, but not delivered."""
        with self._ledger.write() as connection:
            endpoint, last_number = _lock(connection, endpoint_id)
            query = _select_missed(endpoint, since_ms, last_number).limit(MAX_RESENT + 1)
            numbers = connection.scalars(query).all()
            _reset(connection, endpoint_id, numbers[:MAX_RESENT], now_ms)
            return Resent(len(numbers[:MAX_RESENT]), more=len(numbers) > MAX_RESENT)

    def remove_old(self, before_ms: int) -> None:
        """Removes deliveries that have ended, of events recorded before that time."""
        query = select(func.max(events.c.number)).where(events.c.recorded_at_ms < before_ms)
        with self._ledger.read() as connection:
            number = connection.scalar(query)
        if number is None:
            return
        with self._ledger.write() as connection:
            lock_follower(connection, WEBHOOKS)
            ended = (_TABLE.number <= number, _TABLE.state != WAITING)
            connection.execute(delete(webhook_deliveries).where(*ended))
            older = webhook_endpoints.c.since_number < number
            connection.execute(update(webhook_endpoints).where(older).values(since_number=number))


def _lock(connection: Connection, endpoint_id: str) -> tuple[EndpointRow, int]:
    """Returns the endpoint, which must be enabled, and the number of the last event followed."""
    number = lock_follower(connection, WEBHOOKS)
    endpoint = find_endpoint(connection, endpoint_id, for_update=True)
    if endpoint.status != ENABLED:
        message = f"endpoint_id: {endpoint_id} is disabled; enable it with UpdateEndpoint"
        raise FailedPrecondition("ENDPOINT_DISABLED", message, "endpoint_id")
    return endpoint, number


def _select_newest(endpoint_id: str, state: str, before: int | None) -> Select[Any]:
    query = (
        select(webhook_deliveries, events.c.event_id, events.c.type)
        .join(events, events.c.number == _TABLE.number)
        .where(_TABLE.endpoint_id == endpoint_id)
        .order_by(_TABLE.number.desc())
    )
    if state:
        query = query.where(_TABLE.state == state)
    if before is not None:
        query = query.where(_TABLE.number < before)
    return query


def _select_events(endpoint: EndpointRow) -> Select[Any]:
    """Selects the numbers of the events that the endpoint may be sent."""
    query = select(events.c.number)
    if endpoint.account_id:
        query = query.where(events.c.account_id == endpoint.account_id)
    return query


def _select_missed(
    endpoint: EndpointRow,
    since_ms: int,
    last_number: int,
) -> Select[Any]:
    done = select(_TABLE.number).where(
        _TABLE.endpoint_id == endpoint.endpoint_id,
        _TABLE.state.in_((DELIVERED, WAITING)),
    )
    query = _select_events(endpoint).where(
        events.c.recorded_at_ms >= since_ms,
        events.c.number <= last_number,
        events.c.number.not_in(done),
    )
    if endpoint.types:
        query = query.where(of_types(events.c.type, endpoint.types))
    return query.order_by(events.c.number)


def _reset(
    connection: Connection,
    endpoint_id: str,
    numbers: Sequence[int],
    now_ms: int,
) -> None:
    """Makes the deliveries as new, whether or not there were such deliveries."""
    insert = upsert(connection.dialect.name, webhook_deliveries)
    new = {column.name: insert.excluded[column.name] for column in _TABLE}
    statement = insert.on_conflict_do_update(index_elements=["endpoint_id", "number"], set_=new)
    rows = [new_delivery(endpoint_id, number, now_ms) for number in numbers]
    if rows:
        connection.execute(statement, rows)
