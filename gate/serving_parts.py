"""Builds all that a process listens with, for the composition root."""

from collections.abc import Mapping
from contextlib import AsyncExitStack

from google.protobuf.descriptor import ServiceDescriptor

from gate.access.guarded import open_guard
from gate.address import Address
from gate.metrics import GateMetrics
from gate.process.background_tasks import run_in_background
from gate.server import new_server
from gate.server.edge import Edge
from gate.server.memory_guard import MemoryGuard
from gate.server.serving import Serving
from gate.server.tls import server_tls
from gate.settings import Settings

_MIB = 1024 * 1024


async def open_serving(
    settings: Settings,
    address: Address,
    http_address: Address | None,
    services: Mapping[ServiceDescriptor, object],
    metrics: GateMetrics,
    opened: AsyncExitStack,
    *,
    shares_port: bool,
) -> Serving:
    """Serves the services by gRPC, and by HTTP if there is an address for it.

    Callers are asked for tokens if the settings name some. OSError if an address cannot be had.
    """
    guard = await open_guard(settings, metrics.access, opened)
    if guard is not None:
        services = guard.over(services)
    edge = Edge(metrics, settings.max_in_flight)
    tls = server_tls(settings, metrics.access.certificate_expiry)
    grpc = new_server(
        settings.transport,
        services,
        edge,
        shares_port=shares_port,
        asks_for_tokens=guard is not None,
        tls=tls,
    )
    http = None
    if http_address is not None:
        # Not at the top: a process without HTTP starts sooner without what serves it.
        from gate.web.calls import calls_of
        from gate.web.server import HttpServer

        http = HttpServer(
            calls_of(services, edge, asks_for_tokens=guard is not None),
            http_address,
            shares_port=shares_port,
            tls=tls,
        )
    serving = Serving(grpc, address, http)
    await serving.start()
    for each in filter(None, (address, http_address)):
        run_in_background(opened, _memory_guard(settings, each, metrics).keep())
    return serving


def _memory_guard(
    settings: Settings,
    address: Address,
    metrics: GateMetrics,
) -> MemoryGuard:
    max_bytes = settings.memory_max_mib * _MIB
    return MemoryGuard(address, max_bytes, metrics.calls.closed_connections)
