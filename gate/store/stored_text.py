"""The text of stored forms: tokens between separators, and "-" for an absent value."""

from collections.abc import Iterable, Sequence

from meter.journal.account_sums import ABSENT


def or_absent(value: str | int | None) -> str | int:
    """Returns the value; "-" for None."""
    if value is None:
        return ABSENT
    return value


def joined(separator: str, values: Iterable[str | int | None]) -> str:
    """Returns the text of the values."""
    return separator.join(str(or_absent(value)) for value in values)


def tokens(separator: str, text: str, fields: tuple[str, ...]) -> list[str]:
    """Splits a text into the tokens of a layout; the last token may contain separators."""
    found = text.split(separator, len(fields) - 1)
    assert len(found) == len(fields), f"{text!r} does not have the tokens {fields}"
    return found


def optional_number(text: str) -> int | None:
    """Returns the number that the token is; None for "-"."""
    if text == ABSENT:
        return None
    return int(text)


def pairs(fields: Sequence[bytes]) -> dict[str, str]:
    """Returns the fields and values of a hash, which Redis lists in turn, as a mapping."""
    texts = [field.decode() for field in fields]
    return dict(zip(texts[::2], texts[1::2], strict=True))
