"""Reads the prices of genai-prices as prices of units, and the times at which they change."""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from genai_prices.types import (
    ConditionalPrice,
    PriceVariant,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)
from genai_prices.types import ModelPrice as ListedPrice

from meter.prices.compile import UnitPrice, picos
from meter.prices.timeline import ALWAYS_MS
from meter.prices.units import UNIT_OF_PRICE_KEY, UNITS
from meter.times import MS_PER_DAY

_MS = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# What genai-prices calls a service tier, in the words of one provider or another.
_SERVICE_TIER_KEYS = frozenset({"processing", "service_tier", "speed"})

_Condition = ConditionalPrice | PriceVariant


def moment_of(at_ms: int) -> datetime:
    """Returns the time as genai-prices takes it."""
    return _EPOCH + at_ms * _MS


def unit_prices(listed: ListedPrice) -> Iterator[tuple[str, UnitPrice]]:
    """Yields the units with a price, each with the price."""
    for price_key, unit in UNIT_OF_PRICE_KEY.items():
        price: Decimal | TieredPrices | None = getattr(listed, price_key)
        if price is not None:
            per = UNITS[unit].per
            yield unit, _unit_price(price, per)


def _unit_price(price: Decimal | TieredPrices, per: int) -> UnitPrice:
    if not isinstance(price, TieredPrices):
        return UnitPrice(picos(price, per))
    tiers = [(tier.start, picos(tier.price, per)) for tier in price.tiers]
    base = picos(price.base, per)
    return UnitPrice(base, tuple(tiers))


def tier_prices(
    standard: ListedPrice,
    variants: Iterable[PriceVariant],
    moment: datetime,
    service_tier: str,
) -> dict[str, UnitPrice]:
    """Returns the units' prices in a service tier; empty if none is listed.

    What the tier does not list costs the standard price. But a tier that is dearer than the
    standard has no price for tokens that it does not list.
    """
    listed: dict[str, UnitPrice] = {}
    for variant in variants:
        if _is_of_tier(variant, service_tier) and _is_active(variant, moment):
            listed = dict(unit_prices(variant.prices)) | listed
    if not listed:
        return {}
    prices = dict(unit_prices(standard))
    if _is_dearer(listed, prices):
        prices = {unit: price for unit, price in prices.items() if not _counts_tokens(unit)}
    return prices | listed


def edges_around(conditions: Iterable[_Condition], at_ms: int) -> tuple[int, int]:
    """Returns the last time up to `at_ms`, and the first after, at which a price may change."""
    edges = list(_edges(conditions, at_ms))
    before = [edge for edge in edges if edge <= at_ms]
    after = [edge for edge in edges if edge > at_ms]
    return max(before, default=-ALWAYS_MS), min(after, default=ALWAYS_MS)


def _is_of_tier(variant: PriceVariant, service_tier: str) -> bool:
    names_a_tier = variant.when.keys() <= _SERVICE_TIER_KEYS
    return names_a_tier and set(variant.when.values()) == {service_tier}


def _is_active(variant: PriceVariant, moment: datetime) -> bool:
    return variant.constraint is None or variant.constraint.active(moment)


def _is_dearer(prices: dict[str, UnitPrice], standard: dict[str, UnitPrice]) -> bool:
    return any(
        price.base > standard[unit].base for unit, price in prices.items() if unit in standard
    )


def _counts_tokens(unit: str) -> bool:
    return ("family", "tokens") in UNITS[unit].dimensions


def _edges(conditions: Iterable[_Condition], at_ms: int) -> Iterator[int]:
    """Yields the times around `at_ms` at which a condition may begin or cease to hold."""
    midnight_ms = at_ms - at_ms % MS_PER_DAY
    for condition in conditions:
        constraint = condition.constraint
        if isinstance(constraint, StartDateConstraint):
            days = (constraint.start_date - date(1970, 1, 1)).days
            yield days * MS_PER_DAY
        elif isinstance(constraint, TimeOfDateConstraint):
            yield from _daily_edges(constraint, midnight_ms)


def _daily_edges(constraint: TimeOfDateConstraint, midnight_ms: int) -> Iterator[int]:
    yield midnight_ms
    yield midnight_ms + MS_PER_DAY
    yield midnight_ms + _utc_ms_of_day(constraint.start_time)
    yield midnight_ms + _utc_ms_of_day(constraint.end_time)


def _utc_ms_of_day(at: time) -> int:
    """Returns the first whole UTC millisecond of the day that is not before the time of day."""
    moment = datetime.combine(_EPOCH.date(), at, at.tzinfo or UTC)
    rounded_up = -((_EPOCH - moment) // _MS)
    return rounded_up % MS_PER_DAY
