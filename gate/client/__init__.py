"""The client: the gate's calls for Python programs.

`connect` opens a client for asyncio; `Client` is for programs without an event loop. Calls made
while other calls are under way share RPCs. A call that was UNAVAILABLE is repeated under the same
request id until the call's time is over. Every amount is an integer of nano-credits.
"""

from gate.client.asynchronous import AsyncClient, Hold
from gate.client.blocking import BlockingHold, Client
from gate.client.connection import connect
from gate.client.errors import CallFailed, Denied, NotSent, OutcomeUnknown
from gate.client.tls import Tls
from gate.v1.gate_pb2 import ALLOWED, DENIED, Usage

__all__ = [
    "ALLOWED",
    "DENIED",
    "AsyncClient",
    "BlockingHold",
    "CallFailed",
    "Client",
    "Denied",
    "Hold",
    "NotSent",
    "OutcomeUnknown",
    "Tls",
    "Usage",
    "connect",
]
