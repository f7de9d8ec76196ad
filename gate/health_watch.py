"""Watches whether anything can be served at present, for the health that the services tell."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from gate.store.connections import Connections
from gate.store.shards import Shards

_INTERVAL_S = 0.25

log = structlog.get_logger()


class HealthWatch:
    """Tells that the services do not serve while the store is away, or every shard is closed.

    The health of the process is another matter: to start the process anew would mend neither.
    """

    def __init__(
        self,
        connections: Connections,
        shards: Shards,
        set_serving: Callable[[bool], Awaitable[None]],
    ) -> None:
        self._connections = connections
        self._shards = shards
        self._set_serving = set_serving

    async def keep(self) -> None:
        """Tells each change. Runs until cancelled."""
        serving = True
        while True:
            found = not (self._connections.are_all_lost or self._shards.are_all_closed)
            if found != serving:
                serving = found
                await self._set_serving(serving)
                log.warning("health_changed", serving=serving)
            await asyncio.sleep(_INTERVAL_S)
