"""Settles the hold of a request that has ended in Envoy, by what Envoy tells of the end."""

import json
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import structlog

from gate.adapters.envoy import HeldCall
from gate.client.reported import json_of, merged
from gate.envoy.ratelimit_pb2 import RateLimitRequest, RateLimitResponse
from gate.envoy_settings import EnvoySettings
from gate.metrics import DecisionMetrics
from gate.service import GateService
from gate.v1.gate_pb2 import DebitRequest, ReleaseRequest, Usage
from meter.errors import InvalidField, ServiceError, Unavailable

DOMAIN = "creditgate"
ABSENT = "-"  # what the shipped configuration puts for what is not there
FAILED = "failed"  # the outcome of a response that is no success
_WHOLE = "via_upstream"  # Envoy's word for a response that came from the provider, whole
_ANY_TIER = "auto"  # asked for, not served
_MOST_CHARACTERS = 100  # of what is told, in a description
_BETWEEN_WARNINGS_S = 60.0

log = structlog.get_logger()


class _End(NamedTuple):
    """Holds what Envoy tells of a request's end; `usage` is empty if no usage was seen."""

    outcome: str
    usage: str
    service_tier: str
    events: int


class RateLimitService:
    """Has the method of envoy.service.ratelimit.v3.RateLimitService."""

    def __init__(
        self,
        gate: GateService,
        metrics: DecisionMetrics,
        settings: EnvoySettings,
    ) -> None:
        self._gate = gate
        self._metrics = metrics
        self._policy = settings.envoy_unreported
        self._next_warning_s = 0.0

    async def ShouldRateLimit(self, request: RateLimitRequest) -> RateLimitResponse:
        """Settles the holds that the request names. Anything that a repeat cannot heal is OK.

        Raises a ServiceError where nobody knows whether a hold was settled: Envoy repeats the call.
        """
        for descriptor in request.descriptors:
            entries = {entry.key: entry.value for entry in descriptor.entries}
            hold = entries.get("hold", ABSENT)
            if request.domain == DOMAIN and hold != ABSENT:
                await self._settle(hold, _end_of(entries))
        return RateLimitResponse(overall_code=RateLimitResponse.OK)

    async def _settle(self, hold: str, end: _End) -> None:
        try:
            held = HeldCall.from_text(hold)
            outcome, replayed = await self._settled(held, end)
        except (ValueError, TypeError):
            log.warning("hold_not_readable", hold=hold[:_MOST_CHARACTERS])
            outcome, replayed = "refused", False
        except ServiceError as error:
            if isinstance(error, Unavailable) or error.code == "INTERNAL":
                raise
            log.warning("hold_not_settled", hold_id=held.hold_id, error=error.message)
            outcome, replayed = "refused", False
        if not replayed:
            self._metrics.settlements.labels("envoy", outcome).inc()

    async def _settled(self, held: HeldCall, end: _End) -> tuple[str, bool]:
        """Returns how the hold was settled, and whether that was done before."""
        if end.usage:
            try:
                return "reported", await self._debit_reported(held, end)
            except InvalidField as error:
                # What the provider sent cannot be charged; no repeat would change that.
                log.warning("usage_not_chargeable", hold_id=held.hold_id, error=error.message)
        if end.outcome == FAILED:
            return "released", await self._release(held)
        self._warn(end)
        return "unreported", await self._settle_unreported(held, end)

    async def _debit_reported(self, held: HeldCall, end: _End) -> bool:
        """Debits what was reported; a service tier without a price as the standard, and says so."""
        usage = Usage(reported_json=end.usage, service_tier=end.service_tier)
        try:
            return await self._debit(held, usage=usage)
        except InvalidField as error:
            if error.field != "usage.service_tier":
                raise
        usage.service_tier = ""
        told = f"service tier {end.service_tier} has no price: charged as standard"
        return await self._debit(held, usage=usage, description=told)

    async def _settle_unreported(self, held: HeldCall, end: _End) -> bool:
        told = f"usage not reported ({end.outcome})"
        match self._policy:
            case "release":
                return await self._release(held)
            case "hold":
                return await self._debit(
                    held, amount_nanos=held.held_nanos, description=f"{told}: charged as held"
                )
            case "estimate":
                estimate = Usage(
                    input_tokens=held.input_tokens,
                    output_tokens=min(max(1, end.events), held.output_tokens),
                )
                return await self._debit(held, usage=estimate, description=f"{told}: estimated")

    async def _debit(self, held: HeldCall, **fields: Any) -> bool:
        request = DebitRequest(
            account_id=held.account_id,
            request_id=_request_id(held),
            hold_id=held.hold_id,
            dimensions=held.dimensions,
            **fields,
        )
        return (await self._gate.Debit(request)).replayed

    async def _release(self, held: HeldCall) -> bool:
        request = ReleaseRequest(
            account_id=held.account_id,
            request_id=_request_id(held),
            hold_id=held.hold_id,
        )
        return (await self._gate.Release(request)).replayed

    def _warn(self, end: _End) -> None:
        """Warns, rarely, of a whole response without usage: Envoy's configuration misses it."""
        now_s = time.monotonic()
        if end.outcome == _WHOLE and now_s >= self._next_warning_s:
            self._next_warning_s = now_s + _BETWEEN_WARNINGS_S
            log.warning("usage_not_seen", fix="compare Envoy's configuration with the shipped one")


def _request_id(held: HeldCall) -> str:
    """Returns the id of the settlement: one for a hold, however often Envoy repeats the call."""
    return f"{held.hold_id}/settle"


def _end_of(entries: Mapping[str, str]) -> _End:
    tier = _printable(entries.get("service_tier", ABSENT))
    if tier in (ABSENT, _ANY_TIER):
        tier = ""
    outcome = _printable(entries.get("outcome", ""))
    events = entries.get("events", "")
    count = 0
    if events.isdecimal():
        count = int(events[:9])
    return _End(outcome, _usage_of(entries), tier, count)


def _printable(text: str) -> str:
    return "".join(each for each in text if each.isprintable())[:_MOST_CHARACTERS]


def _usage_of(entries: Mapping[str, str]) -> str:
    """Returns the usage objects that the response began and ended with, as one."""
    first = entries.get("usage_first", ABSENT)
    last = entries.get("usage", ABSENT)
    if last == ABSENT:
        return ""
    if first in (ABSENT, last):
        return last
    try:
        return json_of(merged(json.loads(first), json.loads(last)))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return last
