"""Pages of a list: their size, and opaque tokens that belong to one query and to one place in its
result.
"""

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

from google.protobuf.message import Message

from meter.errors import InvalidField
from meter.money import INT64_MAX

DEFAULT_SIZE = 50
MAX_SIZE = 1000

Place = tuple[
    int | str, ...
]  # sort key of a page's last row: the next page begins after it, whatever was inserted meanwhile

_DIGEST_BYTES = 12


@dataclass(frozen=True, slots=True)
class Page:
    """How many rows are wanted, and after which place."""

    size: int
    after: Place | None
    query: bytes  # what the token belongs to

    def token(self, last: Place) -> str:
        """The token of the page that follows the row at `last`."""
        place = json.dumps(last, ensure_ascii=False, separators=(",", ":")).encode()
        return urlsafe_b64encode(_digest(self.query, place) + place).rstrip(b"=").decode()


def page_of(request: Message, page_size: int, page_token: str, shape: tuple[type, ...]) -> Page:
    """The page that a list request asks for; `shape` is that of its places.

    InvalidField for a negative size, and for a token that no page of the same query had. The size
    may change between pages.
    """
    if page_size < 0:
        raise InvalidField(
            "page_size", f"must be 0 ({DEFAULT_SIZE}) to {MAX_SIZE}; it is {page_size}"
        )
    query = _query(request)
    after = _place(page_token, query, shape) if page_token else None
    return Page(min(page_size or DEFAULT_SIZE, MAX_SIZE), after, query)


def _query(request: Message) -> bytes:
    filters = type(request)()
    filters.CopyFrom(request)
    filters.ClearField("page_size")
    filters.ClearField("page_token")
    return (
        request.DESCRIPTOR.full_name.encode() + b" " + filters.SerializeToString(deterministic=True)
    )


def _place(token: str, query: bytes, shape: tuple[type, ...]) -> Place:
    try:
        content = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        place = content[_DIGEST_BYTES:]
        if content[:_DIGEST_BYTES] == _digest(query, place):
            return _checked(tuple(json.loads(place)), shape)
    except ValueError:
        pass
    raise InvalidField(
        "page_token",
        "is not a token of this query: repeat all its other fields as they were, or leave it empty",
    )


def _checked(place: Place, shape: tuple[type, ...]) -> Place:
    """The digest is no secret: what was made up must still not reach the database."""
    if tuple(map(type, place)) != shape or any(
        isinstance(each, int) and abs(each) > INT64_MAX for each in place
    ):
        raise ValueError(place)
    return place


def _digest(query: bytes, place: bytes) -> bytes:
    return hashlib.sha256(len(query).to_bytes(4, "big") + query + place).digest()[:_DIGEST_BYTES]
