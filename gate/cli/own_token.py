"""The token that a command sends along with its calls."""

from typing import Any

import grpc

from gate.settings import Settings, SettingsError, env_name
from gate.token_text import check_token

Metadata = list[tuple[str, str]]


def token_metadata(settings: Settings) -> Metadata:
    """Returns what the command's calls send along; nothing without a token.

    SettingsError for a token file that cannot be read, or has no token.
    """
    token = own_token(settings)
    if not token:
        return []
    return [("authorization", f"Bearer {token}")]


def own_token(settings: Settings) -> str:
    """Returns the command's token, or an empty text; raises as `token_metadata` does."""
    if settings.token is not None:
        return settings.token.get_secret_value()
    if settings.token_file is None:
        return ""
    try:
        return check_token(settings.token_file.read_text().strip())
    except (OSError, ValueError) as error:
        problem = f"{env_name('token_file')}={str(settings.token_file)!r}: {error}"
        raise SettingsError([problem]) from None


class WithToken(grpc.UnaryUnaryClientInterceptor):
    """Sends metadata along with each call."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata

    def intercept_unary_unary(self, proceed: Any, details: Any, request: Any) -> Any:
        return proceed(details._replace(metadata=self._metadata), request)


class WithTokenAsync(grpc.aio.UnaryUnaryClientInterceptor):
    """Does the same for a channel of asyncio."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = grpc.aio.Metadata(*metadata)

    async def intercept_unary_unary(self, proceed: Any, details: Any, request: Any) -> Any:
        return await proceed(details._replace(metadata=self._metadata), request)
