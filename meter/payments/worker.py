"""The worker: takes on all payments that are due, whoever began them."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

import structlog

from meter.database.engine import Ledger
from meter.errors import ServiceError
from meter.outage_log import OutageLog
from meter.payments.leases import due_payments
from meter.payments.payer import Payer
from meter.payments.provider import Provider

_THREADS = 8
_POLL_S = 0.25

Work = Callable[[], None]

log = structlog.get_logger()


class PaymentWorker:
    """Takes payments on in threads of its own. Any number of workers may run."""

    def __init__(
        self,
        ledger: Ledger,
        provider: Provider,
        payer: Payer,
        clock: Callable[[], int],
        chores: Iterable[Work] = (),
    ) -> None:
        """`chores` are done in each round before the payments that are due."""
        self._ledger = ledger
        self._provider = provider
        self._payer = payer
        self._clock = clock
        self._chores = tuple(chores)
        self._running: dict[str, Future[None]] = {}
        self._outage = OutageLog("payments_wait", "payments_go_on")

    def run(self, stop: Event) -> None:
        """Works until told to stop, then ends what has begun."""
        with ThreadPoolExecutor(_THREADS, "payments") as pool:
            while not stop.is_set():
                try:
                    self._round(pool)
                    self._outage.ended()
                except ServiceError as error:
                    self._outage.failed(error)
                stop.wait(_POLL_S)

    def run_once(self) -> None:
        """Does everything that is due now, one after the other."""
        for chore in self._chores:
            chore()
        for account_id, payment_id in self._due():
            self._payer.advance(account_id, payment_id)

    def _round(self, pool: ThreadPoolExecutor) -> None:
        for chore in self._chores:
            chore()
        self._running = {name: work for name, work in self._running.items() if not work.done()}
        for account_id, payment_id in self._due():
            if payment_id not in self._running:
                self._running[payment_id] = pool.submit(self._advance, account_id, payment_id)

    def _due(self) -> list[tuple[str, str]]:
        with self._ledger.read() as connection:
            return due_payments(connection, self._provider.name, self._clock(), 4 * _THREADS)

    def _advance(self, account_id: str, payment_id: str) -> None:
        try:
            self._payer.advance(account_id, payment_id)
        except ServiceError as error:
            log.warning("payment_waits", payment=payment_id, error=str(error))
        except Exception as error:  # a fault of ours must not end the thread in silence
            log.error("payment_failed", payment=payment_id, exc_info=error)
