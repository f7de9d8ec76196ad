"""Settings: what is accepted, what is refused and how that reads, and that no secret is shown."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gate.address import Address, parse_address
from gate.settings import (
    SECRETS,
    Settings,
    SettingsError,
    effective,
    load_settings,
    masked,
    unknown_variables,
)
from meter.database.engine import Ledger


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("CREDITGATE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", "/data")


def test_without_any_variable_the_defaults_are_in_force() -> None:
    settings = load_settings()
    assert settings.listen == Address(host="127.0.0.1", port=50051)
    assert settings.billing_listen == Address(host="127.0.0.1", port=50052)
    assert settings.metrics_listen == Address(host="127.0.0.1", port=9464)
    assert settings.redis_url == "embedded"
    assert settings.data_dir == Path("/data/creditgate")
    assert settings.ledger_url == "sqlite:////data/creditgate/ledger.db"


def test_the_default_ledger_follows_the_data_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITGATE_DATA_DIR", "/srv/credit gate")
    assert load_settings().ledger_url == "sqlite:////srv/credit%20gate/ledger.db"


def test_the_default_ledger_is_found_in_a_data_directory_of_any_name(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path / "a b%20#?é")
    assert Ledger(settings.ledger_url).url.database == f"{tmp_path}/a b%20#?é/ledger.db"


def test_the_data_directory_becomes_absolute(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings(data_dir="here").data_dir == tmp_path / "here"
    assert load_settings(data_dir="~/there").data_dir == Path.home() / "there"


def test_an_option_goes_before_the_environment_and_none_is_no_option(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CREDITGATE_SHARDS", "8")
    assert load_settings(shards=None).shards == 8
    assert load_settings(shards=4).shards == 4


def test_an_empty_metrics_address_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITGATE_METRICS_LISTEN", "")
    monkeypatch.setenv("CREDITGATE_PRICES_FILE", "")
    assert load_settings().metrics_listen is None
    assert load_settings().prices_file is None


def test_the_environment_of_a_child_gives_equal_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prices = tmp_path / "prices.yaml"
    prices.touch()
    settings = load_settings(
        listen="unix:/run/gate.sock",
        metrics_listen="",
        data_dir=tmp_path,
        redis_url="redis://:pa%20ss@host/1",
        flush_interval_ms=7,
        prices_file=prices,
        top_up_bounds='{"CHF": [0.5, null], "EUR": null}',
        voucher_key="k" * 32,
    )
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings


BAD = {
    "listen": [
        "",
        "50051",
        "localhost",
        ":50051",
        "host:0",
        "host:65536",
        "host:x",
        "::1:50051",
        "unix:gate.sock",
    ],
    "billing_listen": ["", "50052", "127.0.0.1:50051", "unix:billing.sock"],
    "workers": ["", "0", "65", "two"],
    "transport": ["", "http", "Native"],
    "metrics_listen": ["9464", "host:"],
    "data_dir": [""],
    "redis_url": [
        "",
        "localhost:6379",
        "http://host",
        "redis://",
        "unix://relative",
        "EMBEDDED",
        "redis://host:x",
        "redis://host/one",
        "redis://host/0#fragment",
    ],
    "redis_name": ["x" * 201, "two\nlines"],
    "ledger_url": [
        "",
        "ledger.db",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:////run/ledger.db?timeout=5",
        "mysql://host/db",
        "postgres://h",
    ],
    "flush_interval_ms": ["", "x", "0", "-1", "1.5", "60001"],
    "redis_connections": ["0", "65"],
    "redis_replicas": ["-1", "17"],
    "redis_timeout_ms": ["9", "60001"],
    "shards": ["0", "100"],
    "replay_window_ms": ["999"],
    "prices_file": ["/no/such/file", "/"],
    "top_up_bounds": [
        "",
        "[5, 5000]",
        '{"usd": [5, 5000]}',
        '{"ZZZ": [5, 5000]}',
        '{"USD": 5}',
        '{"USD": [5000, 5]}',
        '{"USD": [-1, 5]}',
        '{"USD": ["x", 5]}',
    ],
    "top_up_expiry_days": ["-1", "36501"],
    "payment_reference_per_account": ["perhaps"],
    "voucher_key": ["x" * 31],
    "http_listen": ["nowhere"],
    "billing_http_listen": ["nowhere"],
    "webhook_key": ["x" * 31],
    "webhook_allow": ["10.0.0.1/8", "localhost"],
    "delivery_log_days": ["0", "401", "x"],
    "smtp_url": ["mail.example.com", "smtp://mail.example.com", "smtps://host:x"],
    "mail_from": ["nobody", "a b@example.com"],
    "operator_email": ["nobody", "ops@a@b"],
    "templates_dir": ["/no/such/directory"],
    "secrets_dir": ["/no/such/directory", __file__],
    "tokens_file": ["/"],
    "allow_unauthenticated": ["perhaps"],
    "token": ["x", "cg_x"],
    "token_file": ["/"],
    "tls_cert_file": ["/no/such/file"],
    "tls_key_file": ["/no/such/file", __file__],
    "tls_client_ca_file": ["/no/such/file", __file__],
    "tls_ca_file": ["/no/such/file"],
    "payments": ["cash", "Test"],
    "stripe_key": ["short"],
    "stripe_webhook_secrets": ["short"],
    "stripe_api_url": ["api.stripe.com"],
    "return_url": ["", "example.com"],
    "hooks_listen": ["nowhere"],
    "payment_instructions": ["x" * 2001],
    "on_dispute": ["resume"],
    "recharges_per_hour": ["0", "1001"],
    "recharge_retries": ["1", "1h,1h,1h,1h,1h", "0s", "1 hour"],
    "max_in_flight": ["0"],
    "memory_max_mib": ["255", "1048577"],
    "drain_timeout_ms": ["-1"],
    "reap_interval_ms": ["9"],
    "envoy_account": ["", "x-account", "header:", "context:", "metadata:key", "principal:x"],
    "envoy_dimensions": ["", "[]", "{", '{"user": "x-user"}', '{"": "header:x"}', '{"a": 1}'],
    "envoy_default_output_tokens": ["0"],
    "envoy_max_output_tokens": ["0", "10000001"],
    "envoy_min_output_tokens": ["-1"],
    "envoy_tokens_per_byte": ["0", "nan", "inf", "11"],
    "envoy_hold_ttl_ms": ["999", "86400001"],
    "envoy_unreported": ["", "free"],
    "embedded_fsync": ["no", "Always"],
    "log_level": ["loud"],
    "log_format": ["xml"],
}


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("redis://host?socket_timeout=5", "option socket_timeout is not supported"),
        ("redis://host?db=3", "option db is not supported"),
        ("redis://host?ssl_ca_certs=/ca.pem", "option ssl_ca_certs is not supported"),
        ("rediss://host?ssl_ciphers=x", "option ssl_ciphers is not supported"),
        ("unix:///run/redis?protocol=3", "option protocol is not supported"),
        ("unix:///run/redis?db=x", "option db is a number of a database"),
        ("unix:///run/redis?db=1&db=2", "option db is given more than once"),
        ("rediss://host?ssl_ca_certs=/no/ca.pem", "option ssl_ca_certs names no file: /no/ca.pem"),
        ("rediss://host?ssl_ca_path=/no", "option ssl_ca_path names no directory"),
        ("rediss://host?ssl_cert_reqs=maybe", "option ssl_cert_reqs is required, optional or none"),
        ("rediss://host?ssl_check_hostname=0", "option ssl_check_hostname is true or false"),
        ("rediss://host?ssl_password=", "option ssl_password is empty"),
        ("rediss://host?ssl_keyfile=/dev/null", "option ssl_keyfile names no file"),
        (f"rediss://host?ssl_keyfile={__file__}", "option ssl_certfile is missing"),
    ],
)
def test_an_option_of_the_store_s_url_that_would_have_no_effect_is_refused_by_name(
    url: str, problem: str
) -> None:
    with pytest.raises(SettingsError, match=problem):
        load_settings(redis_url=url)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("redis://me:secret@host", "host:6379/0"),
        ("rediss://host:7000/3?ssl_cert_reqs=none", "host:7000/3"),
        ("unix:///run/redis", "/run/redis"),
        ("unix:///run/redis?db=3", "/run/redis/3"),
    ],
)
def test_a_store_is_named_by_its_address_and_database(url: str, name: str) -> None:
    assert load_settings(redis_url=url).store_name() == name


def test_the_table_of_bad_values_has_every_setting() -> None:
    assert BAD.keys() == Settings.model_fields.keys()


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in BAD.items() for value in values]
)
def test_a_bad_value_is_refused_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, field: str, value: str
) -> None:
    monkeypatch.setenv(f"CREDITGATE_{field.upper()}", value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert len(refused.value.problems) == 1
    shown = "***" if field in SECRETS else value
    assert refused.value.problems[0].startswith(f"CREDITGATE_{field.upper()}={shown!r}: ")


def test_a_unix_socket_is_served_by_one_worker() -> None:
    assert load_settings(listen="unix:/run/gate.sock", workers=1).workers == 1
    with pytest.raises(
        SettingsError, match="CREDITGATE_WORKERS='2': a unix socket is served by one process"
    ):
        load_settings(listen="unix:/run/gate.sock", workers=2)


def test_all_bad_variables_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITGATE_DATA_DIR", "")
    monkeypatch.setenv("CREDITGATE_SHARDS", "many")
    monkeypatch.setenv("CREDITGATE_LISTNE", "127.0.0.1:1")
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert [problem.split("=")[0].split(":")[0] for problem in refused.value.problems] == [
        "CREDITGATE_LISTNE",
        "CREDITGATE_DATA_DIR",
        "CREDITGATE_SHARDS",
    ]
    assert "did you mean CREDITGATE_LISTEN?" in refused.value.problems[0]


def test_a_variable_that_is_no_setting_is_told_of_but_stops_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CREDITGATE_COLOUR", "green")
    load_settings()
    assert unknown_variables() == ["CREDITGATE_COLOUR: there is no such setting; unset it"]


def test_a_password_is_shown_neither_in_effective_settings_nor_in_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = load_settings(
        redis_url="redis://me:s3cret@host/0",
        ledger_url="postgresql://h/db?password=s3cret&x=1",
        voucher_key="s3cret" * 6,
    )
    assert "s3cret" not in str(effective(settings))
    monkeypatch.setenv("CREDITGATE_REDIS_URL", "http://me:s3cret@host")
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("redis://:s3cret@host:6379/0", "redis://:***@host:6379/0"),
        ("rediss://me:s3/c@r:et@host:6379", "rediss://me:***@host:6379"),
        (
            "postgresql://me:s3cret@[::1]:5432/db?sslmode=require",
            "postgresql://me:***@[::1]:5432/db?sslmode=require",
        ),
        (
            "postgresql://host/db?user=me&password=s3cret&a=b",
            "postgresql://host/db?user=me&password=***&a=b",
        ),
        ("unix:///run/my.sock?password=s3cret", "unix:///run/my.sock?password=***"),
        (":s3cret@host", ":***@host"),
    ],
)
def test_only_the_password_of_a_url_is_masked(url: str, shown: str) -> None:
    assert masked(url) == shown


def test_every_setting_is_described_and_has_its_unit_in_its_name() -> None:
    for field, info in Settings.model_fields.items():
        assert info.description
        assert info.description.endswith(".")
        assert field.endswith("_ms") == bool(re.search(r"\bms\b", info.description))


def test_only_a_shared_store_is_good_for_processes_that_embed_none() -> None:
    assert load_settings(redis_url="redis://host").shared_redis_url() == "redis://host"
    with pytest.raises(SettingsError, match="CREDITGATE_REDIS_URL='embedded'"):
        load_settings().shared_redis_url()


@pytest.mark.parametrize(
    ("text", "address", "target"),
    [
        ("127.0.0.1:50051", Address(host="127.0.0.1", port=50051), "127.0.0.1:50051"),
        ("gate.internal:1", Address(host="gate.internal", port=1), "gate.internal:1"),
        ("[::1]:65535", Address(host="::1", port=65535), "[::1]:65535"),
        ("unix:/run/a b%20#?", Address(path="/run/a b%20#?"), "unix:/run/a%20b%2520%23%3F"),
        ("unix:///run/gate.sock", Address(path="/run/gate.sock"), "unix:/run/gate.sock"),
    ],
)
def test_an_address_is_host_and_port_or_a_unix_socket(
    text: str, address: Address, target: str
) -> None:
    assert parse_address(text) == address
    assert address.grpc_target == target
    assert parse_address(str(address)) == address


def test_a_unix_path_that_no_kernel_takes_is_refused() -> None:
    parse_address("unix:/" + "x" * 102)
    with pytest.raises(ValueError, match="at most 103 bytes"):
        parse_address("unix:/" + "x" * 103)


def test_the_url_of_an_ipv6_address_has_brackets() -> None:
    assert parse_address("[::1]:9464").http_url("/metrics") == "http://[::1]:9464/metrics"


def test_importing_the_settings_reads_nothing() -> None:
    environment = {**os.environ, "CREDITGATE_SHARDS": "many"}
    subprocess.run([sys.executable, "-c", "import gate.settings"], env=environment, check=True)


def test_gate_and_billing_do_not_share_an_address() -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(listen="127.0.0.1:7", billing_listen="127.0.0.1:7")
    [problem] = refused.value.problems
    assert problem.startswith("CREDITGATE_BILLING_LISTEN='127.0.0.1:7': the gate listens there")


def test_bounds_of_top_ups_amend_the_default() -> None:
    bounds = load_settings(top_up_bounds='{"USD": [25, 50], "CHF": [1, null], "EUR": null}')
    told = {name: str(bound) for name, bound in bounds.top_up_bounds.items()}
    assert told == {
        "USD": "25.00 to 50.00",
        "JPY": "at least 3,000.00",
        "VND": "at least 500,000.00",
        "CHF": "at least 1.00",
    }


def test_a_mail_server_needs_an_address_that_mails_come_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CREDITGATE_SMTP_URL", "smtps://mail.example.com")
    with pytest.raises(SettingsError, match="CREDITGATE_MAIL_FROM=''"):
        load_settings()


def test_secrets_are_read_from_files_and_the_environment_goes_before_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "creditgate_ledger_url").write_text("postgresql://gate:sesame@db/creditgate\n")
    (tmp_path / "creditgate_voucher_key").write_text("k" * 32)
    (tmp_path / "of_another_program").write_text("x")
    monkeypatch.setenv("CREDITGATE_SECRETS_DIR", str(tmp_path))
    settings = load_settings()
    assert settings.ledger_url == "postgresql://gate:sesame@db/creditgate"
    assert settings.voucher_secret() == "k" * 32
    assert not [each for each in effective(settings) if "sesame" in each.value]
    monkeypatch.setenv("CREDITGATE_LEDGER_URL", "postgresql://gate@elsewhere/creditgate")
    assert load_settings().ledger_url == "postgresql://gate@elsewhere/creditgate"
    (tmp_path / "creditgate_voucher_key").write_text("short")
    with pytest.raises(SettingsError, match=re.escape("CREDITGATE_VOUCHER_KEY='***': ")):
        load_settings()
