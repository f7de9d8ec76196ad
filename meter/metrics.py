"""The flusher's metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from meter.journal.kinds import Kind

_ROWS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

LOST = "lost"
UNREADABLE = "unreadable"
REJECTED = "rejected"  # why a shard is not flushed
STOPS = (LOST, UNREADABLE, REJECTED)


class FlusherMetrics:
    """Registered with `registry`, for several processes' sake with the newest value of
    each gauge.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(name, text, labels, registry=registry, multiprocess_mode="mostrecent")

        def counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(name, text, labels, registry=registry)

        self.lag_seconds = gauge(
            "creditgate_flush_lag_seconds",
            "Age of the oldest entry that the ledger has just taken, or is still waiting for",
        )
        self.journal_length = gauge(
            "creditgate_journal_length", "Entries in a shard's journal", ("shard",)
        )
        self.shards_stopped = gauge(
            "creditgate_flusher_shards_stopped",
            "Shards that cannot be flushed: lost (Redis lost entries), unreadable (an entry cannot be read), rejected (by the ledger)",
            ("reason",),
        )
        self.holds_open = gauge(
            "creditgate_ledger_holds_open", "Open holds, as of the flushed position"
        )
        self.holds_oldest_seconds = gauge(
            "creditgate_ledger_holds_oldest_seconds",
            "Age of the oldest open hold, test clocks aside",
        )
        self.rows = counter(
            "creditgate_flushed_rows_total", "Entries written to the ledger", ("kind",)
        )
        self.ledger_failures = counter(
            "creditgate_ledger_failures_total", "Rounds of flushing that failed"
        )
        self.duplicates = counter(
            "creditgate_duplicates_total",
            "Requests that took effect again after their replay window, and were given back",
        )
        self.drifts = counter(
            "creditgate_flusher_drift_total",
            "Entries that did not continue their account's sums in the ledger",
        )
        self.gaps = counter("creditgate_journal_gaps_total", "Runs of journal entries found lost")
        self.batch_rows = Histogram(
            "creditgate_flush_batch_rows",
            "Entries per ledger transaction",
            registry=registry,
            buckets=_ROWS,
        )
        self.transaction_seconds = Histogram(
            "creditgate_ledger_transaction_seconds",
            "Time of one flushing transaction",
            registry=registry,
            buckets=_SECONDS,
        )
        for kind in Kind:
            if kind.is_journaled:
                self.rows.labels(kind.name)
        for reason in STOPS:
            self.shards_stopped.labels(reason).set(0)
