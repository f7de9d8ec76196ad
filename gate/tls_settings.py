"""Defines the settings of TLS: what a server shows, and whom a command trusts."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from gate.setting_forms import read_existing_file


def _check_key(key_file: Path | None, others: ValidationInfo) -> Path | None:
    if "tls_cert_file" not in others.data:  # it has its own problem
        return key_file
    if (key_file is None) != (others.data["tls_cert_file"] is None):
        raise ValueError("a certificate and its key belong together: give both files")
    return key_file


def _check_client_ca(ca_file: Path | None, others: ValidationInfo) -> Path | None:
    if ca_file is not None and others.data.get("tls_cert_file") is None:
        raise ValueError("clients are asked for certificates over TLS alone: give a certificate")
    return ca_file


TlsCertFile = Annotated[
    Path | None,
    BeforeValidator(read_existing_file),
    Field(
        description=(
            "Certificate chain (PEM) that gate and billing show; with a CA file, commands too."
            " Empty: no TLS."
        )
    ),
]
TlsKeyFile = Annotated[
    Path | None,
    BeforeValidator(read_existing_file),
    AfterValidator(_check_key),
    Field(description="Private key (PEM) of the certificate."),
]
TlsClientCaFile = Annotated[
    Path | None,
    BeforeValidator(read_existing_file),
    AfterValidator(_check_client_ca),
    Field(
        description=(
            "Authorities (PEM), one of which must have signed each client's certificate. Empty:"
            " clients need none."
        )
    ),
]
TlsCaFile = Annotated[
    Path | None,
    BeforeValidator(read_existing_file),
    Field(description="Authorities (PEM) that commands trust; with it they connect by TLS alone."),
]
