"""The client: the gate's calls for Python programs.

`connect` opens one for asyncio; `Client` is the same for programs without an event loop. Calls that
are made while others are under way share RPCs; what was UNAVAILABLE is repeated under the same
request id. See docs/calling.md.
"""

from gate.client.asynchronous import AsyncClient, Hold, connect
from gate.client.blocking import BlockingHold, Client
from gate.client.errors import CallFailed, Denied, NotSent, OutcomeUnknown
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
    "Usage",
    "connect",
]
