"""The `stripe` provider. Imported only where it is configured: the library costs 0.3 s."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

import stripe
from stripe import StripeClient

from meter.payments.provider import (
    Failure,
    Forged,
    Hint,
    Hints,
    Page,
    ProviderRefused,
    ProviderUnavailable,
    SavedMethod,
    State,
    Status,
    Wanted,
)
from meter.payments.providers.stripe_amounts import minor_of, stripe_amount
from meter.payments.providers.stripe_failures import failure_of

_TIMEOUT_S = 20.0
_BUSY = (409, 429)  # the same key in progress, too many calls
_MOST_EVENTS = 100
_EVENT_TYPES = [
    "charge.dispute.closed",
    "charge.dispute.created",
    "charge.dispute.funds_reinstated",
    "charge.dispute.funds_withdrawn",
    "charge.refunded",
    "checkout.session.async_payment_failed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.completed",
    "checkout.session.expired",
    "payment_intent.canceled",
    "payment_intent.payment_failed",
    "payment_intent.succeeded",
]
_STATUSES = {
    "canceled": Status.CANCELLED,
    "processing": Status.PROCESSING,
    "requires_action": Status.ACTION,
    "succeeded": Status.PAID,
}
_OPEN_DISPUTES = ("needs_response", "under_review")
# Inquiries take no money, and a dispute that is won gives it back.
_NOT_TAKEN = (
    "won",
    "prevented",
    "warning_closed",
    "warning_needs_response",
    "warning_under_review",
)


class StripeProvider:
    """Takes money through Stripe, by an object for each payment that can succeed once."""

    name: ClassVar[str] = "stripe"
    saves_methods: ClassVar[bool] = True
    instructions = ""

    def __init__(self, key: str, api_url: str, return_url: str) -> None:
        """An empty `api_url` is Stripe's own; pages of Stripe lead back to `return_url`."""
        addresses: Any = {}
        if api_url:
            addresses = {"api": api_url}
        self._stripe = StripeClient(
            key,
            base_addresses=addresses,
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=_TIMEOUT_S),
        )
        self._return_url = return_url
        self.is_live = "_live_" in key

    def customer(self, account_id: str, key: str) -> str:
        with _translated():
            made = self._stripe.v1.customers.create(
                {"metadata": {"account_id": account_id}},
                {"idempotency_key": key},
            )
        return made.id

    def begin_setup(self, customer: str, currency: str, key: str) -> Page:
        with _translated():
            session = self._stripe.v1.checkout.sessions.create(
                {
                    "mode": "setup",
                    "customer": customer,
                    "currency": currency.lower(),
                    "success_url": self._return_url,
                    "cancel_url": self._return_url,
                },
                {"idempotency_key": key},
            )
        return _page(session)

    def methods(self, customer: str) -> list[SavedMethod]:
        with _translated():
            found = self._stripe.v1.customers.payment_methods.list(customer, {"limit": 100})
        return [_saved(method) for method in reversed(found.data)]

    def detach(self, method: str) -> None:
        # Refused if it is not attached any more, as after a repeat.
        with suppress(ProviderRefused), _translated():
            self._stripe.v1.payment_methods.detach(method)

    def begin(self, wanted: Wanted, key: str) -> str:
        amount = stripe_amount(wanted.amount_minor, wanted.currency)
        with _translated():
            intent = self._stripe.v1.payment_intents.create(
                {
                    "amount": amount,
                    "currency": wanted.currency.lower(),
                    "customer": wanted.customer,
                    "description": wanted.description,
                    "automatic_payment_methods": {"enabled": True},
                    "metadata": _metadata(wanted),
                },
                {"idempotency_key": key},
            )
        return intent.id

    def checkout(self, wanted: Wanted, key: str) -> Page:
        amount = stripe_amount(wanted.amount_minor, wanted.currency)
        with _translated():
            session = self._stripe.v1.checkout.sessions.create(
                {
                    "mode": "payment",
                    "customer": wanted.customer,
                    "line_items": [
                        {
                            "price_data": {
                                "currency": wanted.currency.lower(),
                                "product_data": {"name": wanted.description},
                                "unit_amount": amount,
                            },
                            "quantity": 1,
                        }
                    ],
                    "payment_intent_data": {
                        "setup_future_usage": "off_session",
                        "metadata": _metadata(wanted),
                    },
                    "success_url": self._return_url,
                    "cancel_url": self._return_url,
                },
                {"idempotency_key": key},
            )
        return _page(session)

    def confirm(self, ref: str, method: str, *, off_session: bool, key: str) -> State:
        params: Any = {"payment_method": method, "expand": ["latest_charge"]}
        if off_session:
            params["off_session"] = True
        else:
            params["return_url"] = self._return_url
        try:
            with _translated():
                intent = self._stripe.v1.payment_intents.confirm(
                    ref, params, {"idempotency_key": key}
                )
        except stripe.CardError as error:
            return _declined(error)
        except _UnexpectedState:
            return self.look(ref)
        return self._state(intent)

    def look(self, ref: str) -> State:
        if _is_session(ref):
            return self._look_at_session(ref)
        with _translated():
            intent = self._stripe.v1.payment_intents.retrieve(ref, {"expand": ["latest_charge"]})
        return self._state(intent)

    def cancel(self, ref: str) -> State:
        # An object that has ended already refuses: the look tells how it ended.
        with suppress(_UnexpectedState), _translated():
            if _is_session(ref):
                self._stripe.v1.checkout.sessions.expire(ref)
            else:
                self._stripe.v1.payment_intents.cancel(ref)
        return self.look(ref)

    def refund(self, ref: str, minor: int, key: str) -> bool:
        with _translated():
            intent = self._stripe.v1.payment_intents.retrieve(ref)
        amount = stripe_amount(minor, intent.currency.upper())
        try:
            with _translated():
                made = self._stripe.v1.refunds.create(
                    {"payment_intent": ref, "amount": amount},
                    {"idempotency_key": key},
                )
        except ProviderRefused:
            return False
        return made.status in ("succeeded", "pending")

    def hint(self, header: str, body: bytes, secrets: tuple[str, ...]) -> Hint:
        """Returns what an event of Stripe names; raises Forged unless one of the secrets fits."""
        for secret in secrets:
            try:
                stripe.WebhookSignature.verify_header(body, header, secret, 300)
            except stripe.SignatureVerificationError:
                continue
            return _hint(stripe.Event.construct_from(json.loads(body), None))
        raise Forged

    def hints_since(self, cursor: str) -> Hints:
        params: Any = {"limit": _MOST_EVENTS, "types": _EVENT_TYPES}
        if cursor:
            params["ending_before"] = cursor
        with _translated():
            found = self._stripe.v1.events.list(params)
        events = list(found.data)  # the newest first
        if not cursor:
            return Hints([], events[0].id if events else "")
        if events:
            cursor = events[0].id
        return Hints([_hint(event) for event in events], cursor)

    def _look_at_session(self, ref: str) -> State:
        with _translated():
            session = self._stripe.v1.checkout.sessions.retrieve(
                ref, {"expand": ["payment_intent.latest_charge"]}
            )
        if session.status == "expired":
            return State(Status.CANCELLED)
        if session.status == "open":
            return State(Status.ACTION, action_url=session.url or "")
        if session.payment_intent is None or isinstance(session.payment_intent, str):
            return State(Status.PROCESSING)
        return self._state(session.payment_intent)

    def _state(self, intent: Any) -> State:
        """Returns the state of a PaymentIntent whose newest charge is expanded."""
        currency = intent.currency.upper()
        charge = intent.latest_charge
        disputed = 0
        has_dispute = False
        if charge is not None and not isinstance(charge, str) and charge.disputed:
            disputed, has_dispute = self._disputed(intent.id)
        return State(
            status=_STATUSES.get(intent.status, Status.OPEN),
            received_minor=minor_of(intent.amount_received, currency),
            currency=currency,
            charge=_id_of(charge),
            failure=_failure(intent.last_payment_error),
            action_url=_action_url(intent),
            refunded_minor=minor_of(_refunded(charge), currency),
            disputed_minor=minor_of(disputed, currency),
            has_dispute=has_dispute,
            ref=intent.id,
        )

    def _disputed(self, intent: str) -> tuple[int, bool]:
        with _translated():
            found = self._stripe.v1.disputes.list({"payment_intent": intent})
        taken = [dispute.amount for dispute in found.data if dispute.status not in _NOT_TAKEN]
        return sum(taken), any(dispute.status in _OPEN_DISPUTES for dispute in found.data)


class _UnexpectedState(ProviderRefused):
    """The object at Stripe is in another state than the call is for."""


@contextmanager
def _translated() -> Iterator[None]:
    """Raises our errors for those of the library; a card's error is the caller's affair."""
    try:
        yield
    except stripe.CardError:
        raise
    except stripe.StripeError as error:
        text = error.user_message or str(error)
        status = error.http_status
        if status is None or status in _BUSY or status >= 500:
            raise ProviderUnavailable(text) from error
        if _is_about_state(error):
            raise _UnexpectedState(text) from error
        raise ProviderRefused(text) from error


def _is_about_state(error: stripe.StripeError) -> bool:
    if error.code in ("payment_intent_unexpected_state", "charge_already_refunded"):
        return True
    return "status" in str(error).lower() and isinstance(error, stripe.InvalidRequestError)


def _declined(error: stripe.CardError) -> State:
    told = error.error
    intent = getattr(told, "payment_intent", None)
    failure = failure_of(
        error.code or "",
        getattr(told, "decline_code", None) or "",
        getattr(told, "advice_code", None) or "",
        getattr(told, "network_advice_code", None) or "",
    )
    charge = _id_of(getattr(intent, "latest_charge", None))
    return State(Status.OPEN, charge=charge, failure=failure)


def _failure(told: Any) -> Failure | None:
    if told is None:
        return None
    return failure_of(
        getattr(told, "code", None) or "",
        getattr(told, "decline_code", None) or "",
        getattr(told, "advice_code", None) or "",
        getattr(told, "network_advice_code", None) or "",
    )


def _action_url(intent: Any) -> str:
    action = intent.next_action
    if action is None or getattr(action, "redirect_to_url", None) is None:
        return ""
    return action.redirect_to_url.url or ""


def _refunded(charge: Any) -> int:
    if charge is None or isinstance(charge, str):
        return 0
    return int(charge.amount_refunded)


def _id_of(thing: Any) -> str:
    """Returns the id of an object that may be expanded, or not there."""
    if thing is None:
        return ""
    if isinstance(thing, str):
        return thing
    return str(thing.id)


def _is_session(ref: str) -> bool:
    return ref.startswith("cs_")


def _page(session: Any) -> Page:
    return Page(session.id, session.url or "", session.expires_at * 1000)


def _metadata(wanted: Wanted) -> dict[str, str]:
    return {"payment_id": wanted.payment_id, "account_id": wanted.account_id}


def _saved(method: Any) -> SavedMethod:
    card = getattr(method, "card", None)
    holder = ""
    if method.billing_details is not None:
        holder = method.billing_details.name or ""
    if card is None:
        return SavedMethod(method.id, method.type, "", "", holder, 0, 0, method.id)
    return SavedMethod(
        ref=method.id,
        kind=method.type,
        brand=card.brand,
        last4=card.last4,
        holder=holder,
        exp_month=card.exp_month,
        exp_year=card.exp_year,
        fingerprint=card.fingerprint or method.id,
    )


def _hint(event: Any) -> Hint:
    """Returns the names of all that the event may be about; what it says of them is not read."""
    thing = event.data.object
    named = [_id_of(getattr(thing, name, None)) for name in ("payment_intent", "customer")]
    return Hint(event.id, tuple(ref for ref in (thing.id, *named) if ref))
