"""One Envoy for all tests of this folder."""

from collections.abc import Iterator

import pytest

from support.envoy_stack import ENVOY, EnvoyStack, envoy_stack


@pytest.fixture(scope="session")
def envoy() -> Iterator[EnvoyStack]:
    if not ENVOY.exists():
        pytest.skip("there is no Envoy for this machine")
    with envoy_stack() as stack:
        yield stack
