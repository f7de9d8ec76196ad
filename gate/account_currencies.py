"""Remembers the currencies of accounts, which never change, for tables with several currencies."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable

from gate.store.account_reader import AccountView

_MAX_REMEMBERED = 16_384  # more accounts than one batch can name


class AccountCurrencies:
    """Answers which currency an account has; asks the store's `get_balance` once."""

    def __init__(self, get_balance: Callable[[str], Awaitable[AccountView]]) -> None:
        self._get_balance = get_balance
        self._known: OrderedDict[str, str] = OrderedDict()  # the least recently used first

    async def of(self, account_id: str) -> str:
        """Returns the currency of the account; raises as GetBalance does."""
        currency = self._known.get(account_id)
        if currency is None:
            view = await self._get_balance(account_id)
            currency = view.currency
            self._known[account_id] = currency
            if len(self._known) > _MAX_REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end(account_id)
        return currency
