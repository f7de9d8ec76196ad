"""The price file on disk: read, watched for changes, and put in place of another in one step."""

import os
from pathlib import Path

from meter.prices.catalog import Catalog
from meter.prices.table import PriceTable

_Signature = tuple[int, int, int]  # inode, size, time of the last change in ns


class PriceFile:
    """The price file at `path`, which need not exist, and whether it has changed since it
    was read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._catalog = (
            Catalog.installed()
        )  # one for all tables: it remembers which names mean which models
        self._read: _Signature | None = None
        self._seen: _Signature | None = None

    def read(self) -> PriceTable:
        """The table under the file as it is now; PriceFileError if it is wrong, or is gone since it
        was last read.
        """
        was = self._read
        self._read = _signature(self.path)
        self._seen = self._read
        path = None if was is None and self._read is None else self.path
        return PriceTable.load(path, self._catalog)

    def has_changed(self) -> bool:
        """Whether it is another than was read, and the same as at the last look: a file is not read
        while it is written.
        """
        before = self._seen
        self._seen = _signature(self.path)
        return self._seen != self._read and self._seen == before


def install(text: bytes, target: Path) -> None:
    """Makes `text` the content of the file at `target`, at once: who reads it finds the old one or the
    new one, whole.
    """
    real = target.resolve()  # a link stays a link
    temporary = real.with_name(f".{real.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            if real.exists():
                temporary.chmod(real.stat().st_mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(real)
    finally:
        temporary.unlink(missing_ok=True)


def _signature(path: Path) -> _Signature | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
