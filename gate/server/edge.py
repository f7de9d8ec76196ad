"""The edge between a service and whatever server carries it: counting, timing, and errors
in one form.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

from google.protobuf.message import Message

from gate.metrics import SECONDS, GateMetrics
from gate.server.status import as_service_error, status_of
from gate.v1.gate_pb2 import DENIED
from meter.errors import ServiceError, Unavailable

Method = Callable[[Any], Awaitable[Message]]
NO_MESSAGE = "the request's bytes are no message of its type"
_DETAILS = "grpc-status-details-bin"


class Edge:
    """Wraps service methods.

    Calls in flight are counted here, and refused beyond a bound, whatever the server's own limits
    do.
    """

    def __init__(self, metrics: GateMetrics, max_in_flight: int) -> None:
        self._metrics = metrics
        self._max_in_flight = max_in_flight
        self._in_flight = metrics.buffer.gauge(metrics.in_flight)

    def wrap(self, name: str, method: Method) -> Method:
        """The method as a server calls it: whatever goes wrong in it has been counted, and is a
        ServiceError.
        """
        buffer = self._metrics.buffer
        requests = self._metrics.requests
        seconds = buffer.histogram(self._metrics.rpc_seconds.labels(name), SECONDS)
        ok, denied = (
            buffer.counter(requests.labels(name, outcome)) for outcome in ("OK", "DENIED")
        )
        in_flight = self._in_flight
        max_in_flight = self._max_in_flight

        async def call(request: Message) -> Message:
            started = perf_counter()
            in_flight.value += 1
            try:
                if in_flight.value > max_in_flight:
                    raise Unavailable(
                        "OVERLOADED",
                        f"{max_in_flight} calls are in flight already; repeat the call shortly",
                    )
                response = await method(request)
            except asyncio.CancelledError:
                self._metrics.requests.labels(name, "CANCELLED").inc()
                raise
            except Exception as error:
                raise self._counted(name, as_service_error(error)) from error
            finally:
                in_flight.value -= 1
                seconds.observe(perf_counter() - started)
            (denied if getattr(response, "decision", None) == DENIED else ok).total += 1
            return response

        return call

    def _counted(self, name: str, refused: ServiceError) -> ServiceError:
        self._metrics.requests.labels(name, refused.code).inc()
        self._metrics.refusals.labels(refused.reason).inc()
        return refused


def details_of(refused: ServiceError) -> tuple[tuple[str, bytes], ...]:
    """The trailing metadata in which clients look for the rich status."""
    return ((_DETAILS, status_of(refused).SerializeToString()),)
