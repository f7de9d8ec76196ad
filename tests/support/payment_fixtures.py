"""A ledger that a module's tests of payments share, and a desk with an account of its own."""

from collections.abc import Iterator

import pytest

from meter.database.engine import Ledger
from meter.database.migrate import migrate, open_ledger
from support.payment_desk import PaymentDesk


@pytest.fixture(scope="module")
def shared_ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger that a module's tests share, each with an account of its own."""
    url = f"sqlite:///{tmp_path_factory.mktemp('payments')}/ledger.db"
    migrate(url)
    ledger = open_ledger(url)
    yield ledger
    ledger.close()


@pytest.fixture
def desk(shared_ledger: Ledger) -> PaymentDesk:
    return PaymentDesk(shared_ledger)
