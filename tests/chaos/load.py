"""A load on several gates: clients that spend, repeat what was not answered under the same request id, and remember every reply."""

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from gate.v1.gate_pb2 import ALLOWED, AuthorizeRequest, DebitRequest, ExtendRequest, ReleaseRequest, Usage
from gate.v1.gate_pb2_grpc import GateStub

MICRO = 1_000  # nanos
SHORT_TTL_MS = 1_500  # of holds that nobody settles: the reaper ends them while the load runs
_CALL_S = 10.0
_PATIENCE_S = 60.0
_PAUSE_S = 0.02
_BETWEEN_S = 0.008  # leaves something of a small machine to the processes that are being restarted
# CANCELLED comes from a gate that is told to end: calls that it has received and not begun, grpc's server drops with this status.
_NO_DECISION = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
# Gates come back within a second; grpc's own pauses grow to two minutes.
_RECONNECT = [(f"grpc.{which}_reconnect_backoff_ms", ms) for which, ms in (("initial", 20), ("min", 20), ("max", 200))]


@dataclass(slots=True)
class Call:
    """A request, and what became of it."""

    method: str
    request: Any
    reply: Any = None  # None: never answered, so it may or may not have taken effect
    sent: int = 0

    @property
    def key(self) -> tuple[str, str]:
        return self.request.account_id, self.request.request_id

    @property
    def is_allowed(self) -> bool:
        return self.reply is not None and self.reply.decision == ALLOWED


class Load:
    """Runs within its block. `calls` and `errors` are complete when the block has ended."""

    def __init__(self, targets: Sequence[str], accounts: Sequence[str], clients: int = 6, seed: int = 1) -> None:
        self.calls: list[Call] = []
        self.errors: list[str] = []
        self.answered = 0
        self._accounts = accounts
        self._channels = [grpc.insecure_channel(target, options=_RECONNECT) for target in targets]
        self._stubs: list[Any] = [GateStub(channel) for channel in self._channels]
        self._stop = threading.Event()
        self._counting = threading.Lock()
        self._threads = [threading.Thread(target=self._work, args=(f"{seed}-{number}",)) for number in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Lets every client end what it has begun."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        for channel in self._channels:
            channel.close()

    def summary(self) -> str:
        """What the load has seen, for people."""
        repeated = [call for call in self.calls if call.sent > 1 and call.reply is not None]
        replayed = sum(call.reply.replayed for call in repeated)
        return (
            f"{len(self.calls)} calls, {self.answered} answered; {len(repeated)} of them were sent more than once,"
            f" of which {replayed} had taken effect at the first time"
        )

    def _work(self, name: str) -> None:
        try:
            _Client(name, self).work()
        except Exception as error:
            self.errors.append(f"client {name}: {error!r}")

    def is_over(self) -> bool:
        return self._stop.is_set()

    def pause(self, seconds: float) -> None:
        self._stop.wait(seconds)

    def account(self, dice: random.Random) -> str:
        return dice.choice(self._accounts)

    def stub(self, dice: random.Random) -> Any:
        return dice.choice(self._stubs)

    def count(self) -> None:
        with self._counting:
            self.answered += 1


class _Client:
    """One gateway: does one thing after another, through whichever gate."""

    def __init__(self, name: str, load: Load) -> None:
        self._name, self._load = name, load
        self._dice = random.Random(name)
        self._number = 0

    def work(self) -> None:
        while not self._load.is_over():
            account_id = self._load.account(self._dice)
            if self._dice.random() < 0.35:
                self._debit(account_id)
            else:
                self._hold(account_id)
            self._load.pause(_BETWEEN_S)

    def _debit(self, account_id: str) -> None:
        request = DebitRequest(**self._ids(account_id), incurred=self._dice.random() < 0.3)
        if self._dice.random() < 0.3:
            request.usage.CopyFrom(Usage(model="gpt-4o", input_tokens=self._dice.randint(1, 5_000), output_tokens=7))
            request.dimensions["user"] = self._name
        else:
            request.amount_nanos = self._amount()
        self._call("Debit", request)

    def _hold(self, account_id: str) -> None:
        """Authorize, perhaps Extend, then Debit or Release, or leave it to expire."""
        deed = self._dice.random()
        ttl_ms = SHORT_TTL_MS if deed < 0.1 else 0
        amount = self._amount()
        least = self._dice.choice((0, 1, amount))
        ask = AuthorizeRequest(**self._ids(account_id), amount_nanos=amount, min_amount_nanos=least, hold_ttl_ms=ttl_ms)
        hold = self._call("Authorize", ask)
        if hold is None or hold.decision != ALLOWED or ttl_ms:
            return
        if self._dice.random() < 0.3:
            more = ExtendRequest(**self._ids(account_id), hold_id=hold.hold_id, amount_nanos=self._amount())
            if self._call("Extend", more) is None:
                return
        if deed < 0.3:
            self._call("Release", ReleaseRequest(**self._ids(account_id), hold_id=hold.hold_id))
        else:
            charge = self._amount()
            self._call("Debit", DebitRequest(**self._ids(account_id), hold_id=hold.hold_id, amount_nanos=charge))

    def _call(self, method: str, request: Any) -> Any:
        """The reply; None if the call failed and this client is not one to repeat it."""
        call = Call(method, request)
        self._load.calls.append(call)
        gives_up = self._dice.random() < 0.3
        deadline = time.monotonic() + _PATIENCE_S
        while call.reply is None:
            call.sent += 1
            try:
                call.reply = getattr(self._load.stub(self._dice), method)(request, timeout=_CALL_S)
            except grpc.RpcError as error:
                if error.code() not in _NO_DECISION or time.monotonic() > deadline:
                    raise
                if gives_up:
                    return None
                self._load.pause(_PAUSE_S)
        self._load.count()
        return call.reply

    def _ids(self, account_id: str) -> dict[str, str]:
        self._number += 1
        return {"account_id": account_id, "request_id": f"{self._name}-{self._number}"}

    def _amount(self) -> int:
        return self._dice.randint(1, 1_000) * MICRO
