"""Records webhook endpoints: where to, which events, and whether at all."""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, delete, func, insert, select, tuple_, update

from meter.admin.accounts import require_account
from meter.database.engine import Ledger
from meter.database.errors import RequestIdReused
from meter.database.notifications_schema import webhook_deliveries, webhook_endpoints
from meter.errors import FailedPrecondition, NotFound
from meter.ledger.event_types import is_wanted
from meter.notifications.followers import WEBHOOKS, lock_follower
from meter.times import MS_PER_HOUR, now_ms

ENABLED = "ENABLED"
DISABLED = "DISABLED"
MAX_ENDPOINTS = 20  # of an account, or of the operator
_OLD_SECRET_MS = 24 * MS_PER_HOUR


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """Holds a row of the table of endpoints (meter/database/notifications_schema.py)."""

    endpoint_id: str
    account_id: str
    request_id: str
    fingerprint: str
    url: str
    types: tuple[str, ...]
    status: str
    disabled_reason: str
    secret_version: int
    old_secret_until_ms: int | None
    failing_since_ms: int | None
    times_out: bool
    since_number: int
    create_time_ms: int

    def wants(self, account_id: str, type_: str, data: Mapping[str, Any]) -> bool:
        """Says whether an event is to be sent here; not one that tells of this endpoint."""
        if self.account_id not in ("", account_id):
            return False
        return is_wanted(type_, self.types) and data.get("endpoint_id") != self.endpoint_id

    def secret_versions(self, at_ms: int) -> tuple[int, ...]:
        """Returns the versions of the secrets that sign at that time, the newest first."""
        if self.old_secret_until_ms is not None and at_ms < self.old_secret_until_ms:
            return (self.secret_version, self.secret_version - 1)
        return (self.secret_version,)


class Endpoints:
    """Records the endpoints of all accounts. Any of the methods may raise LedgerUnavailable."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def create(
        self,
        account_id: str,
        url: str,
        types: tuple[str, ...],
        request_id: str,
    ) -> EndpointRow:
        """Records a new endpoint; a repeat returns the endpoint as it is now.

        Raises AccountNotFound; RequestIdReused; FailedPrecondition if there are 20 already.
        """
        fingerprint = _fingerprint(url, types)
        with self._ledger.write() as connection:
            number = lock_follower(connection, WEBHOOKS)
            if account_id:
                require_account(connection, account_id)
            present = _made_by(connection, account_id, request_id)
            if present is not None:
                if present.fingerprint != fingerprint:
                    raise RequestIdReused(request_id)
                return present
            _check_room(connection, account_id)
            row = _new_row(account_id, url, types, request_id, number)
            connection.execute(insert(webhook_endpoints), _columns(row))
            return row

    def get(self, endpoint_id: str) -> EndpointRow:
        """Returns the endpoint; raises NotFound."""
        with self._ledger.read() as connection:
            return find_endpoint(connection, endpoint_id)

    def list(self, account_id: str, after: tuple[str, int, str], limit: int) -> list[EndpointRow]:
        """Returns up to `limit` endpoints, by account and age, behind `after`."""
        query = _select_behind(account_id, after).limit(limit)
        with self._ledger.read() as connection:
            return [_endpoint(row) for row in connection.execute(query).mappings()]

    def update(
        self,
        endpoint_id: str,
        account_id: str,
        changes: Mapping[str, Any],
    ) -> EndpointRow:
        """Records new values of some of `url`, `types` and `status`; raises NotFound.

        An endpoint of another account than a caller names is not found: the caller's token may be
        for that account alone. Without an `account_id` the endpoint may be of any.
        What the endpoint wants from now on is sent; what was missed is not.
        """
        with self._ledger.write() as connection:
            number = lock_follower(connection, WEBHOOKS)
            row = find_endpoint(connection, endpoint_id, for_update=True)
            if account_id not in ("", row.account_id):
                raise _not_found(endpoint_id)
            changed = replace(row, **changes)
            if changed == row:
                return row
            if changed.status == ENABLED:
                changed = replace(changed, disabled_reason="", since_number=number)
                if row.status == DISABLED:
                    changed = replace(changed, failing_since_ms=None, times_out=False)
                return _store(connection, changed)
            return disable(connection, changed, "by request")

    def rotate(self, endpoint_id: str) -> EndpointRow:
        """Records a new secret; the one before signs too for 24 hours. Raises NotFound."""
        with self._ledger.write() as connection:
            lock_follower(connection, WEBHOOKS)
            row = find_endpoint(connection, endpoint_id, for_update=True)
            rotated = replace(
                row,
                secret_version=row.secret_version + 1,
                old_secret_until_ms=now_ms() + _OLD_SECRET_MS,
            )
            return _store(connection, rotated)

    def delete(self, endpoint_id: str) -> None:
        """Removes the endpoint with its deliveries, if there is such an endpoint."""
        with self._ledger.write() as connection:
            lock_follower(connection, WEBHOOKS)
            for table in (webhook_deliveries, webhook_endpoints):
                connection.execute(delete(table).where(table.c.endpoint_id == endpoint_id))


def find_endpoint(
    connection: Connection,
    endpoint_id: str,
    for_update: bool = False,
) -> EndpointRow:
    """Returns the endpoint; raises NotFound.

    With `for_update` the endpoint stays locked until the transaction ends. Whoever locks its
    deliveries too locks them later.
    """
    query = select(webhook_endpoints).where(webhook_endpoints.c.endpoint_id == endpoint_id)
    if for_update:
        query = query.with_for_update()
    row = connection.execute(query).mappings().first()
    if row is None:
        raise _not_found(endpoint_id)
    return _endpoint(row)


def _not_found(endpoint_id: str) -> NotFound:
    message = f"endpoint_id: there is no endpoint {endpoint_id}; ListEndpoints tells them"
    return NotFound("ENDPOINT_NOT_FOUND", message, "endpoint_id")


def enabled_endpoints(connection: Connection) -> list[EndpointRow]:
    """Returns all endpoints to which something may be sent."""
    query = select(webhook_endpoints).where(webhook_endpoints.c.status == ENABLED)
    return [_endpoint(row) for row in connection.execute(query).mappings()]


def disable(connection: Connection, row: EndpointRow, reason: str) -> EndpointRow:
    """Records that nothing is sent to the endpoint any more, and gives up what waits."""
    waiting = webhook_deliveries.c.state == "WAITING"
    own = webhook_deliveries.c.endpoint_id == row.endpoint_id
    given_up = {"state": "GIVEN_UP", "lease_token": "", "last_error": "the endpoint was disabled"}
    connection.execute(update(webhook_deliveries).where(own, waiting).values(given_up))
    return _store(connection, replace(row, status=DISABLED, disabled_reason=reason))


def note_health(
    connection: Connection,
    row: EndpointRow,
    *,
    failing_since_ms: int | None,
    times_out: bool,
) -> EndpointRow:
    """Records since when attempts fail, and whether the last had no answer in time."""
    changed = replace(row, failing_since_ms=failing_since_ms, times_out=times_out)
    if changed == row:
        return row
    return _store(connection, changed)


def _store(connection: Connection, row: EndpointRow) -> EndpointRow:
    own = webhook_endpoints.c.endpoint_id == row.endpoint_id
    connection.execute(update(webhook_endpoints).where(own).values(_columns(row)))
    return row


def _new_row(
    account_id: str,
    url: str,
    types: tuple[str, ...],
    request_id: str,
    number: int,
) -> EndpointRow:
    return EndpointRow(
        endpoint_id=f"ep_{uuid.uuid4().hex}",
        account_id=account_id,
        request_id=request_id,
        fingerprint=_fingerprint(url, types),
        url=url,
        types=types,
        status=ENABLED,
        disabled_reason="",
        secret_version=1,
        old_secret_until_ms=None,
        failing_since_ms=None,
        times_out=False,
        since_number=number,
        create_time_ms=now_ms(),
    )


def _fingerprint(url: str, types: tuple[str, ...]) -> str:
    return hashlib.sha256(json.dumps([url, types]).encode()).hexdigest()


def _made_by(connection: Connection, account_id: str, request_id: str) -> EndpointRow | None:
    """Returns the endpoint that the same request has made before, or None."""
    query = select(webhook_endpoints).where(
        webhook_endpoints.c.account_id == account_id,
        webhook_endpoints.c.request_id == request_id,
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    return _endpoint(row)


def _check_room(connection: Connection, account_id: str) -> None:
    query = select(func.count()).where(webhook_endpoints.c.account_id == account_id)
    if (connection.scalar(query) or 0) >= MAX_ENDPOINTS:
        message = f"endpoint.account_id: has {MAX_ENDPOINTS} endpoints already; delete one first"
        raise FailedPrecondition("TOO_MANY_ENDPOINTS", message, "endpoint.account_id")


def _select_behind(account_id: str, after: tuple[str, int, str]) -> Select[Any]:
    table = webhook_endpoints.c
    place = (table.account_id, table.create_time_ms, table.endpoint_id)
    query = select(webhook_endpoints).where(tuple_(*place) > tuple_(*after)).order_by(*place)
    if account_id:
        query = query.where(table.account_id == account_id)
    return query


def _columns(row: EndpointRow) -> dict[str, Any]:
    return {**asdict(row), "types": json.dumps(row.types)}


def _endpoint(row: RowMapping) -> EndpointRow:
    columns: dict[str, Any] = dict(row)
    columns["types"] = tuple(json.loads(row["types"]))
    return EndpointRow(**columns)
