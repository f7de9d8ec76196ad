"""The command that asks a running process whether it serves, for containers and scripts."""

from typing import Annotated, Any

import typer
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from gate.cli.connection import open_channel

_TIMEOUT_S = 5.0
_GATE = "gate.v1.Gate"
_LEDGER = "meter.v1.Ledger"
_PROCESS = ""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(health)


def health(
    live: Annotated[
        bool,
        typer.Option("--live", help="Only whether the process runs; else whether it can serve."),
    ] = False,
    billing: Annotated[bool, typer.Option("--billing", help="Ask billing, not the gate.")] = False,
) -> None:
    """Ask whether the gate can serve at present; exits with 1 if not."""
    setting = "listen"
    service = _GATE
    if billing:
        setting = "billing_listen"
        service = _LEDGER
    if live:
        service = _PROCESS
    with open_channel(setting) as channel:
        stub: Any = HealthStub(channel)  # the stubs do not show a stub's methods
        reply = stub.Check(HealthCheckRequest(service=service), timeout=_TIMEOUT_S)
    print(HealthCheckResponse.ServingStatus.Name(reply.status))
    if reply.status != HealthCheckResponse.SERVING:
        raise typer.Exit(1)
