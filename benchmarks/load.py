"""The load generator: unary gRPC calls over a few connections, by one thread. `python load.py PLAN`
prints what it measured as JSON.

Closed loop: a fixed number of calls is always in flight. Open loop: calls fall due at a fixed rate
whatever the server does, and latency counts from when a call was due, so that a stall is felt by
every call that it delayed (no coordinated omission).
"""

import ctypes
import gc
import json
import select
import sys
import time
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from time import perf_counter_ns

from cpu import cpu_seconds
from histogram import Histogram
from http2 import Connection, ConnectionLost, Reply
from workloads import Call, Workload, workload

_NANOS = 10**9
_DRAIN_S = 5.0
_PR_SET_TIMERSLACK = 29
_SHOWN_FAILURES = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do to which server."""

    host: str
    port: int
    workload: str
    accounts: int = 1000
    kind: str = "acct"  # of the accounts (population.py)
    connections: int = 1
    streams: int = 1  # in flight on each connection, in the closed loop
    rate: float = 0.0  # calls per second; above 0: open loop
    seconds: float = 4.0
    warm_up_s: float = 0.5
    watch: dict[str, int] = field(
        default_factory=dict
    )  # processes whose CPU time is of interest, by name


@dataclass(slots=True)
class Tally:
    """What was seen in the measured time."""

    latencies: dict[str, Histogram] = field(default_factory=lambda: defaultdict(Histogram))
    lateness: Histogram = field(
        default_factory=Histogram
    )  # of the generator itself: sent after it was due
    ended: Counter[str] = field(default_factory=Counter)
    failures: int = 0
    examples: list[str] = field(default_factory=list)


class Lane:
    """A connection, the calls in flight on it by stream, and those that wait for their turn, each
    with the time since when it counts.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self.connection = Connection(address)
        self.in_flight: dict[int, tuple[Call, int]] = {}
        self.queue: deque[tuple[Call, int]] = deque()

    def fileno(self) -> int:
        return self.connection.fileno()

    def pump(self) -> None:
        """Sends what waits, as far as the server allows; over a new connection if this one takes no
        more and is done.
        """
        if self.connection.is_spent and not self.in_flight:
            self.connection.close()
            self.connection = Connection(self._address)
        connection = self.connection
        while (
            self.queue and not connection.is_spent and len(self.in_flight) < connection.max_streams
        ):
            call, since = self.queue.popleft()
            self.in_flight[connection.call(call.method, call.message)] = call, since
        connection.flush()


class Load:
    """One run of a plan."""

    def __init__(self, plan: Plan, calls: Workload) -> None:
        self._plan = plan
        self._calls = calls
        self._lanes = [Lane((plan.host, plan.port)) for _ in range(plan.connections)]
        self._tally = Tally()
        self._is_open = plan.rate > 0
        self._refills = not self._is_open  # a call that ended is followed by a new one
        self._interval = _NANOS / plan.rate if self._is_open else 0.0
        self._due = 0.0
        self._sent = 0

    def run(self) -> dict[str, object]:
        """Warms up, measures, waits for what is in flight; the result as JSON has it."""
        # nothing here makes cycles, and a collection would be taken for the server's latency
        gc.disable()
        _wake_on_time()
        self._begin()
        self._turn_until(perf_counter_ns() + int(self._plan.warm_up_s * _NANOS))
        self._tally = Tally()
        cpu = self._cpu()
        own = time.process_time()
        began = perf_counter_ns()
        self._turn_until(began + int(self._plan.seconds * _NANOS))
        seconds = (perf_counter_ns() - began) / _NANOS
        own = time.process_time() - own
        cpu = {name: after - cpu[name] for name, after in self._cpu().items()}
        ended = dict(self._tally.ended)
        unanswered = self._drain()
        return self._result(seconds, ended, own, cpu) | {"unanswered": unanswered}

    def _begin(self) -> None:
        now = perf_counter_ns()
        self._due = now
        for lane in self._lanes:
            for _ in range(0 if self._is_open else self._plan.streams):
                lane.queue.append((next(self._calls), now))
            lane.pump()

    def _turn_until(self, end: int) -> None:
        while (now := perf_counter_ns()) < end:
            if self._is_open:
                self._queue_due(now)
            wake = min(end, self._due) if self._is_open else end
            self._turn(max(0.0, (wake - perf_counter_ns()) / _NANOS))

    def _queue_due(self, now: int) -> None:
        while self._due <= now:
            lane = self._lanes[self._sent % len(self._lanes)]
            lane.queue.append((next(self._calls), int(self._due)))
            self._tally.lateness.record(now - int(self._due))
            self._sent += 1
            self._due += self._interval
            lane.pump()

    def _turn(self, timeout_s: float) -> None:
        sending = [lane for lane in self._lanes if lane.connection.wants_to_send]
        # select(), since epoll would round the timeout up to a whole millisecond.
        readable, writable, _ = select.select(self._lanes, sending, (), timeout_s)
        for lane in readable:
            replies = lane.connection.receive()
            now = perf_counter_ns()
            for reply in replies:
                self._take(lane, reply, now)
            lane.pump()
        for lane in writable:
            lane.pump()

    def _take(self, lane: Lane, reply: Reply, now: int) -> None:
        call, since = lane.in_flight.pop(reply.stream)
        tally = self._tally
        message = reply.message
        if message is None or not call.is_right(message):
            tally.failures += 1
            if len(tally.examples) < _SHOWN_FAILURES:
                tally.examples.append(f"{call.kind}: {message!r} {reply.trailers!r}")
            following = None
        else:
            tally.latencies[call.kind].record(now - since)
            tally.ended[call.kind] += 1
            following = self._calls.after(call, message)
        if following is not None:
            lane.queue.append((following, now))
        elif self._refills:
            lane.queue.append((next(self._calls), now))

    def _drain(self) -> int:
        """Lets what is in flight end, and starts nothing more; how many calls were never
        answered.
        """
        self._refills = False
        deadline = time.monotonic() + _DRAIN_S
        while (left := self._under_way()) and time.monotonic() < deadline:
            self._turn(0.05)
        return left

    def _under_way(self) -> int:
        return sum(len(lane.in_flight) + len(lane.queue) for lane in self._lanes)

    def _cpu(self) -> dict[str, float]:
        return {name: cpu_seconds(pid) for name, pid in self._plan.watch.items()}

    def _result(
        self, seconds: float, ended: dict[str, int], own_s: float, cpu_s: dict[str, float]
    ) -> dict[str, object]:
        tally = self._tally
        return {
            "seconds": seconds,
            "ended": ended,  # calls by kind
            "items": self._calls.items,  # in each
            "latencies": {kind: each.to_sparse() for kind, each in tally.latencies.items()},
            "late_us": tally.lateness.percentiles_us() if self._is_open else {},
            "own_cpu_s": own_s,
            "cpu_s": cpu_s,
            "failures": tally.failures,
            "examples": tally.examples,
        }


def _wake_on_time() -> None:
    """Lets no wake-up be put off to share it with others, for which Linux allows itself 50
    microseconds.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1)


def main() -> int:
    """Runs the plan given as JSON in the first argument."""
    plan = Plan(**json.loads(sys.argv[1]))
    try:
        print(json.dumps(Load(plan, workload(plan.workload, plan.accounts, plan.kind)).run()))
    except (ConnectionLost, OSError) as error:
        print(f"load: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
