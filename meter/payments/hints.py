"""Hints: what the provider's events name is looked at. What an event says of it is never believed.

Events that come twice, late, in another order or from somebody else then change nothing.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

import structlog
from sqlalchemy import Connection, Select, func, select, update

from meter.database.engine import Ledger, insert_or_ignore, upsert
from meter.database.payments_schema import customers, payments, provider_cursors, provider_hints
from meter.errors import ServiceError
from meter.payments.methods import Methods
from meter.payments.metrics import PaymentMetrics
from meter.payments.payer import Payer
from meter.payments.payment_rows import CREATED, PAID, PaymentRow
from meter.payments.provider import Hint, TellingProvider
from meter.payments.reversals import Reversals

_MOST_AT_ONCE = 50
_FIRST_PAUSE_MS = 5_000
_MOST_PAUSE_MS = 900_000

log = structlog.get_logger()


class HintReader:
    """Takes hints in, by call or by polling, and looks at what they name."""

    def __init__(
        self,
        ledger: Ledger,
        provider: TellingProvider,
        payer: Payer,
        methods: Methods,
        reversals: Reversals,
        clock: Callable[[], int],
        poll_ms: int,
        metrics: PaymentMetrics,
    ) -> None:
        """The provider's list of events is read every `poll_ms`; `clock` returns ms."""
        self._ledger = ledger
        self._provider = provider
        self._payer = payer
        self._methods = methods
        self._reversals = reversals
        self._clock = clock
        self._poll_ms = poll_ms
        self._metrics = metrics
        self._poll_due_ms = 0

    def receive(self, header: str, body: bytes, secrets: tuple[str, ...]) -> None:
        """Keeps what a signed event names. Raises Forged, or LedgerUnavailable."""
        hint = self._provider.hint(header, body, secrets)
        with self._ledger.write() as connection:
            self._keep(connection, [hint])

    def work(self) -> None:
        """Polls if that is due, and looks at all that hints name."""
        now_ms = self._clock()
        if now_ms >= self._poll_due_ms:
            self._poll_due_ms = now_ms + self._poll_ms
            self._poll()
        with self._ledger.read() as connection:
            self._metrics.hints_pending.set(_count_pending(connection))
            due = self._due(connection)
        for hint, failures in due:
            self._handle(hint, failures)

    def _poll(self) -> None:
        with self._ledger.read() as connection:
            cursor = connection.scalar(self._select_cursor()) or ""
        while True:
            found = self._provider.hints_since(cursor)
            with self._ledger.write() as connection:
                self._keep(connection, found.hints)
                self._move(connection, found.cursor)
            if not found.hints or found.cursor == cursor:
                return
            cursor = found.cursor

    def _keep(self, connection: Connection, hints: Iterable[Hint]) -> None:
        now_ms = self._clock()
        rows = [
            {
                "provider": self._provider.name,
                "event_id": hint.event_id,
                "refs": json.dumps(hint.refs),
                "received_at_ms": now_ms,
                "due_ms": now_ms,
                "failures": 0,
            }
            for hint in hints
        ]
        insert_or_ignore(connection, provider_hints, rows)

    def _move(self, connection: Connection, cursor: str) -> None:
        row = {"provider": self._provider.name, "cursor": cursor}
        statement = upsert(connection.dialect.name, provider_cursors).values(row)
        keys = [provider_cursors.c.provider]
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=row))

    def _due(self, connection: Connection) -> list[tuple[Hint, int]]:
        query = (
            select(provider_hints)
            .where(
                provider_hints.c.due_ms <= self._clock(),
                provider_hints.c.provider == self._provider.name,
            )
            .order_by(provider_hints.c.due_ms)
            .limit(_MOST_AT_ONCE)
        )
        return [
            (Hint(row.event_id, tuple(json.loads(row.refs))), row.failures)
            for row in connection.execute(query)
        ]

    def _handle(self, hint: Hint, failures: int) -> None:
        try:
            for row in self._payments(hint):
                self._look(row)
            for account_id in self._accounts(hint):
                self._methods.refresh(account_id)
        except ServiceError as error:
            log.warning("hint_waits", event_id=hint.event_id, error=str(error))
            pause_ms = min(_MOST_PAUSE_MS, _FIRST_PAUSE_MS * 2 ** min(failures, 16))
            self._set(hint, self._clock() + pause_ms, failures + 1)
        else:
            self._set(hint, None, failures)

    def _look(self, row: PaymentRow) -> None:
        if row.state == CREATED:
            return
        state = self._payer.look(row)
        if row.state != PAID:
            row = self._payer.settle(row, state)
            row = self._payer.advance(row.account_id, row.payment_id)
        if row.state == PAID:
            self._reversals.review(row, state)

    def _payments(self, hint: Hint) -> list[PaymentRow]:
        query = select(payments).where(
            payments.c.provider == self._provider.name,
            payments.c.payment_ref.in_(hint.refs),
        )
        with self._ledger.read() as connection:
            return [PaymentRow(**row) for row in connection.execute(query).mappings()]

    def _accounts(self, hint: Hint) -> list[str]:
        query = select(customers.c.account_id).where(
            customers.c.provider == self._provider.name,
            customers.c.customer_ref.in_(hint.refs),
        )
        with self._ledger.read() as connection:
            return list(connection.scalars(query))

    def _set(self, hint: Hint, due_ms: int | None, failures: int) -> None:
        statement = update(provider_hints).where(
            provider_hints.c.provider == self._provider.name,
            provider_hints.c.event_id == hint.event_id,
        )
        with self._ledger.write() as connection:
            connection.execute(statement.values(due_ms=due_ms, failures=failures))

    def _select_cursor(self) -> Select[Any]:
        return select(provider_cursors.c.cursor).where(
            provider_cursors.c.provider == self._provider.name
        )


def _count_pending(connection: Connection) -> int:
    query = select(func.count()).where(provider_hints.c.due_ms.is_not(None))
    return connection.scalar(query) or 0
