"""Every setting: read once from the environment, validated here and nowhere else."""

import os
import re
from collections.abc import Iterable
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
    ValidationInfo,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from gate.address import Address, parse_address
from meter.admin.top_up_bounds import TopUpBounds
from meter.admin.voucher_codes import MIN_KEY_CHARACTERS

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
    "masked",
    "parse_address",
]

PREFIX = "CREDITGATE_"
EMBEDDED = "embedded"
_MASK = "***"


class SettingsError(ValueError):
    """What is wrong with the settings: a line for each bad variable, in `problems`."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            "\n".join(("these settings are wrong:", *(f"  {problem}" for problem in self.problems)))
        )


def _listen(value: str | Address) -> Address:
    return value if isinstance(value, Address) else parse_address(value)


def _billing_listen(address: Address, others: ValidationInfo) -> Address:
    if address == others.data.get("listen"):
        raise ValueError(f"the gate listens there ({env_name('listen')}); choose another address")
    return address


def _workers(count: int, others: ValidationInfo) -> int:
    listen = others.data.get("listen")
    if count > 1 and listen is not None and listen.path:
        raise ValueError(
            "a unix socket is served by one process; listen on host:port, or run one worker"
        )
    return count


def _metrics_listen(value: str | Address | None) -> Address | None:
    return parse_address(value) if value and isinstance(value, str) else value or None


def _absolute(value: str | Path) -> Path:
    if not str(value):
        raise ValueError("a directory is needed")
    return Path(value).expanduser().absolute()


def _existing_file(value: str | Path | None) -> Path | None:
    if not value:
        return None
    path = _absolute(value)
    if not path.is_file():
        raise ValueError("there is no such file")
    return path


def _redis_url(value: str) -> str:
    scheme, _, rest = value.partition("://")
    if (
        value == EMBEDDED
        or (scheme in {"redis", "rediss"} and rest)
        or (scheme == "unix" and rest.startswith("/"))
    ):
        return value
    raise ValueError("write embedded, redis://HOST:PORT, rediss://HOST:PORT or unix:///PATH")


def _ledger_url(value: str) -> str:
    scheme, _, rest = value.partition("://")
    # SQLite in memory is no ledger: gate and flusher are two processes, and it would end with
    # either.
    if (scheme == "sqlite" and len(rest) > 1 and rest != "/:memory:") or (
        scheme == "postgresql" and rest
    ):
        return value
    raise ValueError("write sqlite:////ABSOLUTE/PATH or postgresql://USER:PASSWORD@HOST/DATABASE")


def _top_up_bounds(value: str | TopUpBounds) -> TopUpBounds:
    return value if isinstance(value, TopUpBounds) else TopUpBounds(value)


def _voucher_key(value: str | SecretStr | None) -> SecretStr | None:
    if not value:
        return None
    secret = value if isinstance(value, SecretStr) else SecretStr(value)
    if len(secret.get_secret_value()) < MIN_KEY_CHARACTERS:
        raise ValueError(
            f"at least {MIN_KEY_CHARACTERS} characters that nobody can guess: `openssl rand -hex 32` makes some"
        )
    return secret


def _default_data_dir() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share") / "creditgate"


def _default_ledger_url(valid: dict[str, Any]) -> str:
    return f"sqlite:///{valid['data_dir']}/ledger.db"


class Settings(BaseSettings):
    """What an operator can choose.

    Each field is the environment variable CREDITGATE_ + its name in capitals.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, validate_default=True, enable_decoding=False
    )

    listen: Annotated[Address, PlainValidator(_listen)] = Field(
        default=Address(host="127.0.0.1", port=50051),
        description="Where the gate serves gRPC, and commands reach it: host:port (IPv6 in brackets) or unix:/path.",
    )
    billing_listen: Annotated[Address, PlainValidator(_listen), AfterValidator(_billing_listen)] = (
        Field(
            default=Address(host="127.0.0.1", port=50052),
            description="Where billing serves gRPC, and commands reach the ledger: host:port or unix:/path.",
        )
    )
    workers: Annotated[int, AfterValidator(_workers)] = Field(
        default=1,
        ge=1,
        le=64,
        description="Gate processes that share one TCP address, 1 to 64; a unix socket has one.",
    )
    transport: Literal["auto", "native", "grpcio"] = Field(
        default="auto",
        description="What serves gRPC: native (HTTP/2 outside the interpreter's lock), grpcio, or auto (native where it can be had).",
    )
    metrics_listen: Annotated[Address | None, PlainValidator(_metrics_listen)] = Field(
        default=Address(host="127.0.0.1", port=9464),
        description="Where /metrics is served over HTTP, for Prometheus: host:port or unix:/path. Empty: nowhere.",
    )
    data_dir: Annotated[Path, BeforeValidator(_absolute)] = Field(
        default_factory=_default_data_dir,
        description="Directory of the embedded Valkey, the default SQLite ledger, and the locks of `creditgate up`.",
    )
    redis_url: Annotated[str, BeforeValidator(_redis_url)] = Field(
        default=EMBEDDED,
        description="The store: embedded (a Valkey of our own, only with `creditgate up`), redis://, rediss:// or unix://.",
    )
    ledger_url: Annotated[str, BeforeValidator(_ledger_url)] = Field(
        default_factory=_default_ledger_url,
        description="The durable books: sqlite:////absolute/path or postgresql://; by default in the data directory.",
    )
    flush_interval_ms: int = Field(
        default=100,
        ge=1,
        le=60_000,
        description="How long a journal entry waits for others before it is flushed, in ms.",
    )
    redis_connections: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Connections to the store that all calls of one process share, 1 to 64.",
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
    prices_file: Annotated[Path | None, BeforeValidator(_existing_file)] = Field(
        default=None,
        description="YAML file of prices that go before the built-in ones. Empty: prices.yaml in the data directory, if there.",
    )
    top_up_bounds: Annotated[TopUpBounds, PlainValidator(_top_up_bounds)] = Field(
        default=TopUpBounds(
            '{"USD": [5, 5000], "EUR": [5, 5000], "JPY": [3000, null], "VND": [500000, null]}'
        ),
        description="Least and most credits of one top-up by currency, as JSON; null: no bound. Currencies not named: above 0.",
    )
    top_up_expiry_days: int = Field(
        default=365,
        ge=0,
        le=36_500,
        description="How long bought credits live, unless a top-up says otherwise. 0: for good.",
    )
    voucher_key: Annotated[SecretStr | None, BeforeValidator(_voucher_key)] = Field(
        default=None,
        description="Secret by which voucher codes are hashed, the same for every gate. Empty: no vouchers; `up` makes one.",
    )
    max_in_flight: int = Field(
        default=4096,
        ge=1,
        le=1_000_000,
        description="Calls that one gate serves at once; any more are refused at once.",
    )
    drain_timeout_ms: int = Field(
        default=20_000,
        ge=0,
        le=600_000,
        description="How long a stopping process finishes what it has begun, in ms.",
    )
    reap_interval_ms: int = Field(
        default=500, ge=10, le=60_000, description="How often expired holds are looked for, in ms."
    )
    embedded_fsync: Literal["always", "everysec"] = Field(
        default="always",
        description="When the embedded Valkey syncs to disk: always (what was acknowledged survives a power cut) or "
        "everysec (a power cut may lose about a second).",
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
        """The price file: the one that is set, or the data directory's, which need not exist."""
        return self.prices_file or self.data_dir / "prices.yaml"

    def voucher_secret(self) -> str:
        """The key of vouchers; empty: there is none."""
        return "" if self.voucher_key is None else self.voucher_key.get_secret_value()

    def shared_redis_url(self) -> str:
        """The store's URL, for processes that cannot embed one; SettingsError if it is
        `embedded`.
        """
        if self.redis_url == EMBEDDED:
            fix = "only `creditgate up` runs a store of its own; give the URL of one, such as redis://127.0.0.1:6379"
            raise SettingsError([f"{env_name('redis_url')}={EMBEDDED!r}: {fix}"])
        return self.redis_url

    def environment(self) -> dict[str, str]:
        """All settings as environment variables from which `load_settings` makes an equal object.

        Holds secrets.
        """
        return {env_name(field): _text(getattr(self, field)) for field in type(self).model_fields}


class EffectiveSetting(NamedTuple):
    """A setting as shown to people: secrets in `value` are masked."""

    env_name: str
    value: str
    description: str


def load_settings(**overrides: Any) -> Settings:
    """The settings of this process: from `overrides` that are not None, the environment, defaults; or
    SettingsError.
    """
    try:
        return Settings(**{field: value for field, value in overrides.items() if value is not None})
    except ValidationError as invalid:
        # A default that was not computed because of another bad setting is no problem of its own.
        errors = [
            error for error in invalid.errors() if error["type"] != "default_factory_not_called"
        ]
        raise SettingsError([*unknown_variables(), *map(_problem, errors)]) from None


def unknown_variables() -> list[str]:
    """A line for each CREDITGATE_ variable that is none of ours: mistyped, or of another version.

    They have no effect.
    """
    return [_unknown(name) for name in sorted(os.environ) if _is_unknown(name)]


def effective(settings: Settings) -> list[EffectiveSetting]:
    """Every setting with its value in force, in the order of their declaration."""
    return [
        EffectiveSetting(env_name(field), _shown(getattr(settings, field)), info.description or "")
        for field, info in type(settings).model_fields.items()
    ]


def env_name(field: str) -> str:
    """The environment variable of a field of Settings."""
    return f"{PREFIX}{field.upper()}"


def masked(url: str) -> str:
    """`url` without its password, also where a stray `/` or `@` in it makes the URL hard
    to parse.
    """
    without_userinfo = re.sub(
        r"^((?:[a-z0-9+]+://)?[^:@/]*):.*@", r"\1:***@", url, flags=re.IGNORECASE
    )
    return re.sub(r"([?&][a-z_]*password=)[^&]*", r"\1***", without_userinfo, flags=re.IGNORECASE)


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return "" if value is None else str(value)


def _shown(value: object) -> str:
    return _MASK if isinstance(value, SecretStr) else masked(_text(value))


def _is_unknown(name: str) -> bool:
    return name.upper().startswith(PREFIX) and name.upper() not in map(
        env_name, Settings.model_fields
    )


def _unknown(name: str) -> str:
    alike = get_close_matches(name[len(PREFIX) :].lower(), Settings.model_fields, n=1)
    return f"{name}: there is no such setting; " + (
        f"did you mean {env_name(alike[0])}?" if alike else "unset it"
    )


def _problem(error: ErrorDetails) -> str:
    field = str(error["loc"][0])
    info = Settings.model_fields.get(field)
    if info is None:
        return f"{field}: there is no such setting"
    builtin = f"{error['msg'].lower()}. {info.description}"
    reason = str(error["ctx"]["error"]) if error["type"] == "value_error" else builtin
    shown = _MASK if field == "voucher_key" else masked(_text(error["input"]))
    return f"{env_name(field)}={shown!r}: {reason}"
