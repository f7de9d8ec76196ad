"""Holds the settings of what billing sends: webhooks and mails."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, SecretStr
from pydantic_settings import BaseSettings

from gate.payment_settings import PAYMENT_SECRETS
from gate.setting_forms import (
    NetworkList,
    check_mail_from,
    read_existing_directory,
    read_mail_address,
    read_networks,
    read_secret_key,
    read_smtp_url,
)

# Fields that no other process than billing is given.
BILLING_SECRETS = ("webhook_key", "smtp_url", *PAYMENT_SECRETS)


class BillingSettings(BaseSettings):
    """Holds what billing alone goes by."""

    webhook_key: Annotated[SecretStr | None, BeforeValidator(read_secret_key)] = Field(
        default=None,
        description=(
            "Secret from which the secrets of webhook endpoints are computed. Empty: no webhooks; "
            "`up` makes one."
        ),
    )
    webhook_allow: Annotated[NetworkList, PlainValidator(read_networks)] = Field(
        default=NetworkList(),
        description=(
            "Networks that webhooks may be sent to though they are not public, also by http: "
            "10.2.0.0/16,127.0.0.1/32."
        ),
    )
    delivery_log_days: int = Field(
        default=30,
        ge=1,
        le=400,
        description="How long webhook deliveries that have ended are kept, in days.",
    )

    smtp_url: Annotated[str, BeforeValidator(read_smtp_url)] = Field(
        default="",
        description=(
            "The mail server: smtp+starttls://user:password@host:587, smtps://, or smtp:// on this "
            "machine. Empty: mails are kept and not sent."
        ),
    )
    mail_from: Annotated[
        str, BeforeValidator(read_mail_address), AfterValidator(check_mail_from)
    ] = Field(
        default="",
        description="The address that mails come from; needed with a mail server.",
    )
    operator_email: Annotated[str, BeforeValidator(read_mail_address)] = Field(
        default="",
        description="Who is told of what no account is told of. Empty: nobody.",
    )
    templates_dir: Annotated[Path | None, BeforeValidator(read_existing_directory)] = Field(
        default=None,
        description="Directory of mail templates that go before the built-in ones.",
    )

    def webhook_secret(self) -> str:
        """Returns the key of webhooks; an empty text if there is no key."""
        if self.webhook_key is None:
            return ""
        return self.webhook_key.get_secret_value()
