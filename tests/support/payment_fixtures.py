"""A ledger that a module's tests of payments share, and a desk with an account of its own."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from meter.database.engine import Ledger
from meter.database.migrate import migrate, open_ledger
from support.payment_desk import PaymentDesk

pytest_plugins = ("support.ledgers",)


@pytest.fixture(scope="module")
def shared_ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """A ledger that a module's tests share, each with an account of its own.

    On SQLite, or with --long on PostgreSQL.
    """
    if request.config.getoption("long"):
        ledger = open_ledger(request.getfixturevalue("postgres_url"))
        yield ledger
        ledger.close()
        return
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        url = f"sqlite:///{folder}/ledger.db"
        migrate(url)
        ledger = open_ledger(url)
        yield ledger
        ledger.close()


def _memory() -> str | None:
    """Returns a folder in memory, if there is one: nobody pulls the plug in these tests."""
    folder = Path("/dev/shm")
    if folder.is_dir():
        return str(folder)
    return None


@pytest.fixture
def desk(shared_ledger: Ledger) -> PaymentDesk:
    return PaymentDesk(shared_ledger)
