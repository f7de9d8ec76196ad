"""The embedded Valkey runs with jemalloc where the machine has it, and without where not."""

import subprocess
import sys
from pathlib import Path

import pytest

from gate.process import allocator
from gate.process.allocator import environment_with_jemalloc
from gate.process.embedded_valkey import find_server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems preload otherwise")

LIBC = "Valkey server v=9.1.2 malloc=libc bits=64"
OWN = "Redis server v=7.0.15 malloc=jemalloc-5.3.0 bits=64"
# In place of jemalloc, which not every machine has: a library that every machine has.
PRESENT = "libc.so.6"


@pytest.fixture(autouse=True)
def nothing_is_preloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    monkeypatch.setattr(allocator, "JEMALLOC", PRESENT)


def test_a_library_that_is_there_is_preloaded_beside_our_own_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OWN", "kept")
    environment = environment_with_jemalloc(find_server(), LIBC)
    assert environment is not None
    assert (environment["LD_PRELOAD"], environment["OWN"]) == (PRESENT, "kept")


def test_a_library_that_is_missing_is_not_preloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "JEMALLOC", "libnowhere.so.2")
    assert environment_with_jemalloc(find_server(), LIBC) is None


def test_a_server_with_an_allocator_of_its_own_keeps_it() -> None:
    assert environment_with_jemalloc(find_server(), OWN) is None


def test_what_somebody_preloads_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", "")
    assert environment_with_jemalloc(find_server(), LIBC) is None


def test_the_packaged_server_says_that_its_allocator_is_that_of_libc() -> None:
    version = subprocess.check_output([find_server(), "--version"], text=True)
    assert "malloc=libc" in version


def test_a_server_that_does_not_run_with_the_library_runs_without(tmp_path: Path) -> None:
    server = tmp_path / "server"
    server.write_text("#!/bin/sh\nexit 1\n")
    server.chmod(0o755)
    assert environment_with_jemalloc(server, LIBC) is None
