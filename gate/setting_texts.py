"""Writes the values of settings as text, secrets masked where people look."""

import re

from pydantic import SecretStr

MASK = "***"


def masked(url: str) -> str:
    """Returns the URL without the password.

    Works too where a stray `/` or `@` in the password makes the URL hard to parse.
    """
    without_userinfo = re.sub(
        r"^((?:[a-z0-9+]+://)?[^:@/]*):.*@",
        r"\1:***@",
        url,
        flags=re.IGNORECASE,
    )
    return re.sub(
        r"([?&][a-z_]*password=)[^&]*",
        r"\1***",
        without_userinfo,
        flags=re.IGNORECASE,
    )


def text_of(value: object) -> str:
    """Returns the value as an environment variable has it; secrets are in clear."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if value is None:
        return ""
    return str(value)


def shown(value: object) -> str:
    """Returns the value as people may see it: no secret, and no password of a URL."""
    if isinstance(value, SecretStr):
        return MASK
    return masked(text_of(value))
