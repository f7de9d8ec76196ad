"""Defines what Creditgate asks of a payment provider, and how a provider tells how things stand.

A provider's methods block, are called outside of transactions, and take keys: a call that is
repeated with the same key takes effect once.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, NamedTuple, Protocol

from meter.errors import FailedPrecondition, Unavailable


class ProviderUnavailable(Unavailable):
    """The provider did not answer: nobody knows whether the call took effect."""

    def __init__(self, detail: str) -> None:
        message = f"the payment provider did not answer ({detail}); repeat the call"
        super().__init__("PROVIDER_UNAVAILABLE", message)


class ProviderRefused(FailedPrecondition):
    """The provider refused the call for a reason that is neither the customer's nor the card's."""

    def __init__(self, detail: str) -> None:
        super().__init__("PROVIDER_REFUSED", f"the payment provider refused: {detail}")


class FailureClass(StrEnum):
    """Says what follows from a payment that failed."""

    HARD = "HARD"  # never again with this card
    AUTH = "AUTH"  # the customer has to confirm
    SOFT = "SOFT"  # may succeed later
    OURS = "OURS"  # not the card's fault: an operator has to act
    AMOUNT = "AMOUNT"  # another amount came than was asked for: an operator has to look


@dataclass(frozen=True, slots=True)
class Failure:
    """Says why an attempt failed; `text` is fit for the customer."""

    kind: FailureClass
    code: str
    text: str


class Status(StrEnum):
    """Says how the provider's object of a payment stands."""

    OPEN = "OPEN"  # nothing has been tried, or the last attempt failed
    PROCESSING = "PROCESSING"
    ACTION = "ACTION"  # the customer has to act
    PAID = "PAID"
    CANCELLED = "CANCELLED"  # can no longer succeed


@dataclass(frozen=True, slots=True)
class SavedMethod:
    """Describes a method that the provider has saved; `ref` is the provider's name for it."""

    ref: str
    kind: str
    brand: str
    last4: str
    holder: str
    exp_month: int
    exp_year: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class State:
    """Holds the truth about a payment, as the provider tells it now."""

    status: Status
    received_minor: int = 0
    currency: str = ""
    charge: str = ""  # another one after each attempt
    failure: Failure | None = None
    action_url: str = ""  # carries a secret: passed on, never kept
    refunded_minor: int = 0
    disputed_minor: int = 0  # that the provider has taken from us for a dispute
    has_dispute: bool = False  # that nobody has decided yet
    ref: str = ""  # the provider's name of the payment, if a page's name stood for it until now


@dataclass(frozen=True, slots=True)
class Wanted:
    """Says what a payment is for, and how much."""

    payment_id: str
    account_id: str
    customer: str
    amount_minor: int
    currency: str
    description: str


@dataclass(frozen=True, slots=True)
class Page:
    """Names a page of the provider; `url` is passed on, and never kept."""

    ref: str
    url: str
    expires_at_ms: int


class Hint(NamedTuple):
    """Names what an event of the provider may be about. The truth about that is fetched."""

    event_id: str
    refs: tuple[str, ...]  # of payments, pages and customers


class Hints(NamedTuple):
    """Holds the events behind a cursor, and the cursor behind these events."""

    hints: list[Hint]
    cursor: str


class Forged(Exception):
    """An event was not signed by the provider with one of our secrets."""


class Provider(Protocol):
    """Takes money, and tells how payments stand.

    Any method may raise ProviderUnavailable, after which nobody knows whether the call took effect,
    or ProviderRefused. A declined attempt is no error: the state tells.
    """

    name: ClassVar[str]
    saves_methods: ClassVar[bool]
    is_live: bool  # real money moves
    instructions: str  # how an operator is paid; empty: the provider takes the money by itself

    def customer(self, account_id: str, key: str) -> str:
        """Returns the provider's name for the account, made anew if need be."""
        ...

    def begin_setup(self, customer: str, currency: str, key: str) -> Page:
        """Returns a page on which somebody may save a method of the customer."""
        ...

    def methods(self, customer: str) -> list[SavedMethod]:
        """Returns the customer's saved methods."""
        ...

    def detach(self, method: str) -> None:
        """Forgets a saved method; one that is forgotten already stays so."""
        ...

    def begin(self, wanted: Wanted, key: str) -> str:
        """Returns a new payment, unconfirmed: harmless if nobody ever confirms it."""
        ...

    def checkout(self, wanted: Wanted, key: str) -> Page:
        """Returns a page that takes the money and saves the method."""
        ...

    def confirm(self, ref: str, method: str, *, off_session: bool, key: str) -> State:
        """Tries to take the money by a saved method."""
        ...

    def look(self, ref: str) -> State:
        """Returns how a payment stands."""
        ...

    def cancel(self, ref: str) -> State:
        """Makes sure that a payment can no longer succeed, unless it has succeeded."""
        ...

    def refund(self, ref: str, minor: int, key: str) -> bool:
        """Pays back a part of a payment; False if the provider cannot."""
        ...


class TellingProvider(Provider, Protocol):
    """Tells by itself, by events, of what happens."""

    def hint(self, header: str, body: bytes, secrets: tuple[str, ...]) -> Hint:
        """Returns what a signed event names; raises Forged unless one of the secrets fits."""
        ...

    def hints_since(self, cursor: str) -> Hints:
        """Returns the events behind a cursor, for whoever cannot be reached by the provider.

        With an empty cursor, no events, and the cursor of the newest.
        """
        ...
