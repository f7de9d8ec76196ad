"""Makes the TLS context of a connection to Redis, from the same options as redis-py does."""

import ssl
from collections.abc import Mapping
from typing import Any

from gate.store.errors import RedisUnavailable

_VERIFICATIONS = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}


def tls_context(options: Mapping[str, Any]) -> ssl.SSLContext:
    """Returns the context for the options of a `rediss://` URL.

    The files are read each time, so that a renewed certificate is used from the next connection on.
    RedisUnavailable if a file cannot be read.
    """
    try:
        context = ssl.create_default_context()
        _verify(context, options)
        _load_files(context, options)
    except OSError as error:
        raise RedisUnavailable(f"the certificates of the store's URL: {error}") from error
    return context


def _verify(context: ssl.SSLContext, options: Mapping[str, Any]) -> None:
    verification = _VERIFICATIONS[options.get("ssl_cert_reqs", "required")]
    checks_hostname = options.get("ssl_check_hostname", True)
    # In this order: a context that checks names must verify.
    context.check_hostname = checks_hostname and verification is not ssl.CERT_NONE
    context.verify_mode = verification


def _load_files(context: ssl.SSLContext, options: Mapping[str, Any]) -> None:
    certificate = options.get("ssl_certfile")
    if certificate:
        context.load_cert_chain(
            certificate,
            options.get("ssl_keyfile"),
            options.get("ssl_password", ""),
        )
    authorities = options.get("ssl_ca_certs")
    directory = options.get("ssl_ca_path")
    if authorities or directory:
        context.load_verify_locations(authorities, directory)
