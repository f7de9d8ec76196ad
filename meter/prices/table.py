"""The price table: which price is in force for a model's name at a time."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from meter.prices.catalog import ALWAYS_MS, Catalog, ListedModel, PriceWindow
from meter.prices.errors import PriceFileError, UnknownModel
from meter.prices.overrides import MAX_MODEL_NAME, Timeline, read_overrides
from meter.prices.price import ModelPrice

_NAMES_REMEMBERED = 4096  # clients choose the names: the least recently used are forgotten


class _Listing:
    """What a name stands for: an override's timeline, a model of the catalog until that begins, or either alone."""

    __slots__ = ("_model", "_steps", "_window")

    def __init__(self, model: ListedModel | None, timeline: Timeline | None) -> None:
        self._model = model
        self._steps = timeline.steps if timeline else ()
        self._window = PriceWindow(0, 0, None)

    def at(self, at_ms: int) -> ModelPrice | None:
        window = self._window
        if not window.from_ms <= at_ms < window.until_ms:
            window = self._window = self._window_at(at_ms)
        return window.price

    def _window_at(self, at_ms: int) -> PriceWindow:
        begun = bisect_right(self._steps, at_ms, key=lambda step: step[0])
        next_ms = self._steps[begun][0] if begun < len(self._steps) else ALWAYS_MS
        if begun:
            from_ms, price = self._steps[begun - 1]
            return PriceWindow(from_ms, next_ms, price)
        listed = self._model.window(at_ms) if self._model else PriceWindow(-ALWAYS_MS, ALWAYS_MS, None)
        return PriceWindow(listed.from_ms, min(listed.until_ms, next_ms), listed.price)


class PriceTable:
    """Prices of all models: an override file before the catalog of the installed genai-prices package."""

    def __init__(self, catalog: Catalog, overrides: Mapping[str, Timeline]) -> None:
        self._catalog = catalog
        self._by_name = {name.lower(): timeline for name, timeline in overrides.items()}
        overridden = {name: _overridden_model(catalog, name) for name in overrides}
        self._by_model_id = {model_id: overrides[name] for name, model_id in overridden.items() if model_id}
        self._listing = lru_cache(maxsize=_NAMES_REMEMBERED)(self._list)

    @classmethod
    def load(cls, override_path: Path | None = None) -> "PriceTable":
        """Read the catalog, and the override file if there is one; PriceFileError if that is wrong."""
        catalog = Catalog.installed()
        if override_path is None:
            return cls(catalog, {})
        overrides = read_overrides(override_path)
        _refuse_two_names_of_one_model(override_path, catalog, overrides)
        return cls(catalog, overrides)

    def find(self, model: str, at_ms: int) -> ModelPrice:
        """The price of `model` in force at a UTC time in ms; UnknownModel if there is none."""
        listing = self._listing(model) if len(model) <= MAX_MODEL_NAME else None
        price = listing.at(at_ms) if listing else None
        if price is None:
            raise UnknownModel(model)
        return price

    def _list(self, name: str) -> _Listing | None:
        model = self._catalog.find(name)
        timeline = self._by_name.get(name.lower()) or (self._by_model_id.get(model.id) if model else None)
        return _Listing(model, timeline) if model or timeline else None


def _overridden_model(catalog: Catalog, name: str) -> str | None:
    """The id of the catalog's model that an override called `name` replaces under all of its names.

    Otherwise a client could avoid the operator's price by writing provider/model. Only a model's own id does so: an
    alias is overridden as that one name, for a price of one dated version must not become that of all.
    """
    model = catalog.find(name)
    return model.id if model and name.lower() in (model.id.lower(), model.bare_id.lower()) else None


def _refuse_two_names_of_one_model(path: Path, catalog: Catalog, names: Iterable[str]) -> None:
    first_name: dict[str, str] = {}
    for name in names:
        model_id = _overridden_model(catalog, name)
        if model_id and first_name.setdefault(model_id, name) != name:
            raise PriceFileError(
                path, f"models.{name}", f"names the same model ({model_id}) as {first_name[model_id]!r}; keep one"
            )
