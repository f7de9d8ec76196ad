"""Implements the calls of Notifications: webhook endpoints and their deliveries.

The methods know no gRPC server: each takes a message and returns a message, and raises a
ServiceError when no answer can be given.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from sqlalchemy import Row

from meter.errors import FailedPrecondition, InvalidField
from meter.ids import check_id
from meter.ledger.event_types import check_types
from meter.notifications.delivery_log import DeliveryLog, Resent
from meter.notifications.endpoint_urls import check_url
from meter.notifications.endpoints import EndpointRow, Endpoints
from meter.notifications.mail_methods import MailMethods
from meter.notifications.mails import Mails
from meter.notifications.webhook_sender import WebhookSender
from meter.pagination import Page, page_of
from meter.times import first_ms, optional_timestamp, timestamp
from meter.v1 import notifications_pb2 as pb

_ENDPOINT_PLACE = (str, int, str)
_BEFORE_ALL = ("", 0, "")
_DELIVERY_PLACE = (int,)
_UPDATABLE = ("url", "types", "status")


class NotificationsService(MailMethods):
    """Implements meter.v1.Notifications; proto/meter/v1/notifications.proto says what each means.

    Without a `sender`, for which the operator's key is needed, there are no webhooks.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        delivery_log: DeliveryLog,
        sender: WebhookSender | None,
        mails: Mails,
        clock: Callable[[], int],
    ) -> None:
        super().__init__(mails, clock)
        self._endpoints = endpoints
        self._log = delivery_log
        self._present_sender = sender

    async def CreateEndpoint(self, request: pb.CreateEndpointRequest) -> pb.Endpoint:
        endpoint = request.endpoint
        check_id("request_id", request.request_id)
        if endpoint.account_id:
            check_id("endpoint.account_id", endpoint.account_id)
        check_types("endpoint.types", endpoint.types)
        await self._check_url(endpoint.url)
        row = await asyncio.to_thread(
            self._endpoints.create,
            endpoint.account_id,
            endpoint.url,
            tuple(endpoint.types),
            request.request_id,
        )
        return self._with_secret(row)

    async def UpdateEndpoint(self, request: pb.UpdateEndpointRequest) -> pb.Endpoint:
        check_id("endpoint.endpoint_id", request.endpoint.endpoint_id)
        changes = _changes(request)
        if "url" in changes:
            await self._check_url(request.endpoint.url)
        row = await asyncio.to_thread(
            self._endpoints.update,
            request.endpoint.endpoint_id,
            request.endpoint.account_id,
            changes,
        )
        return _endpoint(row)

    async def DeleteEndpoint(self, request: pb.DeleteEndpointRequest) -> pb.DeleteEndpointResponse:
        check_id("endpoint_id", request.endpoint_id)
        await asyncio.to_thread(self._endpoints.delete, request.endpoint_id)
        return pb.DeleteEndpointResponse()

    async def ListEndpoints(self, request: pb.ListEndpointsRequest) -> pb.ListEndpointsResponse:
        if request.account_id:
            check_id("account_id", request.account_id)
        page = page_of(request, request.page_size, request.page_token, _ENDPOINT_PLACE)
        rows = await asyncio.to_thread(
            self._endpoints.list,
            request.account_id,
            _endpoint_behind(page),
            page.limit,
        )
        endpoints, token = page.fill(rows, map(_endpoint, rows), _endpoint_place)
        return pb.ListEndpointsResponse(endpoints=endpoints, next_page_token=token)

    async def RotateSecret(self, request: pb.RotateSecretRequest) -> pb.Endpoint:
        check_id("endpoint_id", request.endpoint_id)
        self._sender()
        row = await asyncio.to_thread(self._endpoints.rotate, request.endpoint_id)
        return self._with_secret(row)

    async def TestEndpoint(self, request: pb.TestEndpointRequest) -> pb.TestEndpointResponse:
        check_id("endpoint_id", request.endpoint_id)
        sender = self._sender()
        row = await asyncio.to_thread(self._endpoints.get, request.endpoint_id)
        answer = await asyncio.to_thread(sender.test, row)
        return pb.TestEndpointResponse(
            delivered=200 <= answer.status < 300,
            status=answer.status,
            error=answer.text,
        )

    async def ListDeliveries(self, request: pb.ListDeliveriesRequest) -> pb.ListDeliveriesResponse:
        check_id("endpoint_id", request.endpoint_id)
        page = page_of(request, request.page_size, request.page_token, _DELIVERY_PLACE)
        before = None
        if page.after is not None:
            before = int(page.after[0])
        rows = await asyncio.to_thread(
            self._log.list,
            request.endpoint_id,
            _state_name(request.state),
            before,
            page.limit,
        )
        deliveries, token = page.fill(rows, map(_delivery, rows), lambda row: (row.number,))
        return pb.ListDeliveriesResponse(deliveries=deliveries, next_page_token=token)

    async def ResendDeliveries(
        self,
        request: pb.ResendDeliveriesRequest,
    ) -> pb.ResendDeliveriesResponse:
        check_id("endpoint_id", request.endpoint_id)
        resent = await asyncio.to_thread(self._resend, request)
        return pb.ResendDeliveriesResponse(resent=resent.sent, more=resent.more)

    def _resend(self, request: pb.ResendDeliveriesRequest) -> Resent:
        now_ms = self._clock()
        match request.WhichOneof("which"):
            case "event_id":
                return self._log.resend_event(request.endpoint_id, request.event_id, now_ms)
            case "since":
                since_ms = first_ms("since", request.since)
                return self._log.resend_since(request.endpoint_id, since_ms, now_ms)
            case _:
                raise InvalidField("since", "name a time, or an event_id")

    async def _check_url(self, url: str) -> None:
        rules = self._sender().post.rules
        await asyncio.to_thread(check_url, "endpoint.url", url, rules)

    def _with_secret(self, row: EndpointRow) -> pb.Endpoint:
        endpoint = _endpoint(row)
        secrets = self._sender().secrets
        endpoint.secret = secrets.shown(row.endpoint_id, row.secret_version)
        return endpoint

    def _sender(self) -> WebhookSender:
        if self._present_sender is None:
            message = "there are no webhooks: set CREDITGATE_WEBHOOK_KEY for billing"
            raise FailedPrecondition("WEBHOOKS_OFF", message)
        return self._present_sender


def _changes(request: pb.UpdateEndpointRequest) -> dict[str, Any]:
    """Returns the new values of the fields in the mask, keyed by fields of EndpointRow."""
    endpoint = request.endpoint
    paths = set(request.update_mask.paths)
    if not paths or not paths <= set(_UPDATABLE):
        raise InvalidField("update_mask", f"name what to change: {', '.join(_UPDATABLE)}")
    check_types("endpoint.types", endpoint.types)
    if "status" in paths and endpoint.status not in (pb.ENABLED, pb.DISABLED):
        raise InvalidField("endpoint.status", "must be ENABLED or DISABLED")
    values = {
        "url": endpoint.url,
        "types": tuple(endpoint.types),
        "status": pb.EndpointStatus.Name(endpoint.status),
    }
    return {path: values[path] for path in paths}


def _state_name(state: int) -> str:
    if state == pb.DELIVERY_STATE_UNSPECIFIED:
        return ""
    if state not in pb.DeliveryState.values():
        raise InvalidField("state", f"{state} is not a state of a delivery")
    return pb.DeliveryState.Name(state)


def _endpoint_behind(page: Page) -> tuple[str, int, str]:
    """Returns the place behind which the page begins."""
    account_id, create_time_ms, endpoint_id = page.after or _BEFORE_ALL
    return (str(account_id), int(create_time_ms), str(endpoint_id))


def _endpoint_place(row: EndpointRow) -> tuple[str, int, str]:
    return (row.account_id, row.create_time_ms, row.endpoint_id)


def _endpoint(row: EndpointRow) -> pb.Endpoint:
    return pb.Endpoint(
        endpoint_id=row.endpoint_id,
        account_id=row.account_id,
        url=row.url,
        types=row.types,
        status=row.status,
        disabled_reason=row.disabled_reason,
        failing_since=optional_timestamp(row.failing_since_ms),
        create_time=timestamp(row.create_time_ms),
    )


def _delivery(row: Row[Any]) -> pb.Delivery:
    next_attempt_at = None
    if row.state == "WAITING":
        next_attempt_at = timestamp(row.next_ms)
    return pb.Delivery(
        endpoint_id=row.endpoint_id,
        event_id=row.event_id,
        sequence=row.number,
        event_type=row.type,
        state=row.state,
        attempts=row.attempts,
        last_status=row.last_status,
        last_error=row.last_error,
        next_attempt_at=next_attempt_at,
        delivered_at=optional_timestamp(row.delivered_at_ms),
    )
