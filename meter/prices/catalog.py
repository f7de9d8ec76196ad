"""Public prices of public models, from genai-prices, by its own rules of names and dates."""

from collections.abc import Iterator, Sequence
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

CURRENCY = "USD"
_NAMES_REMEMBERED = 4096  # clients choose the names: the least recently used are forgotten
_DAY_MS = 86_400_000
_MS = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Groq bills at least ten seconds of audio a request; genai-prices has this in code, not in its
# data.
_TEN_SECONDS: Rates = (
    ("audio_seconds", 10),
    ("input_audio_seconds", 10),
    ("output_audio_seconds", 10),
)
_MINIMUMS = {"groq/whisper-large-v3": _TEN_SECONDS, "groq/whisper-large-v3-turbo": _TEN_SECONDS}


class ListedModel:
    """A model as one provider sells it, with its prices over time."""

    def __init__(self, provider: Provider, info: ModelInfo) -> None:
        self.id = f"{provider.id}/{info.id}"
        self._info = info
        self._compiled: dict[
            int, ModelPrice | None
        ] = {}  # by id() of the listed price, which _info keeps alive

    @property
    def bare_id(self) -> str:
        return self._info.id

    def window(self, at_ms: int) -> PriceWindow:
        """The price at a UTC time, and how long around it the same one surely holds."""
        edges = list(_edges(self._conditions(), at_ms))
        from_ms = max((edge for edge in edges if edge <= at_ms), default=-ALWAYS_MS)
        until_ms = min((edge for edge in edges if edge > at_ms), default=ALWAYS_MS)
        return PriceWindow(
            from_ms, until_ms, self._compile(self._info.get_prices(_EPOCH + at_ms * _MS))
        )

    def _conditions(self) -> Sequence[ConditionalPrice]:
        return () if isinstance(self._info.prices, ListedPrice) else self._info.prices

    def _compile(self, listed: ListedPrice) -> ModelPrice | None:
        if id(listed) not in self._compiled:
            given = dict(_unit_prices(listed))
            self._compiled[id(listed)] = compile_price(
                self.id, CURRENCY, given, _MINIMUMS.get(self.id, ())
            )
        return self._compiled[id(listed)]


class Catalog:
    """Every model of the installed genai-prices, found by "model" or "provider/model"."""

    def __init__(self, providers: list[Provider]) -> None:
        self._providers = providers
        self._by_id = {
            f"{p.id}/{info.id}".lower(): (p, info) for p in providers for info in p.models
        }
        self._models: dict[
            str, ListedModel
        ] = {}  # bounded by the catalog: names of models, not of clients
        self._named = lru_cache(maxsize=_NAMES_REMEMBERED)(self._look_up)

    @classmethod
    def installed(cls) -> "Catalog":
        """The prices inside the installed package; nothing is fetched."""
        return cls(get_snapshot().providers)

    def ids(self) -> list[str]:
        """Every model, as provider/model."""
        return [f"{provider.id}/{info.id}" for provider, info in self._by_id.values()]

    def find(self, name: str) -> ListedModel | None:
        """The model that genai-prices would price under `name` (its exact id first), or None."""
        return self._named(name)

    def _look_up(self, name: str) -> ListedModel | None:
        found = self._by_id.get(name.lower()) or self._match(name)
        if found is None:
            return None
        model = ListedModel(*found)
        return self._models.setdefault(model.id, model)

    def _match(self, name: str) -> tuple[Provider, ModelInfo] | None:
        # A fresh snapshot for each question, because one remembers every name that it was ever
        # asked, without bound. As "litellm" it reads the text before a slash as a provider if it
        # knows that one, else the whole as a model.
        snapshot = DataSnapshot(self._providers, from_auto_update=False)
        try:
            return snapshot.find_provider_model(name, None, "litellm", None)
        except LookupError:
            return None


def _unit_prices(listed: ListedPrice) -> Iterator[tuple[str, UnitPrice]]:
    for price_key, unit in UNIT_OF_PRICE_KEY.items():
        price: Decimal | TieredPrices | None = getattr(listed, price_key)
        per = UNITS[unit].per
        if isinstance(price, TieredPrices):
            yield (
                unit,
                UnitPrice(
                    picos(price.base, per),
                    tuple((t.start, picos(t.price, per)) for t in price.tiers),
                ),
            )
        elif price is not None:
            yield unit, UnitPrice(picos(price, per))


def _edges(conditions: Sequence[ConditionalPrice], at_ms: int) -> Iterator[int]:
    """The times around `at_ms` at which a condition may begin or cease to hold."""
    midnight_ms = at_ms - at_ms % _DAY_MS
    for condition in conditions:
        constraint = condition.constraint
        if isinstance(constraint, StartDateConstraint):
            yield (constraint.start_date - date(1970, 1, 1)).days * _DAY_MS
        elif isinstance(constraint, TimeOfDateConstraint):
            yield from (midnight_ms, midnight_ms + _DAY_MS)
            yield midnight_ms + _utc_ms_of_day(constraint.start_time)
            yield midnight_ms + _utc_ms_of_day(constraint.end_time)


def _utc_ms_of_day(at: time) -> int:
    moment = datetime.combine(_EPOCH.date(), at, at.tzinfo or UTC)
    return (
        -((_EPOCH - moment) // _MS) % _DAY_MS
    )  # rounded up: the first whole millisecond at or after it
