"""Opens one set of doors for each worker, shared by all tests that ask for tokens."""

from collections.abc import Iterator

import pytest

from support.doors import Doors, opened_doors
from support.servers import valkey_server


@pytest.fixture(scope="session")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """Returns gate and billing on each transport, all of which ask for tokens."""
    folder = tmp_path_factory.mktemp("doors")
    with valkey_server() as valkey, opened_doors(folder, valkey.url) as doors:
        yield doors
