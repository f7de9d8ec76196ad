"""The `manual` provider: an operator is paid by a bank or otherwise, and tells when."""

from typing import ClassVar

from meter.payments.provider import Page, ProviderRefused, SavedMethod, State, Status, Wanted

_NO_METHODS = (
    "the provider `manual` saves no methods and charges none;"
    " set CREDITGATE_PAYMENTS to another provider"
)


class ManualProvider:
    """Takes no money by itself: a payment waits until an operator completes the payment."""

    name: ClassVar[str] = "manual"
    saves_methods: ClassVar[bool] = False
    is_live = False

    def __init__(self, instructions: str) -> None:
        """`instructions` tell customers how to pay, such as an IBAN."""
        self.instructions = instructions

    def customer(self, account_id: str, key: str) -> str:
        return account_id

    def begin_setup(self, customer: str, currency: str, key: str) -> Page:
        raise ProviderRefused(_NO_METHODS)

    def methods(self, customer: str) -> list[SavedMethod]:
        return []

    def detach(self, method: str) -> None:
        raise ProviderRefused(_NO_METHODS)

    def begin(self, wanted: Wanted, key: str) -> str:
        raise ProviderRefused(_NO_METHODS)

    def checkout(self, wanted: Wanted, key: str) -> Page:
        return Page(key, "", 0)

    def confirm(self, ref: str, method: str, *, off_session: bool, key: str) -> State:
        raise ProviderRefused(_NO_METHODS)

    def look(self, ref: str) -> State:
        return State(Status.PROCESSING)

    def cancel(self, ref: str) -> State:
        return State(Status.CANCELLED)

    def refund(self, ref: str, minor: int, key: str) -> bool:
        """Returns True: the operator pays back, and asked for the refund."""
        return True
