"""The rule of duplicates: a debit that charged a request again is given back, by a recorded grant
that names the debit, and where the debit counts as used.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from meter.audit.entry import LedgerEntry
from meter.journal.account_sums import ABSENT
from meter.journal.operations import GrantCredits, Operation


class _Charged(NamedTuple):
    """Says what a duplicate charged, and where that counts."""

    nanos: int
    used_day: int | None
    charged_day: int | None
    budgets: str  # as `open_holds` stores windows


_NOTHING = _Charged(0, None, None, ABSENT)


class DuplicateRule:
    """Collects the debits that charged a request again."""

    def __init__(self) -> None:
        self._charged: dict[str, _Charged] = {}  # by entry id

    def apply(self, entry: LedgerEntry, counted: str) -> None:
        """Notes the entry, which `counted` in budgets, if it charged a request again."""
        if entry.kind == "DEBIT" and entry.duplicate_of is not None and entry.amount_nanos:
            self._charged[entry.id] = _Charged(
                -entry.amount_nanos,
                entry.effect.usage_day,
                entry.effect.day,
                counted,
            )

    def compare(self, recorded: Mapping[int, Operation]) -> Iterator[str]:
        """Yields duplicates whose recorded refunds differ, and refunds of no duplicate."""
        refunds = _refunds(recorded)
        for entry_id in sorted(self._charged.keys() | refunds.keys()):
            charged = self._charged.get(entry_id, _NOTHING)
            given_back = refunds.get(entry_id, _NOTHING)
            if charged.nanos != given_back.nanos:
                yield (
                    f"{entry_id}: charged {charged.nanos} nanos again,"
                    f" {given_back.nanos} are recorded to be given back"
                )
            elif charged != given_back:
                yield (
                    f"{entry_id}: counts as used in {charged[1:]},"
                    f" to be taken back from {given_back[1:]}"
                )


def _refunds(recorded: Mapping[int, Operation]) -> dict[str, _Charged]:
    refunds = {}
    for operation in recorded.values():
        change = operation.change
        if isinstance(change, GrantCredits) and change.refund_of:
            refunds[change.refund_of] = _Charged(
                change.amount_nanos,
                change.refund_day,
                change.refund_charged_day,
                change.refund_budgets,
            )
    return refunds
