"""Reads the price file from disk, watches the file for changes, and replaces it in one step."""

import os
from pathlib import Path

from meter.prices.catalog import Catalog
from meter.prices.table import PriceTable

_Signature = tuple[int, int, int]  # inode, size, time of the last change in ns


class PriceFile:
    """Reads the price file at `path`, which need not exist, and notices changes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # One catalog for all tables: the catalog remembers which names mean which models.
        self._catalog = Catalog.installed()
        # Now, because a call with a name that is not known would wait for it.
        self._catalog.compare_names()
        self._read: _Signature | None = None
        self._seen: _Signature | None = None

    def read(self) -> PriceTable:
        """Returns the table under the file as the file is now.

        Raises PriceFileError if the file is wrong, or has disappeared since the last read.
        """
        previous = self._read
        self._read = _signature(self.path)
        self._seen = self._read
        never_existed = previous is None and self._read is None
        if never_existed:
            return PriceTable.load(None, self._catalog)
        return PriceTable.load(self.path, self._catalog)

    def has_changed(self) -> bool:
        """Returns whether the file differs from the file that was read.

        A change counts once two looks in a row find the same file: a file is not read while it is
        written.
        """
        previous = self._seen
        self._seen = _signature(self.path)
        return self._seen != self._read and self._seen == previous


def install(text: bytes, target: Path) -> None:
    """Makes `text` the content of the file at `target`, in one step.

    A reader finds the old content or the new content, whole.
    """
    real = target.resolve()  # a link stays a link
    temporary = real.with_name(f".{real.name}.{os.getpid()}")
    try:
        _write_durably(temporary, text, like=real)
        temporary.replace(real)
    finally:
        temporary.unlink(missing_ok=True)


def _write_durably(
    path: Path,
    text: bytes,
    like: Path,
) -> None:
    """Writes a file through to the disk, with the permissions of `like`, if that file exists."""
    with path.open("wb") as file:
        if like.exists():
            path.chmod(like.stat().st_mode)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _signature(path: Path) -> _Signature | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
