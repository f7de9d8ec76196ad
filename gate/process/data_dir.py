"""The data directory, and the locks that keep two owners off it."""

import fcntl
import os
import secrets
from pathlib import Path


class DataDirLock:
    """An exclusive lock on a file, held by every process that inherited `fd`, until the last of them
    ends.

    The kernel keeps it, so a crash leaves nothing stale, and a survivor of a crash cannot be
    overlooked.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def acquire(self) -> bool:
        """Whether the lock is now ours; never waits."""
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def note(self, text: str) -> None:
        """Leave a text for those who find the lock taken. Call with the lock held."""
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, text.encode(), 0)

    def read_note(self) -> str:
        """What the holder left, or nothing."""
        return os.pread(self.fd, 4096, 0).decode()

    def close(self) -> None:
        """Let go, unless a child still holds it."""
        os.close(self.fd)


def make_private_dir(path: Path) -> None:
    """Create the directory, with its parents, for our user only; an existing one keeps its mode."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def kept_secret(path: Path) -> str:
    """The secret in this file, made when first asked for and readable by our user only.

    Call with the directory's lock held.
    """
    if not path.exists():
        made = path.with_suffix(".new")
        _write_synced(made, secrets.token_hex(32))
        made.replace(path)
        _sync_dir(path.parent)
    return path.read_text()


def _write_synced(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)  # what a crash has left keeps its mode
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(fd)


def _sync_dir(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
