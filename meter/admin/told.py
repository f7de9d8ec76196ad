"""Makes the events of administrators' changes: suspensions, and top-ups."""

from collections.abc import Iterator

from meter.admin.accounts import AccountRow
from meter.admin.recording import now_of
from meter.journal.operations import Operation, Update
from meter.ledger.events import Event

_STATUS_TYPES = {"suspended": "account.suspended", "active": "account.resumed"}


def status_events(
    account: AccountRow,
    operation: Operation,
    change: Update,
) -> Iterator[Event]:
    """Yields the event of a status that is not the account's present status."""
    if change.status != account.status:
        yield Event(
            account_id=account.account_id,
            type=_STATUS_TYPES[change.status],
            once_key=str(operation.seq),
            occurred_at_ms=now_of(account),
            data={},
        )


def top_up_event(
    account: AccountRow,
    top_up_id: str,
    status: str,
    amount_nanos: int,
    payment_reference: str,
) -> Event:
    """Returns the event of a top-up that has reached the status: a name of meter.v1.TopUpStatus."""
    return Event(
        account_id=account.account_id,
        type=f"top_up.{status.lower()}",
        once_key=top_up_id,
        occurred_at_ms=now_of(account),
        data={
            "top_up_id": top_up_id,
            "amount_nanos": amount_nanos,
            "currency": account.currency,
            "payment_reference": payment_reference,
        },
    )
