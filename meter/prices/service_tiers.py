"""Names the services by which providers sell one model at several prices: batch, flex, priority."""

from collections.abc import Mapping

from meter.prices.price import ModelPrice

STANDARD = ""
STANDARD_NAMES = ("standard", "default")  # in providers' words
LISTED = ("batch", "fast", "flex", "priority")  # those that the catalog has prices for

# A model's prices by service tier, of which STANDARD always has one.
Offer = Mapping[str, ModelPrice]


def service_tier_named(text: str) -> str:
    """Returns the service tier that a usage names, in small letters."""
    tier = text.lower()
    if tier in STANDARD_NAMES:
        return STANDARD
    return tier
