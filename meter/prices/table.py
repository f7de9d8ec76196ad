"""The price table: which price is in force for a model's name, at a time, for an account."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

from meter.prices.catalog import Catalog, ListedModel
from meter.prices.errors import PriceFileError, UnknownModel
from meter.prices.overrides import MAX_MODEL_NAME, Overrides, Terms, read_overrides
from meter.prices.price import ModelPrice
from meter.prices.timeline import ALWAYS_MS, PriceWindow, Source, Steps, span_at

_NAMES_REMEMBERED = 4096  # clients choose the names: the least recently used are forgotten


class PriceTable:
    """Prices of all models: a price file before the catalog of the installed genai-prices
    package.
    """

    def __init__(self, catalog: Catalog, overrides: Overrides) -> None:
        self.overrides = overrides
        self._catalog = catalog
        self._everyone = _OwnPrices(catalog, overrides.everyone)
        self._accounts = {
            name: _OwnPrices(catalog, terms) for name, terms in overrides.accounts.items()
        }
        self._listing = lru_cache(maxsize=_NAMES_REMEMBERED)(self._list)

    @classmethod
    def load(cls, path: Path | None = None, catalog: Catalog | None = None) -> "PriceTable":
        """The table under the price file at `path`, if one is named; PriceFileError if
        that is wrong.
        """
        if path is None:
            return cls(catalog or Catalog.installed(), Overrides())
        try:
            text = path.read_bytes()
        except OSError as error:
            raise PriceFileError(path, "", f"cannot be read: {error.strerror}") from error
        return cls.under(path, text, catalog)

    @classmethod
    def under(cls, path: Path, text: bytes, catalog: Catalog | None = None) -> "PriceTable":
        """The table under a price file with the content `text`; `path` is what a
        PriceFileError names.
        """
        catalog = catalog or Catalog.installed()
        overrides = read_overrides(path, text)
        _refuse_two_names_of_one_model(path, "models", catalog, overrides.everyone)
        for account_id, terms in overrides.accounts.items():
            _refuse_two_names_of_one_model(path, f"accounts.{account_id}.models", catalog, terms)
        return cls(catalog, overrides)

    def find(self, model: str, at_ms: int, account_id: str = "") -> ModelPrice:
        """The price of `model` for an account, in force at a UTC time in ms; UnknownModel if there is
        none.
        """
        price = self.window(model, at_ms, account_id).price
        if price is None:
            raise UnknownModel(model)
        return price

    def window(self, model: str, at_ms: int, account_id: str = "") -> PriceWindow:
        """The same, with its source and how long around that time it surely holds; without a price if
        there is none.
        """
        # Accounts without terms of their own share everyone's listings.
        listing = self._listing(model, account_id if account_id in self._accounts else "")
        return listing.at(at_ms)

    def markup(self, at_ms: int, account_id: str = "") -> Decimal:
        """The percentage on list prices that an account pays."""
        markups = [owner.markups for owner in self._owners(account_id)]
        return next(
            (
                span.value
                for span in (span_at(each, at_ms) for each in markups)
                if span.value is not None
            ),
            Decimal(0),
        )

    def models(self, account_id: str = "") -> Iterator[str]:
        """Every name in the catalog, and every other that the price file gives a price."""
        yield from self._catalog.ids()
        yield from {name for owner in self._owners(account_id) for name in owner.other_names}

    def canonical(self, name: str) -> str:
        """What prices of `name` are said to be of: the catalog's id if it is a listed model's own,
        else the name.
        """
        return _overridden_model(self._catalog, name) or name

    def means(self, name: str, model: str) -> bool:
        """Whether a price of `model` may be one of what `name` stands for, even if it has another
        price now.
        """
        listed = self._catalog.find(name)
        return name.lower() == model.lower() or (listed is not None and listed.id == model)

    def _owners(self, account_id: str) -> list["_OwnPrices"]:
        """Whose terms hold for an account, first the nearest."""
        own = self._accounts.get(account_id)
        return [own, self._everyone] if own else [self._everyone]

    def _list(self, name: str, account_id: str) -> "_Listing":
        model = self._catalog.find(name) if len(name) <= MAX_MODEL_NAME else None
        own = self._accounts.get(account_id)
        layers = [(Source.FILE, self._everyone.prices(name, model))]
        if own:
            layers.insert(0, (Source.ACCOUNT, own.prices(name, model)))
        return _Listing(model, layers, [owner.markups for owner in self._owners(account_id)])


class _OwnPrices:
    """Terms for one owner, with the prices found by name, or by the listed model that they
    replace.
    """

    def __init__(self, catalog: Catalog, terms: Terms) -> None:
        self.markups = terms.markups
        self._by_name: dict[str, Steps[ModelPrice]] = {}
        self._by_model_id: dict[str, Steps[ModelPrice]] = {}
        for name, steps in terms.models.items():
            if model_id := _overridden_model(catalog, name):
                self._by_model_id[model_id] = tuple(
                    (at, replace(price, model=model_id)) for at, price in steps
                )
            else:
                self._by_name[name.lower()] = steps

    @property
    def other_names(self) -> Iterable[str]:
        """Names with a price that no listed model has as its own."""
        return [steps[0][1].model for steps in self._by_name.values()]

    def prices(self, name: str, model: ListedModel | None) -> Steps[ModelPrice]:
        return self._by_name.get(name.lower()) or (
            self._by_model_id.get(model.id, ()) if model else ()
        )


class _Listing:
    """What a name stands for, for one owner of terms: own prices in layers, under them the catalog's;
    and the markups.
    """

    __slots__ = ("_layers", "_markups", "_model", "_window")

    def __init__(
        self,
        model: ListedModel | None,
        layers: list[tuple[Source, Steps[ModelPrice]]],
        markups: list[Steps[Decimal]],
    ) -> None:
        self._model = model
        self._layers = layers
        self._markups = markups
        self._window = PriceWindow(0, 0, None)

    def at(self, at_ms: int) -> PriceWindow:
        window = self._window
        if not window.from_ms <= at_ms < window.until_ms:
            window = self._window = self._marked_up(self._list_price(at_ms), at_ms)
        return window

    def _list_price(self, at_ms: int) -> PriceWindow:
        begun = [(source, span_at(steps, at_ms)) for source, steps in self._layers]
        window = (
            self._model.window(at_ms) if self._model else PriceWindow(-ALWAYS_MS, ALWAYS_MS, None)
        )
        for source, span in reversed(begun):  # the nearest last: it covers the others
            if span.value is not None:
                window = PriceWindow(-ALWAYS_MS, ALWAYS_MS, span.value, source)
            window = window.within(span)
        return window

    def _marked_up(self, window: PriceWindow, at_ms: int) -> PriceWindow:
        if window.price is None or window.source is Source.ACCOUNT:
            return window
        for markups in self._markups:
            span = span_at(markups, at_ms)
            window = window.within(span)
            if span.value is not None:
                return replace(window, price=window.price and window.price.marked_up(span.value))
        return window


def _overridden_model(catalog: Catalog, name: str) -> str | None:
    """The id of the catalog's model that a price given to `name` replaces under all of its names.

    Otherwise a client could avoid the operator's price by writing provider/model. Only a model's
    own id does so: an alias is overridden as that one name, for a price of one dated version must
    not become that of all.
    """
    model = catalog.find(name)
    return model.id if model and name.lower() in (model.id.lower(), model.bare_id.lower()) else None


def _refuse_two_names_of_one_model(path: Path, where: str, catalog: Catalog, terms: Terms) -> None:
    first_name: dict[str, str] = {}
    for name in terms.models:
        model_id = _overridden_model(catalog, name)
        if model_id and first_name.setdefault(model_id, name) != name:
            problem = f"names the same model ({model_id}) as {first_name[model_id]!r}; keep one"
            raise PriceFileError(path, f"{where}.{name}", problem)
