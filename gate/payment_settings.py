"""Holds the settings of money that comes in, which billing alone uses."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field, PlainValidator

from gate.retry_schedule import RetrySchedule

_MOST_INSTRUCTIONS = 2_000


def read_retries(value: str | RetrySchedule) -> RetrySchedule:
    """Reads a schedule; ValueError tells how to write one."""
    if isinstance(value, RetrySchedule):
        return value
    return RetrySchedule.parse(value)


def read_payments(value: str | None) -> str | None:
    return value or None


def read_instructions(text: str | None) -> str | None:
    if text and len(text) > _MOST_INSTRUCTIONS:
        raise ValueError(f"write at most {_MOST_INSTRUCTIONS} characters")
    return text or None


class PaymentSettings(BaseModel):
    """Holds who takes money, and how auto-recharge tries."""

    payments: Annotated[Literal["test", "manual"] | None, BeforeValidator(read_payments)] = Field(
        default=None,
        description=(
            "Who takes money: manual (an operator, who tells when) or test (simulates). "
            "Empty: manual; with `creditgate up`, test."
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
