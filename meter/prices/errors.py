"""Defines how pricing fails: never by charging nothing."""

from collections.abc import Sequence
from pathlib import Path

from meter.prices.units import UNITS

_SHOWN_CHARACTERS = 128  # model names come from clients; an error message stays short


class UnknownModel(LookupError):
    """No price is in force for `model` at the time asked about.

    `nearest` are the most similar names that have a price.
    """

    def __init__(self, model: str, nearest: Sequence[str] = ()) -> None:
        self.model = model
        self.nearest = tuple(nearest)
        shown = repr(model[:_SHOWN_CHARACTERS])
        super().__init__(
            f"no price is known for model {shown}: check its name"
            f" (write provider/model to name the provider{_told(self.nearest)}),"
            " or add it to the price file"
        )


def _told(nearest: Sequence[str]) -> str:
    if not nearest:
        return ""
    return f"; the nearest names are {', '.join(nearest)}"


class UnpricedServiceTier(LookupError):
    """No price of `model` is in force in a `service_tier`, though a standard price is."""

    def __init__(self, model: str, service_tier: str) -> None:
        self.model = model
        self.service_tier = service_tier
        shown = repr(service_tier[:_SHOWN_CHARACTERS])
        super().__init__(
            f"model {model!r} has no price for service tier {shown}: give it one under"
            " service_tiers in the model's entry of the price file, such as"
            " batch: {percent: 50}, or leave service_tier empty for the standard service"
        )


class UnpricedUnit(LookupError):
    """Usage was reported in a `unit` without a price for `model`."""

    def __init__(self, model: str, unit: str) -> None:
        self.model = model
        self.unit = unit
        shown = repr(unit[:_SHOWN_CHARACTERS])
        if unit in UNITS:
            problem = (
                f"model {model!r} has no price for unit {shown}, and what other units cost is no"
                " guide: give it one (0 if it is free) in the model's entry of the price file,"
                " under per_million or per_unit"
            )
        else:
            problem = f"{shown} is no unit; expected one of: {', '.join(UNITS)}"
        super().__init__(problem)


class PriceFileError(ValueError):
    """The price file is wrong at `where`, a key path such as `models.acme[0].per_million`."""

    def __init__(
        self,
        path: Path,
        where: str,
        problem: str,
    ) -> None:
        self.path = path
        self.where = where
        if where:
            problem = f"{where}: {problem}"
        super().__init__(f"{path}: {problem}")
