"""Answers which price is in force for a model's name, at a time, for an account."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import cached_property, lru_cache
from pathlib import Path

from meter.prices.catalog import Catalog, ListedModel
from meter.prices.errors import PriceFileError, UnknownModel
from meter.prices.nearest import NearestNames, nearest_of
from meter.prices.overrides import MAX_MODEL_NAME, Overrides, Terms, read_overrides
from meter.prices.price import ModelPrice
from meter.prices.timeline import ALWAYS_MS, PriceWindow, Source, Span, Steps, span_at

_NAMES_REMEMBERED = 4096  # clients choose the names: the least recently used are forgotten

_Layers = list[tuple[Source, Steps[ModelPrice]]]


class PriceTable:
    """Prices all models: by the price file first, then by the catalog of genai-prices."""

    def __init__(self, catalog: Catalog, overrides: Overrides) -> None:
        self.overrides = overrides
        self._catalog = catalog
        self._everyone = _OwnPrices(catalog, overrides.everyone)
        self._accounts = _prices_by_account(catalog, overrides)
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
        _refuse_repeated_models(path, catalog, overrides)
        return cls(catalog, overrides)

    def find(
        self,
        model: str,
        at_ms: int,
        account_id: str = "",
    ) -> ModelPrice:
        """Returns the price of `model` for an account, in force at a UTC time in ms.

        Raises UnknownModel if no price is in force.
        """
        price = self.window(model, at_ms, account_id).price
        if price is None:
            raise UnknownModel(model, self._nearest(model, account_id))
        return price

    def window(
        self,
        model: str,
        at_ms: int,
        account_id: str = "",
    ) -> PriceWindow:
        """Returns the price with its source, and how long around `at_ms` the price surely holds."""
        # Accounts without terms of their own share everyone's listings.
        if account_id not in self._accounts:
            account_id = ""
        return self._listing(model, account_id).at(at_ms)

    def markup(self, at_ms: int, account_id: str = "") -> Decimal:
        """Returns the percentage on list prices that an account pays; 0 without a markup."""
        for owner in self._owners(account_id):
            percent = span_at(owner.markups, at_ms).value
            if percent is not None:
                return percent
        return Decimal(0)

    def models(self, account_id: str = "") -> Iterator[str]:
        """Yields every name in the catalog, and every other name with a price in the price file."""
        yield from self._catalog.ids()
        others: set[str] = set()
        for owner in self._owners(account_id):
            others.update(owner.other_names)
        yield from others

    def canonical(self, name: str) -> str:
        """Returns the catalog's id if `name` is a listed model's own name, else `name`."""
        return _overridden_model(self._catalog, name) or name

    def means(self, name: str, model: str) -> bool:
        """Returns whether a price of `model` may be a price of `name`, now or at another time."""
        if name.lower() == model.lower():
            return True
        listed = self._catalog.find(name)
        return listed is not None and listed.id == model

    def _nearest(self, name: str, account_id: str) -> list[str]:
        """Returns the names with a price, to this account, that are most like `name`."""
        known = [self._catalog.nearest]
        known += [owner.nearest for owner in self._owners(account_id)]
        return nearest_of(names.to(name) for names in known)

    def _owners(self, account_id: str) -> list["_OwnPrices"]:
        """Returns the owners of the terms that hold for an account, the nearest first."""
        own = self._accounts.get(account_id)
        if own is None:
            return [self._everyone]
        return [own, self._everyone]

    def _list(self, name: str, account_id: str) -> "_Listing":
        model = None
        if len(name) <= MAX_MODEL_NAME:
            model = self._catalog.find(name)
        markups = [owner.markups for owner in self._owners(account_id)]
        return _Listing(model, self._layers(name, model, account_id), markups)

    def _layers(
        self,
        name: str,
        model: ListedModel | None,
        account_id: str,
    ) -> _Layers:
        """Returns the prices of the price file under a name, the nearest last."""
        for_everyone = self._everyone.prices(name, model)
        layers = [(Source.FILE, for_everyone)]
        own = self._accounts.get(account_id)
        if own is not None:
            own_prices = own.prices(name, model)
            layers.append((Source.ACCOUNT, own_prices))
        return layers


class _OwnPrices:
    """Holds the terms of one owner: everyone, or one account.

    Prices are found by name, or by the listed model that a price replaces.
    """

    def __init__(self, catalog: Catalog, terms: Terms) -> None:
        self.markups = terms.markups
        self._by_name: dict[str, Steps[ModelPrice]] = {}
        self._by_model_id: dict[str, Steps[ModelPrice]] = {}
        for name, steps in terms.models.items():
            model_id = _overridden_model(catalog, name)
            self._add(name, model_id, steps)

    @cached_property
    def nearest(self) -> NearestNames:
        """The names with a price that are no listed model's own."""
        return NearestNames(self.other_names)

    @property
    def other_names(self) -> list[str]:
        """Returns the names with a price that are no listed model's own."""
        names = []
        for steps in self._by_name.values():
            _, price = steps[0]
            names.append(price.model)
        return names

    def prices(self, name: str, model: ListedModel | None) -> Steps[ModelPrice]:
        """Returns the prices given to `name`, or else to the model that `name` stands for."""
        steps = self._by_name.get(name.lower(), ())
        if not steps and model is not None:
            return self._by_model_id.get(model.id, ())
        return steps

    def _add(
        self,
        name: str,
        model_id: str | None,
        steps: Steps[ModelPrice],
    ) -> None:
        """Adds the prices given to `name`, which replaces the model with the id `model_id`."""
        if model_id is None:
            self._by_name[name.lower()] = steps
        else:
            self._by_model_id[model_id] = _named(steps, model_id)


class _Listing:
    """Holds the prices of one name for one owner of terms.

    `layers` are the own prices, the nearest last: a layer covers the layers before, and all cover
    the catalog's price. `markups` come the nearest first.
    """

    __slots__ = ("_layers", "_markups", "_model", "_window")

    def __init__(
        self,
        model: ListedModel | None,
        layers: _Layers,
        markups: Sequence[Steps[Decimal]],
    ) -> None:
        self._model = model
        self._layers = layers
        self._markups = markups
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
            window = self._model.window(at_ms)
        for source, steps in self._layers:
            window = _covered(window, source, span_at(steps, at_ms))
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


def _prices_by_account(catalog: Catalog, overrides: Overrides) -> dict[str, _OwnPrices]:
    by_account: dict[str, _OwnPrices] = {}
    for account_id, terms in overrides.accounts.items():
        by_account[account_id] = _OwnPrices(catalog, terms)
    return by_account


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PriceFileError(path, "", f"cannot be read: {error.strerror}") from error


def _refuse_repeated_models(
    path: Path,
    catalog: Catalog,
    overrides: Overrides,
) -> None:
    _refuse_two_names_of_one_model(path, "models", catalog, overrides.everyone)
    for account_id, terms in overrides.accounts.items():
        where = f"accounts.{account_id}.models"
        _refuse_two_names_of_one_model(path, where, catalog, terms)


def _refuse_two_names_of_one_model(
    path: Path,
    where: str,
    catalog: Catalog,
    terms: Terms,
) -> None:
    first_names: dict[str, str] = {}
    for name in terms.models:
        model_id = _overridden_model(catalog, name)
        if model_id is None:
            continue
        first_name = first_names.setdefault(model_id, name)
        if first_name != name:
            problem = f"names the same model ({model_id}) as {first_name!r}; keep one"
            raise PriceFileError(path, f"{where}.{name}", problem)


def _overridden_model(catalog: Catalog, name: str) -> str | None:
    """Returns the id of the catalog's model that a price given to `name` replaces under all names.

    Otherwise a client could avoid the operator's price by writing provider/model. None unless
    `name` is the model's own id: an alias is overridden as that single name, because a price of one
    dated version must not become the price of all versions.
    """
    model = catalog.find(name)
    if model is None:
        return None
    if not model.is_own_name(name):
        return None
    return model.id


def _named(steps: Steps[ModelPrice], model_id: str) -> Steps[ModelPrice]:
    named = []
    for from_ms, price in steps:
        named.append((from_ms, replace(price, model=model_id)))
    return tuple(named)


def _covered(
    window: PriceWindow,
    source: Source,
    span: Span[ModelPrice],
) -> PriceWindow:
    """Returns the span's price if it has one, else the window's, for no longer than the span."""
    if span.value is not None:
        window = PriceWindow(-ALWAYS_MS, ALWAYS_MS, span.value, source)
    return window.within(span)
