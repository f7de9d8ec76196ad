"""Records the price versions that something was charged by."""

from collections.abc import Iterable

from sqlalchemy import Connection, select

from meter.database.engine import Ledger, insert_or_ignore
from meter.database.schema import price_versions
from meter.journal.entry import Pricing
from meter.prices import ModelPrice
from meter.times import now_ms


class Prices:
    """Records prices in the ledger; a recorded price never changes.

    So a hold or an invoice can always find its price.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def record(self, price: ModelPrice) -> None:
        """Records the price under its version; a repeat does nothing."""
        with self._ledger.write() as connection:
            record_prices(connection, [Pricing(price.model, price.version, (), price.to_json())])

    def version(self, version: str) -> ModelPrice | None:
        """Returns the price recorded under a version; None for an unknown version."""
        statement = select(price_versions.c.body).where(price_versions.c.version == version)
        with self._ledger.read() as connection:
            body = connection.scalar(statement)
        if body is None:
            return None
        return ModelPrice.from_json(body)


def record_prices(connection: Connection, pricings: Iterable[Pricing]) -> None:
    """Records the prices that the pricings bring along; those that are known stay."""
    brought = {pricing.version: pricing for pricing in pricings if pricing.price}
    rows = []
    for version, pricing in brought.items():
        row = {
            "version": version,
            "model": pricing.model,
            "body": pricing.price,
            "recorded_at_ms": now_ms(),
        }
        rows.append(row)
    insert_or_ignore(connection, price_versions, rows)
