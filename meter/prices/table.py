"""Answers which price is in force for a model's name, at a time, for an account."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

from meter.prices.catalog import CURRENCY, Catalog, ListedModel
from meter.prices.errors import PriceFileError, UnknownModel, UnpricedServiceTier
from meter.prices.file_checks import refuse_repeated_models, refuse_wrong_targets
from meter.prices.nearest import nearest_of
from meter.prices.overrides import Overrides, read_overrides
from meter.prices.own_prices import OwnPrices, overridden_model, resolve
from meter.prices.price import ModelPrice
from meter.prices.service_tiers import LISTED, STANDARD, Offer
from meter.prices.timeline import ALWAYS_MS, PriceWindow, Source, Span, Steps, span_at

_NAMES_REMEMBERED = 4096  # clients choose the names: the least recently used are forgotten

_Layers = list[tuple[Source, Steps[Offer]]]


class PriceTable:
    """Prices all models: by the price file first, then by the catalog of genai-prices.

    `currencies` and `service_tiers` are those that models may be priced in.
    """

    def __init__(self, catalog: Catalog, overrides: Overrides) -> None:
        self.overrides = overrides
        self._catalog = catalog
        self._everyone = OwnPrices(catalog, overrides.everyone, Source.FILE)
        self._accounts: dict[str, OwnPrices] = {}
        for account_id, terms in overrides.accounts.items():
            self._accounts[account_id] = OwnPrices(catalog, terms, Source.ACCOUNT)
        owners = [self._everyone, *self._accounts.values()]
        self.currencies = _currencies(overrides.currency, owners)
        self.service_tiers = frozenset(LISTED).union(*(owner.service_tiers for owner in owners))
        remembered = lru_cache(maxsize=_NAMES_REMEMBERED)
        self._listing = remembered(self._list)

    @classmethod
    def load(
        cls,
        path: Path | None = None,
        catalog: Catalog | None = None,
    ) -> "PriceTable":
        """Returns the table under the price file at `path`, or without a price file for None.

        Raises PriceFileError if the file cannot be read or is wrong.
        """
        if path is None:
            return cls(catalog or Catalog.installed(), Overrides())
        return cls.under(path, _read(path), catalog)

    @classmethod
    def under(
        cls,
        path: Path,
        text: bytes,
        catalog: Catalog | None = None,
    ) -> "PriceTable":
        """Returns the table under a price file with the content `text`.

        A PriceFileError names `path`, which is not read.
        """
        catalog = catalog or Catalog.installed()
        overrides = read_overrides(path, text)
        refuse_repeated_models(path, catalog, overrides)
        table = cls(catalog, overrides)
        table._refuse_wrong_targets(path)
        return table

    def find(
        self,
        model: str,
        at_ms: int,
        account_id: str = "",
        currency: str = "",
        service_tier: str = STANDARD,
    ) -> ModelPrice:
        """Returns the price of `model` for an account, in force at a UTC time in ms.

        The price is in `currency` if the model has such a price. Raises UnknownModel if no price is
        in force, and UnpricedServiceTier if the standard service alone has a price.
        """
        price = self.window(model, at_ms, account_id, currency, service_tier).price
        if price is not None:
            return price
        if service_tier:
            standard = self.find(model, at_ms, account_id, currency)
            raise UnpricedServiceTier(standard.model, service_tier)
        if currency:
            return self.find(model, at_ms, account_id)
        raise UnknownModel(model, self._nearest(model, account_id))

    def window(
        self,
        model: str,
        at_ms: int,
        account_id: str = "",
        currency: str = "",
        service_tier: str = STANDARD,
    ) -> PriceWindow:
        """Returns the price with its source, and how long around `at_ms` the price surely holds.

        Only prices in `currency` count; without a currency, the price file's go before the
        catalog's.
        """
        # Accounts without terms of their own share everyone's listings.
        if account_id not in self._accounts:
            account_id = ""
        return self._listing(model, account_id, currency, service_tier).at(at_ms)

    def markup(self, at_ms: int, account_id: str = "") -> Decimal:
        """Returns the percentage on list prices that an account pays; 0 without a markup."""
        for owner in self._owners(account_id):
            percent = span_at(owner.markups, at_ms).value
            if percent is not None:
                return percent
        return Decimal(0)

    def trusts_reported_cost(self, account_id: str = "") -> bool:
        """Returns whether the cost that a provider reports may be charged to an account."""
        for owner in self._owners(account_id):
            if owner.trusts_reported_cost is not None:
                return owner.trusts_reported_cost
        return False

    def models(self, account_id: str = "") -> Iterator[str]:
        """Yields every name in the catalog, and every other name with a price in the price file."""
        yield from self._catalog.ids()
        others: set[str] = set()
        for owner in self._owners(account_id):
            others.update(owner.other_names)
        yield from others

    def canonical(self, name: str) -> str:
        """Returns the catalog's id if `name` is a listed model's own name, else `name`."""
        return overridden_model(self._catalog, name) or name

    def meaning(self, name: str, account_id: str = "") -> str:
        """Returns the name under which usage of `name` is recorded, if `name` has a price."""
        return resolve(name, self._catalog, self._owners(account_id)).meaning

    def provider_of(self, name: str) -> str:
        """Returns the provider that a name tells; empty if the name tells none."""
        return self._catalog.provider_of(name)

    def _nearest(self, name: str, account_id: str) -> list[str]:
        """Returns the names with a price, to this account, that are most like `name`."""
        known = [self._catalog.nearest]
        known += [owner.nearest for owner in self._owners(account_id)]
        return nearest_of(names.to(name) for names in known)

    def _refuse_wrong_targets(self, path: Path) -> None:
        everyone = self.overrides.everyone
        refuse_wrong_targets(path, self._catalog, "models", everyone, [self._everyone])
        for account_id, terms in self.overrides.accounts.items():
            where = f"accounts.{account_id}.models"
            owners = self._owners(account_id)
            refuse_wrong_targets(path, self._catalog, where, terms, owners)

    def _owners(self, account_id: str) -> list[OwnPrices]:
        """Returns the owners of the terms that hold for an account, the nearest first."""
        own = self._accounts.get(account_id)
        if own is None:
            return [self._everyone]
        return [own, self._everyone]

    def _list(
        self,
        name: str,
        account_id: str,
        currency: str,
        service_tier: str,
    ) -> "_Listing":
        owners = self._owners(account_id)
        resolved = resolve(name, self._catalog, owners)
        model = resolved.model
        layers = resolved.layers
        if currency not in ("", CURRENCY):
            model = None
        if currency not in ("", self.overrides.currency):
            layers = []
        return _Listing(model, layers, [owner.markups for owner in owners], service_tier)


class _Listing:
    """Holds the prices of one name for one owner of terms.

    `layers` are the own prices, the nearest last: a layer covers the layers before, and all cover
    the catalog's price. `markups` come the nearest first.
    """

    __slots__ = ("_layers", "_markups", "_model", "_service_tier", "_window")

    def __init__(
        self,
        model: ListedModel | None,
        layers: _Layers,
        markups: Sequence[Steps[Decimal]],
        service_tier: str,
    ) -> None:
        self._model = model
        self._layers = layers
        self._markups = markups
        self._service_tier = service_tier
        self._window = PriceWindow(0, 0, None)

    def at(self, at_ms: int) -> PriceWindow:
        """Returns the price in force at a time; the last window is remembered."""
        window = self._window
        if not window.from_ms <= at_ms < window.until_ms:
            listed = self._list_price(at_ms)
            window = self._marked_up(listed, at_ms)
            self._window = window
        return window

    def _list_price(self, at_ms: int) -> PriceWindow:
        window = PriceWindow(-ALWAYS_MS, ALWAYS_MS, None)
        if self._model is not None:
            window = self._model.window(at_ms, self._service_tier)
        for source, steps in self._layers:
            window = _covered(window, source, span_at(steps, at_ms), self._service_tier)
        return window

    def _marked_up(self, window: PriceWindow, at_ms: int) -> PriceWindow:
        """Returns the window with the nearest markup in force; an account's own price has none."""
        price = window.price
        if price is None or window.source is Source.ACCOUNT:
            return window
        for markups in self._markups:
            span = span_at(markups, at_ms)
            window = window.within(span)
            if span.value is not None:
                raised = price.marked_up(span.value)
                return replace(window, price=raised)
        return window


def _currencies(currency: str, owners: list[OwnPrices]) -> frozenset[str]:
    """Returns the catalog's currency, and the price file's if any owner has prices there."""
    if any(owner.has_prices for owner in owners):
        return frozenset({CURRENCY, currency})
    return frozenset({CURRENCY})


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PriceFileError(path, "", f"cannot be read: {error.strerror}") from error


def _covered(
    window: PriceWindow,
    source: Source,
    span: Span[Offer],
    service_tier: str,
) -> PriceWindow:
    """Returns the span's price if it has one, else the window's, for no longer than the span.

    Prices that leave the service tier out cover it too: it has no price then.
    """
    if span.value is not None:
        price = span.value.get(service_tier)
        window = PriceWindow(-ALWAYS_MS, ALWAYS_MS, price, source)
    return window.within(span)
