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

# Sums that only grow along the history: of two drafts, the older one has no larger sum.
GROWING = (
    "entry_count",
    "credits_granted_nanos",
    "credits_expired_nanos",
    "debt_paid_nanos",
)

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
    total_nanos = sum(line.amount_nanos for line in lines)
    overage_nanos = usage.burned.pop(_OVERAGE, 0)
    payments = _payments(usage.burned, type_of)
    paid_nanos = overage_nanos + sum(payment.amount_nanos for payment in payments)
    _check_balanced(total_nanos, paid_nanos, sums)
    unpaid_nanos = min(overage_nanos, max(0, sums.debt_nanos))
    invoice = _new_invoice(heading, sums)
    invoice.lines.extend(lines)
    invoice.payments.extend(payments)
    invoice.total_nanos = total_nanos
    invoice.credits_applied_nanos = total_nanos - unpaid_nanos
    invoice.overage_used_nanos = overage_nanos
    if heading.overage_policy == NEXT_INVOICE:
        invoice.overage_due_nanos = unpaid_nanos
    else:
        invoice.overage_carried_nanos = unpaid_nanos
    return invoice


def supersedes(computed: pb.Invoice, latest: pb.Invoice) -> bool:
    """Returns whether `computed` is to replace `latest`, the latest stored revision.

    A final revision is never replaced. A draft is replaced by an invoice that differs and knows at
    least as much of the history.
    """
    if latest.status == pb.FINAL or computed == latest:
        return False
    if computed.status == pb.FINAL:
        return True
    return all(getattr(computed, name) >= getattr(latest, name) for name in GROWING)


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
    with localcontext(prec=_PRICE_DIGITS) as context:
        context.traps[Inexact] = True
        try:
            exact = (Decimal(rate) / price.per).scaleb(-6)
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


def _add_up(charges: Iterable[Charge]) -> _Usage:
    usage = _Usage()
    for charge in charges:
        for unit, quantity, nanos in charge.lines:
            key = _LineKey(charge.model, unit, charge.price_version)
            total = usage.totals.get(key)
            if total is None:
                total = usage.totals[key] = _LineTotal()
            total.quantity += quantity
            total.nanos += nanos
        for number, nanos in charge.burned:
            usage.burned[number] = usage.burned.get(number, 0) + nanos
    return usage


def _lines(
    totals: dict[_LineKey, _LineTotal],
    price_of: PriceOf,
) -> list[pb.InvoiceLine]:
    lines = []
    for key in sorted(totals, key=_LineKey.order):
        price = price_of(key.price_version)
        line = pb.InvoiceLine(
            model=key.model,
            unit=key.unit,
            price_version=key.price_version,
            quantity=totals[key].quantity,
            unit_price=unit_price(price, key.unit),
            amount_nanos=totals[key].nanos,
        )
        lines.append(line)
    return lines


def _payments(
    burned: dict[int, int],
    type_of: TypeOf,
) -> list[pb.InvoicePayment]:
    """Returns what was paid from each type of grant, in the order of the proto's types."""
    amounts: dict[str, int] = {}
    for number, nanos in burned.items():
        if nanos:
            grant_type = type_of(number)
            amounts[grant_type] = amounts.get(grant_type, 0) + nanos
    return [
        pb.InvoicePayment(type=grant_type, amount_nanos=amounts[grant_type])
        for grant_type in sorted(amounts, key=GrantType.Value)
    ]


def _new_invoice(heading: Heading, sums: Sums) -> pb.Invoice:
    """Returns the invoice's heading and history, without usage and payments."""
    status = pb.DRAFT
    if heading.final:
        status = pb.FINAL
    return pb.Invoice(
        invoice_number=heading.number,
        account_id=heading.account_id,
        currency=heading.currency,
        status=status,
        period_start=timestamp(heading.period.start_ms),
        period_end=timestamp(heading.period.end_ms),
        opening_balance_nanos=sums.opening_nanos,
        credits_granted_nanos=sums.granted_nanos,
        credits_expired_nanos=sums.expired_nanos,
        closing_balance_nanos=sums.closing_nanos,
        debt_paid_nanos=sums.debt_paid_nanos,
        entry_count=sums.debits,
    )


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
    gained_nanos = sums.granted_nanos - sums.expired_nanos - total_nanos
    if sums.closing_nanos != sums.opening_nanos + gained_nanos:
        raise UnbalancedError(
            f"closing balance {sums.closing_nanos} is not"
            f" opening {sums.opening_nanos} + granted {sums.granted_nanos}"
            f" - expired {sums.expired_nanos} - total {total_nanos} nanos"
        )
