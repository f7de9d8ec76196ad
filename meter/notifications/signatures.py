"""Signs webhooks as Standard Webhooks 1.0.0 has it.

Nothing secret is stored: an endpoint's secret is computed from the operator's key, the endpoint's
id and the number of the secret.
"""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Iterable

_PREFIX = "whsec_"


class EndpointSecrets:
    """Computes the secrets of endpoints from the operator's key."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def shown(self, endpoint_id: str, version: int) -> str:
        """Returns the secret as the receiver is told it."""
        return _PREFIX + b64encode(self._secret(endpoint_id, version)).decode()

    def headers(
        self,
        endpoint_id: str,
        versions: Iterable[int],
        event_id: str,
        at_ms: int,
        body: bytes,
    ) -> dict[str, str]:
        """Returns the headers of one attempt, with a signature by the secret of each version."""
        timestamp = str(at_ms // 1000)
        content = f"{event_id}.{timestamp}.".encode() + body
        secrets = [self._secret(endpoint_id, version) for version in versions]
        return {
            "webhook-id": event_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": " ".join(_signature(secret, content) for secret in secrets),
        }

    def _secret(self, endpoint_id: str, version: int) -> bytes:
        return _hmac(self._key, f"{endpoint_id} {version}".encode())


def _signature(secret: bytes, content: bytes) -> str:
    return f"v1,{b64encode(_hmac(secret, content)).decode()}"


def _hmac(key: bytes, content: bytes) -> bytes:
    return hmac.new(key, content, hashlib.sha256).digest()
