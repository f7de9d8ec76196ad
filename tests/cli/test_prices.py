"""`creditgate prices`: listed, shown and compared; a file put in force."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gate.v1.gate_pb2 import Usage
from meter.prices import PriceTable
from support.customer import CREDIT, Customer, another_gate
from support.servers import wait_until
from support.stack import Stack
from support.terminal import ONE_TRANSPORT, Creditgate

pytest_plugins = ("support.command_line",)
pytestmark = ONE_TRANSPORT

Open = Callable[..., Customer]

FILE = """
markup_percent: 25
models:
  acme-large:
    - per_million: {input_tokens: 2, cached_input_tokens: 0.5, output_tokens: 8}
      per_unit: {requests: "0.01"}
      tiers: [{above_input_tokens: 200000, per_million: {input_tokens: 4}}]
    - {effective_at: 2099-01-01T00:00:00Z, per_million: {input_tokens: 1, output_tokens: 8}}
accounts:
  acme:
    markup_percent: -10
    models: {gpt-4o: [{per_million: {input_tokens: 1, output_tokens: 3}}]}
"""


@pytest.fixture
def prices(creditgate: Creditgate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The price file that the command knows; it is FILE."""
    path = tmp_path / "prices.yaml"
    path.write_text(FILE)
    monkeypatch.setenv("CREDITGATE_PRICES_FILE", str(path))
    return path


def test_the_list_has_every_model_with_a_price(creditgate: Creditgate, prices: Path) -> None:
    listed = [row[0] for row in creditgate("prices list").rows]
    assert len(listed) > 2000
    assert {"acme-large", "openai/gpt-4o", "azure/o1"} <= set(listed)
    assert listed == sorted(listed)


def test_the_list_is_narrowed_by_provider_and_text_and_seen_by_an_account(
    creditgate: Creditgate, prices: Path
) -> None:
    [heading, line] = creditgate("prices list --match ACME").lines
    assert heading.startswith("model currency input cached output ")
    assert line.startswith("acme-large USD 2.5 0.625 10 ")
    assert "requests" in line.split()
    assert " > 200,000 " in creditgate("prices list --match acme").out
    own = creditgate("prices list --provider OpenAI --match gpt-4o --account acme").rows
    assert all(row[0].startswith("openai/") and "gpt-4o" in row[0] for row in own)
    assert next(row[2:5] for row in own if row[0] == "openai/gpt-4o") == ["1", "1", "3"]
    [one] = creditgate("prices list --match acme-large --json").json
    assert one == creditgate("prices show acme-large --json").json


def test_a_price_is_shown_unit_by_unit_with_tiers_version_window_and_source(
    creditgate: Creditgate, prices: Path
) -> None:
    table = creditgate("prices show acme-large").lines
    version = PriceTable.load(prices).find("acme-large", 0).version
    for line in (
        f"version {version}",
        "source file, +25%",
        "in force since always",
        "until 2099-01-01T00:00:00Z",
        "unit for each base > 200,000 input",
        "input_tokens 1,000,000 2.5 5",
        "cached_input_tokens 1,000,000 0.625 0.625",
        "requests 1 0.0125 0.0125",
    ):
        assert line in table
    assert not any(line.startswith("cache_write_tokens") for line in table), (
        "it only follows input_tokens"
    )
    later = creditgate("prices show acme-large --at 2099-01-01T00:00:00Z").out
    assert "requests" not in later
    assert "1.25" in later
    own = creditgate("prices show gpt-4o --account acme").lines
    assert {"source account", "input_tokens 1,000,000 1", "openai/gpt-4o"} <= set(own)


def test_a_price_is_shown_for_a_service_tier(creditgate: Creditgate, prices: Path) -> None:
    at = "--at 2026-11-20T00:00:00Z"
    assert "also sold as batch, fast, priority" in creditgate(f"prices show gpt-4.1 {at}").lines
    table = creditgate(f"prices show gpt-4.1 {at} --service-tier batch").lines
    assert {"service tier batch", "output_tokens 1,000,000 5"} <= set(table)
    assert not any("also sold" in line for line in creditgate("prices show acme-large").lines)


def test_a_price_as_json_is_exact_and_has_the_list_price_it_comes_from(
    creditgate: Creditgate, prices: Path
) -> None:
    shown = creditgate("prices show acme-large --json").json
    assert (shown["markup_percent"], shown["per_unit"]) == ("25", {"requests": "0.0125"})
    assert shown["per_million"]["output_reasoning_tokens"] == "10"
    assert shown["tiers"][0]["above_input_tokens"] == 200_000
    assert shown["list_price"]["per_million"]["input_tokens"] == "2"
    assert shown["from"] is None
    assert (shown["until"], shown["source"]) == ("2099-01-01T00:00:00Z", "file")
    whisper = creditgate("prices show groq/whisper-large-v3 --json").json
    assert whisper["per_unit"]["audio_seconds"] == "37/960000", (
        "0.111 an hour and a quarter more: no decimal is exact"
    )
    assert whisper["minimums"]["audio_seconds"] == 10


def test_every_price_of_an_invoice_is_shown_by_its_version(
    creditgate: Creditgate, open_account: Open
) -> None:
    customer = open_account("10")
    for model in ("tiny", "gpt-4o"):
        customer.debit(usage=Usage(model=model, input_tokens=1000, output_tokens=100))
    lines = customer.invoice().lines
    assert len(lines) == 4
    for line in lines:
        shown = creditgate(f"prices show --version {line.price_version} --json").json
        assert (shown["model"], shown["version"]) == (line.model, line.price_version)
        assert shown["per_million"][line.unit] == line.unit_price
    version = lines[0].price_version
    assert f"version {version}" in " ".join(creditgate(f"prices show --version {version}").words)


def test_two_versions_are_compared_by_what_the_ledger_keeps_of_them(
    creditgate: Creditgate, open_account: Open
) -> None:
    customer = open_account("10")
    customer.debit(usage=Usage(model="tiny", input_tokens=1))
    customer.debit(usage=Usage(model="gpt-4o", input_tokens=1))
    new, old = (entry.price_version for entry in customer.entries()[:2])
    table = creditgate(f"prices diff {old} {new}").lines
    assert "openai/gpt-4o input_tokens 1,000,000 1 2.5 +150%" in table
    changes = creditgate(f"prices diff {old} {new} --json").json
    assert (changes["old_version"], changes["new_version"]) == (old, new)
    assert changes["units"][0] == {
        "unit": "input_tokens",
        "above_input_tokens": 0,
        "per": 1_000_000,
        "old": "1",
        "new": "2.5",
        "percent": "150",
    }
    assert creditgate(f"prices diff {old} {old}").out == "no price differs\n"


def test_a_file_is_compared_with_what_is_in_force_and_with_another(
    creditgate: Creditgate, prices: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(FILE.replace("percent: 25", "percent: 50").replace("tokens: 3}", "tokens: 6}"))
    table = creditgate(f"prices diff {other}").lines
    assert any(
        line.startswith("everyone ") and line.endswith("(list prices) markup 25% 50%")
        for line in table
    )
    assert any(line.endswith("acme-large input_tokens 1,000,000 2.5 3 +20%") for line in table)
    assert any(
        line.endswith("acme-large input_tokens 200,000 1,000,000 5 6 +20%") for line in table
    )
    assert "everyone 2099-01-01T00:00:00Z acme-large input_tokens 1,000,000 1.25 1.5 +20%" in table
    assert any(
        line.startswith("acme ") and line.endswith("output_tokens 1,000,000 3 6 +100%")
        for line in table
    )
    assert not any(line.startswith("acme ") and "acme-large" in line for line in table), (
        "there its own markup holds"
    )
    changes, in_force = _both_of_one_second(
        lambda: creditgate(f"prices diff {prices} {other} --json").json,
        lambda: creditgate(f"prices diff {other} --json").json,
    )
    assert [(each["account"], each["old"], each["new"]) for each in changes["markups"]] == [
        ("", "25", "50")
    ]
    assert changes == in_force
    assert creditgate(f"prices diff {prices}").out == "no price differs\n"


def test_a_file_in_another_currency_is_compared_and_shown_by_currency(
    creditgate: Creditgate, prices: Path, tmp_path: Path
) -> None:
    yen = tmp_path / "yen.yaml"
    yen.write_text(
        "currency: JPY\nmodels: {gpt-4o: [{per_million: {input_tokens: 375, output_tokens: 1500}}],"
        " mine: {same_as: gpt-4o}}\ntrust_reported_cost: true"
    )
    prices.write_text("markup_percent: 0")
    table = creditgate(f"prices diff {yen}").lines
    assert "everyone mine same as - gpt-4o" in table
    assert "everyone (reported costs) trusted no yes" in table
    assert any(line.endswith("openai/gpt-4o, JPY input_tokens 1,000,000 - 375") for line in table)
    assert not any("%" in line or "2.5" in line for line in table)
    prices.write_bytes(yen.read_bytes())
    for options, price in (("", "375"), ("--currency jpy", "375"), ("--currency USD", "2.5")):
        shown = creditgate(f"prices show mine {options} --json").json
        assert shown["per_million"]["input_tokens"] == price
    listed = creditgate("prices list --match gpt-4o --currency USD --json").json
    assert "openai/gpt-4o" in {each["model"] for each in listed}
    assert {each["currency"] for each in listed} == {"USD"}


def test_a_file_is_installed_where_running_gates_find_it(
    creditgate: Creditgate, stack: Stack, prices: Path, open_account: Open, tmp_path: Path
) -> None:
    new = tmp_path / "new.yaml"
    used = Usage(model="acme-large", output_tokens=100)
    new.write_text(FILE.replace("percent: 25", "percent: 50"))
    with another_gate(stack, prices_file=str(prices)) as (_, client):
        customer = open_account("10").at(client)
        hold = customer.authorize(usage=used)
        done = creditgate(f"prices import {new}")
        assert (done.status, done.err) == (0, "")
        assert "acme-large" in done.out
        assert f"installed as {prices}: " in done.out
        assert prices.read_bytes() == new.read_bytes()
        wait_until(
            lambda: (
                customer.debit(usage=used).charged_nanos == CREDIT // 100 * 3 // 2 + 100 * 12_000
            )
        )
        assert (
            customer.debit(usage=used, hold_id=hold.hold_id).charged_nanos
            == CREDIT // 100 * 5 // 4 + 100 * 10_000
        )


def test_without_a_file_that_is_set_the_data_directory_gets_one(
    creditgate: Creditgate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    new = tmp_path / "new.yaml"
    folder = tmp_path / "data"
    new.write_text(FILE)
    monkeypatch.setenv("CREDITGATE_DATA_DIR", str(folder))
    monkeypatch.delenv("CREDITGATE_PRICES_FILE")
    assert creditgate(f"prices import {new}").status == 0
    assert (folder / "prices.yaml").read_text() == FILE
    assert folder.stat().st_mode & 0o777 == 0o700
    assert "file, +25%" in creditgate("prices show acme-large").out
    assert creditgate(f"prices import {new}").out.startswith("no price differs\n")


def test_a_wrong_file_is_refused_whole_and_what_is_in_force_stays(
    creditgate: Creditgate, prices: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new.yaml"
    new.write_text(FILE.replace("tokens: 3}", "tokens: three}"))
    for command in ("import", "diff"):
        done = creditgate(f"prices {command} {new}")
        assert (done.status, done.out) == (1, "")
        assert done.err.startswith(
            f"creditgate: {new}: accounts.acme.models.gpt-4o[0].per_million.output_tokens: "
        )
        assert done.err.count("\n") == 1
    assert prices.read_text() == FILE


def test_a_wrong_file_in_force_does_not_keep_its_correction_out(
    creditgate: Creditgate, prices: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new.yaml"
    new.write_text(FILE)
    prices.write_text("models: [")
    done = creditgate(f"prices import {new}")
    assert done.status == 0
    assert done.err.startswith(f"creditgate: {prices}: is not YAML")
    assert "compared with the built-in prices instead" in done.err
    assert prices.read_text() == FILE


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("show gpt-none", "prices list --match"),
        ("show gpt4o-typo", "the nearest names are azure/gpt-4o, openai/gpt-4o"),
        ("show o3 --currency JPY", "'o3' has no price in JPY, but one in USD"),
        ("show azure/gpt-4o --service-tier batch", "has no price for service tier 'batch'"),
        ("show gpt-4o --at tomorrow", "write it as 2026-11-01"),
        ("show --version 123456789abc", "the ledger has no price of version '123456789abc'"),
        ("diff 123456789abc 123456789abd", "the ledger has no price of version '123456789abc'"),
        ("diff nowhere.yaml", "nowhere.yaml: cannot be read"),
        ("import nowhere.yaml", "No such file"),
    ],
)
def test_what_went_wrong_is_one_line_that_names_the_fix(
    creditgate: Creditgate, words: str, says: str
) -> None:
    done = creditgate(f"prices {words}")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("creditgate: ")
    assert done.err.count("\n") == 1
    assert says in done.err


@pytest.mark.parametrize(
    "words",
    [
        "show",
        "show gpt-4o --version 123456789abc",
        "show --version 123456789abc --service-tier batch",
        "show --version 123456789abc --account acme",
        "diff",
        "diff 123456789abc",
        "diff 123456789abc prices.yaml",
    ],
)
def test_a_command_wrongly_typed_ends_with_2_and_its_usage(
    creditgate: Creditgate, words: str
) -> None:
    done = creditgate(f"prices {words}")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("Usage: ")


def _both_of_one_second(one: Callable[[], Any], other: Callable[[], Any]) -> tuple[Any, Any]:
    """What both say within one second, for they tell from which second on a price differs."""
    while True:
        second = int(time.time())
        both = one(), other()
        if int(time.time()) == second:
            return both
