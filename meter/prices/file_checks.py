"""Checks a price file against the catalog: names of one model, and names that cost the same."""

from collections.abc import Iterator
from pathlib import Path

from meter.prices.catalog import Catalog
from meter.prices.errors import PriceFileError, UnknownModel
from meter.prices.overrides import STAR, Overrides, Terms
from meter.prices.own_prices import OwnPrices, overridden_model, resolve


def refuse_repeated_models(
    path: Path,
    catalog: Catalog,
    overrides: Overrides,
) -> None:
    """Raises PriceFileError if an owner of terms names one listed model twice."""
    for where, terms in _places(overrides):
        first_names: dict[str, str] = {}
        for name in (*terms.models, *terms.same_as):
            model_id = overridden_model(catalog, name)
            if model_id is None:
                continue
            first_name = first_names.setdefault(model_id, name)
            if first_name != name:
                problem = f"names the same model ({model_id}) as {first_name!r}; keep one"
                raise PriceFileError(path, f"{where}.{name}", problem)


def refuse_wrong_targets(
    path: Path,
    catalog: Catalog,
    where: str,
    terms: Terms,
    owners: list[OwnPrices],
) -> None:
    """Raises PriceFileError if a `same_as` of these terms leads in a circle, or to no price.

    `owners` are those whose terms hold along with these, the nearest first.
    """
    for name, target in terms.same_as.items():
        place = f"{where}.{name}.same_as"
        resolved = resolve(name, catalog, owners)
        if resolved.is_endless:
            way = " -> ".join(resolved.followed[:4])
            raise PriceFileError(path, place, f"leads in a circle ({way} ...); name another model")
        last = resolved.followed[-1]
        has_list_price = resolved.model is not None and resolved.model.has_prices
        if resolved.layers or has_list_price:
            continue
        if STAR in last and _has_match(last, catalog, owners):
            continue
        problem = str(UnknownModel(target, list(catalog.nearest.to(target))))
        raise PriceFileError(path, place, problem)


def _places(overrides: Overrides) -> Iterator[tuple[str, Terms]]:
    """Yields the key path of the models of each owner of terms, with the terms."""
    yield "models", overrides.everyone
    for account_id, terms in overrides.accounts.items():
        yield f"accounts.{account_id}.models", terms


def _has_match(
    pattern: str,
    catalog: Catalog,
    owners: list[OwnPrices],
) -> bool:
    """Returns whether a name with a price fits the pattern."""
    before, _, after = pattern.lower().partition(STAR)
    names = catalog.ids()
    for owner in owners:
        names += owner.other_names
    lower = [name.lower() for name in names]
    return any(name.startswith(before) and name.endswith(after) for name in lower)
