"""Checking the books: every invariant that the ledger promises, recomputed from its entries and compared with Redis."""

from meter.check.books import check_books
from meter.check.findings import Invariant
from meter.check.redis_view import RedisView, Sighting

__all__ = ["Invariant", "RedisView", "Sighting", "check_books"]
