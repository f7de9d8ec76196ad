"""A connection whose replies count only once replicas have what the commands wrote.

A WAIT goes behind each lot of commands that are written together. Redis waits for what the
connection itself has written last; so a message that nobody receives goes before the WAIT, as
something that is always written. A repeat of a call that went over another connection is then
answered under the same promise.
"""

import asyncio
from collections.abc import Callable
from functools import partial

from gate.store.connections import Connection, Reply
from gate.store.errors import RedisUnavailable, ReplicasLag

_CHANNEL = "cg:written"

_Future = asyncio.Future[Reply]
_Lot = list[tuple[_Future, _Future]]  # the command's own reply, and the reply that counts


class ReplicatedConnection(Connection):
    """Sends commands to Redis; a reply arrives once `replicas` replicas have what stands behind it.

    ReplicasLag if they have not after half of the time-out: the command took effect, and may be
    lost if the server is.
    """

    def __init__(
        self,
        timeout_s: float,
        on_lost: Callable[[Connection], None],
        replicas: int,
    ) -> None:
        super().__init__(timeout_s, on_lost)
        self._replicas = replicas
        self._wait_ms = round(timeout_s * 500)
        self._lot: _Lot = []

    def send(self, *command: str | bytes | int) -> _Future:
        """Sends a command at the end of the present turn of the event loop."""
        reply = super().send(*command)
        counted: _Future = self._loop.create_future()
        self._lot.append((reply, counted))
        return counted

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        _fail(self._lot)
        self._lot = []

    def _flush(self) -> None:
        if self.is_lost or not self._lot:
            return
        lot = self._lot
        self._lot = []
        super().send("PUBLISH", _CHANNEL, "")
        waited = super().send("WAIT", self._replicas, self._wait_ms)
        waited.add_done_callback(partial(self._settle, lot))
        super()._flush()

    def _settle(self, lot: _Lot, waited: _Future) -> None:
        if waited.exception() is not None:
            _fail(lot)
            return
        found = waited.result()
        is_enough = isinstance(found, int) and found >= self._replicas
        for reply, counted in lot:
            if counted.done():  # the caller has gone
                continue
            if is_enough:
                counted.set_result(reply.result())
            else:
                counted.set_exception(ReplicasLag(found, self._replicas))
                counted.exception()  # retrieved: a caller that has gone must not leave a warning


def _fail(lot: _Lot) -> None:
    """Fails each command of a lot: what was answered may not have reached the replicas."""
    for reply, counted in lot:
        if not counted.done():
            counted.set_exception(reply.exception() or RedisUnavailable("connection lost"))
            counted.exception()  # retrieved: a caller that has gone must not leave a warning
