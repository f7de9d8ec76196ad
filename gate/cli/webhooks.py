"""Commands to add, test, change and remove webhook endpoints, and to send events again."""

from typing import Annotated

import typer
from google.protobuf.field_mask_pb2 import FieldMask
from rich.table import Table

from gate.cli.command_group import add_group
from gate.cli.connection import (
    TIMEOUT_S,
    AsJson,
    CallFailed,
    console,
    notifications_service,
    parse_time,
    print_json,
    when,
)
from gate.cli.options import (
    Limit,
    OnlyAccount,
    PageToken,
    RequestId,
    choice,
    choices,
    request_id_or_new,
)
from gate.cli.output import enum_text, facts_table, print_page, print_reply, when_or
from meter.v1.notifications_pb2 import (
    DISABLED,
    ENABLED,
    CreateEndpointRequest,
    DeleteEndpointRequest,
    DeliveryState,
    Endpoint,
    EndpointStatus,
    ListDeliveriesRequest,
    ListDeliveriesResponse,
    ListEndpointsRequest,
    ListEndpointsResponse,
    ResendDeliveriesRequest,
    RotateSecretRequest,
    TestEndpointRequest,
    UpdateEndpointRequest,
)

EndpointId = Annotated[str, typer.Argument(metavar="ENDPOINT", help="Endpoint id.")]
_STATES = choices(DeliveryState)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    add_group(
        app,
        "webhook",
        "Endpoints that events are posted to: add, test and list them, send again.",
        {
            "add": add,
            "list": list_endpoints,
            "test": send_test,
            "rotate": rotate,
            "enable": enable,
            "disable": disable,
            "remove": remove,
            "deliveries": deliveries,
            "resend": resend,
        },
    )


def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="https://HOST/PATH.")],
    account_id: Annotated[
        str,
        typer.Option("--account", help="Events of this account; default: of all accounts."),
    ] = "",
    types: Annotated[
        list[str] | None,
        typer.Option("--type", help="Only this type, or grant.*; repeat for more."),
    ] = None,
    request_id: RequestId = "",
    as_json: AsJson = False,
) -> None:
    """Add an endpoint; its secret is shown this once."""
    request = CreateEndpointRequest(
        request_id=request_id_or_new(request_id),
        endpoint=Endpoint(account_id=account_id, url=url, types=types or []),
    )
    with notifications_service() as call:
        endpoint = call.CreateEndpoint(request, timeout=TIMEOUT_S)
    print_reply(endpoint, as_json, _with_secret)


def list_endpoints(
    account_id: OnlyAccount = "",
    limit: Limit = 50,
    page_token: PageToken = "",
    as_json: AsJson = False,
) -> None:
    """List endpoints, and how they do."""
    request = ListEndpointsRequest(
        account_id=account_id,
        page_size=limit,
        page_token=page_token,
    )
    with notifications_service() as call:
        page = call.ListEndpoints(request, timeout=TIMEOUT_S)
    print_page(page, as_json, _endpoints_table)


def send_test(endpoint_id: EndpointId, as_json: AsJson = False) -> None:
    """Post a test event, and tell the answer; exit status 1 unless it was delivered."""
    with notifications_service() as call:
        reply = call.TestEndpoint(TestEndpointRequest(endpoint_id=endpoint_id), timeout=TIMEOUT_S)
    if as_json:
        print_json(reply)
    elif reply.delivered:
        console.print(f"delivered: status {reply.status}")
    if not reply.delivered:
        raise CallFailed(f"not delivered: status {reply.status}, {reply.error}")


def rotate(endpoint_id: EndpointId, as_json: AsJson = False) -> None:
    """Make a new secret, shown this once; the old one signs too for 24 hours."""
    with notifications_service() as call:
        endpoint = call.RotateSecret(RotateSecretRequest(endpoint_id=endpoint_id))
    print_reply(endpoint, as_json, _with_secret)


def enable(endpoint_id: EndpointId, as_json: AsJson = False) -> None:
    """Send to the endpoint again, from now on."""
    _set_status(endpoint_id, ENABLED, as_json)


def disable(endpoint_id: EndpointId, as_json: AsJson = False) -> None:
    """Send nothing to the endpoint any more."""
    _set_status(endpoint_id, DISABLED, as_json)


def remove(endpoint_id: EndpointId, as_json: AsJson = False) -> None:
    """Remove the endpoint, with what is known of its deliveries."""
    request = DeleteEndpointRequest(endpoint_id=endpoint_id)
    with notifications_service() as call:
        reply = call.DeleteEndpoint(request, timeout=TIMEOUT_S)
    print_reply(reply, as_json, lambda _: f"removed {endpoint_id}")


def deliveries(
    endpoint_id: EndpointId,
    state: Annotated[
        str,
        typer.Option(metavar="|".join(_STATES), help="Only those in this state."),
    ] = "",
    limit: Limit = 50,
    page_token: PageToken = "",
    as_json: AsJson = False,
) -> None:
    """List what was sent to the endpoint and what is still to be sent, newest event first."""
    wanted = DeliveryState.Name(0)
    if state:
        wanted = choice("--state", state, _STATES)
    request = ListDeliveriesRequest(
        endpoint_id=endpoint_id,
        state=wanted,
        page_size=limit,
        page_token=page_token,
    )
    with notifications_service() as call:
        page = call.ListDeliveries(request, timeout=TIMEOUT_S)
    print_page(page, as_json, _deliveries_table)


def resend(
    endpoint_id: EndpointId,
    event: Annotated[str, typer.Option(metavar="EVENT", help="This event, in any case.")] = "",
    since: Annotated[
        str,
        typer.Option(metavar="TIME", help="All from this UTC time on that were not delivered."),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Send an event again, or all since a time that were not delivered."""
    if bool(event) == bool(since):
        raise typer.BadParameter("give --event or --since")
    request = ResendDeliveriesRequest(
        endpoint_id=endpoint_id,
        event_id=event or None,
        since=parse_time("--since", since),
    )
    with notifications_service() as call:
        reply = call.ResendDeliveries(request, timeout=TIMEOUT_S)
    print_reply(reply, as_json, lambda reply: f"{reply.resent} sent again")
    if reply.more and not as_json:
        console.print("there are more: repeat the command")


def _set_status(endpoint_id: str, status: EndpointStatus, as_json: bool) -> None:
    request = UpdateEndpointRequest(
        endpoint=Endpoint(endpoint_id=endpoint_id, status=status),
        update_mask=FieldMask(paths=["status"]),
    )
    with notifications_service() as call:
        endpoint = call.UpdateEndpoint(request, timeout=TIMEOUT_S)
    print_reply(endpoint, as_json, _endpoint_table)


def _with_secret(endpoint: Endpoint) -> Table:
    table = _endpoint_table(endpoint)
    table.add_row("secret", endpoint.secret)
    return table


def _endpoint_table(endpoint: Endpoint) -> Table:
    table = facts_table(f"Endpoint {endpoint.endpoint_id}")
    table.add_row("account", endpoint.account_id or "all")
    table.add_row("url", endpoint.url)
    table.add_row("types", ", ".join(endpoint.types) or "all")
    table.add_row("status", _status_text(endpoint))
    return table


def _status_text(endpoint: Endpoint) -> str:
    text = enum_text(EndpointStatus, endpoint.status)
    if endpoint.disabled_reason:
        return f"{text}: {endpoint.disabled_reason}"
    return text


def _endpoints_table(page: ListEndpointsResponse) -> Table:
    table = Table("endpoint", "account", "url", "types", "status", "failing since", box=None)
    for endpoint in page.endpoints:
        table.add_row(
            endpoint.endpoint_id,
            endpoint.account_id or "all",
            endpoint.url,
            ", ".join(endpoint.types) or "all",
            _status_text(endpoint),
            when_or("", endpoint, "failing_since"),
        )
    return table


def _deliveries_table(page: ListDeliveriesResponse) -> Table:
    table = Table("event", "type", "state", "attempts", "status", "when (UTC)", "why", box=None)
    for delivery in page.deliveries:
        moment = when_or("", delivery, "delivered_at")
        if delivery.HasField("next_attempt_at"):
            moment = f"next {when(delivery.next_attempt_at)}"
        table.add_row(
            delivery.event_id,
            delivery.event_type,
            enum_text(DeliveryState, delivery.state),
            str(delivery.attempts),
            str(delivery.last_status or ""),
            moment,
            delivery.last_error[:60],
        )
    return table
