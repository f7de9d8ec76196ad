"""Defines the settings of the services over HTTP."""

from typing import Annotated

from pydantic import Field, PlainValidator

from gate.address import Address
from gate.setting_forms import read_optional_listen

HttpListen = Annotated[
    Address | None,
    PlainValidator(read_optional_listen),
    Field(
        description=(
            "Where the gate serves HTTP: /v1, and Connect for its services: host:port or"
            " unix:/path. Empty: nowhere."
        )
    ),
]
BillingHttpListen = Annotated[
    Address | None,
    PlainValidator(read_optional_listen),
    Field(
        description=(
            "Where billing serves HTTP: Connect for its services: host:port or unix:/path."
            " Empty: nowhere."
        )
    ),
]
