"""What clients begin to send and never end takes memory up to a bound; then connections are
closed.
"""

import asyncio
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter

from gate.address import Address
from gate.server.memory_guard import MemoryGuard
from gate.v1.gate_pb2 import ALLOWED
from support.client_gates import counting_gate
from support.customer import Customer
from support.servers import wait_until
from support.stack import Client, Stack
from support.unfinished_streams import UnfinishedStreams

pytest_plugins = ("support.running_stack",)
pytestmark = pytest.mark.every_transport

MIB = 1024 * 1024
DEBIT = "/gate.v1.Gate/Debit"


class PeakMemory:
    """Holds the most private memory that a process had."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ended = threading.Event()
        self.bytes = 0

    def watch(self) -> None:
        while not self._ended.wait(0.005):
            pages = Path(f"/proc/{self._pid}/statm").read_text().split()
            now_bytes = (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE")
            self.bytes = max(self.bytes, now_bytes)

    def end(self) -> None:
        self._ended.set()


@contextmanager
def peak_memory(pid: int) -> Iterator[PeakMemory]:
    peak = PeakMemory(pid)
    thread = threading.Thread(target=peak.watch)
    thread.start()
    try:
        yield peak
    finally:
        peak.end()
        thread.join()


def test_streams_that_are_never_ended_take_memory_up_to_the_bound(
    stack: Stack, open_account: Callable[..., Customer]
) -> None:
    customer = open_account("1")
    with counting_gate(stack, memory_max_mib="256") as gate, peak_memory(gate.process.pid) as peak:
        client = Client(gate.target)
        assert customer.at(client).debit(1).decision == ALLOWED
        with (
            UnfinishedStreams(gate.target, DEBIT, streams=200) as one,
            UnfinishedStreams(gate.target, DEBIT, streams=200) as other,
        ):
            wait_until(lambda: one.is_closed and other.is_closed, 60)
        assert customer.at(client).debit(1).decision == ALLOWED
        client.close()
        assert gate.metrics.value("creditgate_closed_connections_total") >= 2
        assert "memory_over_bound" in gate.process.log.read_text()
    # The two begin messages of 1,526 MiB. The bound is passed while connections are chosen.
    assert peak.bytes < 768 * MIB


def test_a_client_is_told_how_many_streams_it_may_have(stack: Stack) -> None:
    with UnfinishedStreams(stack.targets[0], DEBIT, streams=0) as connection:
        wait_until(lambda: connection.max_streams)
    assert connection.max_streams == 4096 + 1000


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def guard_of(listener: socket.socket) -> tuple[MemoryGuard, Counter]:
    host, port = listener.getsockname()
    closed = Counter("closed", "Closed.", registry=CollectorRegistry())
    return MemoryGuard(Address(host=host, port=port), 0, closed), closed


def connected(listener: socket.socket) -> tuple[socket.socket, socket.socket]:
    """A connection's both ends, the caller's first."""
    caller = socket.create_connection(listener.getsockname())
    accepted, _ = listener.accept()
    return caller, accepted


def read_until_closed(accepted: socket.socket) -> None:
    with suppress(OSError):
        while accepted.recv(MIB):
            pass


def send_until_closed(caller: socket.socket) -> None:
    with suppress(OSError):
        while True:
            caller.sendall(bytes(MIB))


def test_the_connection_that_sends_fast_is_closed_and_the_others_stay(
    listener: socket.socket,
) -> None:
    guard, closed = guard_of(listener)
    fast, fast_accepted = connected(listener)
    slow, slow_accepted = connected(listener)
    threads = [
        threading.Thread(target=read_until_closed, args=[fast_accepted]),
        threading.Thread(target=send_until_closed, args=[fast]),
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: asyncio.run(guard.close_fast()) == 1)
    for thread in threads:
        thread.join()
    assert closed._value.get() == 1
    slow.sendall(b"still here")
    assert slow_accepted.recv(100) == b"still here"
    for each in (fast, fast_accepted, slow, slow_accepted):
        each.close()


def test_if_nobody_sends_fast_all_connections_to_the_address_are_closed_and_no_others(
    listener: socket.socket,
) -> None:
    guard, closed = guard_of(listener)
    caller, accepted = connected(listener)
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        other, other_accepted = connected(elsewhere)
        assert asyncio.run(guard.close_fast()) == 0
        assert guard.close_all() == 1
        assert caller.recv(100) == b""
        other.sendall(b"still here")
        assert other_accepted.recv(100) == b"still here"
    assert closed._value.get() == 1
    for each in (caller, accepted, other, other_accepted):
        each.close()


def test_connections_to_a_unix_socket_are_closed_too() -> None:
    closed = Counter("closed", "Closed.", registry=CollectorRegistry())
    with (
        tempfile.TemporaryDirectory(prefix="cg-") as folder,  # a socket's path must be short
        socket.socket(socket.AF_UNIX) as listening,
        socket.socket(socket.AF_UNIX) as caller,
    ):
        address = Address(path=f"{folder}/gate")
        listening.bind(address.path)
        listening.listen()
        caller.connect(address.path)
        accepted, _ = listening.accept()
        with accepted:
            assert MemoryGuard(address, 0, closed).close_all() == 1
            assert caller.recv(100) == b""
