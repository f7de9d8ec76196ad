"""TLS of a server: the files of certificates, taken up again when they change."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc
import structlog
from prometheus_client import Gauge

from gate.server.certificate import not_after
from gate.settings import Settings, SettingsError, env_name
from meter.watched_file import WatchedFile

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Files:
    cert_file: Path
    key_file: Path
    client_ca_file: Path | None


class ServerTls:
    """Holds what a server shows to its clients, and whom it asks for a certificate."""

    def __init__(self, files: _Files, expiry: Gauge) -> None:
        """Raises SettingsError for files that are wrong."""
        self._files = files
        self._expiry = expiry
        self._watched = [
            WatchedFile(path)
            for path in (files.cert_file, files.key_file, files.client_ca_file)
            if path is not None
        ]
        try:
            self._initial = self._read()
        except (OSError, ValueError) as error:
            problem = f"{env_name('tls_cert_file')}={str(files.cert_file)!r}: {error}"
            raise SettingsError([problem]) from None

    def credentials(self) -> grpc.ServerCredentials:
        """Returns the credentials of a port; each handshake looks whether the files changed."""
        return grpc.dynamic_ssl_server_credentials(
            self._initial,
            self._renewed,  # type: ignore[arg-type]  # its stub forgets that None is no change
            require_client_authentication=self._files.client_ca_file is not None,
        )

    def context(self) -> ssl.SSLContext:
        """Returns the same for a server of Python's own TLS, with the files as they are now."""
        files = self._files
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.cert_file, files.key_file)
        if files.client_ca_file is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(files.client_ca_file)
        return context

    def describe(self) -> str:
        """Returns in a few words what clients meet."""
        if self._files.client_ca_file is None:
            return "TLS"
        return "TLS and client certificates"

    def _renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """Returns the certificates of changed files; None where the old ones stay in force."""
        if not any(each.differs() for each in self._watched):
            return None
        try:
            renewed = self._read()
        except (OSError, ValueError) as error:
            log.error("certificate_refused", error=str(error), in_force="the certificate before")
            return None
        log.info("certificate_in_force", path=str(self._files.cert_file))
        return renewed

    def _read(self) -> grpc.ServerCertificateConfiguration:
        for each in self._watched:
            each.mark_read()
        files = self._files
        # A certificate and a key that do not fit are found here; grpc would fail each handshake.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.cert_file, files.key_file)
        chain = files.cert_file.read_bytes()
        self._expiry.set(not_after(chain.decode()).timestamp())
        authorities = None
        if files.client_ca_file is not None:
            authorities = files.client_ca_file.read_bytes()
        pair = (files.key_file.read_bytes(), chain)
        return grpc.ssl_server_certificate_configuration([pair], authorities)


def server_tls(settings: Settings, expiry: Gauge) -> ServerTls | None:
    """Returns the TLS of a process's server, None without a certificate.

    `expiry` is set to the time at which the certificate ends. Raises SettingsError for files that
    are wrong.
    """
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        return None
    files = _Files(settings.tls_cert_file, settings.tls_key_file, settings.tls_client_ca_file)
    return ServerTls(files, expiry)
