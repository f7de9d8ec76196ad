"""The shared connections to Redis: each caller gets the answer to its own question, or an error;
nothing is asked twice.
"""

import asyncio
import os
import random
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from gate.metrics import GateMetrics
from gate.store.connections import Connection, Connections, Endpoint, ask
from gate.store.contracts import (
    CreateAccountArguments,
    GetBalanceArguments,
    GrantCreditsArguments,
    OpenEpochArguments,
)
from gate.store.errors import CommandFailed, RedisUnavailable, UnfitRedis
from gate.store.keys import call_keys
from gate.store.redis_server import prepare_server
from gate.store.script_runner import ScriptRunner
from support.servers import ValkeyServer, valkey_server

Preparation = Callable[[Connection], Awaitable[str]]

CREATE = CreateAccountArguments(
    epoch=1,
    operation_number=1,
    method="create",
    operation="{}",
    replay_ttl_ms=1000,
    currency="USD",
    overage_protection_nanos=0,
    daily_limit_nanos="-",
    test_clock_ms="-",
    flags="-",
    thresholds="",
    graces="",
)
GRANT = GrantCreditsArguments(
    epoch=1,
    operation_number=2,
    method="grant",
    operation="{}",
    replay_ttl_ms=1000,
    amount_nanos=10,
    grant_terms="0 TOP_UP 50 - - -",
    thresholds="=",
    due_member="acme",
    used_day="-",
    charged_day="-",
    counted_in="-",
)


@pytest.fixture
def own_valkey() -> Iterator[ValkeyServer]:
    """A server that the test may stop, kill or misconfigure."""
    with valkey_server() as server:
        yield server


async def anyone(_: Connection) -> str:
    """Takes whatever server there is."""
    return ""


def connections_to(
    url: str, *, count: int = 2, timeout_s: float = 5.0, prepare: Preparation = anyone
) -> Connections:
    return Connections(Endpoint(url), count=count, timeout_s=timeout_s, prepare=prepare)


@asynccontextmanager
async def opened(url: str, **settings: Any) -> AsyncIterator[Connections]:
    connections = connections_to(url, **settings)
    await connections.open()
    try:
        yield connections
    finally:
        await connections.close()


async def until(condition: Callable[[], bool]) -> None:
    """Returns once `condition` is true."""
    async with asyncio.timeout(5):
        while True:
            if condition():
                return
            await asyncio.sleep(0.001)


async def eventually(attempt: Callable[[], Awaitable[Any]]) -> Any:
    """The result of the first attempt that reaches Redis."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await attempt()
            except RedisUnavailable:
                await asyncio.sleep(0.005)


def run(test: Coroutine[Any, Any, None]) -> None:
    uvloop.run(asyncio.wait_for(test, 60))  # pytest's own timeout cannot reach into this loop


def test_no_cancellation_gives_a_caller_somebody_else_s_answer(valkey: ValkeyServer) -> None:
    async def test() -> None:
        chance = random.Random(11)
        cancelled = answered = 0
        async with opened(valkey.url, count=3) as connections:
            while cancelled < 20_000:
                asked = {
                    n: asyncio.create_task(connections.command(chance.randrange(3), "ECHO", n))
                    for n in range(400)
                }
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
                for task in chance.sample(list(asked.values()), 250):
                    task.cancel()
                    if chance.random() < 0.02:
                        await asyncio.sleep(0)
                replies = await asyncio.gather(*asked.values(), return_exceptions=True)
                cancelled += sum(isinstance(reply, asyncio.CancelledError) for reply in replies)
                wrong = {
                    n: reply for n, reply in zip(asked, replies, strict=True) if reply != b"%d" % n
                }
                assert all(isinstance(reply, asyncio.CancelledError) for reply in wrong.values()), (
                    wrong
                )
                answered += len(asked) - len(wrong)
        assert answered > 10_000

    run(test())


def test_calls_of_one_shard_take_effect_in_the_order_in_which_they_were_made(
    valkey: ValkeyServer,
) -> None:
    async def test() -> None:
        async with opened(valkey.url) as connections:
            await connections.command(5, "DEL", "order")
            assert await asyncio.gather(
                *(connections.command(5, "INCR", "order") for _ in range(5000))
            ) == [*range(1, 5001)]

    run(test())


def test_each_call_is_sent_once_even_if_its_caller_has_gone(own_valkey: ValkeyServer) -> None:
    async def test() -> None:
        async with opened(own_valkey.url) as connections:
            asked = [
                asyncio.create_task(connections.command(n, "INCR", "count")) for n in range(500)
            ]
            await asyncio.sleep(0)  # each has sent
            for task in asked[::3]:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
            assert await connections.command(0, "INCR", "count") == 501

    run(test())


def test_a_call_cancelled_before_its_turn_is_not_sent(own_valkey: ValkeyServer) -> None:
    async def test() -> None:
        async with opened(own_valkey.url) as connections:
            task = asyncio.create_task(connections.command(0, "INCR", "count"))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert await connections.command(0, "GET", "count") is None

    run(test())


def test_an_error_of_redis_is_raised_to_its_own_caller(valkey: ValkeyServer) -> None:
    async def test() -> None:
        async with opened(valkey.url) as connections:
            calls = [
                connections.command(0, "ECHO", 1),
                connections.command(0, "NO-SUCH-COMMAND"),
                connections.command(0, "ECHO", 2),
            ]
            first, failed, second = await asyncio.gather(*calls, return_exceptions=True)
            assert (first, second) == (b"1", b"2")
            assert isinstance(failed, CommandFailed)
            assert "unknown command" in str(failed)

    run(test())


def test_a_connection_that_is_late_is_closed_and_fails_all_who_wait_for_it(
    own_valkey: ValkeyServer,
) -> None:
    async def test() -> None:
        async with opened(own_valkey.url, count=1, timeout_s=0.3) as connections:
            late = connections.connection(0)
            os.kill(own_valkey.pid, signal.SIGSTOP)
            calls = [asyncio.create_task(connections.command(0, "ECHO", n)) for n in range(50)]
            await asyncio.sleep(0)
            calls[0].cancel()  # the first to be late has nobody waiting for it
            replies = await asyncio.gather(*calls, return_exceptions=True)
            assert all(isinstance(reply, RedisUnavailable) for reply in replies[1:])
            assert late.is_lost
            os.kill(own_valkey.pid, signal.SIGCONT)
            assert await eventually(lambda: connections.command(0, "ECHO", "hello")) == b"hello"
            assert connections.connection(0) is not late

    run(test())


def test_a_connection_is_late_even_if_nobody_waits_for_it_any_more(
    own_valkey: ValkeyServer,
) -> None:
    async def test() -> None:
        async with opened(own_valkey.url, count=1, timeout_s=0.2) as connections:
            late = connections.connection(0)
            os.kill(own_valkey.pid, signal.SIGSTOP)
            call = asyncio.create_task(connections.command(0, "ECHO", "x"))
            await asyncio.sleep(0)
            call.cancel()
            await until(lambda: late.is_lost)
            os.kill(own_valkey.pid, signal.SIGCONT)

    run(test())


def test_a_server_that_answers_in_time_is_not_taken_for_late(own_valkey: ValkeyServer) -> None:
    async def test() -> None:
        async with opened(own_valkey.url, count=1, timeout_s=0.2) as connections:
            first = connections.connection(0)
            clock = asyncio.get_running_loop().time
            deadline = clock() + 0.7

            async def keep_asking() -> None:
                while clock() < deadline:
                    await connections.command(0, "ECHO", "x")

            await asyncio.gather(*(keep_asking() for _ in range(50)))
            assert connections.connection(0) is first

    run(test())


def test_after_a_timeout_nothing_is_sent_again(own_valkey: ValkeyServer) -> None:
    async def test() -> None:
        async with opened(own_valkey.url, count=1, timeout_s=0.3) as connections:
            os.kill(own_valkey.pid, signal.SIGSTOP)
            calls = [connections.command(0, "INCR", "count") for _ in range(100)]
            replies = await asyncio.gather(*calls, return_exceptions=True)
            os.kill(own_valkey.pid, signal.SIGCONT)
            assert all(isinstance(reply, RedisUnavailable) for reply in replies)
            # They may have arrived, all or none, before the connection was closed; but once.
            assert 1 <= await eventually(lambda: connections.command(0, "INCR", "count")) <= 101

    run(test())


def test_a_killed_server_fails_the_calls_and_is_found_again_with_back_off(
    own_valkey: ValkeyServer,
) -> None:
    async def test() -> None:
        async with opened(own_valkey.url) as connections:
            os.kill(own_valkey.pid, signal.SIGSTOP)  # so that the calls are in flight when it dies
            calls = [asyncio.create_task(connections.command(n, "ECHO", n)) for n in range(50)]
            await asyncio.sleep(0.01)
            with capture_logs() as logs:
                own_valkey.kill()
                assert all(
                    isinstance(reply, RedisUnavailable)
                    for reply in await asyncio.gather(*calls, return_exceptions=True)
                )
                with pytest.raises(RedisUnavailable):
                    await connections.command(0, "PING")
                await until(lambda: len(logs) >= 2)
                await asyncio.to_thread(own_valkey.start)
                assert await eventually(lambda: connections.command(0, "ECHO", 7)) == b"7"
                assert await eventually(lambda: connections.command(1, "ECHO", 8)) == b"8"
                await until(lambda: logs[-1]["event"] == "redis_reconnected")
            delays = [entry["retry_s"] for entry in logs if entry["event"] == "redis_reconnect"]
            assert len(delays) == len(logs) - 1
            assert delays[-1] >= 4 * delays[0]

    run(test())


def test_a_server_that_takes_no_connection_in_time_is_told_with_the_time() -> None:
    async def test(port: int) -> None:
        with pytest.raises(RedisUnavailable, match=r"no connection within 0\.2 s"):
            async with opened(f"rediss://127.0.0.1:{port}?ssl_cert_reqs=none", timeout_s=0.2):
                pass

    with socket.create_server(("127.0.0.1", 0)) as silent:
        run(test(silent.getsockname()[1]))


def test_a_connection_lost_while_it_is_prepared_is_not_kept(valkey: ValkeyServer) -> None:
    async def test() -> None:
        async def drop(connection: Connection) -> str:
            connection.close()
            await until(lambda: connection.is_lost)
            return ""

        with pytest.raises(RedisUnavailable):
            async with opened(valkey.url, prepare=drop):
                pass

    run(test())


def test_connections_cut_by_the_server_come_back(own_valkey: ValkeyServer) -> None:
    async def test() -> None:
        async with opened(own_valkey.url, count=3, prepare=prepare_server) as connections:
            for _ in range(5):
                with own_valkey.client() as client:
                    client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                replies = [
                    await eventually(lambda n=n: connections.command(n, "ECHO", n))
                    for n in range(3)
                ]
                assert replies == [b"0", b"1", b"2"]

    run(test())


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", "allkeys-random"])
def test_a_server_that_may_evict_is_refused(own_valkey: ValkeyServer, policy: str) -> None:
    async def test() -> None:
        with own_valkey.client() as client:
            client.config_set("maxmemory-policy", policy)
        with pytest.raises(UnfitRedis, match="noeviction"):
            async with opened(own_valkey.url, prepare=prepare_server):
                pass

    run(test())


def test_a_replica_is_refused(own_valkey: ValkeyServer) -> None:
    async def test() -> None:
        with own_valkey.client() as client:
            client.replicaof("127.0.0.1", 1)
        with pytest.raises(UnfitRedis, match="replica"):
            async with opened(own_valkey.url, prepare=prepare_server):
                pass

    run(test())


def test_a_server_that_became_unfit_is_used_again_once_it_is_fit(own_valkey: ValkeyServer) -> None:
    """As in a failover: the old primary comes back as a replica first."""

    async def test() -> None:
        async with opened(own_valkey.url, prepare=prepare_server) as connections:
            with own_valkey.client() as client, capture_logs() as logs:
                client.config_set("maxmemory-policy", "allkeys-lru")
                client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                await until(lambda: any("noeviction" in entry.get("error", "") for entry in logs))
                with pytest.raises(RedisUnavailable):
                    await connections.command(0, "PING")
                client.config_set("maxmemory-policy", "noeviction")
            assert await eventually(lambda: connections.command(0, "PING")) == b"PONG"

    run(test())


def test_it_signs_in_and_chooses_the_database_of_its_url() -> None:
    async def test(server: ValkeyServer) -> None:
        async with opened(f"unix://:secret@{server.socket}?db=3") as connections:
            info = await connections.command(0, "CLIENT", "INFO")
            assert b" db=3 " in info
            assert b" name=creditgate " in info
        with pytest.raises(CommandFailed, match="WRONGPASS"):
            async with opened(f"unix://:wrong@{server.socket}"):
                pass

    with valkey_server() as server:
        with server.client() as client:
            client.config_set("requirepass", "secret")
        run(test(server))


def test_it_reaches_a_server_over_tcp() -> None:
    async def test(port: int) -> None:
        async with opened(f"redis://127.0.0.1:{port}/2") as connections:
            assert b" db=2 " in await connections.command(0, "CLIENT", "INFO")

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with valkey_server(port=str(port)):
        run(test(port))


def test_a_server_that_is_not_there_is_told_at_start() -> None:
    async def test() -> None:
        with pytest.raises(OSError, match=r"No such file|refused"):
            async with opened("unix:///tmp/no-such-socket"):
                pass

    run(test())


def test_scripts_that_redis_has_forgotten_are_loaded_again_and_run_once(
    own_valkey: ValkeyServer,
) -> None:
    async def test() -> None:
        async with opened(own_valkey.url, prepare=prepare_server) as connections:
            runner = ScriptRunner(connections, GateMetrics(CollectorRegistry()))
            journal = call_keys("open_epoch", 0)
            await runner.run(
                "open_epoch",
                0,
                journal,
                OpenEpochArguments(1, "epoch", "why", "ledger store", "1-0"),
            )
            account = call_keys("create_account", 0, "acme", "r")
            await runner.run("create_account", 0, account, CREATE)
            for number in range(2, 12):
                await connections.command(0, "FUNCTION", "FLUSH")
                keys = call_keys("grant_credits", 0, "acme", "r")
                grant = GRANT._replace(operation_number=number)
                calls = [runner.run("grant_credits", 0, keys, grant) for _ in range(20)]
                replies = await asyncio.gather(*calls)
                assert sorted(reply[0] for reply in replies) == [b"ok"] + [b"replayed"] * 19
            sums = await connections.command(0, "HMGET", "cg:{00}:a:acme", "gl", "ol")
            assert sums == [b"10", b"90"]
            assert await connections.command(0, "XLEN", "cg:{00}:journal") == 12

    run(test())


def test_a_script_s_error_is_raised(valkey: ValkeyServer) -> None:
    async def test() -> None:
        async with opened(valkey.url, prepare=prepare_server) as connections:
            runner = ScriptRunner(connections, GateMetrics(CollectorRegistry()))
            await connections.command(0, "SET", "text", "no hash")
            with pytest.raises(CommandFailed, match="get_balance: WRONGTYPE"):
                await runner.run("get_balance", 0, ["text"], GetBalanceArguments(1))

    run(test())


def test_each_new_connection_tells_which_run_of_the_server_it_met(own_valkey: ValkeyServer) -> None:
    async def test() -> None:
        runs: list[str] = []
        connections = connections_to(own_valkey.url, prepare=prepare_server)
        connections.on_server(runs.append)
        await connections.open()
        try:
            assert len(runs) == 2
            own_valkey.kill()
            await asyncio.to_thread(own_valkey.start)
            await eventually(lambda: connections.command(0, "PING"))
            await eventually(lambda: connections.command(1, "PING"))
            assert len(runs) == 4
            assert len(set(runs[:2])) == len(set(runs[2:])) == 1
            assert len(set(runs)) == 2
            info = await ask(connections.connection(0), "INFO", "server")
            assert b"run_id:%s" % runs[-1].encode() in info
        finally:
            await connections.close()

    run(test())
