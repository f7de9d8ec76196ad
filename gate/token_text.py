"""The text of a token: `cg_`, 40 random symbols, and six by which a mistyped token is told.

Scanners of repositories find tokens by the prefix and the check symbols.
"""

import secrets
import string
from hashlib import sha256
from zlib import crc32

_PREFIX = "cg_"
_SYMBOLS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM_SYMBOLS = 40  # 238 bits: nobody guesses one, so its plain SHA-256 may lie in a file
_CHECK_SYMBOLS = 6  # hold 32 bits


def new_token() -> str:
    """Returns a token that nobody else has."""
    drawn = "".join(secrets.choice(_SYMBOLS) for _ in range(_RANDOM_SYMBOLS))
    return f"{_PREFIX}{drawn}{_check_of(drawn)}"


def check_token(text: str) -> str:
    """Returns the token; ValueError tells what is wrong, and never shows the text."""
    body = text.removeprefix(_PREFIX)
    has_form = text.startswith(_PREFIX) and len(body) == _RANDOM_SYMBOLS + _CHECK_SYMBOLS
    if not has_form:
        raise ValueError(
            f"a token is {_PREFIX} and {_RANDOM_SYMBOLS + _CHECK_SYMBOLS} letters and digits,"
            " as `creditgate token create` printed it"
        )
    if body[_RANDOM_SYMBOLS:] != _check_of(body[:_RANDOM_SYMBOLS]):
        raise ValueError("the token is mistyped: its last six symbols do not fit the others")
    return text


def digest_of(token: bytes) -> bytes:
    """Returns what a file may keep of a token: the token cannot be found from the digest."""
    return sha256(token).digest()


def _check_of(drawn: str) -> str:
    number = crc32(drawn.encode())
    symbols = ""
    for _ in range(_CHECK_SYMBOLS):
        number, index = divmod(number, len(_SYMBOLS))
        symbols = _SYMBOLS[index] + symbols
    return symbols
