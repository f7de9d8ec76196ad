"""Amounts of money in minor units, both ways: 3000 is 3000 yen."""

import pytest
from iso4217 import Currency

from meter.currencies import (
    format_minor,
    is_currency,
    minor_unit_nanos,
    minor_units,
    nanos_of,
)

CREDIT = 10**9


@pytest.mark.parametrize(
    ("currency", "nanos", "minor", "text"),
    [
        ("JPY", 3000 * CREDIT, 3000, "JPY 3000"),
        ("VND", 500_000 * CREDIT, 500_000, "VND 500000"),
        ("ISK", 1500 * CREDIT, 1500, "ISK 1500"),
        ("KWD", 1_234_000_000, 1234, "KWD 1.234"),
        ("USD", 12_050_000_000, 1205, "USD 12.05"),
        ("HUF", 700 * CREDIT, 70_000, "HUF 700.00"),
        ("MGA", 5 * CREDIT, 500, "MGA 5.00"),
    ],
)
def test_an_amount_is_the_same_in_nanos_and_in_minor_units(
    currency: str, nanos: int, minor: int, text: str
) -> None:
    assert minor_units(nanos, currency) == minor
    assert nanos_of(minor, currency) == nanos
    assert format_minor(minor, currency) == text


@pytest.mark.parametrize(
    ("currency", "nanos"),
    [("JPY", 3000 * CREDIT + CREDIT // 2), ("USD", 1), ("KWD", 100_000), ("USD", 5_000_000)],
)
def test_a_fraction_of_a_minor_unit_is_never_rounded(currency: str, nanos: int) -> None:
    with pytest.raises(ValueError, match="no whole number"):
        minor_units(nanos, currency)


def test_every_currency_is_divided_as_another_list_of_iso_4217_says() -> None:
    exponents = {each.code: each.exponent for each in Currency if is_currency(each.code)}
    assert len(exponents) > 140
    for code, exponent in exponents.items():
        assert minor_unit_nanos(code) == 10 ** (9 - (exponent or 0)), code
