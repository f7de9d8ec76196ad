"""Webhook endpoints: bounds, whose they are, and what the check finds of their deliveries."""

import pytest
from sqlalchemy import delete, update

from meter.audit.deliveries import check_deliveries
from meter.audit.findings import Findings
from meter.database import notifications_schema as tables
from meter.errors import NotFound
from meter.notifications.delivery_log import DeliveryLog
from meter.times import now_ms
from support.receivers import Receiver, status
from support.webhook_billing import Billing, event

pytest_plugins = ("support.webhook_fixtures",)


def test_a_repeated_request_makes_one_endpoint_and_the_21st_is_refused(
    billing: Billing, listening: Receiver
) -> None:
    first = billing.endpoints.create("acme", listening.url(), (), "r")
    assert billing.endpoints.create("acme", listening.url(), (), "r") == first
    for _ in range(19):
        billing.endpoint(listening.url(), "acme")
    with pytest.raises(Exception, match="has 20 endpoints already"):
        billing.endpoint(listening.url(), "acme")
    billing.endpoints.delete(first.endpoint_id)
    billing.endpoint(listening.url(), "acme")


def test_the_check_finds_an_event_without_its_delivery_and_a_success_that_was_none(
    billing: Billing, listening: Receiver
) -> None:
    endpoint = billing.endpoint(listening.url(), "acme", "grant.*").endpoint_id
    billing.tell(event(1), event(2, "beta"), event(3, type_="top_up.failed"), event(4))
    billing.round()
    assert found_in(billing) == []
    table = tables.webhook_deliveries
    with billing.ledger.write() as connection:
        connection.execute(delete(table).where(table.c.number == 1))
        connection.execute(update(table).values(last_status=500))
    assert found_in(billing) == [
        f"endpoint {endpoint} wants event 1, and has no delivery",
        f"event 4 is delivered to {endpoint}, whose answer was no success",
    ]


def found_in(billing: Billing) -> list[str]:
    findings = Findings()
    with billing.ledger.read() as connection:
        check_deliveries(connection, findings)
    return [finding.detail for finding in findings.listed()]


def test_an_endpoint_is_changed_under_its_own_account_alone(
    billing: Billing, listening: Receiver
) -> None:
    endpoint = billing.endpoint(listening.url(), "acme").endpoint_id
    with pytest.raises(NotFound):
        billing.endpoints.update(endpoint, "beta", {"status": "DISABLED"})
    assert billing.endpoints.update(endpoint, "acme", {"status": "DISABLED"}).status == "DISABLED"


def test_old_deliveries_are_removed_and_those_that_wait_stay(
    billing: Billing, listening: Receiver
) -> None:
    billing.endpoint(listening.url())
    billing.tell(event(1))
    billing.round()
    listening.reply = status(500)
    billing.tell(event(2))
    billing.round()
    DeliveryLog(billing.ledger).remove_old(now_ms() + 1)
    assert billing.states() == ["WAITING"]
    assert found_in(billing) == []
