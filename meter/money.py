"""Reads and writes credits as integers of nano-credits, within the bounds of every amount."""

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

NANOS_PER_CREDIT = 1_000_000_000
INT64_MAX = 2**63 - 1
INT64_MIN = -INT64_MAX  # symmetric on purpose: a negated amount must fit too
# Most that an overage protection or a daily limit may be. Scripts keep as much clear of INT64_MIN,
# so that changing such a setting cannot leave int64.
SETTING_MAX = 2**61 - 1

_DECIMAL_PLACES = 9
_MOST_DIGITS = 11  # before the decimal point; INT64_MAX nanos have ten
_NANO = Decimal(1).scaleb(-_DECIMAL_PLACES)


class AmountError(ValueError):
    """A text is not an exact amount of credits within int64 nanos."""


def parse_credits(text: str) -> int:
    """Returns the nanos of a decimal text of credits such as "0.25".

    The result is exact. Raises AmountError for a text that is no number, is not finite, has more
    than nine decimal places, or leaves int64 nanos.
    """
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        raise AmountError(
            f"{text!r} is not a decimal number of credits, such as 25 or 0.25"
        ) from None
    if not value.is_finite():
        raise AmountError(f"{text!r} is not a finite number of credits")
    # Compared before scaling: "1e999999" must not be expanded into a million digits.
    if value.adjusted() >= _MOST_DIGITS:
        raise _too_large(text)
    if not _is_whole_nanos(value):
        raise AmountError(
            f"{text!r} has more than 9 decimal places; one nano-credit is 0.000000001"
        )
    nanos = int(value.scaleb(_DECIMAL_PLACES))
    if abs(nanos) > INT64_MAX:
        raise _too_large(text)
    return nanos


def format_credits(nanos: int) -> str:
    """Returns the credits of an amount of nanos, exact, with at least two decimal places."""
    sign = ""
    if nanos < 0:
        sign = "-"
    whole, rest = divmod(abs(nanos), NANOS_PER_CREDIT)
    decimals = f"{rest:09d}".rstrip("0").ljust(2, "0")
    return f"{sign}{whole}.{decimals}"


def grouped_credits(nanos: int) -> str:
    """Returns the same for people: thousands are set apart, as in 6,000.50."""
    whole, _, decimals = format_credits(abs(nanos)).partition(".")
    sign = ""
    if nanos < 0:
        sign = "-"
    return f"{sign}{int(whole):,}.{decimals}"


def _is_whole_nanos(value: Decimal) -> bool:
    if value == 0:
        return True
    # Compared before quantizing, for the same reason as above.
    if value.adjusted() < -_DECIMAL_PLACES:
        return False
    return value == value.quantize(_NANO, rounding=ROUND_HALF_EVEN)


def _too_large(text: str) -> AmountError:
    most = grouped_credits(INT64_MAX)
    return AmountError(f"{text!r} is more than an account can hold ({most} credits)")
