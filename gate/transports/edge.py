"""The edge between a service and whatever server carries it: counting, timing, and errors into statuses."""

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any, Protocol

import grpc
from google.protobuf.message import Message

from gate.metrics import GateMetrics
from gate.status import as_service_error, code_of, status_of
from gate.v1.gate_pb2 import DENIED
from meter.errors import Unavailable

Method = Callable[[Any], Awaitable[Message]]
_DETAILS = "grpc-status-details-bin"


class Context(Protocol):
    """The part of a server's context that an edge uses."""

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()) -> Any: ...


class Edge:
    """Wraps service methods. Calls in flight are counted here, and refused beyond a bound, whatever the server's own limits do."""

    def __init__(self, metrics: GateMetrics, max_in_flight: int) -> None:
        self._metrics, self._max_in_flight = metrics, max_in_flight
        self.in_flight = 0

    def wrap(self, name: str, method: Method) -> Callable[[Any, Context], Awaitable[Message]]:
        """The method as a server calls it."""
        seconds = self._metrics.rpc_seconds.labels(name)
        ok, denied = (self._metrics.requests.labels(name, outcome) for outcome in ("OK", "DENIED"))

        async def call(request: Message, context: Context) -> Message:
            started = perf_counter()
            self.in_flight += 1
            self._metrics.in_flight.set(self.in_flight)
            try:
                if self.in_flight > self._max_in_flight:
                    raise Unavailable(
                        "OVERLOADED", f"{self._max_in_flight} calls are in flight already; repeat the call shortly"
                    )
                response = await method(request)
            except asyncio.CancelledError:
                self._metrics.requests.labels(name, "CANCELLED").inc()
                raise
            except Exception as error:
                return await self._abort(name, error, context)
            finally:
                self.in_flight -= 1
                self._metrics.in_flight.set(self.in_flight)
                seconds.observe(perf_counter() - started)
            (denied if getattr(response, "decision", None) == DENIED else ok).inc()
            return response

        return call

    async def _abort(self, name: str, error: Exception, context: Context) -> Message:
        refused = as_service_error(error)
        status = status_of(refused)
        self._metrics.requests.labels(name, refused.code).inc()
        self._metrics.refusals.labels(refused.reason).inc()
        metadata = ((_DETAILS, status.SerializeToString()),)
        return await context.abort(code_of(refused), refused.message, metadata)  # type: ignore[no-any-return]
