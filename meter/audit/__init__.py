"""The audit: recomputes every invariant that the ledger promises from the ledger's entries, and
compares the results with Redis.
"""

from meter.audit.findings import Invariant
from meter.audit.runner import check_books
from meter.journal.redis_snapshot import RedisSnapshot, StoreInspector

__all__ = ["Invariant", "RedisSnapshot", "StoreInspector", "check_books"]
