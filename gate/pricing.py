"""What a usage costs: the price in force, or the one its hold has pinned, recorded in the ledger before it is first charged."""

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from gate.v1 import gate_pb2
from meter.errors import InvalidField, OutOfRange, ServiceError
from meter.journal import Pricing
from meter.ledger.prices import Prices
from meter.money import INT64_MAX
from meter.prices import ModelPrice, PriceTable, UnknownModel, UnpricedUnit

Priced = gate_pb2.AuthorizeRequest | gate_pb2.DebitRequest | gate_pb2.ExtendRequest

PLAIN = "-"  # in place of a currency: an amount is in the account's own


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request asks for, in nanos; with the price it came from, if it named a usage."""

    amount_nanos: int
    price: ModelPrice | None = None
    pricing: str = ""  # journal form (meter.journal.Pricing)
    quantities: dict[str, int] | None = None

    @property
    def currency(self) -> str:
        return PLAIN if self.price is None else self.price.currency

    def affordable_output_tokens(self, nanos: int) -> int | None:
        """Output tokens that `nanos` buy after this usage's input; None for a plain amount."""
        if self.price is None or self.quantities is None:
            return None
        return self.price.affordable_output_tokens(self.quantities, nanos)


class Pricer:
    """Prices usages. Every version it charges by is in the ledger first, so any process can settle by it."""

    def __init__(self, table: PriceTable, prices: Prices) -> None:
        self._table, self._prices = table, prices
        self._recorded: dict[str, ModelPrice] = {}

    async def cost_of(self, request: Priced, hold_id: str = "") -> Cost:
        """The cost of a request that has passed gate/shape.py; by the price that `hold_id` pins, if that is of the same model.

        InvalidField for an unknown model or a unit without a price; OutOfRange for a cost beyond int64.
        """
        if not request.HasField("usage"):
            return Cost(request.amount_nanos)
        usage = request.usage
        price = await self._price(usage.model, version_of(hold_id))
        quantities = quantities_of(usage)
        try:
            cost = price.cost(quantities)
        except UnpricedUnit as error:
            raise InvalidField("usage", str(error), "UNPRICED_UNIT") from None
        if cost.amount_nanos > INT64_MAX:
            raise OutOfRange("AMOUNT_OUT_OF_RANGE", "usage: costs more than int64 nanos can hold", "usage")
        lines = tuple((line.unit, line.quantity, line.amount_nanos) for line in cost.lines)
        return Cost(cost.amount_nanos, price, Pricing(price.model, price.version, lines).to_json(), quantities)

    async def prepare(self, items: Iterable[gate_pb2.BatchItem]) -> None:
        """Looks up every price that these need, so that `cost_of` answers them without waiting: they must keep their order."""
        for item in items:
            match item.WhichOneof("request"):
                case "authorize":
                    await self._prepare(item.authorize)
                case "debit":
                    await self._prepare(item.debit, item.debit.hold_id)
                case "extend":
                    await self._prepare(item.extend, item.extend.hold_id)

    async def _prepare(self, request: Priced, hold_id: str = "") -> None:
        if request.HasField("usage"):
            with suppress(ServiceError):  # told by the item itself
                await self._price(request.usage.model, version_of(hold_id))

    async def _price(self, model: str, pinned: str) -> ModelPrice:
        """The pinned price if it is this model's, else the one in force."""
        price = None if not pinned else await self._version(pinned)
        try:
            current = self._table.find(model, int(time.time() * 1000))
        except UnknownModel as error:
            if price is not None and model in (price.model, price.model.rpartition("/")[2]):
                return price
            raise InvalidField("usage.model", str(error), "UNKNOWN_MODEL") from None
        if price is not None and price.model == current.model:
            return price
        if current.version not in self._recorded:
            await asyncio.to_thread(self._prices.record, current)
            self._recorded[current.version] = current
        return current

    async def _version(self, version: str) -> ModelPrice | None:
        if version not in self._recorded:
            price = await asyncio.to_thread(self._prices.version, version)
            if price is None:
                return None
            self._recorded[version] = price
        return self._recorded[version]


def version_of(hold_id: str) -> str:
    """The price version that a hold has pinned: it stands behind the dot of its id. Empty: none."""
    return hold_id.partition(".")[2]


def quantities_of(usage: gate_pb2.Usage) -> dict[str, int]:
    """Metered units by name. A count of zero says something only where it was named: `requests: 0` waives a price per request."""
    named = {
        "input_tokens": usage.input_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "output_tokens": usage.output_tokens,
    }
    return {unit: quantity for unit, quantity in named.items() if quantity} | dict(usage.units)
