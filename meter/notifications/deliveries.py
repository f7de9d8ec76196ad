"""Keeps the deliveries: who is at which, what came of each, and when the next attempt is due."""

import threading
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select, func, select, update

from meter.database.engine import Ledger
from meter.database.notifications_schema import webhook_deliveries
from meter.database.schema import events
from meter.errors import NotFound
from meter.ledger.events import Event, record_events
from meter.notifications.endpoints import (
    ENABLED,
    EndpointRow,
    disable,
    enabled_endpoints,
    find_endpoint,
    note_health,
)
from meter.notifications.followers import WEBHOOKS, lock_follower
from meter.notifications.pinned_post import Answer
from meter.notifications.retries import WEBHOOK_WAITS_MS, asked_wait_ms, wait_ms
from meter.times import MS_PER_DAY

WAITING = "WAITING"
DELIVERED = "DELIVERED"
GIVEN_UP = "GIVEN_UP"
FAILED = "FAILED"  # an attempt's outcome, after which another attempt follows

_MOST_IN_FLIGHT = 4  # of one endpoint
_MOST_AFTER_TIMEOUT = 1
_LEASE_MS = 60_000  # longer than any attempt takes
_GONE = 410
_TELL_AFTER_MS = MS_PER_DAY
_DISABLE_AFTER_MS = 5 * MS_PER_DAY

_TABLE = webhook_deliveries.c


class Claimed(NamedTuple):
    """Holds a delivery that is ours to attempt, with the event's row."""

    endpoint: EndpointRow
    attempts: int
    token: str
    event: Row[Any]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Says what an attempt came to."""

    state: str
    next_ms: int
    is_delivered: bool


class Deliveries:
    """Claims deliveries, and records what came of them. Each may raise LedgerUnavailable."""

    def __init__(self, ledger: Ledger, lease_ms: int = _LEASE_MS) -> None:
        self._ledger = ledger
        self._lease_ms = lease_ms
        # One of our threads at a time waits for the ledger: on SQLite the flusher waits with them.
        self._writing = threading.Lock()

    def claim(self, now_ms: int, limit: int) -> list[Claimed]:
        """Returns up to `limit` deliveries that are due; nobody else attempts them meanwhile.

        No endpoint has more than four attempts at a time, and one alone after a timeout.
        """
        if not self._has_due(now_ms):
            return []
        with self._writing, self._ledger.write() as connection:
            lock_follower(connection, WEBHOOKS)
            endpoints = {each.endpoint_id: each for each in enabled_endpoints(connection)}
            chosen = list(_chosen(connection, endpoints, now_ms))[:limit]
            token = uuid.uuid4().hex
            lease = {"lease_token": token, "lease_until_ms": now_ms + self._lease_ms}
            claimed = []
            for endpoint_id, number, attempts in chosen:
                connection.execute(_update(endpoint_id, number, lease))
                event = connection.execute(_select_event(number)).one()
                claimed.append(Claimed(endpoints[endpoint_id], attempts, token, event))
            return claimed

    def record(self, claimed: Claimed, answer: Answer, now_ms: int) -> str:
        """Records an attempt's answer, and returns DELIVERED, FAILED or GIVEN_UP.

        An empty text: the lease had ended, and somebody else has the delivery; nothing is recorded.
        """
        outcome = _outcome(claimed, answer, now_ms)
        with self._writing, self._ledger.write() as connection:
            try:
                endpoint = find_endpoint(connection, claimed.endpoint.endpoint_id, for_update=True)
            except NotFound:
                return ""
            if not _store(connection, claimed, answer, outcome, now_ms):
                return ""
            told = [*_note_health(connection, endpoint, answer, outcome, now_ms)]
            record_events(connection, told)
        if outcome.state == WAITING:
            return FAILED
        return outcome.state

    def _has_due(self, now_ms: int) -> bool:
        with self._ledger.read() as connection:
            query = select(_TABLE.number).where(*_is_due(now_ms)).limit(1)
            return connection.scalar(query) is not None


def _is_due(now_ms: int) -> tuple[ColumnElement[bool], ...]:
    return (
        _TABLE.state == WAITING,
        _TABLE.next_ms <= now_ms,
        _TABLE.lease_until_ms <= now_ms,
    )


def _chosen(
    connection: Connection,
    endpoints: Mapping[str, EndpointRow],
    now_ms: int,
) -> Iterator[tuple[str, int, int]]:
    """Yields endpoint, event's number and attempts; of each endpoint first the longest due."""
    in_flight = _in_flight(connection, now_ms)
    for row in connection.execute(_select_due(now_ms)):
        endpoint = endpoints.get(row.endpoint_id)
        if endpoint is None:
            continue
        most = _MOST_IN_FLIGHT
        if endpoint.times_out:
            most = _MOST_AFTER_TIMEOUT
        if in_flight[row.endpoint_id] < most:
            in_flight[row.endpoint_id] += 1
            yield row.endpoint_id, row.number, row.attempts


def _in_flight(connection: Connection, now_ms: int) -> Counter[str]:
    query = (
        select(_TABLE.endpoint_id, func.count())
        .where(_TABLE.state == WAITING, _TABLE.lease_until_ms > now_ms)
        .group_by(_TABLE.endpoint_id)
    )
    return Counter({row.endpoint_id: row[1] for row in connection.execute(query)})


def _select_due(now_ms: int) -> Select[Any]:
    """Selects due deliveries, the first of all endpoints before the second of any.

    An endpoint of which thousands are due thus keeps no other endpoint waiting.
    """
    place = func.row_number().over(
        partition_by=_TABLE.endpoint_id,
        order_by=(_TABLE.next_ms, _TABLE.number),
    )
    columns = (_TABLE.endpoint_id, _TABLE.number, _TABLE.attempts, place.label("place"))
    due = select(*columns).where(*_is_due(now_ms)).subquery()
    return select(due).where(due.c.place <= _MOST_IN_FLIGHT).order_by(due.c.place, due.c.number)


def _select_event(number: int) -> Select[Any]:
    return select(events).where(events.c.number == number)


def _update(endpoint_id: str, number: int, values: Mapping[str, object], token: str = "") -> Any:
    statement = update(webhook_deliveries).where(
        _TABLE.endpoint_id == endpoint_id,
        _TABLE.number == number,
        _TABLE.state == WAITING,
    )
    if token:
        statement = statement.where(_TABLE.lease_token == token)
    return statement.values(**values)


def _outcome(claimed: Claimed, answer: Answer, now_ms: int) -> _Outcome:
    if 200 <= answer.status < 300:
        return _Outcome(DELIVERED, now_ms, is_delivered=True)
    asked_ms = asked_wait_ms(answer.retry_after, now_ms)
    wait = wait_ms(WEBHOOK_WAITS_MS, claimed.attempts + 1, asked_ms)
    if wait is None:
        return _Outcome(GIVEN_UP, now_ms, is_delivered=False)
    return _Outcome(WAITING, now_ms + wait, is_delivered=False)


def _store(
    connection: Connection,
    claimed: Claimed,
    answer: Answer,
    outcome: _Outcome,
    now_ms: int,
) -> bool:
    """Records the attempt, and says whether the delivery was ours still."""
    delivered_at_ms = None
    if outcome.is_delivered:
        delivered_at_ms = now_ms
    values = {
        "state": outcome.state,
        "attempts": claimed.attempts + 1,
        "next_ms": outcome.next_ms,
        "lease_token": "",
        "lease_until_ms": 0,
        "last_status": answer.status,
        "last_error": answer.text,
        "delivered_at_ms": delivered_at_ms,
    }
    statement = _update(
        claimed.endpoint.endpoint_id,
        claimed.event.number,
        values,
        claimed.token,
    )
    return bool(connection.execute(statement).rowcount)


def _note_health(
    connection: Connection,
    endpoint: EndpointRow,
    answer: Answer,
    outcome: _Outcome,
    now_ms: int,
) -> Iterator[Event]:
    """Notes how the endpoint does; yields the events that it fails, or is disabled."""
    failing_since_ms = None
    if not outcome.is_delivered:
        failing_since_ms = endpoint.failing_since_ms or now_ms
    endpoint = note_health(
        connection,
        endpoint,
        failing_since_ms=failing_since_ms,
        times_out=answer.timed_out,
    )
    if failing_since_ms is None or endpoint.status != ENABLED:
        return
    failing_ms = now_ms - failing_since_ms
    reason = _reason_to_disable(answer, failing_ms)
    if reason:
        disable(connection, endpoint, reason)
        yield _event(endpoint, "disabled", str(now_ms), now_ms, reason)
    elif failing_ms >= _TELL_AFTER_MS:
        reason = answer.text or f"status {answer.status}"
        yield _event(endpoint, "failing", str(failing_since_ms), now_ms, reason)


def _reason_to_disable(answer: Answer, failing_ms: int) -> str:
    if answer.status == _GONE:
        return "the receiver answered 410"
    if failing_ms >= _DISABLE_AFTER_MS:
        return "no delivery succeeded for 5 days"
    return ""


def _event(
    endpoint: EndpointRow,
    what: str,
    once_key: str,
    now_ms: int,
    reason: str,
) -> Event:
    return Event(
        account_id=endpoint.account_id,
        type=f"webhook_endpoint.{what}",
        once_key=f"{endpoint.endpoint_id} {once_key}",
        occurred_at_ms=now_ms,
        data={"endpoint_id": endpoint.endpoint_id, "url": endpoint.url, "reason": reason},
    )
