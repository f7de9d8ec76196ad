"""Reads `Usage.reported_json`, the usage object of a provider."""

from collections.abc import Mapping

from gate.validation import MAX_QUANTITY
from meter.errors import InvalidField
from meter.prices.reported import Reported, UnreadableUsage, read_usage

_FIELD = "usage.reported_json"


def quantities_reported(given: Mapping[str, int], text: str, model: str) -> Reported:
    """Returns what a usage object of `model` counts; `given` are the units beside the object.

    Raises InvalidField for a text that is no usage object, for a count that no request can have,
    and for a unit that stands in the object and beside it.
    """
    provider, _, _ = model.partition("/")
    try:
        reported = read_usage(text, provider)
    except UnreadableUsage as error:
        raise InvalidField(_FIELD, str(error)) from None
    for unit, quantity in reported.quantities.items():
        if quantity > MAX_QUANTITY:
            raise InvalidField(_FIELD, f"{unit} must be at most {MAX_QUANTITY}; it is {quantity}")
        if unit in given:
            raise InvalidField("usage.units", f"{unit} is counted in reported_json: leave it out")
    return reported
