"""Computes an invoice: what an account used in a period, which credits paid for the usage, and how
much is owed.

The calculation is pure, from sums and charges to a message, and does not depend on when the invoice
is made: the same ledger gives the same bytes.

Whatever is paid later pays the oldest debt first. So, of the overage that the period used, as much
is unpaid as is still in use at the period's end.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal, Inexact, localcontext
from typing import NamedTuple

from meter.journal.operations import NEXT_INVOICE
from meter.prices.price import ModelPrice
from meter.prices.units import unit_order
from meter.times import timestamp
from meter.v1 import ledger_pb2 as pb
from meter.v1.accounts_pb2 import GrantType

_OVERAGE = 0  # stands in place of a grant's number
_PRICE_DIGITS = 60  # more than any price has


@dataclass(frozen=True, slots=True)
class Period:
    """Holds the times from `start_ms` until before `end_ms`."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Charge:
    """Holds a debit: the lines of the amount, and the paying grants."""

    model: str
    price_version: str
    lines: tuple[tuple[str, int, int], ...]  # (unit, quantity, nanos); add up to the debit
    burned: tuple[tuple[int, int], ...]  # (grant's number, nanos), also the debit; 0 is overage


@dataclass(frozen=True, slots=True)
class Heading:
    """Holds the content of an invoice apart from the amounts."""

    number: str
    account_id: str
    currency: str
    period: Period
    final: bool
    overage_policy: str = NEXT_INVOICE  # when the period ended

    @property
    def status(self) -> pb.InvoiceStatus:
        if self.final:
            return pb.FINAL
        return pb.DRAFT


@dataclass(frozen=True, slots=True)
class Sums:
    """Holds the sums of the account's history up to the period's end.

    Debits that were given back as duplicates are left out, and so are the refunds of duplicates.
    """

    opening_nanos: int  # remaining credits when the period began
    closing_nanos: int  # remaining credits when the period ended
    granted_nanos: int
    debited_nanos: int
    debits: int
    expired_nanos: int = 0  # or voided
    debt_nanos: int = 0  # overage in use when the period ended
    debt_paid_nanos: int = 0  # in the period


PriceOf = Callable[[str], ModelPrice | None]  # by price version; None for an unknown or no version
TypeOf = Callable[[int], str]  # type of a grant, by the grant's number


class UnbalancedError(Exception):
    """The ledger's rows contradict each other; no invoice can be computed from them."""


def compute(
    heading: Heading,
    sums: Sums,
    charges: Iterable[Charge],
    price_of: PriceOf,
    type_of: TypeOf,
) -> pb.Invoice:
    """Returns the invoice of `charges`, the period's debits.

    Raises UnbalancedError if the charges do not come to `sums`.
    """
    usage = _add_up(charges)
    lines = _lines(usage.totals, price_of)
    overage_nanos = usage.burned.pop(_OVERAGE, 0)
    payments = _payments(usage.burned, type_of)
    total_nanos = _total(lines)
    _check_balanced(total_nanos, overage_nanos + _total(payments), sums)
    invoice = _new_invoice(heading, sums)
    invoice.lines.extend(lines)
    invoice.payments.extend(payments)
    invoice.total_nanos = total_nanos
    invoice.overage_used_nanos = overage_nanos
    _tell_unpaid(invoice, min(overage_nanos, max(0, sums.debt_nanos)), heading.overage_policy)
    return invoice


def unit_price(price: ModelPrice | None, unit: str) -> str:
    """Returns the price in credits per million units, as an exact decimal.

    The text is empty without a price, for a price with tiers, and for a price that no decimal
    expresses exactly.
    """
    if price is None or price.tiers:
        return ""
    rate = dict(price.rates).get(unit)
    if rate is None:
        return ""
    return _exact_decimal(rate, price.per)


def _exact_decimal(rate: int, per: int) -> str:
    """Returns `rate` picos over `per` as credits per million; empty if no decimal is exact."""
    with localcontext(prec=_PRICE_DIGITS) as context:
        context.traps[Inexact] = True
        try:
            exact = (Decimal(rate) / per).scaleb(-6)
        except Inexact:
            return ""
    return f"{exact.normalize():f}"


class _LineKey(NamedTuple):
    model: str
    unit: str
    price_version: str

    def order(self) -> tuple[str, tuple[int, str], str]:
        """Returns the key by which the lines of an invoice are sorted."""
        return self.model, unit_order(self.unit), self.price_version


@dataclass(slots=True)
class _LineTotal:
    quantity: int = 0
    nanos: int = 0


@dataclass(slots=True)
class _Usage:
    """Holds the sums of all charges: by line, and by the grant that paid (nanos by number)."""

    totals: dict[_LineKey, _LineTotal] = field(default_factory=dict)
    burned: dict[int, int] = field(default_factory=dict)

    def add_lines(self, charge: Charge) -> None:
        for unit, quantity, nanos in charge.lines:
            key = _LineKey(charge.model, unit, charge.price_version)
            total = self.totals.get(key)
            if total is None:
                total = self.totals[key] = _LineTotal()
            total.quantity += quantity
            total.nanos += nanos

    def add_burned(self, charge: Charge) -> None:
        for number, nanos in charge.burned:
            self.burned[number] = self.burned.get(number, 0) + nanos


def _add_up(charges: Iterable[Charge]) -> _Usage:
    usage = _Usage()
    for charge in charges:
        usage.add_lines(charge)
        usage.add_burned(charge)
    return usage


def _lines(
    totals: dict[_LineKey, _LineTotal],
    price_of: PriceOf,
) -> list[pb.InvoiceLine]:
    lines = []
    for key in sorted(totals, key=_LineKey.order):
        price = price_of(key.price_version)
        lines.append(_line(key, totals[key], unit_price(price, key.unit)))
    return lines


def _line(
    key: _LineKey,
    total: _LineTotal,
    price: str,
) -> pb.InvoiceLine:
    return pb.InvoiceLine(
        model=key.model,
        unit=key.unit,
        price_version=key.price_version,
        quantity=total.quantity,
        unit_price=price,
        amount_nanos=total.nanos,
    )


def _payments(
    burned: dict[int, int],
    type_of: TypeOf,
) -> list[pb.InvoicePayment]:
    """Returns what was paid from each type of grant, in the order of the proto's types."""
    amounts = _amounts_by_type(burned, type_of)
    return [
        pb.InvoicePayment(type=grant_type, amount_nanos=amounts[grant_type])
        for grant_type in sorted(amounts, key=GrantType.Value)
    ]


def _amounts_by_type(burned: dict[int, int], type_of: TypeOf) -> dict[str, int]:
    amounts: dict[str, int] = {}
    for number, nanos in burned.items():
        if nanos:
            grant_type = type_of(number)
            amounts[grant_type] = amounts.get(grant_type, 0) + nanos
    return amounts


def _new_invoice(heading: Heading, sums: Sums) -> pb.Invoice:
    """Returns the invoice's heading and history, without usage and payments."""
    return pb.Invoice(
        invoice_number=heading.number,
        account_id=heading.account_id,
        currency=heading.currency,
        status=heading.status,
        period_start=timestamp(heading.period.start_ms),
        period_end=timestamp(heading.period.end_ms),
        opening_balance_nanos=sums.opening_nanos,
        credits_granted_nanos=sums.granted_nanos,
        credits_expired_nanos=sums.expired_nanos,
        closing_balance_nanos=sums.closing_nanos,
        debt_paid_nanos=sums.debt_paid_nanos,
        entry_count=sums.debits,
    )


def _total(parts: Iterable[pb.InvoiceLine] | Iterable[pb.InvoicePayment]) -> int:
    return sum(part.amount_nanos for part in parts)


def _check_balanced(
    total_nanos: int,
    paid_nanos: int,
    sums: Sums,
) -> None:
    if total_nanos != sums.debited_nanos:
        raise UnbalancedError(
            f"the usage lines add up to {total_nanos} nanos, the debits to {sums.debited_nanos}"
        )
    if total_nanos != paid_nanos:
        raise UnbalancedError(
            f"the debits are of {total_nanos} nanos, "
            f"{paid_nanos} were taken from grants and overage"
        )
    _check_closing(total_nanos, sums)


def _check_closing(total_nanos: int, sums: Sums) -> None:
    gained_nanos = sums.granted_nanos - sums.expired_nanos - total_nanos
    if sums.closing_nanos != sums.opening_nanos + gained_nanos:
        raise UnbalancedError(
            f"closing balance {sums.closing_nanos} is not"
            f" opening {sums.opening_nanos} + granted {sums.granted_nanos}"
            f" - expired {sums.expired_nanos} - total {total_nanos} nanos"
        )


def _tell_unpaid(
    invoice: pb.Invoice,
    unpaid_nanos: int,
    overage_policy: str,
) -> None:
    """Writes down how much of the total is paid, and who is to pay the rest."""
    invoice.credits_applied_nanos = invoice.total_nanos - unpaid_nanos
    if overage_policy == NEXT_INVOICE:
        invoice.overage_due_nanos = unpaid_nanos
    else:
        invoice.overage_carried_nanos = unpaid_nanos
