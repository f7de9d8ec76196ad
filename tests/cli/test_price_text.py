"""Prices as text: no digit is lost, and what has no last digit says so."""

from fractions import Fraction

import pytest

from gate.cli.price_text import exact, percentage, shown

MICRO = Fraction(1, 10**6)


@pytest.mark.parametrize(
    "text", ["0", "5", "-12.5", "-0.05", "1000000.000000000000000000000000000001", "1/3", "-7/60"]
)
def test_exact_text_has_every_digit(text: str) -> None:
    assert exact(Fraction(text)) == text


def test_in_a_table_a_price_is_for_a_million_tokens_or_one_of_the_rest_and_marked_if_rounded() -> (
    None
):
    assert shown("input_tokens", MICRO * 5 / 2) == "2.5"
    assert shown("requests", Fraction(1, 100)) == "0.01"
    assert shown("audio_seconds", Fraction(111, 3_600_000)) == "~0.0000308333333333"
    assert shown("input_tokens", None) == "-"


def test_a_percentage_has_a_sign_and_two_decimals_at_most() -> None:
    values = [Fraction(50), Fraction(-100, 3), Fraction(1, 10), Fraction(0), None]
    assert [percentage(value) for value in values] == ["+50%", "-33.33%", "+0.1%", "+0%", ""]
