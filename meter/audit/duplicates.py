"""The rule of duplicates: a debit that charged a request again is given back, by a recorded grant
that names the debit.
"""

from collections.abc import Iterator, Mapping

from meter.audit.entry import LedgerEntry
from meter.journal.operations import GrantCredits, Operation


class DuplicateRule:
    """Collects the debits that charged a request again."""

    def __init__(self) -> None:
        self._charged: dict[str, int] = {}  # nanos by entry id

    def apply(self, entry: LedgerEntry) -> None:
        """Notes the entry if the entry is a duplicate that charged something."""
        if entry.kind == "DEBIT" and entry.duplicate_of is not None and entry.amount_nanos:
            self._charged[entry.id] = -entry.amount_nanos

    def compare(self, recorded: Mapping[int, Operation]) -> Iterator[str]:
        """Yields duplicates whose recorded refunds differ, and refunds of no duplicate."""
        refunds = _refunds(recorded)
        for entry_id in sorted(self._charged.keys() | refunds.keys()):
            charged = self._charged.get(entry_id, 0)
            given_back = refunds.get(entry_id, 0)
            if charged != given_back:
                yield (
                    f"{entry_id}: charged {charged} nanos again,"
                    f" {given_back} are recorded to be given back"
                )


def _refunds(recorded: Mapping[int, Operation]) -> dict[str, int]:
    refunds = {}
    for operation in recorded.values():
        change = operation.change
        if isinstance(change, GrantCredits) and change.refund_of:
            refunds[change.refund_of] = change.amount_nanos
    return refunds
