"""Makes the generator's calls, and knows right answers from wrong ones at a glance.

A message is recognised by its first or last bytes: protobuf writes fields in the order of their
numbers, and `decision` is number 1.
"""

from collections.abc import Callable, Iterator
from itertools import count, cycle
from typing import NamedTuple, Protocol

from http2 import Method
from templates import ACCOUNT, REQUEST, Template, account_id, at_random, request_ids

from gate.v1.gate_pb2 import (
    ALLOWED,
    AuthorizeRequest,
    BatchItem,
    BatchRequest,
    BatchResponse,
    DebitRequest,
    GetBalanceRequest,
    Usage,
)

AMOUNT_NANOS = 1_250_000
DIMENSIONS = {
    "api_key": "key-0042",
    "user": "user-0007",
    "project": "search",
}  # what a gateway would want to report by
_REPLAYED_IDS = (
    512  # more than are ever in flight, so that each has been answered before it comes again
)

_AUTHORIZE, _DEBIT, _BATCH, _GET_BALANCE = (
    Method.of(f"/gate.v1.Gate/{name}") for name in ("Authorize", "Debit", "Batch", "GetBalance")
)
NULL_METHOD = _GET_BALANCE


def authorization(hold_ttl_ms: int = 600_000) -> AuthorizeRequest:
    """A hold for a plain amount."""
    return AuthorizeRequest(
        account_id=ACCOUNT, request_id=REQUEST, amount_nanos=AMOUNT_NANOS, hold_ttl_ms=hold_ttl_ms
    )


def debit(hold_id: str = "") -> DebitRequest:
    """A plain amount, with or without a hold to settle."""
    return DebitRequest(
        account_id=ACCOUNT, request_id=REQUEST, amount_nanos=AMOUNT_NANOS, hold_id=hold_id
    )


def tagged_debit() -> DebitRequest:
    """A plain amount, with dimensions."""
    return DebitRequest(
        account_id=ACCOUNT, request_id=REQUEST, amount_nanos=AMOUNT_NANOS, dimensions=DIMENSIONS
    )


def usage_debit() -> DebitRequest:
    """A usage that the gate has to price, with dimensions."""
    usage = Usage(
        model="openai/gpt-4o", input_tokens=1200, cached_input_tokens=300, output_tokens=350
    )
    return DebitRequest(account_id=ACCOUNT, request_id=REQUEST, usage=usage, dimensions=DIMENSIONS)


class Call(NamedTuple):
    """One call; `kind` names the histogram it belongs to, `is_right` tells whether a reply is what
    it must be.
    """

    kind: str
    method: Method
    message: bytes
    is_right: Callable[[bytes], bool]
    account: bytes = b""


class Workload(Protocol):
    """An endless supply of calls; `items` is how many operations each call carries."""

    items: int

    def __next__(self) -> Call: ...

    def after(self, call: Call, reply: bytes, /) -> Call | None:
        """The call that a client makes when it has this reply, if any."""


class _Alone:
    """Calls that no other follows."""

    items = 1

    def after(self, _call: Call, _reply: bytes) -> Call | None:
        return None


class Null(_Alone):
    """An empty message for an empty message."""

    def __next__(self) -> Call:
        return Call("null", NULL_METHOD, b"", _is_empty)


class Debits(_Alone):
    """Debits without a hold, each of a new request id."""

    def __init__(self, accounts: Iterator[bytes], request: DebitRequest) -> None:
        self._accounts = accounts
        self._ids = request_ids()
        self._template = Template(request.SerializeToString(), ACCOUNT.encode(), REQUEST.encode())

    def __next__(self) -> Call:
        message = self._template.fill(next(self._accounts), next(self._ids))
        return Call("debit", _DEBIT, message, _is_allowed)


class Denials(_Alone):
    """Debits that are denied for lack of credits."""

    def __init__(self, accounts: Iterator[bytes]) -> None:
        self._debits = Debits(accounts, debit())

    def __next__(self) -> Call:
        return next(self._debits)._replace(kind="denial", is_right=_is_denied)


class Replays(_Alone):
    """Debits that were made before: a first lap of new ones, then the same again and again."""

    def __init__(self, accounts: Iterator[bytes]) -> None:
        debits = Debits(accounts, debit())
        self._laps = cycle([next(debits) for _ in range(_REPLAYED_IDS)])
        self._number = count()

    def __next__(self) -> Call:
        call = next(self._laps)
        first = next(self._number) < _REPLAYED_IDS
        return call if first else call._replace(kind="replay", is_right=_is_replayed)


class Pairs(_Alone):
    """Authorize, then the Debit that settles its hold."""

    def __init__(self, accounts: Iterator[bytes]) -> None:
        self._accounts = accounts
        self._ids = request_ids()
        self._authorize = Template(
            authorization().SerializeToString(), ACCOUNT.encode(), REQUEST.encode()
        )
        self._debits: dict[
            int, Template
        ] = {}  # by the hold id's length, which a price's version adds to

    def __next__(self) -> Call:
        account = next(self._accounts)
        return Call(
            "authorize",
            _AUTHORIZE,
            self._authorize.fill(account, next(self._ids)),
            _is_allowed,
            account,
        )

    def after(self, call: Call, reply: bytes) -> Call | None:
        if call.kind != "authorize":
            return None
        hold = reply[4 : 4 + reply[3]]  # 08 01, then 12 and the length of hold_id
        template = self._debits.get(len(hold)) or self._debit(len(hold))
        return Call(
            "settle", _DEBIT, template.fill(call.account, next(self._ids), hold), _is_allowed
        )

    def _debit(self, hold_length: int) -> Template:
        hold = "?" * hold_length
        names = (ACCOUNT.encode(), REQUEST.encode(), hold.encode())
        self._debits[hold_length] = Template(debit(hold).SerializeToString(), *names)
        return self._debits[hold_length]


class Mixed(Pairs):
    """Of five calls, four are pairs of Authorize and Debit, and one asks for the balance."""

    def __init__(self, accounts: Iterator[bytes]) -> None:
        super().__init__(accounts)
        self._looks = Template(
            GetBalanceRequest(account_id=ACCOUNT).SerializeToString(), ACCOUNT.encode()
        )
        self._turns = cycle((False, False, True))

    def __next__(self) -> Call:
        if not next(self._turns):
            return super().__next__()
        return Call(
            "get_balance", _GET_BALANCE, self._looks.fill(next(self._accounts)), _is_overview
        )


class Batches(_Alone):
    """Batch calls of as many debits as `items` says."""

    def __init__(self, accounts: Iterator[bytes], items: int) -> None:
        self.items = items
        self._accounts = accounts
        self._ids = request_ids()
        item = BatchRequest(items=[BatchItem(debit=debit())]).SerializeToString()
        self._item = Template(item, ACCOUNT.encode(), REQUEST.encode())

    def __next__(self) -> Call:
        items = [self._item.fill(next(self._accounts), next(self._ids)) for _ in range(self.items)]
        return Call("batch", _BATCH, b"".join(items), self._are_allowed)

    def _are_allowed(self, reply: bytes) -> bool:
        results = BatchResponse.FromString(reply).results
        return len(results) == self.items and all(
            result.debit.decision == ALLOWED for result in results
        )


def workload(name: str, accounts: int, kind: str) -> Workload:
    """The workload of that name, over so many accounts of a kind (the first of them, by number)."""
    ids = at_random([account_id(number, kind) for number in range(accounts)])
    match name.split("-"):
        case ["null"]:
            return Null()
        case ["debit"]:
            return Debits(ids, debit())
        case ["tagged"]:
            return Debits(ids, tagged_debit())
        case ["usage"]:
            return Debits(ids, usage_debit())
        case ["denial"]:
            return Denials(ids)
        case ["replay"]:
            return Replays(ids)
        case ["pair"]:
            return Pairs(ids)
        case ["mixed"]:
            return Mixed(ids)
        case ["batch", items]:
            return Batches(ids, int(items))
    raise ValueError(f"there is no workload {name}")


def _is_empty(reply: bytes) -> bool:
    return not reply


def _is_allowed(reply: bytes) -> bool:
    return reply.startswith(b"\x08\x01")


def _is_denied(reply: bytes) -> bool:
    return reply.startswith(b"\x08\x02")


def _is_replayed(reply: bytes) -> bool:
    return reply.startswith(b"\x08\x01") and reply.endswith(
        b"\x30\x01"
    )  # DebitResponse.replayed is number 6


def _is_overview(reply: bytes) -> bool:
    return reply.startswith(b"\x0a")
