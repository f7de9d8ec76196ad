"""Calls that wait to be sent, in the order in which each account's were made."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from gate.client.call import Call

MAX_ITEMS = 1000  # of a batch; the gate takes no more
MAX_BATCH_BYTES = 1024 * 1024  # a quarter of what the gate takes


class Waiting:
    """Batches of calls.

    An account whose calls were taken is busy, and its other calls wait, until it is freed.
    """

    def __init__(self) -> None:
        self._queues: dict[str, deque[Call]] = {}
        self._ready: deque[str] = deque()  # accounts that have calls here and are not busy
        self._busy: set[str] = set()
        self.size = 0

    @property
    def is_ready(self) -> bool:
        """Whether `take` may find something."""
        return bool(self._ready)

    def put(self, call: Call) -> None:
        """Behind the account's other calls."""
        self._queue(call.request.account_id).append(call)
        self.size += 1

    def put_back(self, calls: Sequence[Call]) -> None:
        """Calls that were taken, before the other calls of their accounts."""
        for call in reversed(calls):
            self._queue(call.request.account_id).appendleft(call)
        self.size += len(calls)

    def take(self) -> list[Call]:
        """The next batch, without calls that are over; their accounts become busy."""
        calls: list[Call] = []
        room = MAX_BATCH_BYTES
        while self._ready:
            account_id = self._ready[0]
            queue = self._queues[account_id]
            while queue and (queue[0].is_over or _fits(queue[0], calls, room)):
                call = queue.popleft()
                self.size -= 1
                if not call.is_over:
                    calls.append(call)
                    room -= call.request.ByteSize()
                    self._busy.add(account_id)
            if queue and account_id not in self._busy:
                break  # the batch is full, and has none of this account
            self._ready.popleft()
            if queue:
                break
            del self._queues[account_id]
        return calls

    def free(self, account_ids: Iterable[str]) -> None:
        """What was taken of these accounts has ended, or was put back."""
        for account_id in account_ids:
            self._busy.discard(account_id)
            if account_id in self._queues:
                self._ready.append(account_id)

    def clear(self) -> Iterator[Call]:
        """Takes everything out."""
        queues = list(self._queues.values())
        self._queues.clear()
        self._ready.clear()
        self.size = 0
        for queue in queues:
            yield from queue

    def _queue(self, account_id: str) -> deque[Call]:
        queue = self._queues.get(account_id)
        if queue is None:
            queue = self._queues[account_id] = deque()
            if account_id not in self._busy:
                self._ready.append(account_id)
        return queue


def _fits(call: Call, calls: Sequence[Call], room: int) -> bool:
    if not calls:
        return True
    is_single = call.is_single or calls[0].is_single
    return not is_single and len(calls) < MAX_ITEMS and call.request.ByteSize() <= room
