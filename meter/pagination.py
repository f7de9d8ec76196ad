"""Pages lists: sizes, and opaque tokens that belong to a query and a place in the result."""

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from google.protobuf.message import Message

from meter.errors import InvalidField
from meter.ids import check_id
from meter.money import INT64_MAX
from meter.v1.ledger_pb2 import ListInvoicesRequest

DEFAULT_SIZE = 50
MAX_SIZE = 1000
_MAX_BYTES = 3 * 1024 * 1024  # gRPC's own clients take 4 MiB, the token included
_FRAME_BYTES = 6  # what a message in a list costs besides itself, at most

# The sort key of a page's last row: the next page begins after this key, whatever was inserted
# meanwhile.
Place = tuple[int | str, ...]

AnyRow = TypeVar("AnyRow")
AnyMessage = TypeVar("AnyMessage", bound=Message)

_DIGEST_BYTES = 12


@dataclass(frozen=True, slots=True)
class Page:
    """Says how many rows are wanted, and after which place."""

    size: int
    after: Place | None
    query: bytes  # the request without page size and token, to which tokens belong

    @property
    def limit(self) -> int:
        """Returns how many rows to fetch: a row more than the page tells that a page follows."""
        return self.size + 1

    def fill(
        self,
        rows: Sequence[AnyRow],
        messages: Iterable[AnyMessage],
        place_of: Callable[[AnyRow], Place],
    ) -> tuple[list[AnyMessage], str]:
        """Returns the page's messages, and the token of the page that follows.

        `messages` has the message of each of the fetched `rows`, in order. A page has at least one,
        and no more than the callers of gRPC take by default. The token of the last page is empty.
        `place_of` returns the sort key of a row.
        """
        page = self._fitting(messages)
        if len(page) == len(rows):
            return page, ""
        return page, self.token(place_of(rows[len(page) - 1]))

    def _fitting(self, messages: Iterable[AnyMessage]) -> list[AnyMessage]:
        page: list[AnyMessage] = []
        bytes_left = _MAX_BYTES
        for message in islice(messages, self.size):
            bytes_left -= message.ByteSize() + _FRAME_BYTES
            if page and bytes_left < 0:
                break
            page.append(message)
        return page

    def token(self, last: Place) -> str:
        """Returns the token of the page that follows the row at `last`."""
        place = json.dumps(last, ensure_ascii=False, separators=(",", ":")).encode()
        content = _digest(self.query, place) + place
        return urlsafe_b64encode(content).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class AccountsPage:
    """Says which page is wanted of one account's rows; an empty `account_id` asks for all."""

    account_id: str
    page: Page

    @classmethod
    def of(
        cls,
        request: ListInvoicesRequest,
        place_types: tuple[type, ...],
    ) -> "AccountsPage":
        """Reads the request; raises InvalidField for a field that cannot be used."""
        if request.account_id:
            check_id("account_id", request.account_id)
        page = page_of(request, request.page_size, request.page_token, place_types)
        return cls(request.account_id, page)


def page_of(
    request: Message,
    page_size: int,
    page_token: str,
    place_types: tuple[type, ...],
) -> Page:
    """Returns the page that a list request asks for.

    `place_types` are the types of the parts of a place. The size may change between pages. Raises
    InvalidField for a negative size, and for a token that no page of the same query had.
    """
    if page_size < 0:
        message = f"must be 0 ({DEFAULT_SIZE}) to {MAX_SIZE}; it is {page_size}"
        raise InvalidField("page_size", message)
    query = _query(request)
    after = None
    if page_token:
        after = _read_token(page_token, query, place_types)
    size = min(page_size or DEFAULT_SIZE, MAX_SIZE)
    return Page(size, after, query)


def _query(request: Message) -> bytes:
    """Returns the request's type and its fields, apart from the page."""
    filters = type(request)()
    filters.CopyFrom(request)
    filters.ClearField("page_size")
    filters.ClearField("page_token")
    name = request.DESCRIPTOR.full_name.encode()
    return name + b" " + filters.SerializeToString(deterministic=True)


def _read_token(
    token: str,
    query: bytes,
    place_types: tuple[type, ...],
) -> Place:
    try:
        padding = "=" * (-len(token) % 4)
        content = urlsafe_b64decode(token + padding)
        digest = content[:_DIGEST_BYTES]
        encoded_place = content[_DIGEST_BYTES:]
        if digest == _digest(query, encoded_place):
            place = tuple(json.loads(encoded_place))
            if _is_place(place, place_types):
                return place
    except ValueError:
        pass
    raise InvalidField(
        "page_token",
        "is not a token of this query: repeat all its other fields as they were, or leave it empty",
    )


def _is_place(place: Place, place_types: tuple[type, ...]) -> bool:
    """Returns whether the place may reach the database.

    The digest is no secret, so a client can make up a token with any place.
    """
    if tuple(type(part) for part in place) != place_types:
        return False
    return all(abs(part) <= INT64_MAX for part in place if isinstance(part, int))


def _digest(query: bytes, place: bytes) -> bytes:
    length = len(query).to_bytes(4, "big")
    return hashlib.sha256(length + query + place).digest()[:_DIGEST_BYTES]
