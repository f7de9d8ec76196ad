"""The null RPC: an empty method on the product's own server, to tell what a transport costs.

`python null_rpc.py PORT TRANSPORT`.
"""

import asyncio
import sys
from importlib import import_module

import uvloop
from prometheus_client import CollectorRegistry

from gate.metrics import GateMetrics
from gate.server.edge import Edge, Method
from gate.settings import load_settings, parse_address
from gate.v1 import gate_pb2

# The server classes by the transport's name.
_SERVERS = {
    "grpcio": ("gate.server.grpcio", "GrpcioServer"),
    "native": ("gate.server.native", "NativeServer"),
}


class NullGate:
    """Answers at once, with nothing.

    Only GetBalance is asked; the others are there because the server looks for them.
    """

    async def GetBalance(self, _: object) -> gate_pb2.GetBalanceResponse:  # noqa: N802 - the RPC's name
        return gate_pb2.GetBalanceResponse()

    Authorize = Debit = Release = Extend = EstimateCost = Batch = GetBalance


class BareEdge(Edge):
    """No counting and no timing: those are the gate's, not the transport's."""

    def wrap(self, _: str, method: Method) -> Method:
        return method


def transports() -> list[str]:
    """Those that this version has; it serves by the last."""
    return list(_SERVERS)


async def _serve(port: int, transport: str) -> None:
    module, name = _SERVERS[transport]
    server_class = getattr(import_module(module), name)
    edge = BareEdge(GateMetrics(CollectorRegistry()), load_settings().max_in_flight)
    server = server_class({gate_pb2.DESCRIPTOR.services_by_name["Gate"]: NullGate()}, edge)
    await server.start(parse_address(f"127.0.0.1:{port}"))
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), sys.argv[2]))
