"""The currencies of ISO 4217, and how far each can be divided in a payment.

The table is "List One" of SIX, the maintenance agency of ISO 4217
(https://www.six-group.com/en/products-services/financial-information/data-standards.html), as of
2026-01-01, without funds, metals and codes for tests.
"""

from difflib import get_close_matches

from meter.errors import InvalidField
from meter.money import NANOS_PER_CREDIT

_USUAL = 2  # decimal places
_PLACES = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    _USUAL: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD"
        " CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD"
        " GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL"
        " MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN"
        " PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP"
        " SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
}
_DECIMAL_PLACES = {code: places for places, codes in _PLACES.items() for code in codes.split()}


def is_currency(code: str) -> bool:
    """Returns whether ISO 4217 has a currency of this code."""
    return code in _DECIMAL_PLACES


def currency_hint(code: str) -> str:
    """Returns what is wrong with a code that is no currency's, and which code is like it."""
    near = get_close_matches(code.upper(), _DECIMAL_PLACES, n=1)
    if not near:
        return f"ISO 4217 has no currency {code!r}; write a code such as USD"
    return f"ISO 4217 has no currency {code!r}; did you mean {near[0]}?"


def check_currency(field: str, code: str) -> None:
    """Raises InvalidField unless ISO 4217 has a currency of this code."""
    if not is_currency(code):
        raise InvalidField(field, currency_hint(code))


def minor_unit_nanos(code: str) -> int:
    """Returns the nanos of the smallest amount that can be paid in a currency: 1 yen, 1 cent."""
    places = _DECIMAL_PLACES.get(code, _USUAL)
    divisor: int = 10**places
    return NANOS_PER_CREDIT // divisor


def minor_units(nanos: int, code: str) -> int:
    """Returns an amount in minor units of its currency, such as cents.

    ValueError for an amount that is no whole number of them: nothing is rounded where money moves.
    """
    unit_nanos = minor_unit_nanos(code)
    units, rest = divmod(nanos, unit_nanos)
    if rest:
        raise ValueError(f"{nanos} nanos are no whole number of {code}'s minor units")
    return units


def nanos_of(minor: int, code: str) -> int:
    """Returns the nanos of an amount of minor units."""
    return minor * minor_unit_nanos(code)


def format_minor(minor: int, code: str) -> str:
    """Returns an amount as people and programs read it, such as `JPY 3000` or `USD 12.50`."""
    places = _DECIMAL_PLACES.get(code, _USUAL)
    if not places:
        return f"{code} {minor}"
    text = f"{abs(minor):0{places + 1}d}"
    sign = "-" if minor < 0 else ""
    return f"{code} {sign}{text[:-places]}.{text[-places:]}"
