"""Commands to list, show and compare prices, and put a price file in force."""

import re
import sys
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from gate.cli.command_group import add_group
from gate.cli.connection import CallFailed, console, parse_time
from gate.cli.price_json import changes_json, price_change_json, price_json, print_as_json
from gate.cli.price_tables import print_changes, print_list, print_price, print_price_changes
from gate.process.data_dir import make_private_dir
from gate.settings import Settings, load_settings
from meter.prices import (
    ModelPrice,
    PriceFile,
    PriceFileError,
    PriceTable,
    PriceWindow,
    UnknownModel,
    UnpricedServiceTier,
)
from meter.prices.diff import (
    MarkupChange,
    PriceChange,
    TargetChange,
    TrustChange,
    markup_changes,
    price_changes,
    target_changes,
    trust_changes,
)
from meter.prices.service_tiers import STANDARD, service_tier_named
from meter.watched_file import install

Currency = Annotated[
    str, typer.Option(metavar="CURRENCY", help="Only prices in it, as an account in it pays.")
]
ServiceTier = Annotated[
    str, typer.Option(metavar="TIER", help="The price of this service, such as batch.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, with prices as exact text.")]
Account = Annotated[
    str, typer.Option(metavar="ACCOUNT", help="As this account pays, not everyone.")
]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    add_group(
        app,
        "prices",
        "List, show and compare prices, and put a price file in force.",
        {
            "list": list_prices,
            "show": show,
            "diff": diff,
            "import": import_file,
        },
    )


def list_prices(
    provider: Annotated[
        str, typer.Option(help="Only models of this provider, such as openai.")
    ] = "",
    match: Annotated[
        str, typer.Option(metavar="TEXT", help="Only models with this in their names.")
    ] = "",
    account: Account = "",
    currency: Currency = "",
    as_json: AsJson = False,
) -> None:
    """List every model's price now, in credits per million tokens."""
    table = _in_force(load_settings())
    now_ms = _now_ms()
    listed = []
    for name in sorted(table.models(account)):
        if not _is_wanted(name.lower(), provider.lower(), match.lower()):
            continue
        window = table.window(name, now_ms, account, currency.upper())
        if window.price is not None:
            listed.append((window.price, window))
    if as_json:
        print_as_json([price_json(price, window) for price, window in listed])
    else:
        print_list(listed)


def show(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model's name, or provider/model.")
    ] = "",
    at: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="In force then (UTC), not now.",
        ),
    ] = "",
    account: Account = "",
    currency: Currency = "",
    service_tier: ServiceTier = "",
    version: Annotated[
        str, typer.Option(help="Show this version instead, as the ledger keeps it.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Show a model's price unit by unit, or what was charged under a version."""
    narrowed = at or account or currency or service_tier
    if bool(model) == bool(version) or (version and narrowed):
        raise typer.BadParameter(
            "give either a model, with --at, --account, --currency or --service-tier,"
            " or --version alone"
        )
    settings = load_settings()
    if version:
        [price] = _recorded(settings, version)
        _print_price(price, None, (), as_json)
        return
    table = _in_force(settings)
    kind = (_parse_time_ms(at), account, currency.upper())
    tier = service_tier_named(service_tier)
    window = table.window(model, *kind, tier)
    price = window.price or _refuse_model(table, model, *kind, tier)
    _print_price(price, window, _service_tiers(table, model, *kind), as_json)


def diff(
    old: Annotated[
        str,
        typer.Argument(metavar="OLD", help="A price file or a version; alone: the new price file."),
    ],
    new: Annotated[
        str,
        typer.Argument(
            metavar="NEW",
            help="A price file or a version.",
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Show what changes, from what is in force to a price file, or between two price files or two
    versions.
    """
    if _is_version(old) and _is_version(new):
        _diff_versions(old, new, as_json)
    elif _is_version(old) or _is_version(new):
        raise typer.BadParameter(
            "compare a price file with a price file, or a version with a version"
        )
    else:
        _diff_files(old, new, as_json)


def import_file(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A price file; it is checked before anything changes."),
    ],
) -> None:
    """Put a price file in force: shows what it changes and installs it where gates with these
    settings find it.
    """
    settings = load_settings()
    content = file.read_bytes()
    table = PriceTable.under(file, content)
    _print_difference(_in_force_or_built_in(settings), table)
    if settings.prices_file is None:
        make_private_dir(settings.data_dir)
    install(content, settings.price_path)
    console.print(
        f"installed as {settings.price_path}: gates that run with this price file take it up within"
        " seconds; holds keep their prices. A gate with another --data-dir or"
        " CREDITGATE_PRICES_FILE reads another file: set CREDITGATE_DATA_DIR for this command, too"
    )


def _diff_versions(old: str, new: str, as_json: bool) -> None:
    before, after = _recorded(load_settings(), old, new)
    if as_json:
        print_as_json(price_change_json(before, after))
    else:
        print_price_changes(before, after)


def _diff_files(old: str, new: str, as_json: bool) -> None:
    """Compares two price files; without `new`, the prices in force with the file `old`."""
    if new:
        before = PriceTable.load(Path(old))
        after = PriceTable.load(Path(new))
    else:
        before = _in_force(load_settings())
        after = PriceTable.load(Path(old))
    if as_json:
        print_as_json(changes_json(*_differences(before, after)))
    else:
        _print_difference(before, after)


def _print_difference(before: PriceTable, after: PriceTable) -> None:
    print_changes(*_differences(before, after))


def _differences(
    before: PriceTable, after: PriceTable
) -> tuple[list[TrustChange], list[TargetChange], list[MarkupChange], list[PriceChange]]:
    now_ms = _now_ms()
    return (
        trust_changes(before, after),
        target_changes(before, after),
        markup_changes(before, after, now_ms),
        price_changes(before, after, now_ms),
    )


def _in_force(settings: Settings) -> PriceTable:
    return PriceFile(settings.price_path).read()


def _in_force_or_built_in(settings: Settings) -> PriceTable:
    """Returns the prices in force; the built-in prices if the price file in force is wrong.

    A wrong file must not keep its correction out.
    """
    try:
        return _in_force(settings)
    except PriceFileError as error:
        print(f"creditgate: {error}; compared with the built-in prices instead", file=sys.stderr)
        return PriceTable.load()


def _print_price(
    price: ModelPrice,
    window: PriceWindow | None,
    service_tiers: Iterable[str],
    as_json: bool,
) -> None:
    if as_json:
        print_as_json(price_json(price, window))
    else:
        print_price(price, window, service_tiers)


def _service_tiers(
    table: PriceTable,
    model: str,
    at_ms: int,
    account: str,
    currency: str,
) -> list[str]:
    """Returns the service tiers in which the model has a price."""
    tiers = sorted(table.service_tiers - {STANDARD})
    return [tier for tier in tiers if table.window(model, at_ms, account, currency, tier).price]


def _recorded(settings: Settings, *versions: str) -> list[ModelPrice]:
    # Imported here: SQLAlchemy would take half of the time that any command takes to start.
    from meter.database.migrate import open_ledger
    from meter.prices.recorded import Prices

    with closing(open_ledger(settings.ledger_url)) as ledger:
        prices = Prices(ledger)
        return [prices.version(version) or _refuse_version(version) for version in versions]


def _is_wanted(model: str, provider: str, match: str) -> bool:
    if provider and model.partition("/")[0] != provider:
        return False
    return match in model


def _is_version(text: str) -> bool:
    return re.fullmatch("[0-9a-f]{12}", text) is not None and not Path(text).exists()


def _parse_time_ms(text: str) -> int:
    """Returns a typed time in ms; the present second for no text."""
    stamp = parse_time("--at", text)
    if stamp is None:
        return _now_ms()
    return stamp.ToMilliseconds()


def _now_ms() -> int:
    return int(time.time()) * 1000


def _refuse_model(
    table: PriceTable,
    model: str,
    at_ms: int,
    account: str,
    currency: str,
    service_tier: str,
) -> NoReturn:
    try:
        price = table.find(model, at_ms, account, service_tier=service_tier)
    except (UnknownModel, UnpricedServiceTier) as error:
        raise CallFailed(f"{error}; `creditgate prices list --match` shows names") from None
    raise CallFailed(f"{model!r} has no price in {currency}, but one in {price.currency}")


def _refuse_version(version: str) -> NoReturn:
    raise CallFailed(
        f"the ledger has no price of version {version!r}: "
        "check it, and that CREDITGATE_LEDGER_URL is the ledger it is from"
    )
