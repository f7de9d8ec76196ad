"""TLS of a command: whom it trusts, and the certificate that it shows."""

import grpc

from gate.client.tls import Tls
from gate.settings import Settings


def channel_credentials(settings: Settings) -> grpc.ChannelCredentials | None:
    """Returns the credentials of the command's channel; None where it connects without TLS."""
    if settings.tls_ca_file is None:
        return None
    tls = Tls(
        ca_file=settings.tls_ca_file,
        cert_file=settings.tls_cert_file or "",
        key_file=settings.tls_key_file or "",
    )
    return tls.credentials()
