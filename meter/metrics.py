"""Defines the flusher's metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from meter.journal.kinds import Kind

_ROW_BUCKETS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)
_SECOND_BUCKETS = (
    *(0.0005, 0.001, 0.0025, 0.005),
    *(0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5),
    *(1, 2.5, 5, 10, 30),
)

# Why a shard is not flushed.
LOST = "lost"
UNREADABLE = "unreadable"
REJECTED = "rejected"
LEDGER_OLDER = "ledger_older"
FOREIGN = "foreign"
OTHER_FORM = "other_form"
STOPS = (LOST, UNREADABLE, REJECTED, LEDGER_OLDER, FOREIGN, OTHER_FORM)


class FlusherMetrics:
    """Holds the flusher's metrics, registered with `registry`.

    Of several processes, the newest value of each gauge counts.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.lag_seconds = self._gauge(
            "creditgate_flush_lag_seconds",
            "Age of the oldest entry that the ledger has just taken, or is still waiting for",
        )
        self.journal_length = self._gauge(
            "creditgate_journal_length",
            "Entries in a shard's journal",
            "shard",
        )
        self.shards_stopped = self._gauge(
            "creditgate_flusher_shards_stopped",
            "Shards that cannot be flushed: lost (Redis lost entries),"
            " unreadable (an entry cannot be read), rejected (by the ledger),"
            " ledger_older (the ledger is a backup), foreign (another ledger's, or another store),"
            " other_form (another version wrote it)",
            "reason",
        )
        self.holds_open = self._gauge(
            "creditgate_ledger_holds_open",
            "Open holds, as of the flushed position",
        )
        self.holds_oldest_seconds = self._gauge(
            "creditgate_ledger_holds_oldest_seconds",
            "Age of the oldest open hold, test clocks aside",
        )
        self.rows = self._counter(
            "creditgate_flushed_rows_total",
            "Entries written to the ledger",
            "kind",
        )
        self.ledger_failures = self._counter(
            "creditgate_ledger_failures_total",
            "Rounds of flushing that failed",
        )
        self.duplicates = self._counter(
            "creditgate_duplicates_total",
            "Requests that took effect again after their replay window, and were given back",
        )
        self.drifts = self._counter(
            "creditgate_flusher_drift_total",
            "Entries that did not continue their account's sums in the ledger",
        )
        self.gaps = self._counter(
            "creditgate_journal_gaps_total",
            "Runs of journal entries found lost",
        )
        self.batch_rows = self._histogram(
            "creditgate_flush_batch_rows",
            "Entries per ledger transaction",
            _ROW_BUCKETS,
        )
        self.transaction_seconds = self._histogram(
            "creditgate_ledger_transaction_seconds",
            "Time of one flushing transaction",
            _SECOND_BUCKETS,
        )
        self._create_labels()

    def _create_labels(self) -> None:
        """Makes every label visible from the start, with the value 0."""
        for kind in Kind:
            if kind.is_journaled:
                self.rows.labels(kind.name)
        for reason in STOPS:
            self.shards_stopped.labels(reason).set(0)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(
            name,
            text,
            labels,
            registry=self._registry,
            multiprocess_mode="mostrecent",
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self._registry)

    def _histogram(
        self,
        name: str,
        text: str,
        buckets: tuple[float, ...],
    ) -> Histogram:
        return Histogram(
            name,
            text,
            registry=self._registry,
            buckets=buckets,
        )
