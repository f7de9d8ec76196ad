"""Checking the books: every invariant that the ledger promises, recomputed from its entries and
compared with Redis.
"""

from meter.audit.findings import Invariant
from meter.audit.runner import check_books
from meter.journal.redis_snapshot import RedisSnapshot, StoreInspector

__all__ = ["Invariant", "RedisSnapshot", "StoreInspector", "check_books"]
