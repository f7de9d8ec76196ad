"""Credits as integers of nano-credits, and the bounds every amount keeps."""

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

NANOS_PER_CREDIT = 1_000_000_000
INT64_MAX = 2**63 - 1
INT64_MIN = -INT64_MAX  # symmetric on purpose: a negated amount must fit too
# Most that an overage protection or a daily limit may be. Scripts keep as much clear of INT64_MIN,
# so that changing one cannot leave int64.
SETTING_MAX = 2**61 - 1

_NANO = Decimal(1).scaleb(-9)


class AmountError(ValueError):
    """Text that is not an exact amount of credits within int64 nanos."""


def parse_credits(text: str) -> int:
    """Nanos of a decimal text of credits such as "0.25"; exact, or AmountError."""
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        raise AmountError(
            f"{text!r} is not a decimal number of credits, such as 25 or 0.25"
        ) from None
    if not value.is_finite():
        raise AmountError(f"{text!r} is not a finite number of credits")
    # Compared before scaling: "1e999999" must not be expanded into a million digits.
    if value.adjusted() > 10:
        raise AmountError(
            f"{text!r} is more than an account can hold ({format_credits(INT64_MAX)} credits)"
        )
    if value != 0 and (
        value.adjusted() < -9 or value != value.quantize(_NANO, rounding=ROUND_HALF_EVEN)
    ):
        raise AmountError(
            f"{text!r} has more than 9 decimal places; one nano-credit is 0.000000001"
        )
    nanos = int(value.scaleb(9))
    if abs(nanos) > INT64_MAX:
        raise AmountError(
            f"{text!r} is more than an account can hold ({format_credits(INT64_MAX)} credits)"
        )
    return nanos


def format_credits(nanos: int) -> str:
    """Credits of an amount of nanos, exact, with at least two decimal places."""
    sign = "-" if nanos < 0 else ""
    whole, fraction = divmod(abs(nanos), NANOS_PER_CREDIT)
    return f"{sign}{whole}.{f'{fraction:09d}'.rstrip('0').ljust(2, '0')}"
