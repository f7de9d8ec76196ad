"""Pages of the administrator's lists. A list reads a row more than the page holds."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from meter.pagination import Page, Place

Row = TypeVar("Row")


def page_starts_after(page: Page) -> str:
    """Returns the id behind which the page begins; empty for the first page of a list by id."""
    if page.after is None:
        return ""
    return str(page.after[0])


def next_page_token(
    page: Page,
    rows: Sequence[Row],
    place_of: Callable[[Row], Place],
) -> str:
    """Returns the token of the page behind the page's rows; empty if no more rows follow."""
    if len(rows) <= page.size:
        return ""
    last = rows[page.size - 1]
    return page.token(place_of(last))
