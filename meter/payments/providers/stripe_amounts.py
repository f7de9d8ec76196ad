"""Converts between minor units of ISO 4217 and the amounts that Stripe takes.

See https://docs.stripe.com/currencies: Stripe differs from ISO 4217 for a few currencies.
"""

from meter.payments.provider import ProviderRefused

_TWO_DIGITS_FOR_NONE = ("ISK",)  # whose last two digits are 00
_NONE_FOR_TWO_DIGITS = ("MGA",)
_IN_TENS = ("BHD", "JOD", "KWD", "OMR", "TND")  # three digits, the last of which is 0
# Stripe's page contradicts itself: the list of currencies without decimals has UGX, and the special
# cases have 500 for 5 UGX. Nobody is charged a hundredfold until that is tried.
_UNCERTAIN = ("UGX",)


def stripe_amount(minor: int, currency: str) -> int:
    """Returns the amount for Stripe; raises ProviderRefused for what Stripe cannot take."""
    if currency in _UNCERTAIN:
        raise ProviderRefused(f"{currency} is not supported with Stripe")
    if currency in _TWO_DIGITS_FOR_NONE:
        return minor * 100
    if currency in _NONE_FOR_TWO_DIGITS:
        return _divided(minor, 100, currency)
    if currency in _IN_TENS:
        return _divided(minor, 10, currency) * 10
    return minor


def minor_of(amount: int, currency: str) -> int:
    """Returns the minor units of an amount that Stripe tells."""
    if currency in _TWO_DIGITS_FOR_NONE:
        return amount // 100
    if currency in _NONE_FOR_TWO_DIGITS:
        return amount * 100
    return amount


def _divided(minor: int, divisor: int, currency: str) -> int:
    if minor % divisor:
        raise ProviderRefused(f"Stripe takes {currency} in steps of {divisor} minor units only")
    return minor // divisor
