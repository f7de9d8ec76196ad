"""What all tests share: options, and one real Valkey for each worker."""

from collections.abc import Callable, Iterator

import fakeredis
import pytest
import redis

from support.lua_table import LuaEngine
from support.servers import ValkeyServer, valkey_server


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long", action="store_true", help="run properties and faults at their full counts"
    )
    parser.addoption(
        "--chaos", action="store_true", help="run the tests that kill real processes under load"
    )

    parser.addoption("--seed", type=int, default=1, help="of the mix of faults")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("long"):
        _leave_out(config, items, _is_second_transport)
    if not (config.getoption("long") or config.getoption("chaos")):
        _leave_out(config, items, _is_second_ledger)
    for marker in ("long", "chaos"):
        if not config.getoption(marker):
            skip = pytest.mark.skip(reason=f"only with --{marker}")
            for item in items:
                if item.get_closest_marker(
                    marker
                ):  # not `item.keywords`: they hold the names of folders too
                    item.add_marker(skip)


def _leave_out(
    config: pytest.Config, items: list[pytest.Item], is_left_out: Callable[[pytest.Item], bool]
) -> None:
    config.hook.pytest_deselected(items=[item for item in items if is_left_out(item)])
    items[:] = [item for item in items if not is_left_out(item)]


def _is_second_transport(item: pytest.Item) -> bool:
    """Says whether a test of something else than transports is tried with the second one."""
    return _tried_with(item, "stack") == "grpcio" and not item.get_closest_marker("every_transport")


def _is_second_ledger(item: pytest.Item) -> bool:
    """Says whether a dear test, of which SQLite shows most, is tried with PostgreSQL."""
    return _tried_with(item, "ledger_url") == "postgresql" and bool(
        item.get_closest_marker("sqlite_first")
    )


def _tried_with(item: pytest.Item, fixture: str) -> object:
    call = getattr(item, "callspec", None)
    return call.params.get(fixture) if call is not None else None


@pytest.fixture
def is_long(request: pytest.FixtureRequest) -> bool:
    """Whether counts are to be the full ones."""
    return bool(request.config.getoption("long"))


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """What the mix of faults is drawn from."""
    return int(request.config.getoption("seed"))


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    """This worker's server; tests that share it use `redis_db`, or account names of their own."""
    with valkey_server() as server:
        yield server


@pytest.fixture
def redis_db(valkey: ValkeyServer) -> Iterator[redis.Redis]:
    """A client of this worker's server, emptied."""
    with valkey.client() as client:
        client.flushall()
        yield client


@pytest.fixture(params=["valkey", "fakeredis"])
def lua_engine(request: pytest.FixtureRequest) -> Iterator[LuaEngine]:
    """Where the Lua tables are tried: each on two engines."""
    if request.param == "valkey":
        yield LuaEngine(request.getfixturevalue("redis_db"))
    else:
        with fakeredis.FakeRedis(server_type="valkey") as client:
            yield LuaEngine(client)
