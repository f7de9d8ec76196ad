"""Defines the settings about who may call, and what commands show of themselves."""

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr

from gate.setting_forms import read_existing_directory, read_optional_path, read_token

TokensFile = Annotated[
    Path | None,
    BeforeValidator(read_optional_path),
    Field(
        description=(
            "YAML file of the tokens that callers need, each by its SHA-256. Empty: whoever reaches"
            " the address may call."
        )
    ),
]
AllowUnauthenticated = Annotated[
    bool,
    Field(description="Whether to listen beyond this machine without tokens: true or false."),
]
SecretsDir = Annotated[
    Path | None,
    BeforeValidator(read_existing_directory),
    Field(
        description=(
            "Directory of files named as settings, such as creditgate_ledger_url, each with a value"
            " that holds where the environment has none. Empty: none."
        )
    ),
]
OwnToken = Annotated[
    SecretStr | None,
    BeforeValidator(read_token),
    Field(description="The token that commands send. Empty: that of the token file, or none."),
]
OwnTokenFile = Annotated[
    Path | None,
    BeforeValidator(read_optional_path),
    Field(description="File whose content is the token that commands send. Empty: none."),
]
