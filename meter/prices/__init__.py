"""What usage costs: the price table, exact to the pico-credit, rounded once per charge."""

from meter.prices.errors import PriceFileError, UnknownModel, UnpricedUnit
from meter.prices.price import PICO_PER_NANO, Cost, CostLine, ModelPrice, Tier
from meter.prices.table import PriceTable
from meter.prices.units import UNITS

__all__ = [
    "PICO_PER_NANO",
    "UNITS",
    "Cost",
    "CostLine",
    "ModelPrice",
    "PriceFileError",
    "PriceTable",
    "Tier",
    "UnknownModel",
    "UnpricedUnit",
]
