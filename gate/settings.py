"""Holds every setting: read once from the environment, validated here and nowhere else."""

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    SecretStr,
    ValidationError,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from gate.access_settings import (
    AllowUnauthenticated,
    OwnToken,
    OwnTokenFile,
    SecretsDir,
    TokensFile,
)
from gate.address import Address, parse_address
from gate.billing_settings import BillingSettings
from gate.envoy_settings import EnvoySettings
from gate.http_settings import BillingHttpListen, HttpListen
from gate.payment_settings import PAYMENT_SECRETS, PaymentSettings
from gate.redis_url import address_of
from gate.setting_forms import (
    EMBEDDED,
    check_billing_listen,
    check_workers,
    read_directory,
    read_existing_file,
    read_ledger_url,
    read_listen,
    read_optional_listen,
    read_redis_name,
    read_redis_url,
    read_secret_key,
    read_top_up_bounds,
    sqlite_url,
)
from gate.setting_texts import MASK, masked, shown, text_of
from gate.settings_error import SettingsError
from gate.tls_settings import TlsCaFile, TlsCertFile, TlsClientCaFile, TlsKeyFile
from meter.admin.top_up_bounds import TopUpBounds

__all__ = [
    "EMBEDDED",
    "PREFIX",
    "Address",
    "EffectiveSetting",
    "Settings",
    "SettingsError",
    "effective",
    "env_name",
    "load_settings",
    "parse_address",
]

PREFIX = "CREDITGATE_"
SECRETS = ("voucher_key", "webhook_key", "token", *PAYMENT_SECRETS)


def _default_data_dir() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share") / "creditgate"


def _default_ledger_url(valid: dict[str, Any]) -> str:
    return f"{sqlite_url(valid['data_dir'])}/ledger.db"


class Settings(EnvoySettings, PaymentSettings, BillingSettings, BaseSettings):
    """Holds all that an operator can choose.

    The environment variable of a field is CREDITGATE_ and the field's name in capitals.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        validate_default=True,
        enable_decoding=False,
    )

    listen: Annotated[Address, PlainValidator(read_listen)] = Field(
        default=Address(host="127.0.0.1", port=50051),
        description=(
            "Where the gate serves gRPC, and commands reach it: host:port (IPv6 in brackets) "
            "or unix:/path."
        ),
    )
    billing_listen: Annotated[
        Address, PlainValidator(read_listen), AfterValidator(check_billing_listen)
    ] = Field(
        default=Address(host="127.0.0.1", port=50052),
        description=(
            "Where billing serves gRPC, and commands reach the ledger: host:port or unix:/path."
        ),
    )
    workers: Annotated[int, AfterValidator(check_workers)] = Field(
        default=1,
        ge=1,
        le=64,
        description="Gate processes that share one TCP address, 1 to 64; a unix socket has one.",
    )
    transport: Literal["auto", "native", "grpcio"] = Field(
        default="auto",
        description=(
            "What serves gRPC: native (HTTP/2 outside the interpreter's lock), grpcio, or "
            "auto (native where it can be had)."
        ),
    )
    metrics_listen: Annotated[Address | None, PlainValidator(read_optional_listen)] = Field(
        default=Address(host="127.0.0.1", port=9464),
        description=(
            "Where /metrics is served over HTTP, for Prometheus: host:port or unix:/path. "
            "Empty: nowhere."
        ),
    )
    http_listen: HttpListen = None
    billing_http_listen: BillingHttpListen = None
    data_dir: Annotated[Path, BeforeValidator(read_directory)] = Field(
        default_factory=_default_data_dir,
        description=(
            "Directory of the embedded Valkey, the default SQLite ledger, and the locks of "
            "`creditgate up`."
        ),
    )
    redis_url: Annotated[str, BeforeValidator(read_redis_url)] = Field(
        default=EMBEDDED,
        description=(
            "The store: embedded (a Valkey of our own, only with `creditgate up`), redis://, "
            "rediss:// or unix://."
        ),
    )
    redis_name: Annotated[str | None, BeforeValidator(read_redis_name)] = Field(
        default=None,
        description=(
            "What the ledger calls the store; by default the store's address. An emptied store "
            "is filled again from the ledger only under the same name."
        ),
    )
    ledger_url: Annotated[str, BeforeValidator(read_ledger_url)] = Field(
        default_factory=_default_ledger_url,
        description=(
            "The durable books: sqlite:////absolute/path or postgresql://; by default in the "
            "data directory."
        ),
    )
    flush_interval_ms: int = Field(
        default=1_000,
        ge=1,
        le=60_000,
        description="How long a journal entry waits at most for others to be flushed with, in ms.",
    )
    redis_connections: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Connections to the store that all calls of one process share, 1 to 64.",
    )
    redis_replicas: int = Field(
        default=0,
        ge=0,
        le=16,
        description="How many replicas of the store must have a call before it is answered.",
    )
    redis_timeout_ms: int = Field(
        default=2_000,
        ge=10,
        le=60_000,
        description="How long to wait for the store to answer before UNAVAILABLE, in ms.",
    )
    shards: int = Field(
        default=16,
        ge=1,
        le=99,
        description="Partitions of accounts, 1 to 99. Fixed once the first account exists.",
    )
    replay_window_ms: int = Field(
        default=900_000,
        ge=1_000,
        le=86_400_000,
        description="How long the store itself remembers a request_id, in ms.",
    )
    prices_file: Annotated[Path | None, BeforeValidator(read_existing_file)] = Field(
        default=None,
        description=(
            "YAML file of prices that go before the built-in ones. Empty: prices.yaml in the "
            "data directory, if there."
        ),
    )
    top_up_bounds: Annotated[TopUpBounds, PlainValidator(read_top_up_bounds)] = Field(
        default=TopUpBounds("{}"),
        description=(
            "Least and most credits of one top-up by currency, as JSON that amends the default; "
            "null: no bound, also in place of a currency's two. Currencies in neither: above 0."
        ),
    )
    top_up_expiry_days: int = Field(
        default=365,
        ge=0,
        le=36_500,
        description="How long bought credits live, unless a top-up says otherwise. 0: for good.",
    )
    payment_reference_per_account: bool = Field(
        default=False,
        description=(
            "Whether two accounts may have top-ups of the same payment reference. "
            "Unless set, one payment makes one top-up, whatever the account."
        ),
    )
    voucher_key: Annotated[SecretStr | None, BeforeValidator(read_secret_key)] = Field(
        default=None,
        description=(
            "Secret by which voucher codes are hashed, the same for every gate. Empty: no "
            "vouchers; `up` makes one."
        ),
    )
    secrets_dir: SecretsDir = None
    tokens_file: TokensFile = None
    allow_unauthenticated: AllowUnauthenticated = False
    token: OwnToken = None
    token_file: OwnTokenFile = None
    tls_cert_file: TlsCertFile = None
    tls_key_file: TlsKeyFile = None
    tls_client_ca_file: TlsClientCaFile = None
    tls_ca_file: TlsCaFile = None
    max_in_flight: int = Field(
        default=4096,
        ge=1,
        le=1_000_000,
        description="Calls that one gate serves at once; any more are refused at once.",
    )
    memory_max_mib: int = Field(
        default=512,
        ge=256,
        le=1_048_576,
        description="Memory beyond which the gate or billing closes connections, in MiB.",
    )
    drain_timeout_ms: int = Field(
        default=20_000,
        ge=0,
        le=600_000,
        description="How long a stopping process finishes what it has begun, in ms.",
    )
    reap_interval_ms: int = Field(
        default=500,
        ge=10,
        le=60_000,
        description="How often expired holds are looked for, in ms.",
    )
    embedded_fsync: Literal["always", "everysec"] = Field(
        default="always",
        description=(
            "When the embedded Valkey syncs to disk: always (what was acknowledged survives a"
            " power cut) or everysec (a power cut may lose about a second)."
        ),
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        description="Least severe messages logged to stderr: debug, info, warning or error.",
    )
    log_format: Literal["console", "json"] = Field(
        default="console",
        description="How messages are logged: console (for people) or json (a line for each).",
    )

    @property
    def price_path(self) -> Path:
        """Returns the path of the price file: as set, or else in the data directory.

        The file need not exist.
        """
        return self.prices_file or self.data_dir / "prices.yaml"

    def voucher_secret(self) -> str:
        """Returns the key of vouchers; an empty text if there is no key."""
        if self.voucher_key is None:
            return ""
        return self.voucher_key.get_secret_value()

    def shared_redis_url(self) -> str:
        """Returns the store's URL, for processes that cannot embed a store.

        Raises SettingsError if the URL is `embedded`.
        """
        if self.redis_url == EMBEDDED:
            fix = (
                "only `creditgate up` runs a store of its own;"
                " give the URL of one, such as redis://127.0.0.1:6379"
            )
            raise SettingsError([f"{env_name('redis_url')}={EMBEDDED!r}: {fix}"])
        return self.redis_url

    def store_name(self) -> str:
        """Returns what the ledger calls the store: the name set, or the address."""
        if self.redis_name:
            return self.redis_name
        return address_of(self.shared_redis_url())

    def environment(self) -> dict[str, str]:
        """Returns environment variables from which `load_settings` makes an equal object.

        Secrets are in clear.
        """
        return {env_name(field): text_of(getattr(self, field)) for field in type(self).model_fields}


class EffectiveSetting(NamedTuple):
    """Shows a setting to people: secrets in `value` are masked."""

    env_name: str
    value: str
    description: str


def load_settings(**overrides: Any) -> Settings:
    """Reads the settings of this process, or raises SettingsError.

    `overrides` that are not None come first, then the environment, then the files of
    CREDITGATE_SECRETS_DIR, then defaults.
    """
    given = {field: value for field, value in overrides.items() if value is not None}
    try:
        # BaseSettings takes the directory, and hides it from mypy.
        return Settings(_secrets_dir=_secrets_dir(), **given)  # type: ignore[call-arg]
    except ValidationError as invalid:
        # A default that was not computed because of another bad setting is no problem of its own.
        errors = [
            error for error in invalid.errors() if error["type"] != "default_factory_not_called"
        ]
        raise SettingsError([*unknown_variables(), *map(_problem, errors)]) from None


def _secrets_dir() -> str | None:
    """Returns the directory of secrets if there is one; the setting's check tells if not."""
    path = Path(os.environ.get(env_name("secrets_dir"), "")).expanduser()
    if path.parts and path.is_dir():
        return str(path)
    return None


def unknown_variables() -> list[str]:
    """Returns a line for each CREDITGATE_ variable that is no setting, and so has no effect."""
    return [_unknown(name) for name in sorted(os.environ) if _is_unknown(name)]


def effective(settings: Settings) -> list[EffectiveSetting]:
    """Returns every setting with the value in force, in the order of declaration."""
    return [_effective(settings, field) for field in type(settings).model_fields]


def _effective(settings: Settings, field: str) -> EffectiveSetting:
    info = type(settings).model_fields[field]
    value = shown(getattr(settings, field))
    return EffectiveSetting(env_name(field), value, info.description or "")


def env_name(field: str) -> str:
    """Returns the environment variable of a field of Settings."""
    return f"{PREFIX}{field.upper()}"


def _is_unknown(name: str) -> bool:
    known = map(env_name, Settings.model_fields)
    return name.upper().startswith(PREFIX) and name.upper() not in known


def _unknown(name: str) -> str:
    alike = get_close_matches(
        name[len(PREFIX) :].lower(),
        Settings.model_fields,
        n=1,
    )
    advice = "unset it"
    if alike:
        advice = f"did you mean {env_name(alike[0])}?"
    return f"{name}: there is no such setting; {advice}"


def _problem(error: ErrorDetails) -> str:
    field = str(error["loc"][0])
    info = Settings.model_fields.get(field)
    if info is None:
        return f"{field}: there is no such setting"
    if error["type"] == "value_error":
        reason = str(error["ctx"]["error"])
    else:
        reason = f"{error['msg'].lower()}. {info.description}"
    shown = masked(text_of(error["input"]))
    if field in SECRETS:
        shown = MASK
    return f"{env_name(field)}={shown!r}: {reason}"
