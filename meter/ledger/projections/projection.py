"""The protocol of all projections."""

from typing import Protocol

from meter.ledger.journal_records import JournalRecord


class Projection(Protocol):
    """Keeps one kind of facts about accounts, derived from the journal's records.

    A projection lives for one transaction: records are applied in the journal's order, then the
    changes are saved at once.
    """

    def apply(self, record: JournalRecord) -> None:
        """Moves on by one record, as the record counts in the ledger."""
        ...

    def save(self) -> None:
        """Writes the changes of all applied records into the ledger's tables."""
        ...
