"""Findings: what a check reports."""

from enum import StrEnum

from meter.v1 import ledger_pb2 as pb


class Invariant(StrEnum):
    """Names the rules, as findings name the rules."""

    ACCOUNT = "account"  # an account's sums are the sums of its entries
    ADMISSION = "admission"  # nothing was admitted that was not available
    AGGREGATES = "aggregates"  # usage by hour and day is the usage of the debits
    BUDGETS = "budgets"  # each call matched its budgets, and found them as they were left
    CHAIN = "chain"  # each entry found the account as the entry before left it
    DELIVERIES = "deliveries"  # each event has one delivery to each endpoint that wants the event
    DUPLICATES = "duplicates"  # a request charged twice was given back
    ENTRY = "entry"  # an entry says what its effect line says
    # Each fact has one event; a denial was possible when it was told; numbers have no gaps.
    EVENTS = "events"
    GRANTS = "grants"  # credits were there, and go where they belong, in their time
    HOLDS = "holds"  # each hold ends once, and gives back what it pinned
    INVOICES = "invoices"  # an invoice is its lines, and its period's debits; numbers have no gaps
    JOURNAL = "journal"  # sequences are dense
    OPERATIONS = "operations"  # each recorded change took effect once, in order, as recorded
    OVERAGE = "overage"  # below the overage protection only for a known reason
    PAYMENTS = "payments"  # what was bought is paid, in full, and granted once
    RECHARGES = "recharges"  # each ended as its payment; no armed rule rests at its threshold
    REVERSALS = "reversals"  # credits taken back are those whose money went back
    REDIS = "redis"  # Redis has what the ledger has
    THRESHOLDS = "thresholds"  # each crossing is told once
    WATERMARK = "watermark"  # the flushed position is the position of the newest entry


class Findings:
    """Collects findings, up to a limit: a reader of more has seen enough."""

    LIMIT = 1000  # keeps the response far below 4 MB

    def __init__(self) -> None:
        self._kept: list[pb.Finding] = []
        self._left_out = 0

    def add(
        self,
        invariant: Invariant,
        detail: str,
        account_id: str = "",
        shard: int | None = None,
    ) -> None:
        """Adds one difference; `detail` has the numbers."""
        if len(self._kept) >= self.LIMIT:
            self._left_out += 1
            return
        place = "" if shard is None else str(shard)
        self._kept.append(
            pb.Finding(invariant=invariant, account_id=account_id, shard=place, detail=detail)
        )

    def listed(self) -> list[pb.Finding]:
        """Returns the findings; the last finding says how many more were left out, if any were."""
        if not self._left_out:
            return self._kept
        last = self._kept[-1]
        detail = f"{self._left_out} more findings are left out"
        return [*self._kept, pb.Finding(invariant=last.invariant, detail=detail)]
