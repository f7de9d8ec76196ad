"""What a usage costs: the price in force, or the one its hold has pinned, recorded in the ledger
before it is first charged.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

from gate.hold_ids import version_of
from gate.v1 import gate_pb2
from meter.errors import InvalidField, OutOfRange, ServiceError
from meter.journal.entry import Pricing
from meter.money import INT64_MAX
from meter.prices import ModelPrice, PriceTable, UnknownModel, UnpricedUnit
from meter.prices.recorded import Prices

Priced = gate_pb2.AuthorizeRequest | gate_pb2.DebitRequest | gate_pb2.ExtendRequest

PLAIN = "-"  # in place of a currency: an amount is in the account's own
_VERSIONS_REMEMBERED = 8192  # more than one batch can name


class Cost(NamedTuple):
    """What a request asks for, in nanos; with the price it came from, if it named a usage."""

    amount_nanos: int
    price: ModelPrice | None = None
    pricing: str = ""  # journal form (meter.journal.entry.Pricing)
    quantities: dict[str, int] | None = None
    lines: Sequence[tuple[str, int, int]] = ()  # unit, quantity, nanos

    @property
    def currency(self) -> str:
        return PLAIN if self.price is None else self.price.currency

    def affordable_output_tokens(self, nanos: int) -> int | None:
        """Output tokens that `nanos` buy after this usage's input; None for a plain amount."""
        if self.price is None or self.quantities is None:
            return None
        return self.price.affordable_output_tokens(self.quantities, nanos)


class Pricer:
    """Prices usages.

    Every version it charges by is in the ledger first, so any process can settle by it.
    """

    def __init__(self, table: PriceTable, prices: Prices) -> None:
        self._table = table
        self._prices = prices
        self._recorded: OrderedDict[str, ModelPrice] = (
            OrderedDict()
        )  # by version, the least recently used first

    def use(self, table: PriceTable) -> None:
        """Prices by this table from now on; what holds have pinned stays."""
        self._table = table

    async def cost_of(self, request: Priced, hold_id: str = "") -> Cost:
        """The cost of a request that has passed gate/validation.py; by the price that `hold_id` pins,
        if that is of the same model.

        InvalidField for an unknown model or a unit without a price; OutOfRange for a cost beyond
        int64.
        """
        if not request.HasField("usage"):
            return Cost(request.amount_nanos)
        return _cost(
            await self._price(request.usage.model, request.account_id, version_of(hold_id)),
            request.usage,
        )

    def canonical(self, model: str, account_id: str) -> str:
        """The name under which an account's usage of a model is known: "provider/model".

        UnknownModel if it has no price.
        """
        return self._table.find(model, time.time_ns() // 1_000_000, account_id).model

    async def estimate(self, request: gate_pb2.EstimateCostRequest) -> Cost:
        """As `cost_of`, of what nobody is charged for."""
        return _cost(await self._price(request.usage.model, request.account_id, ""), request.usage)

    async def prepare(self, items: Iterable[gate_pb2.BatchItem]) -> None:
        """Looks up every price that these need, so that `cost_of` answers them without waiting: they
        must keep their order.
        """
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
                await self._price(request.usage.model, request.account_id, version_of(hold_id))

    async def _price(self, model: str, account_id: str, pinned: str) -> ModelPrice:
        """The pinned price if it is this model's, else the one in force for the account."""
        price = (self._known(pinned) or await self._recall(pinned)) if pinned else None
        try:
            current = self._table.find(model, time.time_ns() // 1_000_000, account_id)
        except UnknownModel as error:
            if price is not None and model.lower() in (
                price.model.lower(),
                price.model.lower().rpartition("/")[2],
            ):
                return price
            raise InvalidField("usage.model", str(error), "UNKNOWN_MODEL") from None
        if price is not None and (
            price.model == current.model or self._table.means(model, price.model)
        ):
            return price
        if self._known(current.version) is None:
            await asyncio.to_thread(self._prices.record, current)
            self._remember(current)
        return current

    def _known(self, version: str) -> ModelPrice | None:
        price = self._recorded.get(version)
        if price is not None:
            self._recorded.move_to_end(version)
        return price

    async def _recall(self, version: str) -> ModelPrice | None:
        price = await asyncio.to_thread(self._prices.version, version)
        if price is not None:
            self._remember(price)
        return price

    def _remember(self, price: ModelPrice) -> None:
        self._recorded[price.version] = price
        if len(self._recorded) > _VERSIONS_REMEMBERED:
            self._recorded.popitem(last=False)


def _cost(price: ModelPrice, usage: gate_pb2.Usage) -> Cost:
    quantities = quantities_of(usage)
    try:
        amount_nanos, lines = price.cost(quantities)
    except UnpricedUnit as error:
        raise InvalidField("usage", str(error), "UNPRICED_UNIT") from None
    if amount_nanos > INT64_MAX:
        raise OutOfRange(
            "AMOUNT_OUT_OF_RANGE", "usage: costs more than int64 nanos can hold", "usage"
        )
    return Cost(
        amount_nanos, price, Pricing(price.model, price.version, lines).to_json(), quantities, lines
    )


def quantities_of(usage: gate_pb2.Usage) -> dict[str, int]:
    """Metered units by name.

    A count of zero says something only where it was named: `requests: 0` waives a price per
    request.
    """
    named = {
        "input_tokens": usage.input_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "output_tokens": usage.output_tokens,
    }
    used = {unit: quantity for unit, quantity in named.items() if quantity}
    return used | dict(usage.units) if usage.units else used
