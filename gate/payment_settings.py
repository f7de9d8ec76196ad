"""Holds the settings of money that comes in, which billing alone uses."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, PlainValidator, SecretStr

from gate.address import Address, parse_address
from gate.retry_schedule import RetrySchedule

_MOST_INSTRUCTIONS = 2_000
_LEAST_SECRET = 8

PAYMENT_SECRETS = ("stripe_key", "stripe_webhook_secrets")


def read_retries(value: str | RetrySchedule) -> RetrySchedule:
    """Reads a schedule; ValueError tells how to write one."""
    if isinstance(value, RetrySchedule):
        return value
    return RetrySchedule.parse(value)


def read_secret(value: str | SecretStr | None) -> SecretStr | None:
    if not value:
        return None
    if isinstance(value, str):
        value = SecretStr(value)
    if len(value.get_secret_value()) < _LEAST_SECRET:
        raise ValueError(f"at least {_LEAST_SECRET} characters, as the provider gives it")
    return value


def read_api_url(value: str | None) -> str | None:
    if value and not value.startswith(("http://", "https://")):
        raise ValueError("write http://host:port or https://host")
    return value or None


def check_return_url(value: str) -> str:
    if not value.startswith(("http://", "https://")) or not value.isprintable():
        raise ValueError("write the address of a page, such as https://example.com/credits")
    return value


def read_hooks_listen(value: str | Address | None) -> Address | None:
    if not value:
        return None
    if isinstance(value, Address):
        return value
    return parse_address(value)


def read_payments(value: str | None) -> str | None:
    return value or None


def read_instructions(text: str | None) -> str | None:
    if text and len(text) > _MOST_INSTRUCTIONS:
        raise ValueError(f"write at most {_MOST_INSTRUCTIONS} characters")
    return text or None


class PaymentSettings(BaseModel):
    """Holds who takes money, and how auto-recharge tries."""

    payments: Annotated[
        Literal["test", "manual", "stripe"] | None, BeforeValidator(read_payments)
    ] = Field(
        default=None,
        description=(
            "Who takes money: manual (an operator, who tells when), test (simulates) or stripe. "
            "Empty: manual; with `creditgate up`, test."
        ),
    )
    stripe_key: Annotated[SecretStr | None, BeforeValidator(read_secret)] = Field(
        default=None,
        description="Stripe's secret or restricted key: sk_test_, rk_test_, sk_live_ or rk_live_.",
    )
    stripe_webhook_secrets: Annotated[SecretStr | None, BeforeValidator(read_secret)] = Field(
        default=None,
        description=(
            "Secrets of Stripe's webhook endpoint, whsec_, apart by commas: while one is being "
            "changed, there are two."
        ),
    )
    stripe_api_url: Annotated[str | None, BeforeValidator(read_api_url)] = Field(
        default=None,
        description="Where Stripe's API is, for tests. Empty: Stripe's own.",
    )
    return_url: Annotated[str, AfterValidator(check_return_url)] = Field(
        default="https://example.com/",
        description="Where pages of the payment provider lead back to: http:// or https://.",
    )
    hooks_listen: Annotated[Address | None, PlainValidator(read_hooks_listen)] = Field(
        default=None,
        description=(
            "Where events of the payment provider are received over HTTP, at /hooks/stripe: "
            "host:port or unix:/path. Empty: nowhere, and the provider is polled."
        ),
    )
    payment_instructions: Annotated[str | None, BeforeValidator(read_instructions)] = Field(
        default=None,
        description="How customers pay the operator, such as an IBAN; shown with manual payments.",
    )
    on_dispute: Literal["suspend", "none"] = Field(
        default="suspend",
        description="Whether an account is suspended when its customer disputes a payment.",
    )
    recharges_per_hour: int = Field(
        default=6,
        ge=1,
        le=1000,
        description="Most charges of auto-recharge that one account has in an hour.",
    )
    recharge_retries: Annotated[RetrySchedule, PlainValidator(read_retries)] = Field(
        default=RetrySchedule.parse("1h,24h,72h"),
        description=(
            "After which times auto-recharge tries a card again that may succeed later, such as "
            "1h,24h,72h; at most 4. Empty: never."
        ),
    )
