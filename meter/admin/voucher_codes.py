"""Makes and reads voucher codes, and digests codes for storage.

A code is 27 random symbols (135 bits) and a check symbol, in groups of four: `7KQM-...`. The
symbols are Crockford's: digits and capitals without I, L, O and U, so that a code can be read
however a person writes it down. The check symbol belongs to a Reed-Solomon code over GF(32): any
one wrong symbol, and any two symbols that changed places, are found.
"""

import hashlib
import hmac
import secrets

RANDOM_SYMBOLS = 27
GROUP = 4
MIN_KEY_CHARACTERS = 32

_SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES = {symbol: value for value, symbol in enumerate(_SYMBOLS)}
_LOOKALIKES = {
    "O": 0,
    "I": 1,
    "L": 1,
}
_READ = _VALUES | _LOOKALIKES

# What people put between the groups.
_IGNORED = str.maketrans("", "", " \t\u00a0-\u2010\u2011\u2013\u2014_.")

_FIELD = 0b100101  # x^5 + x^2 + 1, the polynomial that makes GF(32)


def new_code() -> str:
    """Returns a code that nobody can guess."""
    values = [secrets.randbelow(32) for _ in range(RANDOM_SYMBOLS)]
    check_value = _times_x(_remainder(values))
    text = _text([*values, check_value])
    groups = [text[start : start + GROUP] for start in range(0, len(text), GROUP)]
    return "-".join(groups)


def read_code(typed: str) -> str | None:
    """Returns the code in its one form, or None for a mistyped code.

    Case and separators do not matter; O is read as 0, I and L as 1.
    """
    symbols = typed.translate(_IGNORED).upper()
    values = [_READ.get(symbol, -1) for symbol in symbols]
    if len(values) != RANDOM_SYMBOLS + 1 or -1 in values:
        return None
    if _remainder(values) != 0:
        return None
    return _text(values)


def digest(key: str, code: str) -> str:
    """Returns what is stored of a code, as hex; `code` is as made, or in its one form.

    Without the key, nobody can tell whether a guess is right.
    """
    symbols = code.translate(_IGNORED)
    return hmac.new(key.encode(), symbols.encode(), hashlib.sha256).hexdigest()


def _remainder(values: list[int]) -> int:
    """Returns the polynomial over GF(32) with the values as coefficients, at x.

    The result is 0 for values that end with their check symbol.
    """
    total = 0
    for value in values:
        total = _times_x(total) ^ value
    return total


def _times_x(value: int) -> int:
    doubled = value << 1
    if doubled & 32:
        return doubled ^ _FIELD
    return doubled


def _text(values: list[int]) -> str:
    return "".join(_SYMBOLS[value] for value in values)
