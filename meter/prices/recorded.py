"""Records the price versions that something was charged by."""

import time

from sqlalchemy import select

from meter.database.engine import Ledger, insert_or_ignore
from meter.database.schema import price_versions
from meter.prices import ModelPrice


class Prices:
    """Records prices in the ledger before they are first charged; a recorded price never changes.

    So a hold or an invoice can always find its price.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def record(self, price: ModelPrice) -> None:
        """Records the price under its version; a repeat does nothing."""
        row = {
            "version": price.version,
            "model": price.model,
            "body": price.to_json(),
            "recorded_at_ms": time.time_ns() // 1_000_000,
        }
        with self._ledger.write() as connection:
            insert_or_ignore(connection, price_versions, [row])

    def version(self, version: str) -> ModelPrice | None:
        """Returns the price recorded under a version; None for an unknown version."""
        statement = select(price_versions.c.body).where(price_versions.c.version == version)
        with self._ledger.read() as connection:
            body = connection.scalar(statement)
        if body is None:
            return None
        return ModelPrice.from_json(body)
