"""What a check reports."""

from enum import StrEnum

from meter.v1 import ledger_pb2 as pb


class Invariant(StrEnum):
    """The short names of the rules, as findings bear them."""

    ACCOUNT = "account"  # an account's sums are those of its entries
    ADMISSION = "admission"  # nothing was admitted that was not available
    AGGREGATES = "aggregates"  # usage by hour and day is that of the debits
    BUDGETS = (
        "budgets"  # each call matched the budgets that are on it, and found them as they were left
    )
    CHAIN = "chain"  # each entry found the account as the one before it left it
    DUPLICATES = "duplicates"  # a request charged twice was given back
    ENTRY = "entry"  # an entry says what its effect line says
    # credits were taken of grants that had them, and go where they belong, in their time
    GRANTS = "grants"
    HOLDS = (
        "holds"  # each hold ends once, and gives back what it pinned; those open are what is held
    )
    # an invoice is the sum of its lines, and of its period's debits; numbers have no gaps
    INVOICES = "invoices"
    JOURNAL = "journal"  # sequences are dense
    OPERATIONS = "operations"  # each recorded change took effect once, in order, as recorded
    # below the overage protection only by shortfall, by grace, or because that was lowered
    OVERAGE = "overage"
    REDIS = "redis"  # Redis has what the ledger has
    THRESHOLDS = "thresholds"  # each crossing is told once
    WATERMARK = "watermark"  # the flushed position is that of the newest entry


class Findings:
    """Collects findings, up to a limit: who has more has seen enough."""

    LIMIT = 1000  # keeps the response far below 4 MB

    def __init__(self) -> None:
        self._kept: list[pb.Finding] = []
        self._left_out = 0

    def add(
        self, invariant: Invariant, detail: str, account_id: str = "", shard: int | None = None
    ) -> None:
        """Reports one difference; `detail` has the numbers."""
        if len(self._kept) >= self.LIMIT:
            self._left_out += 1
            return
        place = "" if shard is None else str(shard)
        self._kept.append(
            pb.Finding(invariant=invariant, account_id=account_id, shard=place, detail=detail)
        )

    def listed(self) -> list[pb.Finding]:
        """What was found, and at its end how many more were left out."""
        if not self._left_out:
            return self._kept
        last = self._kept[-1]
        return [
            *self._kept,
            pb.Finding(
                invariant=last.invariant, detail=f"{self._left_out} more findings are left out"
            ),
        ]
