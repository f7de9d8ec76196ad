"""What all tests share: options, and one real Valkey for each worker."""

from collections.abc import Iterator

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
        _keep_one_transport(config, items)
    for marker in ("long", "chaos"):
        if not config.getoption(marker):
            skip = pytest.mark.skip(reason=f"only with --{marker}")
            for item in items:
                if item.get_closest_marker(
                    marker
                ):  # not `item.keywords`: they hold the names of folders too
                    item.add_marker(skip)


def _keep_one_transport(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves the second transport to the tests of what transports do."""
    again = [item for item in items if _is_tried_again(item)]
    config.hook.pytest_deselected(items=again)
    items[:] = [item for item in items if not _is_tried_again(item)]


def _is_tried_again(item: pytest.Item) -> bool:
    call = getattr(item, "callspec", None)
    second = call is not None and call.params.get("stack") == "grpcio"
    return second and not item.get_closest_marker("every_transport")


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
