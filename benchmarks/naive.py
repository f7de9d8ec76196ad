"""The naive design, kept as a baseline: grpc.aio and redis-py, one await per call. `python naive.py
PORT REDIS_URL COMMAND`.

It runs the very debit script that the gate runs, with the gate's keys and arguments: COMMAND is a
debit as captured (`command_of`), in which account and request id are put in anew. It checks
nothing, prices nothing, and reports no balance, which is all in its favour.
"""

import asyncio
import json
import sys
from typing import Any

import grpc
import redis.asyncio
from commands import Sample
from population import shard_tag
from templates import ACCOUNT

from gate.v1.gate_pb2 import ALLOWED, DENIED, DebitRequest, DebitResponse
from gate.v1.gate_pb2_grpc import GateServicer, add_GateServicer_to_server

_CONNECTIONS = 1024


def command_of(sample: Sample, shards: int) -> str:
    """A captured debit, as this server takes it."""
    words = [word.decode("latin-1") for word in sample.captured.sent[0]]
    return json.dumps(
        {"words": words, "request_id": sample.request_ids[0].decode(), "shards": shards}
    )


class NaiveGate(GateServicer):
    """Debit as one writes it first."""

    def __init__(
        self, client: "redis.asyncio.Redis", words: list[str], request_id: str, shards: int
    ) -> None:
        self._redis = client
        self._shards = shards
        self._words = [word.encode("latin-1") for word in words]
        self._request_id = request_id.encode()
        self._tag = shard_tag(ACCOUNT.encode(), shards)

    async def Debit(self, request: DebitRequest, context: Any) -> DebitResponse:  # noqa: N802 - the RPC's name
        command = self._command(request.account_id.encode(), request.request_id.encode())
        reply = await self._redis.execute_command(*command)
        if reply[0] == b"denied":
            return DebitResponse(decision=DENIED)
        if reply[0] != b"ok":
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(reply))
        return DebitResponse(decision=ALLOWED, charged_nanos=request.amount_nanos)

    def _command(self, account: bytes, request_id: bytes) -> list[bytes]:
        tag = shard_tag(account, self._shards)
        return [
            word.replace(ACCOUNT.encode(), account)
            .replace(self._request_id, request_id)
            .replace(self._tag, tag)
            for word in self._words
        ]


async def _serve(port: int, redis_url: str, command: str) -> None:
    client = redis.asyncio.Redis.from_url(redis_url, max_connections=_CONNECTIONS)
    server = grpc.aio.server()
    add_GateServicer_to_server(NaiveGate(client, **json.loads(command)), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    print("ready", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
