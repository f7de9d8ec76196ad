"""A fault_stack: one stack that many tests damage, each with accounts, and mostly a shard,
of its own.
"""

import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import redis

from gate.store.keys import shard_of
from gate.v1.gate_pb2 import AuthorizeRequest, DebitRequest, ReleaseRequest
from meter.database.engine import Ledger
from meter.database.migrate import open_ledger
from meter.journal.entry import Position
from meter.ledger.positions import Positions
from meter.v1.ledger_pb2 import CheckBooksRequest, Entry, EntryKind, ListEntriesRequest
from support.servers import wait_until
from support.stack import Client, Stack, free_port, running_stack

CREDIT = 10**9
SHARDS = 16
# the books of a shard that has lost entries say so for good: accounts are opened in the others
LOSSY_SHARD = 0
_PATIENCE_S = 30.0


class FaultStack:
    """Two gates and a flusher; calls go through the first gate unless told otherwise."""

    def __init__(self, stack: Stack, metrics_ports: list[int]) -> None:
        self.stack = stack
        self.clients = [stack.client(number) for number in range(len(stack.gates))]
        self.redis: redis.Redis = stack.valkey.client()
        self.ledger: Ledger = open_ledger(stack.ledger_url)
        self._metrics = [f"http://127.0.0.1:{port}/metrics" for port in metrics_ports]
        self._numbers = count(1)

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.redis.close()
        self.ledger.close()

    @property
    def client(self) -> Client:
        return self.clients[0]

    @property
    def data(self) -> Path:
        """Where Valkey keeps its append-only files."""
        return self.stack.valkey.socket.parent

    def open(self, credits: str = "10", shard: int | None = None, **settings: Any) -> str:
        """A new account."""
        account_id, _ = self.name(shard)
        self.until_answered(
            lambda: self.client.open_account(account_id, credits, **settings) or account_id
        )
        return account_id

    def name(self, shard: int | None = None) -> tuple[str, int]:
        """An account id that is still free, and its shard."""
        number = next(self._numbers)
        wanted = 1 + number % (SHARDS - 1) if shard is None else shard
        names = (f"account-{number}-{again}" for again in count())
        return next(name for name in names if shard_of(name, SHARDS) == wanted), wanted

    def authorize(self, account_id: str, nanos: int, gate: int = 0, **fields: Any) -> Any:
        request = AuthorizeRequest(
            account_id=account_id, amount_nanos=nanos, **self._with_id(fields)
        )
        return self.clients[gate].gate.Authorize(request, timeout=_PATIENCE_S)

    def debit(self, account_id: str, nanos: int, gate: int = 0, **fields: Any) -> Any:
        request = DebitRequest(account_id=account_id, amount_nanos=nanos, **self._with_id(fields))
        return self.clients[gate].gate.Debit(request, timeout=_PATIENCE_S)

    def release(self, account_id: str, hold_id: str, **fields: Any) -> Any:
        return self.client.gate.Release(
            ReleaseRequest(account_id=account_id, hold_id=hold_id, **self._with_id(fields))
        )

    def balance(self, account_id: str) -> Any:
        return self.client.balance(account_id)

    def entries(self, account_id: str, *kinds: int) -> list[Entry]:
        """Lists the account's entries, newest first, once all that was acknowledged is flushed.

        Billing may need longer than a gate to find its way back to the store.
        """
        entries, _ = self.until_answered(lambda: self.entries_now(account_id, *kinds))
        return list(entries)

    def entries_now(self, account_id: str, *kinds: int) -> Sequence[Entry]:
        """The same by a single call, which may be refused."""
        request = ListEntriesRequest(
            account_id=account_id, kinds=kinds or EntryKind.values()[1:], page_size=1000
        )
        entries: Sequence[Entry] = self.client.ledger.ListEntries(request).entries
        return entries

    def findings(self, account_id: str) -> list[str]:
        """What CheckBooks finds, each as `invariant: detail`."""
        reply, _ = self.until_answered(
            lambda: self.client.ledger.CheckBooks(CheckBooksRequest(account_id=account_id))
        )
        return [f"{found.invariant}: {found.detail}" for found in reply.findings]

    def position(self, account_id: str) -> Position:
        """How far the account's shard is flushed."""
        return Positions(self.ledger).all()[shard_of(account_id, SHARDS)]

    def metric(self, name: str) -> float:
        """The sum of both gates' metrics of this name."""
        return sum(_metric(url, name) for url in self._metrics)

    def health(self, service: str) -> int:
        """What the first gate tells of a service's health."""
        return self.client.health(service)

    def until_answered(self, call: Callable[[], Any]) -> tuple[Any, set[str]]:
        """The reply, and the status codes of the refusals before it."""
        refusals: set[str] = set()
        replies: list[Any] = []

        def answers() -> bool:
            try:
                replies.append(call())
            except grpc.RpcError as error:
                refusals.add(error.code().name)
            return bool(replies)

        wait_until(answers, _PATIENCE_S)
        return replies[0], refusals

    def _with_id(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {"request_id": f"request-{next(self._numbers)}"} | fields


@contextmanager
def open_fault_stack(
    ledger_url: str = "", gates: int = 2, durable: bool = True, **settings: str
) -> Iterator[FaultStack]:
    """A fault_stack on a stack of its own, whose Valkey keeps what it has acknowledged if it is
    durable.
    """
    ports = [free_port() for _ in range(gates)]
    with running_stack(ledger_url, gates=0, durable=durable, **settings) as stack:
        for port in ports:
            stack.settings["CREDITGATE_METRICS_LISTEN"] = f"127.0.0.1:{port}"
            stack.add_gate()
        del stack.settings["CREDITGATE_METRICS_LISTEN"]
        fault_stack = FaultStack(stack, ports)
        try:
            yield fault_stack
        finally:
            fault_stack.close()


def code_of(call: Callable[[], Any]) -> tuple[str, str]:
    """The status code and the message of a call that is to fail."""
    try:
        reply = call()
    except grpc.RpcError as error:
        return error.code().name, error.details()
    raise AssertionError(f"it was answered: {reply}")


def _metric(url: str, name: str) -> float:
    with urllib.request.urlopen(url, timeout=10) as page:
        lines = page.read().decode().splitlines()
    return sum(
        float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith((f"{name} ", f"{name}{{"))
    )
