"""Records top-ups: purchases of credits, and the grants that come of the purchases that succeed."""

import uuid
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection, Select, func, insert, select, tuple_, update

from meter.admin.accounts import AccountRow, lock_account, require_account
from meter.admin.granting import add_grant, check_room_for_grant
from meter.admin.recording import now_of, operation_named, refuse_used
from meter.admin.told import top_up_event
from meter.database.admin_schema import top_ups
from meter.database.engine import Ledger
from meter.database.errors import RequestIdReused
from meter.errors import AlreadyExists, FailedPrecondition, InvalidField, NotFound
from meter.journal.operations import GrantCredits, Operation
from meter.ledger.events import Event, record_events
from meter.times import MS_PER_DAY, now_ms

PENDING = "PENDING"
SUCCEEDED = "SUCCEEDED"
FAILED = "FAILED"
RECORDED = "RECORDED"  # by an administrator's call: the payment is somebody else's affair

# Begins the request ids of grants that come of top-ups which were pending: clients' ids have no
# space.
TOP_UP_REQUEST_PREFIX = "top-up "

_PRIORITY = 50
_PAYMENTS_LOCK = 0x50415953  # "PAYS": PostgreSQL's advisory locks on payment references


@dataclass(frozen=True, slots=True)
class TopUpRow:
    """Holds a row of the table of top-ups (meter/database/admin_schema.py)."""

    top_up_id: str
    account_id: str
    request_id: str
    fingerprint: str
    amount_nanos: int
    currency: str
    payment_reference: str
    payment_method: str
    status: str
    expires_at_ms: int | None
    non_refundable: bool
    grant_id: str
    create_time_ms: int
    origin: str = RECORDED  # a name of meter.v1.TopUpOrigin
    refunded_nanos: int = 0


class TopUps:
    """Records the top-ups of all accounts.

    The credits of a top-up that succeeds are recorded in the transaction that records the success:
    exactly once. Any of the methods may raise LedgerUnavailable or AccountNotFound.
    """

    def __init__(
        self,
        ledger: Ledger,
        expiry_days: int,
        *,
        reference_per_account: bool,
    ) -> None:
        """Keeps the terms of top-ups.

        Bought credits expire after `expiry_days` unless a top-up says otherwise; 0 is never. A
        payment reference is unique among all accounts, or, with `reference_per_account`, in its
        account.
        """
        self._ledger = ledger
        self._reference_per_account = reference_per_account
        self._expiry_ms = expiry_days * MS_PER_DAY

    def create(self, wanted: TopUpRow) -> tuple[TopUpRow, Operation | None]:
        """Records a new top-up and, for a top-up that has succeeded, the grant of the credits.

        The id and the times are filled in here. A repeat returns the top-up as it is now. Raises
        RequestIdReused; AlreadyExists for a payment reference that another top-up has;
        FailedPrecondition for another currency; InvalidField if the credits would have expired.
        """
        with self._ledger.write() as connection:
            account = lock_account(connection, wanted.account_id)
            present = self.made_by(connection, wanted)
            if present is not None:
                return present, self._operation(connection, present)
            self._check_payment_is_new(connection, wanted)
            row = self.begin(connection, account, wanted)
            operation = None
            if row.status == SUCCEEDED:
                row, operation = self._succeed(connection, account, row, row.request_id)
                record_events(connection, [_event(account, row)])
            return row, operation

    def begin(
        self,
        connection: Connection,
        account: AccountRow,
        wanted: TopUpRow,
    ) -> TopUpRow:
        """Records a new top-up within the caller's transaction, which has locked the account.

        Raises as `create`.
        """
        _check(connection, account, wanted)
        row = _new_row(account, wanted)
        connection.execute(insert(top_ups), asdict(row))
        if row.status == PENDING:
            record_events(connection, [_event(account, row)])
        return row

    def made_by(self, connection: Connection, wanted: TopUpRow) -> TopUpRow | None:
        """Returns the top-up that the same request has made before, or None.

        Raises RequestIdReused if a different request had the id.
        """
        return _made_by(connection, wanted)

    def paid(
        self,
        connection: Connection,
        account: AccountRow,
        top_up_id: str,
    ) -> Operation | None:
        """Records within the caller's transaction that the top-up's payment has succeeded.

        Returns the operation with the credits. Money that came in wins over a failure that was
        recorded before.
        """
        row = find_top_up(connection, account.account_id, top_up_id)
        if row.status == SUCCEEDED:
            return self._operation(connection, row)
        request_id = f"{TOP_UP_REQUEST_PREFIX}{top_up_id}"
        row, operation = self._succeed(connection, account, row, request_id)
        record_events(connection, [_event(account, row)])
        return operation

    def complete(
        self,
        account_id: str,
        top_up_id: str,
        status: str,
    ) -> tuple[TopUpRow, Operation | None]:
        """Records how a pending top-up ended; a repeat changes nothing.

        Raises NotFound; FailedPrecondition if the top-up has ended otherwise.
        """
        with self._ledger.write() as connection:
            account = lock_account(connection, account_id)
            row = find_top_up(connection, account_id, top_up_id)
            if row.status == status:
                return row, self._operation(connection, row)
            _check_pending(row)
            _check_recorded(row)
            operation = None
            if status == SUCCEEDED:
                request_id = f"{TOP_UP_REQUEST_PREFIX}{top_up_id}"
                row, operation = self._succeed(connection, account, row, request_id)
            else:
                row = _store(connection, replace(row, status=status))
            record_events(connection, [_event(account, row)])
            return row, operation

    def newest(
        self,
        account_id: str,
        limit: int,
        before: tuple[int, str] | None,
    ) -> list[TopUpRow]:
        """Returns up to `limit` top-ups, newest first.

        `before` is the creation time and id of a top-up: only older top-ups are returned.
        """
        query = _select_newest(account_id, before).limit(limit)
        with self._ledger.read() as connection:
            require_account(connection, account_id)
            return [TopUpRow(**row) for row in connection.execute(query).mappings()]

    def _succeed(
        self,
        connection: Connection,
        account: AccountRow,
        row: TopUpRow,
        request_id: str,
    ) -> tuple[TopUpRow, Operation]:
        change = _bought_credits(row, self._expiry(account, row))
        operation = add_grant(connection, account, change, request_id)
        succeeded = replace(
            row,
            status=SUCCEEDED,
            expires_at_ms=change.expires_at_ms,
            grant_id=change.grant_id,
        )
        return _store(connection, succeeded), operation

    def _expiry(self, account: AccountRow, row: TopUpRow) -> int | None:
        """Returns when the credits expire, in ms, or None for never.

        The expiry asked for holds, unless the payment took so long that the expiry has passed. Then
        the default holds, counted from now.
        """
        now = now_of(account)
        if row.expires_at_ms is not None and row.expires_at_ms > now:
            return row.expires_at_ms
        if not self._expiry_ms:
            return None
        return now + self._expiry_ms

    def _check_payment_is_new(self, connection: Connection, wanted: TopUpRow) -> None:
        _lock_payment(connection, wanted.payment_reference)
        same = select(top_ups.c.account_id).where(
            top_ups.c.payment_reference == wanted.payment_reference
        )
        if self._reference_per_account:
            same = same.where(top_ups.c.account_id == wanted.account_id)
        if connection.scalar(same.limit(1)) is not None:
            message = (
                f"top_up.payment_reference: {wanted.payment_reference} is another top-up's,"
                " and one payment makes one top-up; give each payment a reference of its own"
            )
            raise AlreadyExists("PAYMENT_REFERENCE_REUSED", message, "top_up.payment_reference")

    def _operation(
        self,
        connection: Connection,
        row: TopUpRow,
    ) -> Operation | None:
        """Returns the operation with the credits of a successful top-up, or None."""
        if row.status != SUCCEEDED:
            return None
        request_id = f"{TOP_UP_REQUEST_PREFIX}{row.top_up_id}"
        completed = operation_named(connection, row.account_id, request_id)
        if completed is not None:
            return completed
        return operation_named(connection, row.account_id, row.request_id)


def _event(account: AccountRow, row: TopUpRow) -> Event:
    """Returns the event that the top-up has come to its present status."""
    return top_up_event(
        account,
        row.top_up_id,
        row.status,
        row.amount_nanos,
        row.payment_reference,
    )


def _new_row(account: AccountRow, wanted: TopUpRow) -> TopUpRow:
    return replace(
        wanted,
        top_up_id=f"t{uuid.uuid4().hex}",
        currency=account.currency,
        create_time_ms=now_ms(),
    )


def _bought_credits(row: TopUpRow, expires_at_ms: int | None) -> GrantCredits:
    return GrantCredits(
        grant_id=f"g{uuid.uuid4().hex}",
        type="TOP_UP",
        amount_nanos=row.amount_nanos,
        priority=_PRIORITY,
        effective_at_ms=None,
        expires_at_ms=expires_at_ms,
        description=f"{row.payment_method} {row.payment_reference}".strip(),
        non_refundable=row.non_refundable,
    )


def _check_pending(row: TopUpRow) -> None:
    if row.status != PENDING:
        message = f"status: top-up {row.top_up_id} has {row.status.lower()}, and that is final"
        raise FailedPrecondition("TOP_UP_FINAL", message, "status")


def _check_recorded(row: TopUpRow) -> None:
    if row.origin != RECORDED:
        message = (
            f"top_up_id: top-up {row.top_up_id} ends with its payment {row.payment_reference};"
            " cancel that with Payments.CancelPayment"
        )
        raise FailedPrecondition("TOP_UP_HAS_PAYMENT", message, "top_up_id")


def _select_newest(
    account_id: str,
    before: tuple[int, str] | None,
) -> Select[Any]:
    query = select(top_ups).where(top_ups.c.account_id == account_id)
    place = (top_ups.c.create_time_ms, top_ups.c.top_up_id)
    if before is not None:
        query = query.where(tuple_(*place) < tuple_(*before))
    newest_first = [column.desc() for column in place]
    return query.order_by(*newest_first)


def _made_by(connection: Connection, wanted: TopUpRow) -> TopUpRow | None:
    """Returns the top-up that the same request has made before, or None.

    Raises RequestIdReused if a different request had the id.
    """
    row = connection.execute(_select_same_request(wanted)).mappings().first()
    if row is None:
        return None
    if row["fingerprint"] != wanted.fingerprint:
        raise RequestIdReused(wanted.request_id)
    return TopUpRow(**row)


def _select_same_request(wanted: TopUpRow) -> Select[Any]:
    """Selects the account's top-up with the same request id."""
    return select(top_ups).where(
        top_ups.c.account_id == wanted.account_id,
        top_ups.c.request_id == wanted.request_id,
    )


def _check(
    connection: Connection,
    account: AccountRow,
    wanted: TopUpRow,
) -> None:
    refuse_used(connection, account, wanted.request_id)
    check_top_up_currency(wanted, account.currency)
    _check_expiry(account, wanted)
    check_room_for_grant(connection, account)


def check_top_up_currency(wanted: TopUpRow, currency: str) -> None:
    """Raises FailedPrecondition for another currency than the account's."""
    if wanted.currency not in ("", currency):
        message = f"top_up.currency: must be the account's, {currency}"
        raise FailedPrecondition("CURRENCY_MISMATCH", message, "top_up.currency")


def _check_expiry(account: AccountRow, wanted: TopUpRow) -> None:
    if wanted.expires_at_ms is not None and wanted.expires_at_ms <= now_of(account):
        message = "has passed already: its credits could not be spent"
        raise InvalidField("top_up.expires_at", message)


def _lock_payment(connection: Connection, reference: str) -> None:
    """Lets one transaction at a time look for a payment; SQLite's writers wait by themselves."""
    if connection.dialect.name == "postgresql":
        lock = func.pg_advisory_xact_lock(_PAYMENTS_LOCK, func.hashtext(reference))
        connection.execute(select(lock))


def fail_top_up(
    connection: Connection,
    account: AccountRow,
    top_up_id: str,
) -> None:
    """Records within the caller's transaction that the top-up's payment can no longer succeed."""
    row = find_top_up(connection, account.account_id, top_up_id)
    if row.status == PENDING:
        row = _store(connection, replace(row, status=FAILED))
        record_events(connection, [_event(account, row)])


def find_top_up(
    connection: Connection,
    account_id: str,
    top_up_id: str,
) -> TopUpRow:
    """Returns the account's top-up; raises NotFound."""
    query = select(top_ups).where(
        top_ups.c.account_id == account_id,
        top_ups.c.top_up_id == top_up_id,
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        message = f"top_up_id: account {account_id} has no top-up {top_up_id}"
        raise NotFound("TOP_UP_NOT_FOUND", message, "top_up_id")
    return TopUpRow(**row)


def _store(connection: Connection, row: TopUpRow) -> TopUpRow:
    statement = update(top_ups).where(top_ups.c.top_up_id == row.top_up_id)
    connection.execute(statement.values(**asdict(row)))
    return row
