"""Finds a better memory allocator for the embedded Valkey than that of libc.

A third of what Valkey does for a call is to allocate and to free. Valkey's own choice is jemalloc,
and the packaged server comes without it. The library must survive a fork beside other threads, by
which Valkey rewrites the AOF: jemalloc does, and mimalloc, which has wheels, does not promise it.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

JEMALLOC = "libjemalloc.so.2"
_PRELOAD = "LD_PRELOAD"


def environment_with_jemalloc(server: Path, version: str) -> Mapping[str, str] | None:
    """Returns an environment in which the server runs with the machine's jemalloc.

    None, for our own environment, where there is no such library, where the server, as its
    `version` says, has an allocator of its own, or where somebody preloads something already.
    """
    if sys.platform != "linux" or "malloc=libc" not in version or _PRELOAD in os.environ:
        return None
    environment = {**os.environ, _PRELOAD: JEMALLOC}
    # The loader complains of a library that it does not find or cannot use, and goes on.
    tried = subprocess.run(  # noqa: S603 - our own path
        [server, "--version"], env=environment, capture_output=True, timeout=10, check=False
    )
    if tried.returncode or tried.stderr:
        return None
    return environment
