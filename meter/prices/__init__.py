"""Prices usage: the price table, exact to the pico-credit, rounded once per charge."""

from meter.prices.charge import Cost, CostLine
from meter.prices.errors import (
    PriceFileError,
    UnknownModel,
    UnpricedServiceTier,
    UnpricedUnit,
)
from meter.prices.file import PriceFile
from meter.prices.price import Markup, ModelPrice, Tier
from meter.prices.table import PriceTable
from meter.prices.timeline import PriceWindow, Source
from meter.prices.units import UNITS

__all__ = [
    "UNITS",
    "Cost",
    "CostLine",
    "Markup",
    "ModelPrice",
    "PriceFile",
    "PriceFileError",
    "PriceTable",
    "PriceWindow",
    "Source",
    "Tier",
    "UnknownModel",
    "UnpricedServiceTier",
    "UnpricedUnit",
]
