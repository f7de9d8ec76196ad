"""Defines the metrics of the gate, and of billing, which is served in the same way.

Units are base units, and sets of labels are closed: an account, a request or a key is never a
label.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gate.metrics_buffer import MetricsBuffer

SECONDS = (
    0.0001,
    0.0002,
    0.0003,
    0.0005,
    0.00075,
    0.001,
    0.0015,
    0.002,
    0.003,
    0.005,
    0.0075,
    0.01,
    0.015,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
)


class GateMetrics:
    """Holds every metric of the gate; each is described in docs/metrics-and-reasons.md.

    A metric that nearly every call changes is changed through `buffer`; the rest, such as denials
    and errors, directly. GateService counts decisions, those of a Batch's items too; the server's
    Edge counts RPCs, so a Batch counts once.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.buffer = MetricsBuffer(registry)
        self.calls = CallMetrics(registry)
        self.decisions = DecisionMetrics(registry)
        self.upkeep = UpkeepMetrics(registry)
        self.access = AccessMetrics(registry)


class CallMetrics:
    """Counts what the server and its scripts were asked for."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "creditgate_requests_total",
            "Calls ended, by outcome: OK, DENIED, or the status.",
            ["method", "outcome"],
            registry=registry,
        )
        self.rpc_seconds = Histogram(
            "creditgate_rpc_seconds",
            "Time in the service, by method.",
            ["method"],
            buckets=SECONDS,
            registry=registry,
        )
        self.script_seconds = Histogram(
            "creditgate_script_seconds",
            "Round trip of a script, queueing included.",
            ["script"],
            buckets=SECONDS,
            registry=registry,
        )
        self.in_flight = Gauge(
            "creditgate_in_flight",
            "Calls being served.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.closed_connections = Counter(
            "creditgate_closed_connections_total",
            "Connections closed because the process had too much memory.",
            registry=registry,
        )
        self.refusals = Counter(
            "creditgate_refusals_total",
            "Errors that the gate itself gave, by reason.",
            ["reason"],
            registry=registry,
        )


class AccessMetrics:
    """Counts what became of callers' tokens."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.rejected_tokens = Counter(
            "creditgate_rejected_tokens_total",
            "Calls refused for their token: missing, unknown, expired, or of no right.",
            ["why"],
            registry=registry,
        )
        for why in ("missing", "unknown", "expired", "role", "account"):
            self.rejected_tokens.labels(why)
        self.certificate_expiry = Gauge(
            "creditgate_certificate_expiry_timestamp_seconds",
            "When the server's certificate ends; 0 without TLS.",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.token_file_reads = Counter(
            "creditgate_token_file_reads_total",
            "Times that a changed file of tokens was read: ok, or failed and the old ones stay.",
            ["outcome"],
            registry=registry,
        )
        _begin_at_zero(self.token_file_reads)


def _begin_at_zero(reads: Counter) -> None:
    """Shows the outcomes before there is a reading: from nothing, Prometheus sees no growth."""
    for outcome in ("ok", "failed"):
        reads.labels(outcome)


class DecisionMetrics:
    """Counts what was decided, and what was charged."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.denials = Counter(
            "creditgate_denials_total",
            "Denials, by reason.",
            ["reason"],
            registry=registry,
        )
        self.replays = Counter(
            "creditgate_replays_total",
            "Replies given again for a repeated request id.",
            registry=registry,
        )
        self.late_debits = Counter(
            "creditgate_late_debits_total",
            "Debits whose hold had expired.",
            registry=registry,
        )
        self.shortfall = Counter(
            "creditgate_shortfall_credits_total",
            "Usage that exceeded what was available: recorded as debt.",
            registry=registry,
        )
        self.settlements = Counter(
            "creditgate_settlements_total",
            "Holds that a gateway has settled: reported, unreported, released, or refused.",
            ["source", "outcome"],
            registry=registry,
        )
        self.usage_inconsistent = Counter(
            "creditgate_usage_inconsistent_total",
            "Usage objects of providers that contradict themselves: charged by the larger reading.",
            registry=registry,
        )
        self.charged = Counter(
            "creditgate_charged_credits_total",
            "Usage charged.",
            registry=registry,
        )


class UpkeepMetrics:
    """Counts what happens beside the calls: holds, shards, prices, restored accounts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.holds_expired = Counter(
            "creditgate_holds_expired_total",
            "Holds given back by the reaper.",
            registry=registry,
        )
        self.reaper_skipped = Counter(
            "creditgate_reaper_skipped_total",
            "Holds and accounts that the reaper could not process, and passed over.",
            registry=registry,
        )
        self.holds_open = Gauge(
            "creditgate_holds_open",
            "Open holds, of all accounts.",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.holds_oldest_seconds = Gauge(
            "creditgate_holds_oldest_seconds",
            "Age of the open hold that expires first; 0 without one.",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.store_clock_offset = Gauge(
            "creditgate_store_clock_offset_seconds",
            "How far the clock of Redis is ahead of the gate's.",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.shards_closed = Gauge(
            "creditgate_shards_closed",
            "Shards that admit nothing: not yet verified, or being rebuilt.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.shard_closed_seconds = Gauge(
            "creditgate_shard_closed_seconds",
            "How long the shard that has been closed longest has been closed, by reason.",
            ["reason"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.shards_lost = Counter(
            "creditgate_shards_lost_total",
            "Times that Redis was found behind the ledger: acknowledged writes were lost.",
            registry=registry,
        )
        self.acknowledged_lost = Counter(
            "creditgate_acknowledged_lost_total",
            "Entries that callers were told of and that neither Redis nor the ledger has.",
            registry=registry,
        )
        self.price_file_reads = Counter(
            "creditgate_price_file_reads_total",
            "Times that a changed price file was read: ok, or failed and the old prices stay.",
            ["outcome"],
            registry=registry,
        )
        _begin_at_zero(self.price_file_reads)
        self.denial_events_dropped = Counter(
            "creditgate_denial_events_dropped_total",
            "Denials without an event, because too many others wait for the ledger.",
            registry=registry,
        )
        self.accounts_restored = Counter(
            "creditgate_accounts_restored_total",
            "Accounts missing in Redis and loaded from the ledger.",
            registry=registry,
        )
