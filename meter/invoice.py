"""The invoice: what an account used in a period, how much of that its credits paid, and how much it owes.

Pure: from sums and charges to a message. Nothing in it depends on when it is made, so that the same books give the same bytes.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal, Inexact, localcontext

from meter.prices.price import ModelPrice
from meter.prices.units import unit_order
from meter.times import timestamp
from meter.v1 import ledger_pb2 as pb

_PRICE_DIGITS = 60  # more than any price has


@dataclass(frozen=True, slots=True)
class Period:
    """From `start_ms` until before `end_ms`."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Charge:
    """One debit: (unit, quantity, nanos) lines that add up to it."""

    model: str
    price_version: str
    lines: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """What an invoice says of itself."""

    number: str
    account_id: str
    currency: str
    period: Period
    final: bool


@dataclass(frozen=True, slots=True)
class Sums:
    """The account's history around the period. Debits that were given back as duplicates, and what gave them back, are not in it."""

    opening_nanos: int  # remaining credits when the period began
    closing_nanos: int  # and when it ended
    granted_nanos: int
    debited_nanos: int
    debits: int


PriceOf = Callable[[str], ModelPrice | None]  # of a price version; None: unknown, or no version


def draw_up(heading: Heading, sums: Sums, charges: Iterable[Charge], price_of: PriceOf) -> pb.Invoice:
    """The invoice of `charges`, the period's debits. Raises UnbalancedError if these do not come to `sums`."""
    lines = _lines(charges, price_of)
    total = sum(line.amount_nanos for line in lines)
    _check_balanced(total, sums)
    # Debt from before the period was due on an earlier invoice: credits pay it first, and what is left pays this one.
    credits_applied = min(total, max(0, sums.opening_nanos + sums.granted_nanos))
    return pb.Invoice(
        invoice_number=heading.number,
        account_id=heading.account_id,
        currency=heading.currency,
        status=pb.FINAL if heading.final else pb.DRAFT,
        period_start=timestamp(heading.period.start_ms),
        period_end=timestamp(heading.period.end_ms),
        lines=lines,
        total_nanos=total,
        credits_applied_nanos=credits_applied,
        overage_due_nanos=total - credits_applied,
        opening_balance_nanos=sums.opening_nanos,
        credits_granted_nanos=sums.granted_nanos,
        closing_balance_nanos=sums.closing_nanos,
        entry_count=sums.debits,
    )


def supersedes(drawn: pb.Invoice, latest: pb.Invoice) -> bool:
    """Whether `drawn` says something else than the `latest` revision, and knows as much of the history, or more.

    A final one is never superseded. Of two drafts the older has the smaller counts: both only grow along the history.
    """
    if latest.status == pb.FINAL or drawn == latest:
        return False
    no_older = drawn.entry_count >= latest.entry_count and drawn.credits_granted_nanos >= latest.credits_granted_nanos
    return drawn.status == pb.FINAL or no_older


class UnbalancedError(Exception):
    """The books contradict themselves; no invoice can be drawn from them."""


def unit_price(price: ModelPrice | None, unit: str) -> str:
    """Credits per million units, an exact decimal; empty if the price has tiers, has no such decimal, or is none."""
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


def _lines(charges: Iterable[Charge], price_of: PriceOf) -> list[pb.InvoiceLine]:
    sums: dict[tuple[str, str, str], tuple[int, int]] = {}
    for charge in charges:
        for unit, quantity, nanos in charge.lines:
            key = (charge.model, unit, charge.price_version)
            quantities, amounts = sums.get(key, (0, 0))
            sums[key] = (quantities + quantity, amounts + nanos)
    in_order = sorted(sums.items(), key=lambda each: (each[0][0], unit_order(each[0][1]), each[0][2]))
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


def _check_balanced(total: int, sums: Sums) -> None:
    if total != sums.debited_nanos:
        raise UnbalancedError(f"the usage lines add up to {total} nanos, the debits to {sums.debited_nanos}")
    if sums.closing_nanos != sums.opening_nanos + sums.granted_nanos - total:
        raise UnbalancedError(
            f"closing balance {sums.closing_nanos} is not opening {sums.opening_nanos} + granted {sums.granted_nanos} - total {total} nanos"
        )
