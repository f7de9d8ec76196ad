"""Pages of the administrator's lists by id."""

from meter.pagination import Page


def page_starts_after(page: Page) -> str:
    """Returns the id behind which the page begins; empty for the first page of a list by id."""
    if page.after is None:
        return ""
    return str(page.after[0])
