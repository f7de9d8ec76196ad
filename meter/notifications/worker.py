"""Follows the events and sends what is due, on threads beside the service.

Any number of processes may do so: work is claimed by lease, and a process that dies leaves its
work to the others.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import structlog

from meter.database.engine import Ledger
from meter.database.errors import LedgerUnavailable
from meter.notifications.delivery_log import DeliveryLog
from meter.notifications.expiring_grants import tell_expiring
from meter.notifications.fan_out import fan_out
from meter.notifications.mail_sender import MailSender
from meter.notifications.mails import MailRules
from meter.notifications.webhook_sender import WebhookSender
from meter.times import MS_PER_DAY, MS_PER_HOUR

_THREADS = 16
_POLL_S = 0.5
_EXPIRING_INTERVAL_MS = 60_000
_RETRY_S = 2.0  # while the ledger is away

log = structlog.get_logger()


class NotificationWorker:
    """Runs until told to stop; what is in flight then is finished, or left to another process."""

    def __init__(
        self,
        ledger: Ledger,
        webhooks: WebhookSender | None,
        mails: MailSender | None,
        rules: MailRules,
        clock: Callable[[], int],
        log_days: int,
    ) -> None:
        """Keeps what the work needs; without a sender nothing of its kind is sent."""
        self._ledger = ledger
        self._webhooks = webhooks
        self._mails = mails
        self._rules = rules
        self._clock = clock
        self._log_ms = log_days * MS_PER_DAY
        self._next_expiring_ms = 0
        self._next_removal_ms = 0
        self._free = threading.Semaphore(_THREADS)
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="notifications")
        self._thread = threading.Thread(target=self._run, name="notifications", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the work, waiting for what is in flight."""
        self._stop.set()
        self._wake.set()
        self._thread.join()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def work_once(self) -> int:
        """Follows new events and begins to send what is due; returns how much there was to do."""
        done = fan_out(self._ledger, self._rules, self._clock())
        if self._webhooks is not None:
            for claimed in self._webhooks.deliveries.claim(self._clock(), _THREADS):
                self._submit(partial(self._webhooks.send, claimed))
                done += 1
        if self._mails is not None:
            for mail in self._mails.mails.claim(self._clock()):
                self._submit(partial(self._mails.send, mail))
                done += 1
        self._do_now_and_then()
        return done

    def _run(self) -> None:
        while not self._stop.is_set():
            pause_s = _POLL_S
            try:
                if self.work_once():
                    pause_s = 0
            except LedgerUnavailable as error:
                log.warning("notifications_wait", error=str(error))
                pause_s = _RETRY_S
            except Exception as error:
                # The outermost loop: what was claimed is claimed again after its lease.
                log.error("notifications_failed", exc_info=error)
                pause_s = _RETRY_S
            self._wake.wait(pause_s)
            self._wake.clear()

    def _submit(self, send: Callable[[], None]) -> None:
        self._free.acquire()
        self._pool.submit(self._send, send)

    def _send(self, send: Callable[[], None]) -> None:
        try:
            send()
        except LedgerUnavailable as error:
            # The lease ends, and the same is sent again under the same id.
            log.warning("sent_but_not_recorded", error=str(error))
        except Exception as error:
            log.error("sending_failed", exc_info=error)  # else nobody would see it
        finally:
            self._free.release()
            self._wake.set()  # the endpoint may have another attempt now

    def _do_now_and_then(self) -> None:
        """Tells of grants that are about to expire; removes deliveries that are too old to keep."""
        now_ms = self._clock()
        if now_ms >= self._next_expiring_ms:
            found = tell_expiring(self._ledger, now_ms)
            if not found:
                self._next_expiring_ms = now_ms + _EXPIRING_INTERVAL_MS
        if now_ms >= self._next_removal_ms:
            self._next_removal_ms = now_ms + MS_PER_HOUR
            DeliveryLog(self._ledger).remove_old(now_ms - self._log_ms)
