"""Builds the payment provider that the settings choose, and receives what the provider tells."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from wsgiref.types import StartResponse, WSGIEnvironment

import structlog

from gate.process.http_server import http_server
from gate.settings import Settings, SettingsError, env_name
from meter.database.engine import Ledger
from meter.errors import ServiceError
from meter.payments.hints import HintReader
from meter.payments.provider import Forged, Provider
from meter.payments.providers.manual import ManualProvider
from meter.payments.providers.simulated import SimulatedProvider
from meter.times import MS_PER_HOUR, now_ms

HOOK_PATH = "/hooks/stripe"
_POLL_MS = 30_000
_MOST_BODY_BYTES = 256 * 1024

log = structlog.get_logger()


def new_provider(settings: Settings, ledger: Ledger) -> Provider:
    """Returns the provider; raises SettingsError, which tells what is missing."""
    if settings.payments == "stripe":
        return _stripe(settings)
    for field in ("stripe_key", "stripe_webhook_secrets", "hooks_listen"):
        if getattr(settings, field) is not None:
            # Whoever gives a key means to be paid, and not to simulate.
            fix = f"has no effect unless {env_name('payments')} is stripe; set that, or unset this"
            raise _refused(field, fix)
    if settings.payments == "test":
        return SimulatedProvider(ledger, now_ms)
    return ManualProvider(settings.payment_instructions or "")


def poll_ms_of(settings: Settings) -> int:
    """Returns how often the provider's events are read.

    Where events are received the list is read too, but rarely: a provider that cannot deliver gives
    up after days, and nobody notices.
    """
    if settings.hooks_listen is None:
        return _POLL_MS
    return MS_PER_HOUR


def hook_server(settings: Settings, hints: HintReader) -> AbstractContextManager[None]:
    """Receives events meanwhile, if there is an address for that."""
    if settings.hooks_listen is None:
        return nullcontext()
    return http_server(settings.hooks_listen, HookApplication(hints, _secrets(settings)), "hooks")


class HookApplication:
    """Keeps the signed events that are posted; what they name is looked at later."""

    def __init__(self, hints: HintReader, secrets: tuple[str, ...]) -> None:
        """An event counts if it is signed with any of the secrets."""
        self._hints = hints
        self._secrets = secrets

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answers one request. Whatever was not kept is answered so that it is sent again."""
        status = self._status(environ)
        start(status, [("Content-Type", "text/plain")])
        return [f"{status}\n".encode()]

    def _status(self, environ: WSGIEnvironment) -> str:
        if environ["PATH_INFO"] != HOOK_PATH:
            return "404 Not Found"
        if environ["REQUEST_METHOD"] != "POST":
            return "405 Method Not Allowed"
        length = environ.get("CONTENT_LENGTH", "")
        if not length.isdigit():
            return "411 Length Required"
        if int(length) > _MOST_BODY_BYTES:
            return "413 Content Too Large"
        body = environ["wsgi.input"].read(int(length))
        try:
            self._hints.receive(environ.get("HTTP_STRIPE_SIGNATURE", ""), body, self._secrets)
        except Forged:
            return "400 Bad Request"
        except ServiceError as error:
            log.warning("hint_not_kept", error=str(error))
            return "503 Service Unavailable"
        return "200 OK"


def _stripe(settings: Settings) -> Provider:
    if settings.stripe_key is None:
        raise _refused("stripe_key", "is needed for payments by stripe; see docs/billing.md")
    key = settings.stripe_key.get_secret_value()
    api_url = settings.stripe_api_url or ""
    if "_live_" in key and api_url and not api_url.startswith("https://"):
        raise _refused("stripe_api_url", "a live key goes over https:// only")
    if settings.hooks_listen is not None and settings.stripe_webhook_secrets is None:
        raise _refused("stripe_webhook_secrets", "is needed to receive events")
    try:
        # Not at the top: loading the library takes 0.3 s and 32 MB.
        from meter.payments.providers.stripe import StripeProvider
    except ImportError:
        fix = "needs the extra `stripe`: pip install 'creditgate[stripe]'"
        raise _refused("payments", fix) from None
    return StripeProvider(key, api_url, settings.return_url)


def _secrets(settings: Settings) -> tuple[str, ...]:
    if settings.stripe_webhook_secrets is None:
        return ()
    text = settings.stripe_webhook_secrets.get_secret_value()
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _refused(field: str, fix: str) -> SettingsError:
    return SettingsError([f"{env_name(field)}: {fix}"])
