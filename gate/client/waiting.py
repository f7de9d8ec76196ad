"""The queue of calls to send; the calls of an account keep their order."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from gate.client.call import Call

MAX_ITEMS = 1000  # of a batch; the gate takes no more
MAX_BATCH_BYTES = 1024 * 1024  # a quarter of what the gate takes


class Waiting:
    """Queues calls by account and hands out batches.

    An account is busy from the taking of calls until freed; meanwhile its other calls wait.
    """

    def __init__(self) -> None:
        self._queues: dict[str, deque[Call]] = {}
        self._ready: deque[str] = deque()  # accounts with queued calls that are not busy
        self._busy: set[str] = set()
        self.size = 0

    @property
    def is_ready(self) -> bool:
        """Tells whether `take` may return calls."""
        return bool(self._ready)

    def put(self, call: Call) -> None:
        """Adds a call behind the account's other calls."""
        self._queue(call.request.account_id).append(call)
        self.size += 1

    def put_back(self, calls: Sequence[Call]) -> None:
        """Puts calls that were taken before the other calls of their accounts."""
        for call in reversed(calls):
            self._queue(call.request.account_id).appendleft(call)
        self.size += len(calls)

    def take(self) -> list[Call]:
        """Returns the next batch; its accounts become busy. Calls that are over are dropped."""
        calls: list[Call] = []
        bytes_left = MAX_BATCH_BYTES
        while self._ready:
            account_id = self._ready[0]
            queue = self._queues[account_id]
            while queue and (queue[0].is_over or _fits(queue[0], calls, bytes_left)):
                call = queue.popleft()
                self.size -= 1
                if not call.is_over:
                    calls.append(call)
                    bytes_left -= call.request.ByteSize()
                    self._busy.add(account_id)
            if queue and account_id not in self._busy:
                break  # the batch is full, and has no call of this account
            self._ready.popleft()
            if queue:
                break
            del self._queues[account_id]
        return calls

    def free(self, account_ids: Iterable[str]) -> None:
        """Ends the accounts' busy state: their calls have ended, or were put back."""
        for account_id in account_ids:
            self._busy.discard(account_id)
            if account_id in self._queues:
                self._ready.append(account_id)

    def clear(self) -> Iterator[Call]:
        """Empties the queue and yields every call."""
        queues = list(self._queues.values())
        self._queues.clear()
        self._ready.clear()
        self.size = 0
        for queue in queues:
            yield from queue

    def _queue(self, account_id: str) -> deque[Call]:
        queue = self._queues.get(account_id)
        if queue is None:
            queue = deque()
            self._queues[account_id] = queue
            if account_id not in self._busy:
                self._ready.append(account_id)
        return queue


def _fits(call: Call, calls: Sequence[Call], bytes_left: int) -> bool:
    """Tells whether the batch may take one more call; an empty batch takes any call."""
    if not calls:
        return True
    if call.is_single or calls[0].is_single:
        return False
    return len(calls) < MAX_ITEMS and call.request.ByteSize() <= bytes_left
