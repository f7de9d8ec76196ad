"""`creditgate gateway`: what is typed wrongly is told, and the configuration can be printed."""

from pathlib import Path

import pytest
import yaml

from support.stack import Stack
from support.terminal import ONE_TRANSPORT, Creditgate

pytest_plugins = ("support.command_line",)
pytestmark = ONE_TRANSPORT

UPSTREAM = "--upstream https://api.openai.com"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (UPSTREAM, "give either --keys, a file, or --account"),
        (f"{UPSTREAM} --account acme --keys keys.yaml", "give either --keys, a file, or --account"),
        (f"{UPSTREAM} --account 'a b'", "--account: account: must be printable, without spaces"),
        ("--upstream api.openai.com --account acme", "--upstream: write https://HOST or http://"),
        ("--upstream https://h/v1 --account acme", "--upstream: write https://HOST or http://"),
        (f"{UPSTREAM} --account acme --listen 0.0.0.0:80", "could spend the account's credits"),
        (f"{UPSTREAM} --account acme --listen unix:/s", "--listen: write HOST:PORT"),
        (f"{UPSTREAM} --account acme --header x", "--header: 'x' is written as NAME=VALUE"),
        (f"{UPSTREAM} --keys none.yaml", "No such file"),
        (f"{UPSTREAM} --keys short.yaml", "a key has at least 8 printable characters"),
        (f"{UPSTREAM} --keys number.yaml", "write the account 7 in quotes"),
        (f"{UPSTREAM} --keys list.yaml", "has a line for each key"),
        (f"{UPSTREAM} --keys broken.yaml", "is no YAML"),
    ],
)
def test_what_is_typed_wrongly_is_told(
    creditgate: Creditgate,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    written = {"short": "k: acme", "number": "k-long-enough: 7", "list": "[]", "broken": "{"}
    for name, text in written.items():
        Path(f"{name}.yaml").write_text(text)
    done = creditgate(f"gateway {words}")
    assert done.status == 1
    assert says in done.err


def test_the_configuration_is_printed_with_keys_and_gate(
    creditgate: Creditgate, stack: Stack, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.yaml"
    keys.write_text("sk-ada-0001: acme\n")
    done = creditgate(f"gateway {UPSTREAM} --listen 0.0.0.0:8080 --keys {keys} --print-config")
    assert done.status == 0
    config = yaml.safe_load(done.out)["static_resources"]
    [manager] = config["listeners"][0]["filter_chains"][0]["filters"]
    identity, *others = manager["typed_config"]["http_filters"]
    assert identity["typed_config"]["credentials"] == [{"key": "sk-ada-0001", "client": "acme"}]
    assert [each["name"].rpartition(".")[2] for each in others] == [
        "ext_authz",
        "lua",
        "ratelimit",
        "router",
    ]
    [endpoint] = config["clusters"][0]["load_assignment"]["endpoints"][0]["lb_endpoints"]
    address = endpoint["endpoint"]["address"]["socket_address"]
    assert f"{address['address']}:{address['port_value']}" == stack.targets[0]
