"""Finds the public prices of public models in genai-prices, by its rules of names and dates."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ConditionalPrice, ModelInfo, PriceVariant, Provider
from genai_prices.types import ModelPrice as ListedPrice

from meter.prices.compile import compile_price
from meter.prices.listed_prices import edges_around, moment_of, tier_prices, unit_prices
from meter.prices.names import NameRead, read_name
from meter.prices.nearest import NearestNames
from meter.prices.price import ModelPrice, Rates
from meter.prices.service_tiers import STANDARD
from meter.prices.timeline import PriceWindow

CURRENCY = "USD"
_NAMES_REMEMBERED = 4096  # clients choose the names: the least recently used are forgotten

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

# Azure bills OpenAI's models by OpenAI's list, in its global deployments; fine-tuned models by a
# list of its own. genai-prices takes other makers' lists too, as an approximation.
_BILLED_BY_THE_LIST_OF = {"azure": "openai"}
_FINE_TUNED = "ft:"


class ListedModel:
    """Holds a model as one provider sells it, with the model's prices over time."""

    def __init__(self, provider: Provider, info: ModelInfo) -> None:
        self.id = f"{provider.id}/{info.id}"
        self._info = info
        # Another provider's list tells nothing of the service tiers.
        self._variants: Sequence[PriceVariant] = ()
        if any(info is own for own in provider.models):
            self._variants = info.price_variants or ()
        # By id() of the listed price: `_info` keeps the price alive, so that no id() is used twice.
        self._compiled: dict[int, ModelPrice | None] = {}

    @property
    def bare_id(self) -> str:
        """Returns the model's id without the provider."""
        return self._info.id

    @property
    def has_prices(self) -> bool:
        """Says whether the model has a price at any time; some are listed without prices."""
        listed = [condition.prices for condition in self._conditions()]
        if isinstance(self._info.prices, ListedPrice):
            listed.append(self._info.prices)
        return any(any(unit_prices(price)) for price in listed)

    def is_own_name(self, name: str) -> bool:
        """Says whether `name` is the model's id, with or without the provider."""
        own_names = (self.id.lower(), self.bare_id.lower())
        return name.lower() in own_names

    def window(self, at_ms: int, service_tier: str = STANDARD) -> PriceWindow:
        """Returns the price at a UTC time, and how long around that time the price surely holds."""
        moment = moment_of(at_ms)
        if not service_tier:
            from_ms, until_ms = edges_around(self._conditions(), at_ms)
            listed = self._info.get_prices(moment)
            return PriceWindow(from_ms, until_ms, self._compile(listed))
        from_ms, until_ms = edges_around([*self._conditions(), *self._variants], at_ms)
        prices = tier_prices(self._info.get_prices(moment), self._variants, moment, service_tier)
        price = compile_price(
            self.id,
            CURRENCY,
            prices,
            _MINIMUMS.get(self.id, ()),
            service_tier,
        )
        return PriceWindow(from_ms, until_ms, price)

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
                dict(unit_prices(listed)),
                _MINIMUMS.get(self.id, ()),
            )
        return self._compiled[key]


class Catalog:
    """Finds every model of the installed genai-prices by "model" or "provider/model"."""

    def __init__(self, providers: list[Provider]) -> None:
        self._providers = {provider.id: provider for provider in providers}
        self._provider_ids = frozenset(self._providers)
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

    @cached_property
    def nearest(self) -> NearestNames:
        """The names of the models that have prices; made at the first use, in about 0.1 s."""
        return NearestNames(self._priced_names())

    def compare_names(self) -> None:
        """Makes `nearest`, so that nobody waits for it later."""
        self.nearest.to("")

    def find(self, name: str) -> ListedModel | None:
        """Returns the model that `name` means; an exact id comes first.

        None if no model has the name. A name that tells a provider is a model of that provider, or
        of none.
        """
        return self._named(name)

    def provider_of(self, name: str) -> str:
        """Returns the provider that a name tells; empty if the name tells none."""
        return read_name(name, self._provider_ids).provider

    def _look_up(self, name: str) -> ListedModel | None:
        read = read_name(name, self._provider_ids)
        found = self._by_id.get(name.strip().lower()) or self._match(read)
        if found is None:
            return None
        provider, info = found
        model = ListedModel(provider, info)
        return self._models.setdefault(model.id, model)

    def _match(self, read: NameRead) -> _Found | None:
        provider = self._provider_of(read)
        if provider is None:
            return None
        # Without the other providers, genai-prices does not fall back to their prices.
        info = provider.find_model(read.model) or self._billed_by_list(provider, read.model)
        if info is None:
            return None
        return provider, info

    def _billed_by_list(self, seller: Provider, model: str) -> ModelInfo | None:
        """Returns the model of another provider, by whose list the seller bills the model."""
        lister = _BILLED_BY_THE_LIST_OF.get(seller.id)
        if lister is None or model.startswith(_FINE_TUNED):
            return None
        return self._providers[lister].find_model(model)

    def _provider_of(self, read: NameRead) -> Provider | None:
        """Returns the provider that a name tells, or else the maker of models of such names."""
        if read.provider:
            return self._providers.get(read.provider)
        for provider in self._providers.values():
            if provider.model_match is not None and provider.model_match.is_match(read.model):
                return provider
        return None

    def _priced_names(self) -> Iterator[str]:
        for provider, info in self._by_id.values():
            if ListedModel(provider, info).has_prices:
                yield f"{provider.id}/{info.id}"
        for seller, lister in _BILLED_BY_THE_LIST_OF.items():
            for info in self._providers[lister].models:
                if not info.id.startswith(_FINE_TUNED):
                    yield f"{seller}/{info.id}"


def _by_id(providers: Iterable[Provider]) -> dict[str, _Found]:
    """Returns every model by provider/model, in small letters."""
    by_id = {}
    for provider in providers:
        for info in provider.models:
            model_id = f"{provider.id}/{info.id}"
            by_id[model_id.lower()] = (provider, info)
    return by_id
