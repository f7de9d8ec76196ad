"""A primary that is demoted while its connections stay open is left for the new one."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, NamedTuple

import pytest
import redis
import uvloop
from prometheus_client import CollectorRegistry
from redis.backoff import NoBackoff
from redis.retry import Retry

from gate.metrics import GateMetrics
from gate.store.connections import Connections, Endpoint
from gate.store.contracts import OpenEpochArguments
from gate.store.errors import RedisUnavailable, ReplicasLag, UnfitRedis
from gate.store.keys import call_keys, journal_key
from gate.store.redis_server import prepare_server
from gate.store.replicated_connection import ReplicatedConnection
from gate.store.script_runner import ScriptRunner
from meter.database.engine import Ledger
from support.ledger_state import entries, make_flusher, running
from support.servers import ValkeyServer, valkey_server, wait_until
from support.stack import free_port
from support.store_harness import CREDIT, store_harness
from support.tcp_proxy import TcpProxy, tcp_proxy

pytest_plugins = ("support.harness_fixtures",)

OPEN = OpenEpochArguments(1, "epoch", "why", "ledger store", "1-0")
REPLICATED = partial(ReplicatedConnection, replicas=1)


class Pair(NamedTuple):
    """A primary, its replica, and the address that leads to whichever is the primary."""

    primary: ValkeyServer
    replica: ValkeyServer
    proxy: TcpProxy

    def fail_over(self) -> None:
        """Makes the replica the primary, without closing a connection."""
        with self.primary.client() as old, self.replica.client() as new:
            wait_until(lambda: _offset(old) == _offset(new))
            new.replicaof("NO", "ONE")
            old.replicaof("127.0.0.1", 1)
        self.proxy.target = str(self.replica.socket)


def _offset(client: redis.Redis) -> tuple[str, int]:
    info = client.info("replication")
    return info["master_replid"], info["master_repl_offset"]


@pytest.fixture
def pair() -> Iterator[Pair]:
    port = free_port()
    with (
        valkey_server(port=str(port), repl_diskless_sync_delay="0") as primary,
        valkey_server() as replica,
        tcp_proxy(str(primary.socket)) as proxy,
    ):
        with replica.client() as client:
            client.replicaof("127.0.0.1", port)
            wait_until(lambda: client.info("replication")["master_link_status"] == "up")
        yield Pair(primary, replica, proxy)


@asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[Connections]:
    """Connections that are opened, and closed with the block."""
    usual: dict[str, Any] = {"count": 1, "timeout_s": 2, "prepare": prepare_server}
    connections = Connections(Endpoint(url), **(usual | options))
    await connections.open()
    try:
        yield connections
    finally:
        await connections.close()


def runner_of(connections: Connections) -> ScriptRunner:
    return ScriptRunner(connections, GateMetrics(CollectorRegistry()))


async def open_epoch_when_there_is_a_primary(runner: ScriptRunner) -> list[bytes]:
    """Opens shard 1, repeating the call as a client does."""
    while True:
        with suppress(RedisUnavailable):
            return await runner.run("open_epoch", 1, call_keys("open_epoch", 1), OPEN)
        await asyncio.sleep(0.005)


def test_a_gate_leaves_a_demoted_primary(pair: Pair) -> None:
    async def test() -> None:
        async with connected(f"redis://127.0.0.1:{pair.proxy.port}") as connections:
            runner = runner_of(connections)
            await runner.run("open_epoch", 0, call_keys("open_epoch", 0), OPEN)
            await asyncio.to_thread(pair.fail_over)
            with pytest.raises(RedisUnavailable, match="no longer"):
                await runner.run("open_epoch", 1, call_keys("open_epoch", 1), OPEN)
            async with asyncio.timeout(10):
                assert await open_epoch_when_there_is_a_primary(runner) == [b"ok"]

    uvloop.run(test())


def test_a_reply_counts_once_a_replica_has_what_stands_behind_it(pair: Pair) -> None:
    async def test() -> None:
        async with connected(
            pair.primary.url, count=2, timeout_s=1, new_connection=REPLICATED
        ) as connections:
            runner = runner_of(connections)
            assert await runner.run("open_epoch", 0, call_keys("open_epoch", 0), OPEN) == [b"ok"]
            os.kill(pair.replica.pid, signal.SIGSTOP)
            with pytest.raises(ReplicasLag, match="replicas that have the call: 0"):
                await runner.run("open_epoch", 1, call_keys("open_epoch", 1), OPEN)
            with pytest.raises(ReplicasLag):  # a look by another connection waits as well
                await connections.command(0, "XINFO", "STREAM", journal_key(1))
            os.kill(pair.replica.pid, signal.SIGCONT)
            again = await runner.run("open_epoch", 1, call_keys("open_epoch", 1), OPEN)
            assert again == [b"stale"], "it did run"
            with pair.replica.client() as replica:
                assert replica.exists(journal_key(1))

    uvloop.run(test())


def test_calls_that_wait_for_a_replica_fail_once_the_connection_is_lost(pair: Pair) -> None:
    async def test() -> None:
        async with connected(
            pair.primary.url, timeout_s=20, new_connection=REPLICATED
        ) as connections:
            os.kill(pair.replica.pid, signal.SIGSTOP)
            waiting = [
                asyncio.ensure_future(connections.command(0, "SET", f"key-{n}", n))
                for n in range(3)
            ]
            await asyncio.sleep(0.2)
            pair.primary.kill()
            for outcome in await asyncio.gather(*waiting, return_exceptions=True):
                assert isinstance(outcome, RedisUnavailable)
            os.kill(pair.replica.pid, signal.SIGCONT)

    uvloop.run(test())


def test_a_flusher_leaves_a_demoted_primary(pair: Pair, ledger: Ledger) -> None:
    client = redis.Redis(port=pair.proxy.port, retry=Retry(NoBackoff(), 0))
    with pair.primary.client() as former, store_harness(former, ledger) as harness, client:
        flusher = make_flusher(harness, client)
        harness.create("acme", 25 * CREDIT)
        flusher.flush_once()
        harness.debit("acme", CREDIT)
        pair.fail_over()
        with running(flusher), pair.replica.client() as new:
            wait_until(lambda: new.xlen(journal_key(harness.shard("acme"))) == 0)
        assert len(entries(harness)) == 3


def test_a_node_of_a_cluster_is_refused_by_name() -> None:
    async def test(server: ValkeyServer) -> None:
        with pytest.raises(UnfitRedis, match="node of a cluster"):
            async with connected(server.url):
                pass

    ports = {"port": str(free_port()), "cluster_port": str(free_port())}
    with valkey_server(cluster_enabled="yes", **ports) as server:
        uvloop.run(test(server))
