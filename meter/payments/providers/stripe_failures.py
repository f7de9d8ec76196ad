"""Says what follows from what Stripe tells of a payment that failed."""

from meter.payments.provider import Failure, FailureClass

# Codes after which the same card is never tried again.
_HARD = frozenset(
    {
        "card_not_supported",
        "currency_not_supported",
        "expired_card",
        "fraudulent",
        "incorrect_number",
        "invalid_account",
        "invalid_number",
        "lost_card",
        "merchant_blacklist",
        "pickup_card",
        "restricted_card",
        "revocation_of_all_authorizations",
        "revocation_of_authorization",
        "stolen_card",
        "stop_payment_order",
        "transaction_not_allowed",
    }
)
_AUTH = frozenset({"authentication_required", "payment_intent_authentication_failure"})
_NEVER_AGAIN = "do_not_try_again"
_NETWORK_NEVER_AGAIN = frozenset({"03", "21"})  # Mastercard's advice

_TEXTS = {
    "insufficient_funds": "The card has insufficient funds.",
    "expired_card": "The card has expired.",
    "authentication_required": "The bank asks for a confirmation.",
    "payment_intent_authentication_failure": "The payment was not confirmed.",
}
# Says nothing of lost, stolen or fraudulent cards: whoever pays with such a card need not know.
_DECLINED = "The card was declined."


def failure_of(
    code: str,
    decline_code: str,
    advice_code: str,
    network_advice: str,
) -> Failure:
    """Returns the failure; `code` is that of the error, the rest may be empty."""
    told = decline_code or code or "declined"
    return Failure(
        kind=_class_of({code, decline_code}, advice_code, network_advice),
        code=told,
        text=_TEXTS.get(told, _DECLINED),
    )


def _class_of(codes: set[str], advice_code: str, network_advice: str) -> FailureClass:
    if codes & _AUTH:
        return FailureClass.AUTH
    is_final = advice_code == _NEVER_AGAIN or network_advice in _NETWORK_NEVER_AGAIN
    if is_final or codes & _HARD:
        return FailureClass.HARD
    return FailureClass.SOFT
