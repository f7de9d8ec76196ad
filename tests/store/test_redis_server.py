"""What a gate does to a server that it meets."""

import uvloop

from gate.store.connections import Connections, Endpoint
from gate.store.redis_server import prepare_server
from gate.store.script_library import library
from support.servers import ValkeyServer, valkey_server

FORMER = "#!lua name=creditgate_former\nredis.register_function('get_former', function() end)"
STRANGER = "#!lua name=stranger\nredis.register_function('stranger', function() end)"


def names(server: ValkeyServer) -> set[str]:
    with server.client() as client:
        listed = client.function_list()
    return {
        dict(zip(each[::2], each[1::2], strict=True))[b"library_name"].decode() for each in listed
    }


def connect(server: ValkeyServer, url: str) -> None:
    async def test() -> None:
        connections = Connections(Endpoint(url), count=1, timeout_s=5, prepare=prepare_server)
        await connections.open()
        await connections.close()

    uvloop.run(test())


def test_the_scripts_of_other_versions_go_and_those_of_others_stay() -> None:
    with valkey_server() as server:
        with server.client() as client:
            client.function_load(FORMER)
            client.function_load(STRANGER)
        connect(server, server.url)
        assert names(server) == {library().name, "stranger"}


def test_a_user_that_may_not_delete_scripts_is_served_all_the_same() -> None:
    with valkey_server() as server:
        with server.client() as client:
            client.function_load(FORMER)
            client.execute_command(
                "ACL", "SETUSER", "gate", "on", ">pw", "~*", "&*", "+@all", "-function|delete"
            )
        connect(server, f"unix://gate:pw@{server.socket}")
        assert names(server) == {library().name, "creditgate_former"}
