"""Remembers what the provider calls each account."""

from typing import Any

from sqlalchemy import Select, select

from meter.database.engine import Ledger, insert_or_ignore
from meter.database.payments_schema import customers
from meter.payments.provider import Provider


def customer_of(ledger: Ledger, provider: Provider, account_id: str) -> str:
    """Returns the provider's name for the account; the provider makes one the first time."""
    with ledger.read() as connection:
        found = connection.scalar(_select_ref(provider, account_id))
    if found is not None:
        return str(found)
    ref = provider.customer(account_id, key=f"customer-{account_id}")
    row = {"provider": provider.name, "account_id": account_id, "customer_ref": ref}
    with ledger.write() as connection:
        insert_or_ignore(connection, customers, [row])
        return str(connection.scalar(_select_ref(provider, account_id)))


def _select_ref(provider: Provider, account_id: str) -> Select[Any]:
    return select(customers.c.customer_ref).where(
        customers.c.provider == provider.name,
        customers.c.account_id == account_id,
    )
