"""Calls under load: each is repeated under its own request id until it is answered, or given up,
and its reply is remembered.
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc

from gate.v1.gate_pb2 import ALLOWED, DENIED
from gate.v1.gate_pb2_grpc import GateStub
from meter.v1.accounts_pb2_grpc import AccountsStub

_CALL_S = 10.0
_PATIENCE_S = 60.0
_PAUSE_S = 0.02
# CANCELLED comes from a gate that is told to end: calls that it has received and not begun, grpc's
# server drops with this status.
_NO_DECISION = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
)
ADMINISTRATION = frozenset(
    ("GrantCredits", "CreateTopUp", "VoidGrant", "SetBudget", "UpdateAccount")
)


@dataclass(slots=True)
class Call:
    """A request, and what became of it."""

    method: str
    request: Any
    reply: Any = None  # None: never answered, so it may or may not have taken effect
    sent: int = 0
    is_refused: bool = False  # it came too late: it has taken no effect, and never will

    @property
    def key(self) -> tuple[str, str]:
        return self.account_id, self.request.request_id

    @property
    def account_id(self) -> str:
        """Whom it is about."""
        parts = {"CreateTopUp": "top_up", "UpdateAccount": "account"}
        return str(getattr(self.request, parts.get(self.method, ""), self.request).account_id)

    @property
    def is_denied(self) -> bool:
        """Then it has written nothing. Administrators' replies know no denial."""
        return self.is_refused or getattr(self.reply, "decision", ALLOWED) == DENIED

    def has_come_too_late(self, error: grpc.RpcError) -> bool:
        """Its grant would have expired already, or what it is to void has ended."""
        too_late = {
            "GrantCredits": grpc.StatusCode.INVALID_ARGUMENT,
            "VoidGrant": grpc.StatusCode.FAILED_PRECONDITION,
        }
        return error.code() is too_late.get(self.method)


class Services:
    """What one gate serves, by method."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._gate: Any = GateStub(channel)
        self._accounts: Any = AccountsStub(channel)

    def method(self, name: str) -> Callable[..., Any]:
        return getattr(self._accounts if name in ADMINISTRATION else self._gate, name)  # type: ignore[no-any-return]


@dataclass
class Log:
    """What all callers of a load have done."""

    calls: list[Call] = field(default_factory=list)
    answered: int = 0
    _counting: threading.Lock = field(default_factory=threading.Lock)

    def count(self) -> None:
        with self._counting:
            self.answered += 1


class Caller:
    """One client of several gates."""

    def __init__(self, name: str, gates: list[Services], log: Log) -> None:
        self.name = name
        self.random_values = random.Random(name)
        self._gates = gates
        self._log = log
        self._number = 0

    def ids(self, account_id: str) -> dict[str, str]:
        return {"account_id": account_id, "request_id": self.new_id()}

    def new_id(self) -> str:
        self._number += 1
        return f"{self.name}-{self._number}"

    def call(self, method: str, request: Any) -> Any:
        """The reply; None if the call failed and this client is not one to repeat it, or if it came
        too late.
        """
        call = Call(method, request)
        self._log.calls.append(call)
        gives_up = self.random_values.random() < 0.3
        deadline = time.monotonic() + _PATIENCE_S
        while call.reply is None:
            call.sent += 1
            try:
                call.reply = self.random_values.choice(self._gates).method(method)(
                    request, timeout=_CALL_S
                )
            except grpc.RpcError as error:
                if call.has_come_too_late(error):
                    call.is_refused = True
                    return None
                if error.code() not in _NO_DECISION or time.monotonic() > deadline:
                    raise
                if gives_up:
                    return None
                time.sleep(_PAUSE_S)
        self._log.count()
        return call.reply
