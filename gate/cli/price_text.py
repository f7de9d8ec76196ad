"""Prices, percentages and times as text."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction

from meter.prices.timeline import ALWAYS_MS

MILLION = 1_000_000
_PRICED_BY_THE_MILLION = ("_tokens", "_characters", "_pixels")
_SHOWN_DIGITS = 12
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def per(unit: str) -> int:
    """Returns the number of units that a shown price is for: a million tokens, or 1."""
    if unit.endswith(_PRICED_BY_THE_MILLION):
        return MILLION
    return 1


def exact(value: Fraction) -> str:
    """Returns every digit of a decimal; a fraction such as 1/3 where no decimal is exact."""
    places = _decimal_places(value.denominator)
    if places is None:
        return str(value)
    # A Decimal would round the digits to its precision.
    scale = 10**places
    digits = abs(value.numerator) * scale // value.denominator
    whole, fraction = divmod(digits, scale)
    text = str(whole)
    if places:
        text += f".{fraction:0{places}d}"
    if value < 0:
        text = f"-{text}"
    return text


def shown(unit: str, price: Fraction | None) -> str:
    """Returns a price per `per(unit)` for a table; a long price is rounded and marked with ~."""
    if price is None:
        return "-"
    amount = price * per(unit)
    text = exact(amount)
    if "/" not in text and len(text) <= _SHOWN_DIGITS:
        return text
    return f"~{_rounded(amount):f}"


def _rounded(amount: Fraction) -> Decimal:
    with localcontext(prec=_SHOWN_DIGITS):
        rounded = Decimal(amount.numerator) / Decimal(amount.denominator)
    return rounded.normalize()


def percentage(value: Fraction | None) -> str:
    """Returns a percentage with a sign and at most two decimals; empty for None."""
    if value is None:
        return ""
    hundredths = Decimal(round(value * 100))
    return f"{hundredths.scaleb(-2).normalize():+f}%"


def instant(ms: int) -> str | None:
    """Returns a time as ISO 8601 in UTC; None for the time before or after all others."""
    if abs(ms) >= ALWAYS_MS:
        return None
    moment = _EPOCH + timedelta(milliseconds=ms)
    return moment.isoformat().replace("+00:00", "Z")


def _decimal_places(denominator: int) -> int | None:
    """Returns how many decimals a fraction has; None if the decimals never end."""
    twos = _multiplicity(2, denominator)
    fives = _multiplicity(5, denominator)
    if denominator != 2**twos * 5**fives:
        return None
    return max(twos, fives)


def _multiplicity(prime: int, number: int) -> int:
    """Tells how many times the prime divides the number."""
    times = 0
    while number % prime == 0:
        number //= prime
        times += 1
    return times
