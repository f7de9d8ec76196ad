"""Vouchers: batches of codes, kept as keyed hashes, and their redemptions."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    RowMapping,
    Select,
    cast,
    func,
    insert,
    select,
    update,
)

from meter.admin.accounts import AccountRow, lock_account
from meter.admin.granting import add_grant, check_room_for_grant
from meter.admin.recording import now_ms, now_of, operation_named, refuse_used
from meter.database.admin_schema import (
    voucher_batches,
    voucher_codes,
    voucher_guesses,
    voucher_redemptions,
)
from meter.database.engine import Ledger, insert_many, insert_or_ignore, upsert
from meter.database.errors import RequestIdReused
from meter.errors import AlreadyExists, FailedPrecondition, ResourceExhausted
from meter.journal.operations import GrantCredits, Operation

FREE_FAILURES = 5  # codes that may be tried in vain before one has to wait
FIRST_PAUSE_MS = 60_000  # doubled by each failure that follows
LONGEST_PAUSE_MS = 3_600_000
QUIET_MS = 600_000  # without a failure, from the end of the last pause on: then all is forgotten


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A batch, as its table has it (meter/database/admin_schema.py)."""

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
    redeemed: int = 0  # counted, not kept


class Vouchers:
    """The vouchers of all accounts. A use is counted, and its credits recorded, in one transaction.

    Any of the methods may raise LedgerUnavailable.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def create(self, batch: BatchRow, digests: Sequence[str]) -> None:
        """Records a batch and the keyed hashes of its codes.

        AlreadyExists if the batch, or another by this request, was made before.
        """
        row = _columns(batch)
        with self._ledger.write() as connection:
            if insert_or_ignore(connection, voucher_batches, [row]) == 0:
                _refuse_repeat(connection, batch)
            codes = [
                {"digest": digest, "batch_id": batch.batch_id, "uses": 0} for digest in digests
            ]
            insert_many(connection, voucher_codes, codes)

    def redeem(self, account_id: str, digest: str, *, request_id: str) -> Operation:
        """Counts a use of the code with this keyed hash, and records the grant of its credits. A
        repeat returns the first.

        FailedPrecondition, the same for whatever is wrong with a code; ResourceExhausted after too
        many of those; AccountNotFound; RequestIdReused; AmountOutOfRange.
        """
        with self._ledger.write() as connection:
            account = lock_account(connection, account_id)
            operation = _redeemed(connection, account, digest, request_id)
            if operation is None:
                check_room_for_grant(connection, account)
                guesses = _guesses(connection, account_id)
                guesses.check()
                operation = _use(connection, account, digest, request_id)
                if operation is None:
                    _store_guesses(connection, account_id, guesses.failed())
        if operation is None:  # the transaction is committed, or guesses would not be counted
            raise FailedPrecondition(
                "VOUCHER_INVALID",
                "code: is not valid, not any longer, or not for this account",
                "code",
            )
        return operation

    def list_batches(self, after: str, limit: int) -> list[BatchRow]:
        """Up to `limit` batches by id, from the one behind `after` on."""
        query = (
            _batches()
            .where(voucher_batches.c.batch_id > after)
            .order_by(voucher_batches.c.batch_id)
            .limit(limit)
        )
        with self._ledger.read() as connection:
            return [_batch(row) for row in connection.execute(query).mappings()]


@dataclass(frozen=True, slots=True)
class _Guesses:
    """Codes that an account has tried in vain."""

    failures: int
    paused_until_ms: int

    def check(self) -> None:
        """ResourceExhausted during a pause, whatever the code."""
        left_ms = self.paused_until_ms - now_ms()
        if self.failures >= FREE_FAILURES and left_ms > 0:
            message = (
                f"code: too many that were not valid; try again in {-(-left_ms // 1000)} seconds"
            )
            raise ResourceExhausted("VOUCHER_GUESSES", message, "code", retry_after_ms=left_ms)

    def failed(self) -> "_Guesses":
        """The same, after one more."""
        now = now_ms()
        failures = 1 if now - self.paused_until_ms > QUIET_MS else self.failures + 1
        doublings = failures - FREE_FAILURES
        pause_ms = (
            0 if doublings < 0 else min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** min(doublings, 16))
        )
        return _Guesses(failures, now + pause_ms)


def _use(
    connection: Connection, account: AccountRow, digest: str, request_id: str
) -> Operation | None:
    """Uses the code; None if it cannot be used by this account now."""
    code = select(voucher_codes.c.batch_id, voucher_codes.c.uses).where(
        voucher_codes.c.digest == digest
    )
    found = connection.execute(
        code.with_for_update()
    ).first()  # others that want it wait here, and find it used
    if found is None:
        return None
    of_code = select(voucher_batches).where(voucher_batches.c.batch_id == found.batch_id)
    batch = _batch(connection.execute(of_code).mappings().one())
    if not _may_use(connection, account, batch, digest, found.uses):
        return None
    connection.execute(
        update(voucher_codes).where(voucher_codes.c.digest == digest).values(uses=found.uses + 1)
    )
    row = {
        "account_id": account.account_id,
        "request_id": request_id,
        "digest": digest,
        "redeemed_at_ms": now_ms(),
    }
    connection.execute(insert(voucher_redemptions), row)
    return add_grant(connection, account, _grant(account, batch), request_id)


def _may_use(
    connection: Connection, account: AccountRow, batch: BatchRow, digest: str, uses: int
) -> bool:
    if uses >= batch.uses_per_code or batch.currency != account.currency:
        return False
    if batch.expires_at_ms is not None and now_of(account) >= batch.expires_at_ms:
        return False
    own = (voucher_redemptions.c.digest == digest) & (
        voucher_redemptions.c.account_id == account.account_id
    )
    used = connection.scalar(select(func.count()).select_from(voucher_redemptions).where(own)) or 0
    return used < batch.uses_per_account


def _grant(account: AccountRow, batch: BatchRow) -> GrantCredits:
    return GrantCredits(
        grant_id=f"g{uuid.uuid4().hex}",
        type=batch.type,
        amount_nanos=batch.amount_nanos,
        priority=batch.priority,
        effective_at_ms=None,
        expires_at_ms=now_of(account) + batch.credits_live_ms if batch.credits_live_ms else None,
        description=batch.description or f"voucher of batch {batch.batch_id}",
        scope=batch.scope,
    )


def _redeemed(
    connection: Connection, account: AccountRow, digest: str, request_id: str
) -> Operation | None:
    """The grant that this request has redeemed before.

    RequestIdReused if it was for another code, or no redemption.
    """
    own = (voucher_redemptions.c.account_id == account.account_id) & (
        voucher_redemptions.c.request_id == request_id
    )
    before = connection.scalar(select(voucher_redemptions.c.digest).where(own))
    if before is None:
        refuse_used(connection, account, request_id)
        return None
    if before != digest:
        raise RequestIdReused(request_id)
    return operation_named(connection, account.account_id, request_id)


def _guesses(connection: Connection, account_id: str) -> _Guesses:
    row = connection.execute(
        select(voucher_guesses).where(voucher_guesses.c.account_id == account_id)
    ).first()
    return _Guesses(0, 0) if row is None else _Guesses(row.failures, row.paused_until_ms)


def _store_guesses(connection: Connection, account_id: str, guesses: _Guesses) -> None:
    values = {"failures": guesses.failures, "paused_until_ms": guesses.paused_until_ms}
    row = upsert(connection, voucher_guesses).values(account_id=account_id, **values)
    connection.execute(row.on_conflict_do_update(index_elements=["account_id"], set_=values))


def _refuse_repeat(connection: Connection, batch: BatchRow) -> None:
    named = select(voucher_batches.c.request_id).where(voucher_batches.c.batch_id == batch.batch_id)
    taken = connection.execute(named).first()
    if taken is None:
        raise RequestIdReused(batch.request_id or "")
    if batch.request_id and taken.request_id == batch.request_id:
        message = f"request_id: has made batch {batch.batch_id} already; its codes were shown then, and cannot be shown again"
        raise AlreadyExists("BATCH_EXISTS", message, "request_id")
    raise AlreadyExists(
        "BATCH_EXISTS",
        f"batch.batch_id: there is a batch {batch.batch_id} already",
        "batch.batch_id",
    )


def _batches() -> Select[Any]:
    uses = select(cast(func.coalesce(func.sum(voucher_codes.c.uses), 0), BigInteger))
    redeemed = uses.where(voucher_codes.c.batch_id == voucher_batches.c.batch_id).scalar_subquery()
    return select(voucher_batches, redeemed.label("redeemed"))


def _batch(row: RowMapping) -> BatchRow:
    return BatchRow(**{**row, "scope": tuple(json.loads(row["scope"]))})


def _columns(batch: BatchRow) -> dict[str, object]:
    values = {
        field.name: getattr(batch, field.name)
        for field in fields(batch)
        if field.name != "redeemed"
    }
    return values | {"scope": json.dumps(batch.scope)}
