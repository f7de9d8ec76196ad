"""Voucher codes: what is typed, and what is kept of it.

A code is 27 random symbols (135 bits) and a check symbol, in groups of four: `7KQM-...`. The
symbols are Crockford's: digits and capitals without I, L, O and U, so that whatever a person makes
of them can be read. The check symbol is that of a Reed-Solomon code over GF(32): any one wrong
symbol, and any two that changed places, are found.
"""

import hashlib
import hmac
import secrets

RANDOM_SYMBOLS = 27
GROUP = 4
MIN_KEY_CHARACTERS = 32

_SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ = {symbol: value for value, symbol in enumerate(_SYMBOLS)} | {"O": 0, "I": 1, "L": 1}
_IGNORED = str.maketrans(
    "", "", " \t\u00a0-\u2010\u2011\u2013\u2014_."
)  # what people put between the groups
_FIELD = 0b100101  # x^5 + x^2 + 1, by which GF(32) is made


def new_code() -> str:
    """A code that nobody can guess."""
    values = [secrets.randbelow(32) for _ in range(RANDOM_SYMBOLS)]
    text = _text([*values, _times_x(_remainder(values))])
    return "-".join(text[start : start + GROUP] for start in range(0, len(text), GROUP))


def read_code(typed: str) -> str | None:
    """The code in its one form, whatever its case and separators, and O for 0, I or L for 1.

    None: mistyped.
    """
    values = [_READ.get(symbol, -1) for symbol in typed.translate(_IGNORED).upper()]
    if len(values) != RANDOM_SYMBOLS + 1 or -1 in values or _remainder(values):
        return None
    return _text(values)


def digest(key: str, code: str) -> str:
    """What is kept of a code (in its one form, or as made): without the key, nobody can tell whether a
    guess is right.
    """
    return hmac.new(key.encode(), code.translate(_IGNORED).encode(), hashlib.sha256).hexdigest()


def _remainder(values: list[int]) -> int:
    """The values as coefficients of a polynomial over GF(32), at x: 0 for those that end with their
    check symbol.
    """
    total = 0
    for value in values:
        total = _times_x(total) ^ value
    return total


def _times_x(value: int) -> int:
    doubled = value << 1
    return doubled ^ _FIELD if doubled & 32 else doubled


def _text(values: list[int]) -> str:
    return "".join(_SYMBOLS[value] for value in values)
