"""Uses the running product as its clients do: accounts, calls, and errors in all their forms."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from gate.store.keys import expiries_key
from gate.v1.gate_pb2 import AuthorizeRequest, DebitRequest, ExtendRequest, ReleaseRequest
from meter.v1.accounts_pb2 import (
    MONTHLY,
    Account,
    AdvanceTestClockRequest,
    Budget,
    Grant,
    GrantCreditsRequest,
    SetBudgetRequest,
    UpdateAccountRequest,
)
from meter.v1.ledger_pb2 import (
    CreateInvoiceRequest,
    ListEntriesRequest,
    ListEventsRequest,
    ListGrantsRequest,
    QueryUsageRequest,
)
from support.stack import Client, Process, Stack, free_address, variables

CREDIT = 1_000_000_000

# `tiny` costs 1,000 nanos for each token in, 2,000 for each token out; `dust` half a nano, `gold` a
# thousand credits for each token in.
PRICES = """\
currency: USD
models:
  tiny:
    - per_million: {input_tokens: 1, output_tokens: 2}
      service_tiers: {batch: {percent: 50}}
  fresh-native:
    - per_million: {input_tokens: 1, output_tokens: 3}
  fresh-grpcio:
    - per_million: {input_tokens: 1, output_tokens: 4}
  dust:
    - per_million: {input_tokens: 0.0005}
  gold:
    - per_unit: {input_tokens: 1000}
  free-of-charge:
    - per_million: {input_tokens: 0, output_tokens: 0}
"""

_numbers = count(1)


class Customer:
    """Makes calls on behalf of an account.

    Each call has a request id of its own, unless one is given.
    """

    def __init__(self, client: Client, account_id: str) -> None:
        self.client = client
        self.account_id = account_id

    def at(self, client: Client) -> "Customer":
        """Returns the same account, called through another gate."""
        return Customer(client, self.account_id)

    def asks(self, kind: Callable[..., Any], nanos: int | None = None, **fields: Any) -> Any:
        """Returns a request of this kind, not yet sent."""
        amount = {} if nanos is None else {"amount_nanos": nanos}
        return kind(**{"account_id": self.account_id, "request_id": new_id(), **amount, **fields})

    def authorize(self, nanos: int | None = None, **fields: Any) -> Any:
        return self.client.gate.Authorize(self.asks(AuthorizeRequest, nanos, **fields))

    def debit(self, nanos: int | None = None, **fields: Any) -> Any:
        return self.client.gate.Debit(self.asks(DebitRequest, nanos, **fields))

    def extend(self, hold_id: str, nanos: int | None = None, **fields: Any) -> Any:
        return self.client.gate.Extend(self.asks(ExtendRequest, nanos, hold_id=hold_id, **fields))

    def release(self, hold_id: str, **fields: Any) -> Any:
        return self.client.gate.Release(self.asks(ReleaseRequest, hold_id=hold_id, **fields))

    def balance(self) -> Any:
        return self.client.balance(self.account_id)

    def grant(self, nanos: int, **grant: Any) -> Any:
        request = GrantCreditsRequest(
            account_id=self.account_id,
            request_id=new_id(),
            grant=Grant(amount_nanos=nanos, **grant),
        )
        return self.client.accounts.GrantCredits(request)

    def set_budget(
        self, budget_id: str, limit_nanos: int, scope: dict[str, str], **budget: Any
    ) -> None:
        """Sets a budget, of a month unless another window is given."""
        fields = {"window": MONTHLY, **budget}
        wanted = Budget(budget_id=budget_id, limit_nanos=limit_nanos, scope=scope, **fields)
        self.client.accounts.SetBudget(SetBudgetRequest(account_id=self.account_id, budget=wanted))

    def update(self, **settings: Any) -> None:
        """Sets these settings; a setting that is None is removed."""
        account = Account(account_id=self.account_id, **settings)
        self.client.accounts.UpdateAccount(
            UpdateAccountRequest(account=account, update_mask=FieldMask(paths=settings))
        )

    def advance(self, time: str) -> None:
        """Moves the test clock."""
        self.client.accounts.AdvanceTestClock(
            AdvanceTestClockRequest(account_id=self.account_id, time=at(time))
        )

    def entries(self, *kinds: Any, **query: Any) -> list[Any]:
        """Lists entries, the newest first; without kinds, those that moved credits."""
        request = ListEntriesRequest(
            account_id=self.account_id, kinds=kinds, page_size=1000, **query
        )
        return list(self.client.ledger.ListEntries(request).entries)

    def events(self) -> list[Any]:
        """Lists the thresholds that were crossed, oldest first."""
        return list(
            self.client.ledger.ListEvents(
                ListEventsRequest(account_id=self.account_id, page_size=1000)
            ).events
        )

    def grants(self) -> list[Any]:
        """Lists the grants, those that have ended last."""
        request = ListGrantsRequest(account_id=self.account_id, include_ended=True, page_size=1000)
        return list(self.client.ledger.ListGrants(request).grants)

    def usage(self, **query: Any) -> list[Any]:
        request = QueryUsageRequest(account_id=self.account_id, page_size=1000, **query)
        return list(self.client.ledger.QueryUsage(request).buckets)

    def invoice(self, start: str = "", end: str = "") -> Any:
        """Makes the invoice of the month that runs, or of a period."""
        period = {"period_start": at(start), "period_end": at(end)} if start else {}
        return self.client.ledger.CreateInvoice(
            CreateInvoiceRequest(account_id=self.account_id, **period)
        )


@dataclass(frozen=True)
class Refusal:
    """Holds an error, in its three forms for machines, and the one for people."""

    code: str
    reason: str
    field: str
    message: str = ""
    retry_ms: int = 0  # when to try again, where that is told


def refusal(call: Callable[[Any], Any], request: Any) -> Refusal:
    """Returns the error that a call must end with."""
    with pytest.raises(grpc.RpcError) as caught:
        call(request)
    status = rpc_status.from_call(caught.value)
    if status is None:
        return Refusal(caught.value.code().name, "", "", caught.value.details())
    return refusal_of(status)


def refusal_of(status: Status) -> Refusal:
    """Reads a rich status; a field to blame has the reason and the message of the whole error."""
    info = ErrorInfo()
    blame = BadRequest()
    retry = RetryInfo()
    for detail in status.details:
        assert detail.Unpack(info) or detail.Unpack(blame) or detail.Unpack(retry)
    assert info.domain == "creditgate"
    fields = [violation.field for violation in blame.field_violations]
    assert all(
        (each.reason, each.description) == (info.reason, status.message)
        for each in blame.field_violations
    )
    names = {code.value[0]: code.name for code in grpc.StatusCode}
    retry_ms = retry.retry_delay.ToMilliseconds()
    return Refusal(names[status.code], info.reason, " ".join(fields), status.message, retry_ms)


def new_customer(client: Client, credits: str = "0", **settings: Any) -> Customer:
    """Opens an account of a name that no other test has."""
    customer = Customer(client, f"account-{os.getpid()}-{next(_numbers)}")
    client.open_account(customer.account_id, credits, **settings)
    return customer


def new_id() -> str:
    """Returns a request id that no other call has."""
    return f"request-{next(_numbers)}"


def at(time: str) -> Timestamp:
    """Returns the time of a text such as 2028-02-29T00:00:00Z."""
    stamp = Timestamp()
    stamp.FromJsonString(time)
    return stamp


@contextmanager
def another_gate(stack: Stack, **settings: str) -> Iterator[tuple[Process, Client]]:
    """Runs another gate on the stack's Valkey and ledger, with other settings."""
    target = free_address()
    environment = stack.environment(target) | variables(settings)
    log = Path(stack.folder) / f"gate-{target.rpartition(':')[2]}.log"
    gate = Process(["serve"], environment, log)
    gate.start()
    client = Client(target, stack.billing_targets[0])
    try:
        yield gate, client
    finally:
        client.close()
        gate.kill()


def holds_in(stack: Stack) -> int:
    """Counts the open holds in the store."""
    with stack.valkey.client() as redis:
        return sum(redis.zcard(expiries_key(shard)) for shard in range(16))


@contextmanager
def silent_redis(stack: Stack) -> Iterator[None]:
    """Stops Valkey meanwhile, as in a long pause of its machine: calls stay in flight."""
    os.kill(stack.valkey.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(stack.valkey.pid, signal.SIGCONT)
