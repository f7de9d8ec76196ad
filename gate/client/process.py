"""Keeps clients from being used across a fork, where gRPC hangs or ends the process."""

import os

_users: list[int] = []  # the process in which a client was opened first


def require_unforked() -> None:
    """Raises RuntimeError in a process forked from one in which a client had been opened."""
    pid = os.getpid()
    if not _users:
        _users.append(pid)
    if pid not in _users:
        raise RuntimeError(
            "a client was opened before this process was forked, and gRPC does not work across a"
            " fork; open clients in the child process alone"
        )
