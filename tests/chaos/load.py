"""Loads several gates: gateways spend, and an administrator grants, sells, voids and sets
budgets.
"""

import threading
from collections.abc import Callable, Sequence

import grpc

from chaos.administration import Administrator
from chaos.calls import Call, Caller, Log, Services
from gate.v1.gate_pb2 import (
    ALLOWED,
    AuthorizeRequest,
    DebitRequest,
    ExtendRequest,
    ReleaseRequest,
    Usage,
)

MICRO = 1_000  # nanos
SHORT_TTL_MS = 1_500  # of holds that nobody settles: the reaper ends them while the load runs
_BETWEEN_S = 0.008  # leaves something of a small machine to the processes that are being restarted
# Gates come back within a second; grpc's own pauses grow to two minutes.
RECONNECT = [
    (f"grpc.{which}_reconnect_backoff_ms", ms)
    for which, ms in (("initial", 20), ("min", 20), ("max", 200))
]


class Load:
    """Runs within its block. `calls` and `errors` are complete when the block has ended."""

    def __init__(
        self, targets: Sequence[str], accounts: Sequence[str], clients: int = 6, seed: int = 1
    ) -> None:
        self.errors: list[str] = []
        self._accounts = accounts
        self._log = Log()
        self._channels = [grpc.insecure_channel(target, options=RECONNECT) for target in targets]
        self._stop = threading.Event()
        gates = [Services(channel) for channel in self._channels]
        callers = [Caller(f"{seed}-{number}", gates, self._log) for number in range(clients)]
        self._threads = [
            threading.Thread(target=self._work, args=(caller, spend)) for caller in callers
        ]
        administrator = Caller(f"{seed}-admin", gates, self._log)
        self._threads.append(
            threading.Thread(target=self._work, args=(administrator, Administrator().act))
        )

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

    @property
    def calls(self) -> list[Call]:
        return self._log.calls

    @property
    def answered(self) -> int:
        return self._log.answered

    def summary(self) -> str:
        """What the load has seen, for people."""
        repeated = [call for call in self.calls if call.sent > 1 and call.reply is not None]
        replayed = sum(getattr(call.reply, "replayed", False) for call in repeated)
        return (
            f"{len(self.calls)} calls, {self.answered} answered; {len(repeated)} of them were sent more than once,"
            f" of which {replayed} had taken effect at the first time"
        )

    def _work(self, caller: Caller, deed: Callable[[Caller, str], None]) -> None:
        try:
            while not self._stop.is_set():
                deed(caller, caller.random_values.choice(self._accounts))
                self._stop.wait(_BETWEEN_S)
        except Exception as error:
            self.errors.append(f"client {caller.name}: {error!r}")


def spend(caller: Caller, account_id: str) -> None:
    """One thing that a gateway does."""
    if caller.random_values.random() < 0.35:
        _debit(caller, account_id)
    else:
        _hold(caller, account_id)


def _debit(caller: Caller, account_id: str) -> None:
    incurred = caller.random_values.random() < 0.3
    request = DebitRequest(
        **caller.ids(account_id), incurred=incurred, dimensions=_dimensions(caller)
    )
    if caller.random_values.random() < 0.3:
        request.usage.CopyFrom(
            Usage(
                model="gpt-4o", input_tokens=caller.random_values.randint(1, 5_000), output_tokens=7
            )
        )
    else:
        request.amount_nanos = _amount(caller)
    if caller.random_values.random() < 0.3:
        request.traffic_class = "inbound"
    caller.call("Debit", request)


def _hold(caller: Caller, account_id: str) -> None:
    """Authorize, perhaps Extend, then Debit or Release, or leave it to expire."""
    deed = caller.random_values.random()
    ttl_ms = SHORT_TTL_MS if deed < 0.1 else 0
    amount = _amount(caller)
    ask = AuthorizeRequest(
        **caller.ids(account_id),
        amount_nanos=amount,
        min_amount_nanos=caller.random_values.choice((0, 1, amount)),
        hold_ttl_ms=ttl_ms,
        dimensions=_dimensions(caller),
    )
    hold = caller.call("Authorize", ask)
    if hold is None or hold.decision != ALLOWED or ttl_ms:
        return
    if caller.random_values.random() < 0.3:
        more = ExtendRequest(
            **caller.ids(account_id), hold_id=hold.hold_id, amount_nanos=_amount(caller)
        )
        if caller.call("Extend", more) is None:
            return
    if deed < 0.3:
        caller.call("Release", ReleaseRequest(**caller.ids(account_id), hold_id=hold.hold_id))
    else:
        charge = _amount(caller)
        caller.call(
            "Debit",
            DebitRequest(**caller.ids(account_id), hold_id=hold.hold_id, amount_nanos=charge),
        )


def _dimensions(caller: Caller) -> dict[str, str]:
    """The client is a user; half of its requests are chat, which some grants are for."""
    service = {"service": "chat"} if caller.random_values.random() < 0.5 else {}
    return {"user": caller.name, **service}


def _amount(caller: Caller) -> int:
    return caller.random_values.randint(1, 1_000) * MICRO
