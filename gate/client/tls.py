"""TLS of a client: whom it trusts, and what it shows."""

from dataclasses import dataclass
from pathlib import Path

import grpc


@dataclass(frozen=True, slots=True)
class Tls:
    """Names files in PEM: the authorities that are trusted, and the client's own certificate.

    Without `ca_file`, the system's authorities are trusted. `cert_file` and `key_file` are given
    where the server asks clients for a certificate.
    """

    ca_file: str | Path = ""
    cert_file: str | Path = ""
    key_file: str | Path = ""

    def credentials(self) -> grpc.ChannelCredentials:
        """Returns the credentials of a channel; raises OSError for a file that cannot be read."""
        return grpc.ssl_channel_credentials(
            root_certificates=_content(self.ca_file),
            private_key=_content(self.key_file),
            certificate_chain=_content(self.cert_file),
        )


def _content(path: str | Path) -> bytes | None:
    if not path:
        return None
    return Path(path).read_bytes()
