"""What billing sends webhooks with: the product's own parts, on a test's clock and threads."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from meter.database import notifications_schema as tables
from meter.database import schema
from meter.database.engine import Ledger
from meter.ledger.events import Event, record_events
from meter.notifications.endpoints import EndpointRow, Endpoints
from meter.notifications.fan_out import fan_out
from meter.notifications.mails import MailRules
from meter.notifications.webhook_sender import WebhookSender
from support.recorded_accounts import NOON, new_id, rows

NO_MAILS = MailRules(enabled=False, operator="")
KEY = "a key of the operator that nobody can guess"


@dataclass
class Clock:
    """Tells the time that a test sets."""

    ms: int = NOON

    def __call__(self) -> int:
        return self.ms


@dataclass
class Billing:
    """What billing sends with, on a test's own clock and threads."""

    ledger: Ledger
    clock: Clock
    sender: WebhookSender
    endpoints: Endpoints
    registry: CollectorRegistry

    def endpoint(self, url: str, account_id: str = "", *types: str) -> EndpointRow:
        return self.endpoints.create(account_id, url, types, new_id())

    def tell(self, *events: Event) -> None:
        with self.ledger.write() as connection:
            record_events(connection, events)

    def round(self) -> int:
        """Does what is due now, and returns how many attempts that were."""
        while fan_out(self.ledger, NO_MAILS, self.clock()):
            pass
        attempts = 0
        while claimed := self.sender.deliveries.claim(self.clock(), 100):
            for each in claimed:
                self.sender.send(each)
            attempts += len(claimed)
        return attempts

    def states(self) -> list[str]:
        return [row.state for row in rows(self.ledger, tables.webhook_deliveries)]

    def types(self) -> list[str]:
        return [row.type for row in rows(self.ledger, schema.events)]


def event(number: int, account_id: str = "acme", type_: str = "grant.expired") -> Event:
    return Event(account_id, type_, f"{number}", NOON, {"grant_id": f"g{number}"})


def counted(billing: Billing, outcome: str) -> float | None:
    name = "creditgate_deliveries_total"
    return billing.registry.get_sample_value(name, {"outcome": outcome})
