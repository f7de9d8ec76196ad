"""Hold ids: nobody can guess an id, and each id tells when the hold was made and the pinned price.

An id is `h` and 20 characters of URL-safe base64 (6 bytes of the time in ms, 9 random bytes). A dot
and the price version follow if the hold pins a price.
"""

import os
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable

_TIME_BYTES = 6
_RANDOM_BYTES = 9
_TIME_CHARACTERS = slice(1, 9)


def new_hold_id(price_version: str, clock: Callable[[], float] = time.time) -> str:
    """Returns a new id, which pins the price version unless `price_version` is empty."""
    made_ms = int(clock() * 1000)
    made = made_ms.to_bytes(_TIME_BYTES, "big") + os.urandom(_RANDOM_BYTES)
    hold_id = "h" + urlsafe_b64encode(made).decode()
    if not price_version:
        return hold_id
    return f"{hold_id}.{price_version}"


def made_at_s(hold_id: str) -> float:
    """Returns when the hold was authorized, in seconds by the gate's clock."""
    made = urlsafe_b64decode(hold_id[_TIME_CHARACTERS])
    return int.from_bytes(made, "big") / 1000


def version_of(hold_id: str) -> str:
    """Returns the price version pinned by the hold; empty if there is none."""
    _, _, version = hold_id.partition(".")
    return version
