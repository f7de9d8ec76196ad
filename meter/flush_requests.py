"""Requests to flush at once: whoever waits for the ledger makes one, and every flusher hears it."""

import time
from threading import Event

from redis import Redis
from redis.exceptions import RedisError

from meter.outage_log import OutageLog

FLUSH_CHANNEL = "cg:flush"
_LOOK_S = 0.1  # how long a flusher that is told to stop may still wait


class FlushRequests:
    """Hears the requests. A request that nobody hears is lost: whoever waits asks again."""

    def __init__(self, client: Redis) -> None:
        self._channel = client.pubsub(ignore_subscribe_messages=True)
        self._outage = OutageLog("flush_requests_not_heard", "flush_requests_heard_again")

    def wait(self, seconds: float, stop: Event) -> None:
        """Returns at a request, after `seconds`, or when told to stop.

        While Redis does not tell of requests, which is logged, `seconds` are waited.
        """
        deadline = time.monotonic() + seconds
        while not stop.is_set():
            left_s = deadline - time.monotonic()
            if left_s <= 0 or self._hears_within(min(left_s, _LOOK_S), stop):
                return

    def _hears_within(self, seconds: float, stop: Event) -> bool:
        try:
            is_asked = self._take(seconds)
            self._outage.ended()
        except RedisError as error:
            self._outage.failed(error)
            self._channel.reset()
            stop.wait(seconds)
            return False
        return is_asked

    def _take(self, seconds: float) -> bool:
        """Says whether a request comes within the time; takes all that have come."""
        if not self._channel.subscribed:
            self._channel.subscribe(FLUSH_CHANNEL)
        is_asked = False
        while self._channel.get_message(timeout=seconds) is not None:
            is_asked = True
            seconds = 0.0
        return is_asked
