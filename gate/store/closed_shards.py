"""The shards that admit nothing: why, since when, and what to do about it."""

import time
from typing import NamedTuple

import structlog

from gate.metrics import UpkeepMetrics
from meter.ledger.shard_state import REFUSED, ShardState

UNVERIFIED = "unverified"
REASONS = (UNVERIFIED, *(state.value for state in ShardState if state is not ShardState.OPEN))
# In these states a shard stays closed until a person acts.
STOPS = (*REFUSED, ShardState.LEDGER_OLDER)

_LONG_S = 10.0
_ADVICE = {
    UNVERIFIED: "the store or the ledger cannot be reached; repeat the call shortly",
    ShardState.NEW: "it has not been opened yet: is a gate running? Repeat the call shortly",
    ShardState.AWAITS_FLUSHER: "the ledger lacks its newest entries: is the flusher running?"
    " Repeat the call shortly",
    ShardState.LOST: "the store lost what the ledger has, and a gate rebuilds it; repeat the call"
    " shortly",
    ShardState.LEDGER_OLDER: "the ledger lacks entries that it had once: put the newer ledger back,"
    " or see `creditgate reconcile`",
    ShardState.FOREIGN: "store and ledger do not belong to each other: see `creditgate adopt`",
    ShardState.OTHER_FORM: "another version of creditgate wrote the store: use that version",
}

log = structlog.get_logger()


class _Closure(NamedTuple):
    since_s: float  # monotonic
    reason: str = UNVERIFIED
    is_told: bool = False


class ClosedShards:
    """Knows the closed shards; at first, all are."""

    def __init__(self, count: int, metrics: UpkeepMetrics) -> None:
        self._count = count
        self._metrics = metrics
        now_s = time.monotonic()
        self._closures = {shard: _Closure(now_s) for shard in range(count)}
        self.tell()

    @property
    def are_all(self) -> bool:
        """Says whether no shard is open."""
        return len(self._closures) == self._count

    def close(self, shard: int) -> None:
        """Notes that the shard admits nothing from now on."""
        self._closures.setdefault(shard, _Closure(time.monotonic()))
        self._metrics.shards_closed.set(len(self._closures))

    def note(self, shard: int, state: ShardState) -> None:
        """Notes why a closed shard is closed."""
        closure = self._closures[shard]
        if closure.reason != state:
            self._closures[shard] = _Closure(closure.since_s, state.value)

    def open(self, shard: int) -> None:
        """Notes that the shard admits calls."""
        del self._closures[shard]
        self._metrics.shards_closed.set(len(self._closures))

    def reason(self, shard: int) -> str:
        """Returns why the shard is closed; empty for an open shard."""
        closure = self._closures.get(shard)
        if closure is None:
            return ""
        return closure.reason

    @property
    def is_any_refused(self) -> bool:
        """Says whether the store of any shard must not be used."""
        return any(closure.reason in REFUSED for closure in self._closures.values())

    def advice(self, shard: int) -> str:
        """Returns why the shard is closed, and what to do."""
        reason = self._closures[shard].reason
        return f"{reason}: {_ADVICE[reason]}"

    def tell(self) -> None:
        """Sets the metrics, and logs each shard that has been closed for long, once."""
        now_s = time.monotonic()
        longest_s = dict.fromkeys(REASONS, 0.0)
        for shard, closure in self._closures.items():
            age_s = now_s - closure.since_s
            longest_s[closure.reason] = max(longest_s[closure.reason], age_s)
            if age_s > _LONG_S and not closure.is_told:
                self._tell(shard, closure, age_s)
        for reason, seconds in longest_s.items():
            self._metrics.shard_closed_seconds.labels(reason).set(seconds)
        self._metrics.shards_closed.set(len(self._closures))

    def _tell(
        self,
        shard: int,
        closure: _Closure,
        age_s: float,
    ) -> None:
        self._closures[shard] = closure._replace(is_told=True)
        log.error(
            "shard_closed_for_long",
            shard=shard,
            seconds=round(age_s),
            reason=closure.reason,
            advice=_ADVICE[closure.reason],
        )
