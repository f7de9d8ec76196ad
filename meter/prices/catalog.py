"""Finds the public prices of public models in genai-prices, by its rules of names and dates."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache

from genai_prices.data_snapshot import DataSnapshot, get_snapshot
from genai_prices.types import (
    ConditionalPrice,
    ModelInfo,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)
from genai_prices.types import ModelPrice as ListedPrice

from meter.prices.compile import UnitPrice, compile_price, picos
from meter.prices.price import ModelPrice, Rates
from meter.prices.timeline import ALWAYS_MS, PriceWindow
from meter.prices.units import UNIT_OF_PRICE_KEY, UNITS
from meter.times import MS_PER_DAY

CURRENCY = "USD"
_NAMES_REMEMBERED = 4096  # clients choose the names: the least recently used are forgotten
_MS = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_Found = tuple[Provider, ModelInfo]

# Groq bills at least ten seconds of audio per request; genai-prices has the rule in code, not in
# its data.
_TEN_SECONDS: Rates = (
    ("audio_seconds", 10),
    ("input_audio_seconds", 10),
    ("output_audio_seconds", 10),
)
_MINIMUMS = {
    "groq/whisper-large-v3": _TEN_SECONDS,
    "groq/whisper-large-v3-turbo": _TEN_SECONDS,
}


class ListedModel:
    """Holds a model as one provider sells it, with the model's prices over time."""

    def __init__(self, provider: Provider, info: ModelInfo) -> None:
        self.id = f"{provider.id}/{info.id}"
        self._info = info
        # By id() of the listed price: `_info` keeps the price alive, so that no id() is used twice.
        self._compiled: dict[int, ModelPrice | None] = {}

    @property
    def bare_id(self) -> str:
        """Returns the model's id without the provider."""
        return self._info.id

    def is_own_name(self, name: str) -> bool:
        """Says whether `name` is the model's id, with or without the provider."""
        own_names = (self.id.lower(), self.bare_id.lower())
        return name.lower() in own_names

    def window(self, at_ms: int) -> PriceWindow:
        """Returns the price at a UTC time, and how long around that time the price surely holds."""
        from_ms, until_ms = self._edges_around(at_ms)
        moment = _EPOCH + at_ms * _MS
        listed = self._info.get_prices(moment)
        return PriceWindow(from_ms, until_ms, self._compile(listed))

    def _edges_around(self, at_ms: int) -> tuple[int, int]:
        """Returns the last edge up to a time, and the first edge after the time."""
        edges = list(_edges(self._conditions(), at_ms))
        before = [edge for edge in edges if edge <= at_ms]
        after = [edge for edge in edges if edge > at_ms]
        return max(before, default=-ALWAYS_MS), min(after, default=ALWAYS_MS)

    def _conditions(self) -> Sequence[ConditionalPrice]:
        prices = self._info.prices
        if isinstance(prices, ListedPrice):
            return ()
        return prices

    def _compile(self, listed: ListedPrice) -> ModelPrice | None:
        key = id(listed)
        if key not in self._compiled:
            self._compiled[key] = compile_price(
                self.id,
                CURRENCY,
                dict(_unit_prices(listed)),
                _MINIMUMS.get(self.id, ()),
            )
        return self._compiled[key]


class Catalog:
    """Finds every model of the installed genai-prices by "model" or "provider/model"."""

    def __init__(self, providers: list[Provider]) -> None:
        self._providers = providers
        self._by_id = _by_id(providers)
        # Bounded by the catalog: the keys are ids of models, not names that clients choose.
        self._models: dict[str, ListedModel] = {}
        remembered = lru_cache(maxsize=_NAMES_REMEMBERED)
        self._named = remembered(self._look_up)

    @classmethod
    def installed(cls) -> "Catalog":
        """Returns the prices inside the installed package; nothing is fetched."""
        return cls(get_snapshot().providers)

    def ids(self) -> list[str]:
        """Returns every model, as provider/model."""
        return [f"{provider.id}/{info.id}" for provider, info in self._by_id.values()]

    def find(self, name: str) -> ListedModel | None:
        """Returns the model that genai-prices would price under `name`; an exact id comes first.

        None if no model has the name.
        """
        return self._named(name)

    def _look_up(self, name: str) -> ListedModel | None:
        found = self._by_id.get(name.lower()) or self._match(name)
        if found is None:
            return None
        provider, info = found
        model = ListedModel(provider, info)
        return self._models.setdefault(model.id, model)

    def _match(self, name: str) -> _Found | None:
        # A fresh snapshot for each question, because a snapshot remembers every name that was ever
        # asked, without bound. As "litellm" the snapshot reads the text before a slash as a
        # provider if the provider is known, else the whole as a model.
        snapshot = DataSnapshot(self._providers, from_auto_update=False)
        try:
            return snapshot.find_provider_model(name, None, "litellm", None)
        except LookupError:
            return None


def _by_id(providers: Iterable[Provider]) -> dict[str, _Found]:
    """Returns every model by provider/model, in small letters."""
    by_id = {}
    for provider in providers:
        for info in provider.models:
            model_id = f"{provider.id}/{info.id}"
            by_id[model_id.lower()] = (provider, info)
    return by_id


def _unit_prices(listed: ListedPrice) -> Iterator[tuple[str, UnitPrice]]:
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


def _edges(conditions: Sequence[ConditionalPrice], at_ms: int) -> Iterator[int]:
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
