"""The ceiling: what Redis itself makes of the commands that the gate sends, when they come
pipelined over one socket.

Two lots of `depth` units are in flight at any time: the next is packed and sent while Redis works
on the one before, so it never waits for this process.
"""

import socket
import time
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from time import perf_counter_ns

import hiredis
from commands import Supply
from cpu import cpu_seconds
from histogram import Histogram
from population import journaled
from processes import Failed, Stack
from redis.connection import parse_url

DEPTHS = (16, 64, 256)
USUAL_DEPTH = 64
_RECEIVE_BYTES = 1 << 20
_NANOS = 10**9


@dataclass(frozen=True, slots=True)
class Rate:
    """What Redis did with a supply. CPU times are for each unit."""

    units_per_s: float
    redis_cpu_us: float
    own_cpu_us: float
    latency_us: dict[str, float]  # of a lot


def pipelined(stack: Stack, supply: Supply, depth: int, seconds: float) -> Rate:
    """Units in lots of `depth`, two lots in flight."""
    with closing(_Socket(stack)) as redis_, _Checked(stack, supply) as checked:
        latency = Histogram()
        own = time.process_time()
        cpu = cpu_seconds(stack.valkey.pid)
        began = perf_counter_ns()
        sent = [perf_counter_ns()]
        redis_.send(_lot(supply, depth))
        while perf_counter_ns() - began < seconds * _NANOS:
            sent.append(perf_counter_ns())
            redis_.send(_lot(supply, depth))
            redis_.receive(depth * supply.replies)
            latency.record(perf_counter_ns() - sent.pop(0))
            checked.units += depth
        elapsed = perf_counter_ns() - began
        own = time.process_time() - own
        cpu = cpu_seconds(stack.valkey.pid) - cpu
        redis_.receive(depth * supply.replies)
        done = checked.units
        checked.units = checked.units + depth
    return Rate(
        done * _NANOS / elapsed, cpu * 1e6 / done, own * 1e6 / done, latency.percentiles_us()
    )


def one_by_one(stack: Stack, supply: Supply, seconds: float) -> Rate:
    """Units sent each when the one before is answered: a bare EVALSHA's latency."""
    with closing(_Socket(stack)) as redis_, _Checked(stack, supply) as checked:
        latency = Histogram()
        own = time.process_time()
        cpu = cpu_seconds(stack.valkey.pid)
        began = perf_counter_ns()
        while perf_counter_ns() - began < seconds * _NANOS:
            unit = next(supply.units)
            sent = perf_counter_ns()
            redis_.send(unit)
            redis_.receive(supply.replies)
            latency.record(perf_counter_ns() - sent)
            checked.units += 1
        elapsed = perf_counter_ns() - began
        done = checked.units
        own = time.process_time() - own
        cpu = cpu_seconds(stack.valkey.pid) - cpu
    return Rate(
        done * _NANOS / elapsed, cpu * 1e6 / done, own * 1e6 / done, latency.percentiles_us()
    )


def fill(stack: Stack, supply: Supply, units: int) -> None:
    """That many units, as fast as it goes."""
    with closing(_Socket(stack)) as redis_, _Checked(stack, supply) as checked:
        while checked.units < units:
            lot = min(DEPTHS[-1], units - checked.units)
            redis_.send(_lot(supply, lot))
            redis_.receive(lot * supply.replies)
            checked.units += lot


class _Socket:
    """A plain connection to the stack's Valkey."""

    def __init__(self, stack: Stack) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(parse_url(stack.settings.redis_url)["path"])
        self._reader = hiredis.Reader()

    def close(self) -> None:
        self._socket.close()

    def send(self, packed: bytes) -> None:
        self._socket.sendall(packed)

    def receive(self, replies: int) -> None:
        """Waits for so many replies; Failed if one of them is an error."""
        for _ in range(replies):
            while (reply := self._reader.gets()) is False:
                self._reader.feed(self._socket.recv(_RECEIVE_BYTES))
            if isinstance(reply, hiredis.ReplyError):
                raise Failed(f"Redis answered {reply}")


class _Checked:
    """Makes sure at the end that every unit has taken effect: the journals must have grown by its
    entries.
    """

    def __init__(self, stack: Stack, supply: Supply) -> None:
        self._stack = stack
        self._supply = supply
        self.units = 0

    def __enter__(self) -> "_Checked":
        self._before = self._journaled()
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        grown = self._journaled() - self._before
        wanted = self.units * self._supply.entries
        if error is None and grown != wanted:
            raise Failed(
                f"{self.units} units were to add {wanted} journal entries, and added {grown}"
            )

    def _journaled(self) -> int:
        with closing(self._stack.redis()) as client:
            return journaled(client, self._stack.settings.shards)


def _lot(supply: Supply, depth: int) -> bytes:
    return b"".join(islice(supply.units, depth))
