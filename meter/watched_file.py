"""Watches a file that an operator edits while processes run, and replaces it in one step."""

import os
from pathlib import Path

_Signature = tuple[int, int, int]  # inode, size, time of the last change in ns


class WatchedFile:
    """Notices changes of the file at `path`, which need not exist."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: _Signature | None = None
        self._seen: _Signature | None = None

    def mark_read(self) -> bool:
        """Remembers the file as it is now; returns whether there is a file, or was one before."""
        previous = self._read
        self._read = _signature(self.path)
        self._seen = self._read
        return previous is not None or self._read is not None

    def differs(self) -> bool:
        """Returns whether the file is another than the file that was read, be it whole or not."""
        return _signature(self.path) != self._read

    def has_changed(self) -> bool:
        """Returns whether the file differs from the file that was read.

        A change counts once two looks in a row find the same file: a file is not read while it is
        written.
        """
        previous = self._seen
        self._seen = _signature(self.path)
        return self._seen != self._read and self._seen == previous


def install(text: bytes, target: Path, mode: int = 0o644) -> None:
    """Makes `text` the content of the file at `target`, in one step.

    A reader finds the old content or the new content, whole. The permissions of a file that exists
    stay; a new file has `mode`.
    """
    real = target.resolve()  # a link stays a link
    if real.exists():
        mode = real.stat().st_mode & 0o7777
    temporary = real.with_name(f".{real.name}.{os.getpid()}")
    try:
        _write_durably(temporary, text, mode)
        temporary.replace(real)
    finally:
        temporary.unlink(missing_ok=True)


def _write_durably(
    path: Path,
    text: bytes,
    mode: int,
) -> None:
    """Writes a new file through to the disk, under no wider permissions than `mode` at any time."""
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as file:
        path.chmod(mode)
        file.write(text)
        file.flush()
        os.fsync(fd)


def _signature(path: Path) -> _Signature | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
