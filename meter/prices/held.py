"""Decides which price holds for a call that settles or extends a hold.

A provider's answer names the model in the provider's own way, often without the provider and with a
date. Such a name is read as that of the hold's model wherever it can be.
"""

from typing import NamedTuple

from meter.prices.names import model_alone
from meter.prices.price import ModelPrice
from meter.prices.service_tiers import STANDARD
from meter.prices.table import PriceTable


class Asked(NamedTuple):
    """Holds what a call says of its price."""

    model: str
    account_id: str
    at_ms: int
    currency: str
    service_tier: str


def price_by_hold(
    table: PriceTable,
    held: ModelPrice,
    asked: Asked,
    current: ModelPrice | None,
) -> ModelPrice | None:
    """Returns the price of a call by a hold whose price is `held`; None for an unknown model.

    `current` is the price in force for the name, None if there is none. The rules stand in
    docs/prices.md, in the same order.
    """
    if _means(table, asked.model, held, asked):
        return held
    seller = table.provider_of(held.model)
    at_seller = asked._replace(model=f"{seller}/{asked.model}")
    if seller and _means(table, at_seller.model, held, asked):
        return held
    if table.provider_of(asked.model):
        return current
    sold = None
    if seller:
        sold = _in_force(table, at_seller)
    if sold is not None:
        return sold
    if model_alone(asked.model) == model_alone(held.model):
        return held
    if current is None and _in_force(table, asked._replace(service_tier=STANDARD)) is None:
        return held
    return current


def _in_force(table: PriceTable, asked: Asked) -> ModelPrice | None:
    window = table.window(
        asked.model,
        asked.at_ms,
        asked.account_id,
        asked.currency,
        asked.service_tier,
    )
    return window.price


def _means(
    table: PriceTable,
    name: str,
    held: ModelPrice,
    asked: Asked,
) -> bool:
    """Returns whether the name is one of the held price's model, now or at another time."""
    return table.meaning(name, asked.account_id).lower() == held.model.lower()
