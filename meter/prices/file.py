"""Reads the price file from disk, and watches the file for changes."""

from pathlib import Path

from meter.prices.catalog import Catalog
from meter.prices.table import PriceTable
from meter.watched_file import WatchedFile


class PriceFile:
    """Reads the price file at `path`, which need not exist, and notices changes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # One catalog for all tables: the catalog remembers which names mean which models.
        self._catalog = Catalog.installed()
        # Now, because a call with a name that is not known would wait for it.
        self._catalog.compare_names()
        self._watched = WatchedFile(path)

    def read(self) -> PriceTable:
        """Returns the table under the file as the file is now.

        Raises PriceFileError if the file is wrong, or has disappeared since the last read.
        """
        if self._watched.mark_read():
            return PriceTable.load(self.path, self._catalog)
        return PriceTable.load(None, self._catalog)

    def has_changed(self) -> bool:
        """Returns whether the file differs from the file that was read, and is whole."""
        return self._watched.has_changed()
