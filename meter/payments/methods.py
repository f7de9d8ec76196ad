"""Saves, lists, chooses and removes payment methods."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, insert, select, update

from meter.admin.accounts import find_account, lock_account, require_account
from meter.database.engine import Ledger
from meter.database.errors import AccountNotFound
from meter.database.payments_schema import method_setups
from meter.errors import InvalidField
from meter.payments.customers import customer_of
from meter.payments.method_rows import (
    MethodRow,
    find_method,
    keep_methods,
    list_methods,
    make_default,
    mark_removed,
    usable_method,
)
from meter.payments.provider import Page, Provider
from meter.payments.providers.simulated import SimulatedProvider, check_test_method
from meter.payments.recharge_outcomes import lift_suspension, note_removed
from meter.payments.told import tell_method


@dataclass(frozen=True, slots=True)
class Setup:
    """Holds a page on which a method can be saved, and the method if it is saved already."""

    setup_id: str
    page: Page
    method: MethodRow | None = None


class Methods:
    """Keeps the methods of all accounts. Any call may raise ProviderUnavailable."""

    def __init__(self, ledger: Ledger, provider: Provider, clock: Callable[[], int]) -> None:
        """`clock` returns the time in ms."""
        self._ledger = ledger
        self._provider = provider
        self._clock = clock

    def begin_setup(self, account_id: str, *, as_default: bool, test_method: str) -> Setup:
        """Returns a page on which a method can be saved.

        With the provider `test`, the `test_method` is saved at once. Raises AccountNotFound;
        ProviderRefused if the provider saves no methods; InvalidField.
        """
        self._check_test_method(test_method)
        with self._ledger.read() as connection:
            account = find_account(connection, account_id)
        if account is None:
            raise AccountNotFound(account_id)
        setup_id = f"set{uuid.uuid4().hex}"
        customer = ""
        if self._provider.saves_methods:
            customer = customer_of(self._ledger, self._provider, account_id)
        page = self._provider.begin_setup(customer, account.currency, setup_id)
        self._record_setup(account_id, setup_id, page, as_default=as_default)
        if not isinstance(self._provider, SimulatedProvider):
            return Setup(setup_id, page)
        self._provider.save_method(customer, test_method)
        [method] = self._take_new(account_id)
        return Setup(setup_id, page, method)

    def refresh(self, account_id: str) -> list[MethodRow]:
        """Records what was saved on open pages, and returns all methods, the newest last."""
        self._take_new(account_id)
        with self._ledger.read() as connection:
            return list_methods(connection, account_id, self._provider.name)

    def _take_new(self, account_id: str) -> list[MethodRow]:
        customer = customer_of(self._ledger, self._provider, account_id)
        saved = self._provider.methods(customer)
        with self._ledger.write() as connection:
            lock_account(connection, account_id)
            name = self._provider.name
            now_ms = self._clock()
            new = keep_methods(connection, account_id, name, saved, now_ms)
            for row in new:
                tell_method(connection, "added", row)
            if new:
                self._take_up(connection, account_id, new[-1])
            return [find_method(connection, account_id, row.method_id) for row in new]

    def list_all(self, account_id: str) -> list[MethodRow]:
        """Returns the account's methods, the newest last. Raises AccountNotFound."""
        with self._ledger.read() as connection:
            require_account(connection, account_id)
            has_open_page = connection.scalar(_select_open(account_id, self._clock()))
            methods = list_methods(connection, account_id, self._provider.name)
        if has_open_page is not None:
            return self.refresh(account_id)
        return methods

    def set_default(self, account_id: str, method_id: str) -> MethodRow:
        """Makes a method the default one. Raises NotFound, or FailedPrecondition if removed."""
        with self._ledger.write() as connection:
            lock_account(connection, account_id)
            row = usable_method(connection, account_id, self._provider.name, method_id)
            _make_default(connection, row)
            return find_method(connection, account_id, method_id)

    def remove(self, account_id: str, method_id: str) -> MethodRow:
        """Removes a method here and at the provider. Raises NotFound; a repeat changes nothing."""
        with self._ledger.write() as connection:
            lock_account(connection, account_id)
            row = find_method(connection, account_id, method_id)
            if not row.is_removed:
                mark_removed(connection, row)
                tell_method(connection, "removed", row)
                note_removed(connection, row)
        # Again on a repeat: the provider may not have heard of it the first time.
        if row.provider == self._provider.name:
            self._provider.detach(row.method_ref)
        with self._ledger.read() as connection:
            return find_method(connection, account_id, method_id)

    def _check_test_method(self, test_method: str) -> None:
        if isinstance(self._provider, SimulatedProvider):
            check_test_method(test_method)
        elif test_method:
            message = "only the provider `test` has such methods; leave it empty"
            raise InvalidField("test_method", message)

    def _record_setup(
        self,
        account_id: str,
        setup_id: str,
        page: Page,
        *,
        as_default: bool,
    ) -> None:
        row = {
            "setup_id": setup_id,
            "account_id": account_id,
            "provider": self._provider.name,
            "setup_ref": page.ref,
            "make_default": as_default,
            "is_open": True,
            "expires_at_ms": page.expires_at_ms,
        }
        with self._ledger.write() as connection:
            connection.execute(insert(method_setups), row)

    def _take_up(self, connection: Connection, account_id: str, newest: MethodRow) -> None:
        """Makes the newest method the default if that was asked for, or there is no default."""
        query = select(method_setups.c.make_default).where(
            method_setups.c.account_id == account_id,
            method_setups.c.is_open,
        )
        wants_default = any(connection.scalars(query))
        close = update(method_setups).where(method_setups.c.account_id == account_id)
        connection.execute(close.values(is_open=False))
        methods = list_methods(connection, account_id, self._provider.name)
        if wants_default or not any(row.is_default for row in methods):
            _make_default(connection, newest)


def _make_default(connection: Connection, row: MethodRow) -> None:
    make_default(connection, row)
    lift_suspension(connection, row)


def _select_open(account_id: str, now_ms: int) -> Select[Any]:
    return select(method_setups.c.setup_id).where(
        method_setups.c.account_id == account_id,
        method_setups.c.is_open,
        method_setups.c.expires_at_ms > now_ms,
    )
