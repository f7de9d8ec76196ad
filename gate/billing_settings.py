"""Holds the settings of what billing sends: webhooks."""

from typing import Annotated

from pydantic import BeforeValidator, Field, PlainValidator, SecretStr
from pydantic_settings import BaseSettings

from gate.setting_forms import NetworkList, read_networks, read_secret_key

# Fields that no other process than billing is given.
BILLING_SECRETS = ("webhook_key",)


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

    def webhook_secret(self) -> str:
        """Returns the key of webhooks; an empty text if there is no key."""
        if self.webhook_key is None:
            return ""
        return self.webhook_key.get_secret_value()
