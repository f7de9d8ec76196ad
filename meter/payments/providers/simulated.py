"""The `test` provider: simulates payments, with methods that are named by what they do.

The objects are rows of the ledger, written in transactions of their own, so that a simulated
payment outlives every process as a real one would.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple

from sqlalchemy import Connection, func, select

from meter.database.engine import Ledger, upsert
from meter.database.payments_schema import test_objects
from meter.errors import InvalidField
from meter.payments.provider import (
    Failure,
    FailureClass,
    Page,
    ProviderRefused,
    SavedMethod,
    State,
    Status,
    Wanted,
)

_LOCK = 0x54455354  # "TEST": PostgreSQL's advisory lock, as SQLite's writers are one at a time
_SETUP_LASTS_MS = 86_400_000

_SOFT = Failure(FailureClass.SOFT, "insufficient_funds", "The card has insufficient funds.")
_HARD = Failure(FailureClass.HARD, "stolen_card", "The card was declined.")
_AUTH = Failure(FailureClass.AUTH, "authentication_required", "The bank asks for a confirmation.")


class _Method(NamedTuple):
    brand: str
    last4: str


# What each does is in `_outcome`.
_METHODS = {
    "test_visa": _Method("visa", "4242"),
    "test_mastercard": _Method("mastercard", "4444"),
    "test_insufficient": _Method("visa", "9995"),
    "test_stolen": _Method("visa", "9979"),
    "test_3ds": _Method("visa", "3184"),
    "test_slow": _Method("visa", "0077"),
    "test_declines_twice": _Method("visa", "0341"),
}


def check_test_method(method: str) -> None:
    """Raises InvalidField for a method that the provider does not have."""
    if method not in _METHODS:
        message = f"the provider `test` has the methods {', '.join(_METHODS)}"
        raise InvalidField("test_method", message)


class SimulatedProvider:
    """Simulates a provider; any number of processes share its objects by the ledger."""

    name: ClassVar[str] = "test"
    saves_methods: ClassVar[bool] = True
    is_live = False
    instructions = ""

    def __init__(self, ledger: Ledger, clock: Callable[[], int]) -> None:
        """`clock` returns the time in ms."""
        self._ledger = ledger
        self._clock = clock

    def customer(self, account_id: str, key: str) -> str:
        ref = f"customer {account_id}"
        with self._objects() as objects:
            objects.add(ref, {"methods": [], "saved": 0})
        return ref

    def begin_setup(self, customer: str, currency: str, key: str) -> Page:
        return Page(f"setup {customer} {key}", "", self._clock() + _SETUP_LASTS_MS)

    def save_method(self, customer: str, method: str) -> None:
        """Saves a method as the customer would on a page."""
        with self._objects() as objects:
            body = objects.get(customer)
            body["saved"] += 1
            body["methods"].append(f"{customer} {method} {body['saved']}")
            objects.put(customer, body)

    def methods(self, customer: str) -> list[SavedMethod]:
        with self._objects() as objects:
            return [_saved(ref) for ref in objects.get(customer)["methods"]]

    def detach(self, method: str) -> None:
        customer = " ".join(method.split(" ")[:2])
        with self._objects() as objects:
            body = objects.get(customer)
            body["methods"] = [ref for ref in body["methods"] if ref != method]
            objects.put(customer, body)

    def begin(self, wanted: Wanted, key: str) -> str:
        return self._begin(wanted, f"payment {key}", Status.OPEN)

    def checkout(self, wanted: Wanted, key: str) -> Page:
        ref = self._begin(wanted, f"page {key}", Status.ACTION)
        return Page(ref, _page_url(ref), self._clock() + _SETUP_LASTS_MS)

    def confirm(self, ref: str, method: str, *, off_session: bool, key: str) -> State:
        with self._objects() as objects:
            body = objects.get(ref)
            if key not in body["keys"]:
                _confirm(body, method, off_session=off_session)
                body["keys"].append(key)
                objects.put(ref, body)
            return _state(ref, body)

    def look(self, ref: str) -> State:
        with self._objects() as objects:
            body = objects.get(ref)
            if body["status"] == Status.PROCESSING:
                body["looks"] += 1
                if body["looks"] > 1:
                    _take(body)
                objects.put(ref, body)
            return _state(ref, body)

    def cancel(self, ref: str) -> State:
        with self._objects() as objects:
            body = objects.get(ref)
            if body["status"] not in (Status.PAID, Status.PROCESSING):
                body["status"] = Status.CANCELLED
                objects.put(ref, body)
            return _state(ref, body)

    def refund(self, ref: str, minor: int, key: str) -> bool:
        with self._objects() as objects:
            body = objects.get(ref)
            if key in body["refunds"]:
                return True
            if body["status"] != Status.PAID or minor > _refundable(body):
                return False
            body["refunds"][key] = minor
            objects.put(ref, body)
            return True

    def act(self, ref: str, *, succeeds: bool) -> State:
        """Does what the customer does on a page or in a bank's window."""
        with self._objects() as objects:
            body = objects.get(ref)
            if body["status"] != Status.ACTION:
                raise ProviderRefused("nothing is expected of the customer")
            if succeeds:
                _take(body)
            else:
                _decline(body, _SOFT)
            objects.put(ref, body)
            return _state(ref, body)

    def dispute(self, ref: str, minor: int, *, is_open: bool) -> None:
        """Lets the customer's bank take money back; 0 gives all of it back to us."""
        with self._objects() as objects:
            body = objects.get(ref)
            body["disputed"] = minor
            body["has_dispute"] = is_open
            objects.put(ref, body)

    def charges(self) -> dict[str, int]:
        """Returns how often each payment took money."""
        query = select(test_objects).where(test_objects.c.ref.startswith("p"))
        with self._ledger.read() as connection:
            return {ref: json.loads(body)["taken"] for ref, body in connection.execute(query)}

    def _begin(self, wanted: Wanted, ref: str, status: Status) -> str:
        body = {
            "amount": wanted.amount_minor,
            "currency": wanted.currency,
            "status": status,
            "keys": [],
            "charges": 0,
            "taken": 0,
            "looks": 0,
            "failure": None,
            "refunds": {},
            "disputed": 0,
            "has_dispute": False,
        }
        with self._objects() as objects:
            objects.add(ref, body)
        return ref

    @contextmanager
    def _objects(self) -> Iterator["_Objects"]:
        with self._ledger.write() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
            yield _Objects(connection)


class _Objects:
    """Reads and writes the objects within a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, ref: str) -> dict[str, Any]:
        query = select(test_objects.c.body).where(test_objects.c.ref == ref)
        body = self._connection.scalar(query)
        if body is None:
            raise ProviderRefused(f"no object {ref}")
        found: dict[str, Any] = json.loads(body)
        return found

    def add(self, ref: str, body: dict[str, Any]) -> None:
        statement = upsert(self._connection.dialect.name, test_objects).on_conflict_do_nothing()
        self._connection.execute(statement, {"ref": ref, "body": json.dumps(body)})

    def put(self, ref: str, body: dict[str, Any]) -> None:
        statement = test_objects.update().where(test_objects.c.ref == ref)
        self._connection.execute(statement.values(body=json.dumps(body)))


def _confirm(body: dict[str, Any], method: str, *, off_session: bool) -> None:
    if body["status"] in (Status.PAID, Status.CANCELLED, Status.PROCESSING):
        raise ProviderRefused(f"the payment is {body['status']}")
    body["charges"] += 1
    body["failure"] = None
    kind = _kind_of(method)
    if kind == "test_3ds" and not off_session:
        body["status"] = Status.ACTION
    elif kind == "test_slow":
        body["status"] = Status.PROCESSING
    elif (failure := _failure(kind, body["charges"])) is not None:
        _decline(body, failure)
    else:
        _take(body)


def _failure(kind: str, charges: int) -> Failure | None:
    if kind == "test_declines_twice" and charges > 2:
        return None
    failures = {
        "test_insufficient": _SOFT,
        "test_declines_twice": _SOFT,
        "test_stolen": _HARD,
        "test_3ds": _AUTH,
    }
    return failures.get(kind)


def _decline(body: dict[str, Any], failure: Failure) -> None:
    body["status"] = Status.OPEN
    body["failure"] = [failure.kind, failure.code, failure.text]


def _take(body: dict[str, Any]) -> None:
    body["status"] = Status.PAID
    body["taken"] += 1


def _refundable(body: dict[str, Any]) -> int:
    refunds: dict[str, int] = body["refunds"]
    return int(body["amount"]) - sum(refunds.values())


def _state(ref: str, body: dict[str, Any]) -> State:
    failure = None
    if body["failure"] is not None:
        kind, code, text = body["failure"]
        failure = Failure(FailureClass(kind), code, text)
    action_url = ""
    if body["status"] == Status.ACTION:
        action_url = _page_url(ref)
    charge = ""
    if body["charges"]:
        charge = f"charge {body['charges']}"
    return State(
        status=Status(body["status"]),
        received_minor=body["amount"] * body["taken"],
        currency=body["currency"],
        charge=charge,
        failure=failure,
        action_url=action_url,
        refunded_minor=sum(body["refunds"].values()),
        disputed_minor=body["disputed"],
        has_dispute=body["has_dispute"],
    )


def _page_url(ref: str) -> str:
    return f"test://{ref.replace(' ', '/')}"


def _kind_of(method: str) -> str:
    return method.split(" ")[2]


def _saved(ref: str) -> SavedMethod:
    kind = _kind_of(ref)
    brand, last4 = _METHODS[kind]
    return SavedMethod(
        ref=ref,
        kind="card",
        brand=brand,
        last4=last4,
        holder="Ada Lovelace",
        exp_month=12,
        exp_year=2099,
        fingerprint=kind,
    )
