"""Wraps a service's methods for the server: counts and times calls, brings errors into the same
form.
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
_STREAMS_TO_REFUSE = 1000
STOPPING = "the server is stopping; repeat the call"
_DETAILS = "grpc-status-details-bin"


class Edge:
    """Wraps service methods, and refuses calls beyond a bound of calls in flight.

    The bound holds whatever the server's own limits do.
    """

    def __init__(self, metrics: GateMetrics, max_in_flight: int) -> None:
        self._metrics = metrics
        self._max_in_flight = max_in_flight
        self._in_flight = metrics.buffer.gauge(metrics.calls.in_flight)

    @property
    def max_streams(self) -> int:
        """Returns how many streams a client may open on a connection.

        These are more than calls may be in flight, so that a client with too many is told.
        """
        return self._max_in_flight + _STREAMS_TO_REFUSE

    @property
    def is_idle(self) -> bool:
        """Tells whether no call is in flight."""
        return not self._in_flight.value

    def wrap(self, name: str, method: Method) -> Method:
        """Returns the method for a server to call: every error is counted, and is a ServiceError.

        Whatever a call needs is looked up here, once, and not in each call.
        """
        buffer = self._metrics.buffer
        requests = self._metrics.calls.requests
        seconds = buffer.histogram(self._metrics.calls.rpc_seconds.labels(name), SECONDS)
        ok = buffer.counter(requests.labels(name, "OK"))
        denied = buffer.counter(requests.labels(name, "DENIED"))
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
                self._metrics.calls.requests.labels(name, "CANCELLED").inc()
                raise
            except Exception as error:
                raise self._counted(name, as_service_error(error)) from error
            finally:
                in_flight.value -= 1
                seconds.observe(perf_counter() - started)
            if getattr(response, "decision", None) == DENIED:
                denied.total += 1
            else:
                ok.total += 1
            return response

        return call

    def _counted(self, name: str, refused: ServiceError) -> ServiceError:
        self._metrics.calls.requests.labels(name, refused.code).inc()
        self._metrics.calls.refusals.labels(refused.reason).inc()
        return refused


def details_of(refused: ServiceError) -> tuple[tuple[str, bytes], ...]:
    """Returns the trailing metadata in which clients look for the rich status."""
    return ((_DETAILS, status_of(refused).SerializeToString()),)
