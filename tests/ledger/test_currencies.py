"""Currencies: which there are, and what can be paid in each."""

import pytest

from meter.currencies import check_currency, minor_unit_nanos
from meter.errors import InvalidField


@pytest.mark.parametrize(
    ("code", "nanos"),
    [("USD", 10_000_000), ("JPY", 1_000_000_000), ("VND", 1_000_000_000), ("KWD", 1_000_000)],
)
def test_each_currency_has_its_smallest_payment(code: str, nanos: int) -> None:
    check_currency("currency", code)
    assert minor_unit_nanos(code) == nanos


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("ZZZ", "such as USD"),
        ("usd", "did you mean USD"),
        ("EURO", "did you mean EUR"),
        ("", "USD"),
    ],
)
def test_what_iso_4217_does_not_have_is_refused_with_a_hint(code: str, hint: str) -> None:
    with pytest.raises(InvalidField) as refused:
        check_currency("account.currency", code)
    assert refused.value.field == "account.currency"
    assert hint in refused.value.message
