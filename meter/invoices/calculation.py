"""The invoice: what an account used in a period, whose credits paid for it, and how much is owed.

Pure: from sums and charges to a message. Nothing in it depends on when it is made, so that the same
books give the same bytes.

What is paid later pays the oldest debt first. So, of the overage that the period used, as much is
unpaid as is still in use at its end.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal, Inexact, localcontext

from meter.journal.operations import NEXT_INVOICE
from meter.prices.price import ModelPrice
from meter.prices.units import unit_order
from meter.times import timestamp
from meter.v1 import ledger_pb2 as pb
from meter.v1.accounts_pb2 import GrantType

_Line = tuple[str, str, str]  # model, unit, price version

_OVERAGE = 0  # in a grant's number's place
_PRICE_DIGITS = 60  # more than any price has


@dataclass(frozen=True, slots=True)
class Period:
    """From `start_ms` until before `end_ms`."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Charge:
    """One debit: (unit, quantity, nanos) lines that add up to it, and (grant's number, nanos) parts
    that paid it; 0: overage.
    """

    model: str
    price_version: str
    lines: tuple[tuple[str, int, int], ...]
    burned: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """What an invoice says of itself."""

    number: str
    account_id: str
    currency: str
    period: Period
    final: bool
    overage_policy: str = NEXT_INVOICE  # when the period ended


@dataclass(frozen=True, slots=True)
class Sums:
    """The account's history around the period.

    Debits that were given back as duplicates, and what gave them back, are not in it.
    """

    opening_nanos: int  # remaining credits when the period began
    closing_nanos: int  # and when it ended
    granted_nanos: int
    debited_nanos: int
    debits: int
    expired_nanos: int = 0  # or voided
    debt_nanos: int = 0  # overage in use when the period ended
    debt_paid_nanos: int = 0  # in the period


PriceOf = Callable[[str], ModelPrice | None]  # of a price version; None: unknown, or no version
TypeOf = Callable[[int], str]  # of a grant, by its number

# Sums that only grow along the history: of two drafts the older has none that is larger.
GROWING = ("entry_count", "credits_granted_nanos", "credits_expired_nanos", "debt_paid_nanos")


def compute(
    heading: Heading, sums: Sums, charges: Iterable[Charge], price_of: PriceOf, type_of: TypeOf
) -> pb.Invoice:
    """The invoice of `charges`, the period's debits.

    Raises UnbalancedError if these do not come to `sums`.
    """
    used, burned = _add_up(charges)
    lines = _lines(used, price_of)
    total = sum(line.amount_nanos for line in lines)
    overage_used = burned.pop(_OVERAGE, 0)
    payments = _payments(burned, type_of)
    _check_balanced(total, overage_used + sum(payment.amount_nanos for payment in payments), sums)
    unpaid = min(overage_used, max(0, sums.debt_nanos))
    due = unpaid if heading.overage_policy == NEXT_INVOICE else 0
    return pb.Invoice(
        invoice_number=heading.number,
        account_id=heading.account_id,
        currency=heading.currency,
        status=pb.FINAL if heading.final else pb.DRAFT,
        period_start=timestamp(heading.period.start_ms),
        period_end=timestamp(heading.period.end_ms),
        lines=lines,
        total_nanos=total,
        credits_applied_nanos=total - unpaid,
        overage_due_nanos=due,
        opening_balance_nanos=sums.opening_nanos,
        credits_granted_nanos=sums.granted_nanos,
        closing_balance_nanos=sums.closing_nanos,
        entry_count=sums.debits,
        payments=payments,
        overage_used_nanos=overage_used,
        debt_paid_nanos=sums.debt_paid_nanos,
        overage_carried_nanos=unpaid - due,
        credits_expired_nanos=sums.expired_nanos,
    )


def supersedes(drawn: pb.Invoice, latest: pb.Invoice) -> bool:
    """Whether `drawn` says something else than the `latest` revision, and knows as much of the
    history, or more.

    A final one is never superseded.
    """
    if latest.status == pb.FINAL or drawn == latest:
        return False
    no_older = all(getattr(drawn, name) >= getattr(latest, name) for name in GROWING)
    return drawn.status == pb.FINAL or no_older


class UnbalancedError(Exception):
    """The books contradict themselves; no invoice can be drawn from them."""


def unit_price(price: ModelPrice | None, unit: str) -> str:
    """Credits per million units, an exact decimal; empty if the price has tiers, has no such decimal,
    or is none.
    """
    rate = None if price is None or price.tiers else dict(price.rates).get(unit)
    if price is None or rate is None:
        return ""
    with localcontext(prec=_PRICE_DIGITS) as context:
        context.traps[Inexact] = True
        try:
            exact = (Decimal(rate) / price.per).scaleb(-6)
        except Inexact:
            return ""
    return f"{exact.normalize():f}"


def _add_up(charges: Iterable[Charge]) -> tuple[dict[_Line, tuple[int, int]], dict[int, int]]:
    """Quantity and nanos by line; nanos by grant."""
    used: dict[_Line, tuple[int, int]] = {}
    burned: dict[int, int] = {}
    for charge in charges:
        for unit, quantity, nanos in charge.lines:
            line = (charge.model, unit, charge.price_version)
            quantities, amounts = used.get(line, (0, 0))
            used[line] = (quantities + quantity, amounts + nanos)
        for grant, nanos in charge.burned:
            burned[grant] = burned.get(grant, 0) + nanos
    return used, burned


def _lines(used: dict[_Line, tuple[int, int]], price_of: PriceOf) -> list[pb.InvoiceLine]:
    in_order = sorted(
        used.items(), key=lambda each: (each[0][0], unit_order(each[0][1]), each[0][2])
    )
    return [
        pb.InvoiceLine(
            model=model,
            unit=unit,
            price_version=version,
            quantity=quantity,
            unit_price=unit_price(price_of(version), unit),
            amount_nanos=nanos,
        )
        for (model, unit, version), (quantity, nanos) in in_order
    ]


def _payments(burned: dict[int, int], type_of: TypeOf) -> list[pb.InvoicePayment]:
    """By type of grant, in the order of the proto's."""
    amounts: dict[str, int] = {}
    for grant, nanos in burned.items():
        if nanos:
            kind = type_of(grant)
            amounts[kind] = amounts.get(kind, 0) + nanos
    in_order = sorted(amounts.items(), key=lambda each: GrantType.Value(each[0]))
    return [pb.InvoicePayment(type=kind, amount_nanos=nanos) for kind, nanos in in_order]


def _check_balanced(total: int, paid: int, sums: Sums) -> None:
    if total != sums.debited_nanos:
        raise UnbalancedError(
            f"the usage lines add up to {total} nanos, the debits to {sums.debited_nanos}"
        )
    if total != paid:
        raise UnbalancedError(
            f"the debits are of {total} nanos, {paid} were taken from grants and overage"
        )
    if sums.closing_nanos != sums.opening_nanos + sums.granted_nanos - sums.expired_nanos - total:
        raise UnbalancedError(
            f"closing balance {sums.closing_nanos} is not opening {sums.opening_nanos} + granted {sums.granted_nanos}"
            f" - expired {sums.expired_nanos} - total {total} nanos"
        )
