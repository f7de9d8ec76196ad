"""Holds and charges for the calls of a LiteLLM proxy, as a callback within its process.

LiteLLM is no dependency: nothing else imports this module. `docs/litellm.md` tells how to set up.
"""

import asyncio
import json
import logging
import math
import os
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from litellm.integrations.custom_logger import CustomLogger
from litellm.proxy._types import ProxyException

from gate.adapters import refusals
from gate.adapters.dialects import Refused, headers_of
from gate.client import DENIED, AsyncClient, CallFailed, Usage, connect
from gate.client.reported import json_of, usage_of

ACCOUNT = ("metadata.creditgate_account", "team_id", "user_id", "end_user_id", "key_alias")
_LISTEN = "127.0.0.1:50051"
_TOKENS_PER_BYTE = 0.25
_DEFAULT_OUTPUT_TOKENS = 4096
_HOLD_TTL_MS = 900_000  # longer than any stream
_MOST_HOLDS = 100_000
_NO_GATE = Refused(503, "service_unavailable", "unavailable", "no decision on credits: try again")

log = logging.getLogger(__name__)


class _HeldCall(NamedTuple):
    account_id: str
    hold_id: str
    dimensions: dict[str, str]


class Credits(CustomLogger):  # type: ignore[misc]  # LiteLLM is not there when types are checked
    """Authorizes each call before LiteLLM makes it, and debits what the call used.

    `target` is the gate's address, by default that of CREDITGATE_LISTEN. The account is the first
    of the key's attributes in `account` that is set; `metadata.NAME` is an attribute in the key's
    metadata. What clients send names no account.
    """

    def __init__(self, target: str = "", account: Sequence[str] = ACCOUNT) -> None:
        super().__init__()
        self._account = tuple(account)
        self._opening = asyncio.Lock()
        # Kept as well as the client: a scope that nobody has ends, and closes the client.
        self._scope = connect(target or os.environ.get("CREDITGATE_LISTEN", _LISTEN))
        self._client: AsyncClient | None = None
        # By LiteLLM's id of the call. Clients may choose that id: several calls may share one.
        self._holds: OrderedDict[str, deque[_HeldCall]] = OrderedDict()

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: str
    ) -> None:
        """Places a hold for a call; raises ProxyException where the call is not to be made."""
        account_id = _account_of(user_api_key_dict, self._account)
        if not account_id:
            raise _refusal(refusals.no_account())
        dimensions = _dimensions_of(user_api_key_dict)
        client = await self._opened()
        try:
            reply = await client.authorize(
                account_id=account_id,
                usage=_estimate(data),
                hold_ttl_ms=_HOLD_TTL_MS,
                dimensions=dimensions,
            )
        except CallFailed as error:
            raise _refusal(_refused(error)) from error
        if reply.decision == DENIED:
            raise _refusal(refusals.of_denial(reply.denial), kind="budget_exceeded")
        self._remember(data, _HeldCall(account_id, reply.hold_id, dimensions))

    async def async_log_success_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Debits what the call used; a response from LiteLLM's cache gives the hold back."""
        held = self._forget(kwargs)
        if held is None:
            return
        if kwargs.get("cache_hit"):
            await self._release(held)
        else:
            await self._debit(held, response_obj)

    async def async_post_call_failure_hook(
        self,
        request_data: dict[str, Any],
        original_exception: Exception,
        user_api_key_dict: Any,
        traceback_str: str | None = None,
    ) -> None:
        """Gives the hold of a call back that failed for good, its fall-backs included."""
        held = self._forget(request_data)
        if held is not None:
            await self._release(held)

    async def _debit(self, held: _HeldCall, response: Any) -> None:
        """Debits by the model that answered; by the hold's model where that name has no price."""
        reported = json_of(usage_of(response))
        client = await self._opened()
        for model in (str(getattr(response, "model", None) or ""), ""):
            try:
                await client.debit(
                    account_id=held.account_id,
                    request_id=f"{held.hold_id}/settle",
                    hold_id=held.hold_id,
                    usage=Usage(model=model, reported_json=reported),
                    dimensions=held.dimensions,
                )
            except CallFailed as error:
                if error.reason != "UNKNOWN_MODEL" or not model:
                    log.warning("hold %s was not settled: %s", held.hold_id, error)
                    return
            else:
                return

    async def _release(self, held: _HeldCall) -> None:
        client = await self._opened()
        try:
            await client.release(
                account_id=held.account_id,
                hold_id=held.hold_id,
                request_id=f"{held.hold_id}/settle",
            )
        except CallFailed as error:
            log.warning("hold %s was not released: %s", held.hold_id, error)

    async def _opened(self) -> AsyncClient:
        """Returns the client, opened with the first call and kept as long as the process."""
        async with self._opening:
            if self._client is None:
                self._client = await self._scope.__aenter__()
        return self._client

    def _remember(self, data: Mapping[str, Any], held: _HeldCall) -> None:
        self._holds.setdefault(str(data.get("litellm_call_id")), deque()).append(held)
        if len(self._holds) > _MOST_HOLDS:
            self._holds.popitem(last=False)  # the hold's time to live ends it

    def _forget(self, data: Mapping[str, Any]) -> _HeldCall | None:
        call_id = str(data.get("litellm_call_id"))
        with suppress(KeyError):
            holds = self._holds[call_id]
            held = holds.popleft()
            if not holds:
                del self._holds[call_id]
            return held
        return None


def _account_of(key: Any, account: Sequence[str]) -> str:
    for name in account:
        attribute, _, inner = name.partition(".")
        value = getattr(key, attribute, None)
        if inner and isinstance(value, Mapping):
            value = value.get(inner)
        if value and isinstance(value, str):
            return value
    return ""


def _dimensions_of(key: Any) -> dict[str, str]:
    named = {"user": "user_id", "team": "team_id", "api_key": "key_alias"}
    found = {dimension: getattr(key, name, None) for dimension, name in named.items()}
    return {dimension: str(value) for dimension, value in found.items() if value}


def _estimate(data: Mapping[str, Any]) -> Usage:
    asked = [data.get("max_completion_tokens"), data.get("max_tokens")]
    output_tokens = next((each for each in asked if each), _DEFAULT_OUTPUT_TOKENS)
    content = [data.get(name) for name in ("messages", "prompt", "input", "tools")]
    size = len(json.dumps(content, default=str))
    return Usage(
        model=str(data.get("model")),
        input_tokens=max(1, math.ceil(size * _TOKENS_PER_BYTE)),
        output_tokens=int(output_tokens) * int(data.get("n") or 1),
    )


def _refused(error: CallFailed) -> Refused:
    """Returns how the client hears of a call that the gate refused, or did not answer."""
    if error.reason == "ACCOUNT_NOT_FOUND" or error.field == "account_id":
        return refusals.no_account()
    if error.reason == "UNKNOWN_MODEL":
        return Refused(404, "invalid_request_error", "model_not_found", error.message)
    if error.code == "INVALID_ARGUMENT":
        return Refused(400, "invalid_request_error", error.reason.lower(), error.message)
    log.warning("no decision on credits: %s", error)
    return _NO_GATE


def _refusal(refused: Refused, kind: str = "") -> ProxyException:
    headers = {name: value for name, value in headers_of(refused).items() if name != "content-type"}
    return ProxyException(
        message=refused.message,
        type=kind or refused.kind,
        param=None,
        code=refused.status,
        headers=headers,
    )


credits = Credits()
