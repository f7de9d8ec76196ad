"""Records vouchers: batches of codes, stored as keyed hashes, and the redemptions of the codes."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Row,
    RowMapping,
    ScalarSelect,
    Select,
    cast,
    func,
    insert,
    select,
    update,
)

from meter.admin.accounts import AccountRow, lock_account
from meter.admin.granting import add_grant, check_room_for_grant
from meter.admin.recording import now_of, operation_named, refuse_used
from meter.admin.voucher_guesses import find_guesses, store_guesses
from meter.database.admin_schema import voucher_batches, voucher_codes, voucher_redemptions
from meter.database.engine import Ledger, insert_many, insert_or_ignore
from meter.database.errors import RequestIdReused
from meter.errors import AlreadyExists, FailedPrecondition
from meter.journal.operations import GrantCredits, Operation
from meter.times import now_ms


@dataclass(frozen=True, slots=True)
class BatchRow:
    """Holds a row of the table of batches (meter/database/admin_schema.py)."""

    batch_id: str
    request_id: str | None
    amount_nanos: int
    currency: str
    type: str
    expires_at_ms: int | None
    credits_live_ms: int
    codes: int
    uses_per_code: int
    uses_per_account: int
    priority: int
    description: str
    scope: tuple[str, ...]
    create_time_ms: int
    redeemed: int = 0  # counted from the codes, not stored


class Vouchers:
    """Records the vouchers of all accounts.

    A use is counted, and its credits are recorded, in one transaction. Any of the methods may raise
    LedgerUnavailable.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def create(self, batch: BatchRow, digests: Sequence[str]) -> None:
        """Records a batch and the keyed hashes of its codes.

        Raises AlreadyExists if the batch, or another batch by the same request, was made before.
        """
        with self._ledger.write() as connection:
            if insert_or_ignore(connection, voucher_batches, [_columns(batch)]) == 0:
                _refuse_repeat(connection, batch)
            codes = [_new_code(batch, digest) for digest in digests]
            insert_many(connection, voucher_codes, codes)

    def redeem(
        self,
        account_id: str,
        digest: str,
        *,
        request_id: str,
    ) -> Operation:
        """Counts a use of the code with this keyed hash, and records the grant of its credits.

        A repeat returns the first operation. Raises FailedPrecondition, the same for whatever is
        wrong with a code; ResourceExhausted after too many wrong codes; AccountNotFound;
        RequestIdReused; AmountOutOfRange.
        """
        with self._ledger.write() as connection:
            account = lock_account(connection, account_id)
            operation = _redeemed(connection, account, digest, request_id)
            if operation is None:
                operation = _try(connection, account, digest, request_id)
        # Raised after the transaction, which must be committed: it counts the failure.
        if operation is None:
            message = "code: is not valid, not any longer, or not for this account"
            raise FailedPrecondition("VOUCHER_INVALID", message, "code")
        return operation

    def list_batches(self, after: str, limit: int) -> list[BatchRow]:
        """Returns up to `limit` batches by id, behind the id `after`."""
        query = (
            _select_batches()
            .where(voucher_batches.c.batch_id > after)
            .order_by(voucher_batches.c.batch_id)
            .limit(limit)
        )
        with self._ledger.read() as connection:
            return [_batch(row) for row in connection.execute(query).mappings()]


def _new_code(batch: BatchRow, digest: str) -> dict[str, Any]:
    """Returns the columns of a code that nobody has used."""
    return {
        "digest": digest,
        "batch_id": batch.batch_id,
        "uses": 0,
    }


def _try(
    connection: Connection,
    account: AccountRow,
    digest: str,
    request_id: str,
) -> Operation | None:
    """Uses the code; counts a failure and returns None if the account cannot use the code now."""
    check_room_for_grant(connection, account)
    guesses = find_guesses(connection, account.account_id)
    guesses.check()
    operation = _use(connection, account, digest, request_id)
    if operation is None:
        store_guesses(connection, account.account_id, guesses.failed())
    return operation


def _use(
    connection: Connection,
    account: AccountRow,
    digest: str,
    request_id: str,
) -> Operation | None:
    """Uses the code; returns None if the account cannot use the code now."""
    code = _lock_code(connection, digest)
    if code is None:
        return None
    batch = _find_batch(connection, code.batch_id)
    if code.uses >= batch.uses_per_code or not _may_use(connection, account, batch, digest):
        return None
    _count_use(connection, digest)
    _insert_redemption(connection, account, digest, request_id)
    return add_grant(connection, account, _grant(account, batch), request_id)


def _lock_code(connection: Connection, digest: str) -> Row[Any] | None:
    """Returns the code with this keyed hash, or None.

    Others that want the code wait here, and find the use counted.
    """
    query = select(voucher_codes).where(voucher_codes.c.digest == digest).with_for_update()
    return connection.execute(query).first()


def _find_batch(connection: Connection, batch_id: str) -> BatchRow:
    query = select(voucher_batches).where(voucher_batches.c.batch_id == batch_id)
    row = connection.execute(query).mappings().one()
    return _batch(row)


def _count_use(connection: Connection, digest: str) -> None:
    statement = update(voucher_codes).where(voucher_codes.c.digest == digest)
    connection.execute(statement.values(uses=voucher_codes.c.uses + 1))


def _insert_redemption(
    connection: Connection,
    account: AccountRow,
    digest: str,
    request_id: str,
) -> None:
    redemption = {
        "account_id": account.account_id,
        "request_id": request_id,
        "digest": digest,
        "redeemed_at_ms": now_ms(),
    }
    connection.execute(insert(voucher_redemptions), redemption)


def _may_use(
    connection: Connection,
    account: AccountRow,
    batch: BatchRow,
    digest: str,
) -> bool:
    """Returns whether the account may use a code of the batch once more."""
    if batch.currency != account.currency:
        return False
    if _has_expired(account, batch):
        return False
    return _uses_by(connection, account, digest) < batch.uses_per_account


def _has_expired(account: AccountRow, batch: BatchRow) -> bool:
    return batch.expires_at_ms is not None and now_of(account) >= batch.expires_at_ms


def _uses_by(
    connection: Connection,
    account: AccountRow,
    digest: str,
) -> int:
    query = select(func.count()).where(
        voucher_redemptions.c.digest == digest,
        voucher_redemptions.c.account_id == account.account_id,
    )
    return connection.scalar(query) or 0


def _grant(account: AccountRow, batch: BatchRow) -> GrantCredits:
    expires_at_ms = None
    if batch.credits_live_ms:
        expires_at_ms = now_of(account) + batch.credits_live_ms
    return GrantCredits(
        grant_id=f"g{uuid.uuid4().hex}",
        type=batch.type,
        amount_nanos=batch.amount_nanos,
        priority=batch.priority,
        effective_at_ms=None,
        expires_at_ms=expires_at_ms,
        description=batch.description or f"voucher of batch {batch.batch_id}",
        scope=batch.scope,
    )


def _redeemed(
    connection: Connection,
    account: AccountRow,
    digest: str,
    request_id: str,
) -> Operation | None:
    """Returns the grant that the same request has redeemed before, or None.

    Raises RequestIdReused if the id was used for another code, or for something else.
    """
    redeemed_digest = _redeemed_digest(connection, account, request_id)
    if redeemed_digest is None:
        refuse_used(connection, account, request_id)
        return None
    if redeemed_digest != digest:
        raise RequestIdReused(request_id)
    return operation_named(connection, account.account_id, request_id)


def _redeemed_digest(
    connection: Connection,
    account: AccountRow,
    request_id: str,
) -> str | None:
    """Returns the keyed hash of the code that the request has redeemed, or None."""
    query = select(voucher_redemptions.c.digest).where(
        voucher_redemptions.c.account_id == account.account_id,
        voucher_redemptions.c.request_id == request_id,
    )
    digest: str | None = connection.scalar(query)
    return digest


def _refuse_repeat(connection: Connection, batch: BatchRow) -> None:
    """Raises the error that says why the batch could not be inserted."""
    query = select(voucher_batches.c.request_id).where(voucher_batches.c.batch_id == batch.batch_id)
    present = connection.execute(query).first()
    if present is None:
        raise RequestIdReused(batch.request_id or "")
    if batch.request_id and present.request_id == batch.request_id:
        message = (
            f"request_id: has made batch {batch.batch_id} already;"
            " its codes were shown then, and cannot be shown again"
        )
        raise AlreadyExists("BATCH_EXISTS", message, "request_id")
    message = f"batch.batch_id: there is a batch {batch.batch_id} already"
    raise AlreadyExists("BATCH_EXISTS", message, "batch.batch_id")


def _select_batches() -> Select[Any]:
    """Selects the batches, each with the number of uses of its codes."""
    return select(voucher_batches, _uses_of_batch().label("redeemed"))


def _uses_of_batch() -> ScalarSelect[int]:
    """Selects the uses of all codes of the batch in the row of the statement around."""
    uses = func.coalesce(func.sum(voucher_codes.c.uses), 0)
    return (
        select(cast(uses, BigInteger))
        .where(voucher_codes.c.batch_id == voucher_batches.c.batch_id)
        .scalar_subquery()
    )


def _batch(row: RowMapping) -> BatchRow:
    columns: dict[str, Any] = dict(row)
    columns["scope"] = tuple(json.loads(row["scope"]))
    return BatchRow(**columns)


def _columns(batch: BatchRow) -> dict[str, object]:
    columns = asdict(batch)
    del columns["redeemed"]
    columns["scope"] = json.dumps(batch.scope)
    return columns
