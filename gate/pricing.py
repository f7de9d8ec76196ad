"""Prices usages: by the price in force, or by the price that a hold has pinned.

No usage waits for the ledger to have its price: an entry brings the price along until the price is
known to be recorded.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple, NoReturn

import structlog

from gate.account_currencies import AccountCurrencies
from gate.hold_ids import version_of
from gate.metrics import DecisionMetrics
from gate.reported_usage import quantities_reported
from gate.store.errors import CommandFailed
from gate.v1 import gate_pb2
from meter.database.errors import LedgerUnavailable
from meter.errors import InvalidField, OutOfRange, ServiceError
from meter.journal.entry import Pricing
from meter.money import INT64_MAX
from meter.prices import (
    UNITS,
    ModelPrice,
    PriceTable,
    UnknownModel,
    UnpricedServiceTier,
    UnpricedUnit,
)
from meter.prices.held import Asked, price_by_hold
from meter.prices.recorded import Prices
from meter.prices.service_tiers import service_tier_named
from meter.prices.units import unit_order
from meter.times import now_ms

Priced = gate_pb2.AuthorizeRequest | gate_pb2.DebitRequest | gate_pb2.ExtendRequest

ACCOUNT_CURRENCY = "-"  # in place of a currency's name: a plain amount is in the account's own
REPORTED_COST = "reported_cost"  # the unit of a cost that no price of ours has made
_NO_PRICE = ("UNKNOWN_MODEL", "UNPRICED_SERVICE_TIER")
_RETRY_S = 1.0
_MAX_REMEMBERED_VERSIONS = 8192  # more than one batch can name

log = structlog.get_logger()


class Cost(NamedTuple):
    """Holds the amount that a request asks for; for a usage also the price."""

    amount_nanos: int
    price: ModelPrice | None = None
    pricing: str = ""  # journal form (meter.journal.entry.Pricing)
    quantities: dict[str, int] | None = None
    lines: Sequence[tuple[str, int, int]] = ()  # unit, quantity, nanos
    model: str = ""  # as usage is recorded; empty for an amount

    @property
    def currency(self) -> str:
        if self.price is None:
            return ACCOUNT_CURRENCY
        return self.price.currency

    def affordable_output_tokens(self, nanos: int) -> int | None:
        """Returns the output tokens that `nanos` buy after the usage's input; None without
        usage.
        """
        if self.price is None or self.quantities is None:
            return None
        return self.price.affordable_output_tokens(self.quantities, nanos)


class Pricer:
    """Prices the usages of requests.

    The ledger has every version before, or together with, the first charge by the version.
    """

    def __init__(
        self,
        table: PriceTable,
        prices: Prices,
        currencies: AccountCurrencies,
        wait_until_flushed: Callable[[str], Awaitable[None]],
        metrics: DecisionMetrics,
    ) -> None:
        self._table = table
        self._prices = prices
        self._currencies = currencies
        self._wait_until_flushed = wait_until_flushed
        self._metrics = metrics
        # By version, the least recently used first.
        self._remembered: OrderedDict[str, ModelPrice] = OrderedDict()
        self._unrecorded: dict[str, ModelPrice] = {}
        self._any_unrecorded = asyncio.Event()

    async def keep(self) -> None:
        """Records the prices that usages were charged by. Runs until cancelled."""
        while True:
            await self._any_unrecorded.wait()
            self._any_unrecorded.clear()
            for price in list(self._unrecorded.values()):
                try:
                    await asyncio.to_thread(self._prices.record, price)
                except LedgerUnavailable as error:
                    log.warning("prices_not_recorded", error=str(error))
                    await asyncio.sleep(_RETRY_S)
                    self._any_unrecorded.set()
                    break
                self._unrecorded.pop(price.version, None)

    def use(self, table: PriceTable) -> None:
        """Puts a price table in force. Holds keep the pinned prices."""
        self._table = table

    def canonical(self, model: str, account_id: str) -> str:
        """Returns the model's name as "provider/model", as the account's usage is recorded.

        Raises UnknownModel if the model has no price.
        """
        return self._table.find(model, now_ms(), account_id).model

    async def cost_of(self, request: Priced, hold_id: str = "") -> Cost:
        """Returns the cost of a request that has passed gate/validation.py.

        The price that the hold has pinned is used if it is a price of the same model.
        Raises InvalidField for an unknown model, or for a service tier or unit without a price, and
        OutOfRange for a cost beyond int64 nanos.
        """
        if not request.HasField("usage"):
            return Cost(request.amount_nanos)
        if isinstance(request, gate_pb2.DebitRequest) and request.HasField("reported_cost_nanos"):
            return await self._reported_cost(request)
        price = await self._price(request.usage, request.account_id, version_of(hold_id))
        return self._cost(price, request.usage)

    async def estimate(self, request: gate_pb2.EstimateCostRequest) -> Cost:
        """Returns the cost of a usage by the price in force; raises as `cost_of` does."""
        price = await self._price(request.usage, request.account_id, "")
        return self._cost(price, request.usage)

    async def prepare(self, items: Iterable[gate_pb2.BatchItem]) -> None:
        """Looks up every price that the items of a batch need.

        `cost_of` then answers each item without waiting, so the items keep their order.
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
            # The item's own call raises it again.
            with suppress(ServiceError, CommandFailed):
                await self._price(request.usage, request.account_id, version_of(hold_id))

    async def _reported_cost(self, request: gate_pb2.DebitRequest) -> Cost:
        """Returns the cost that the provider reported, of the model that the usage names."""
        usage = request.usage
        if not self._table.trusts_reported_cost(request.account_id):
            raise InvalidField(
                "reported_cost_nanos",
                "the account's prices do not trust reported costs: leave it out, or set"
                " trust_reported_cost: true in the price file, for everyone or for the account",
                "REPORTED_COST_NOT_TRUSTED",
            )
        try:
            price = await self._price(usage, request.account_id, version_of(request.hold_id))
            model = price.model
        except InvalidField as error:
            if error.reason not in _NO_PRICE:
                raise
            model = self._table.meaning(usage.model, request.account_id)
        quantities = quantities_of(usage)
        if usage.reported_json:
            quantities = self._reported_quantities(quantities, usage, model)
        lines = reported_lines(quantities, request.reported_cost_nanos)
        pricing = Pricing(model, "", lines)
        return Cost(request.reported_cost_nanos, pricing=pricing.to_json(), model=model)

    async def _price(
        self,
        usage: gate_pb2.Usage,
        account_id: str,
        pinned_version: str,
    ) -> ModelPrice:
        """Returns the price of a usage: the price that the hold has pinned, or one in force."""
        held = None
        if pinned_version:
            # A known version, as nearly all are, needs no coroutine.
            held = self._known(pinned_version) or self._in_force(usage, account_id, pinned_version)
            held = held or await self._recall(pinned_version, account_id)
        currency = ""
        if account_id and len(self._table.currencies) > 1:
            currency = await self._currencies.of(account_id)
        service_tier = usage.service_tier
        if service_tier:
            service_tier = service_tier_named(service_tier)
        model = usage.model or _model_of(held)
        at_ms = now_ms()
        try:
            price = self._table.find(model, at_ms, account_id, currency, service_tier)
        except (UnknownModel, UnpricedServiceTier) as error:
            asked = Asked(model, account_id, at_ms, currency, service_tier)
            price = self._price_by_hold(held, asked, None) or _refuse(error)
        if held is not None and held.model != price.model:
            asked = Asked(model, account_id, at_ms, currency, service_tier)
            price = self._price_by_hold(held, asked, price) or price
        elif held is not None and held.service_tier == service_tier:
            return held
        if self._known(price.version) is None:
            self._bring_along(price)
        return price

    def _in_force(
        self,
        usage: gate_pb2.Usage,
        account_id: str,
        version: str,
    ) -> ModelPrice | None:
        """Returns the price of the version if that is in force, which needs no ledger."""
        try:
            price = self._table.find(
                usage.model, now_ms(), account_id, service_tier=usage.service_tier
            )
        except (UnknownModel, UnpricedServiceTier):
            return None
        if price.version != version:
            return None
        self._bring_along(price)
        return price

    def _bring_along(self, price: ModelPrice) -> None:
        """Has entries bring the price along until the price is recorded."""
        self._remember(price)
        self._unrecorded[price.version] = price
        self._any_unrecorded.set()

    def _price_by_hold(
        self,
        held: ModelPrice | None,
        asked: Asked,
        current: ModelPrice | None,
    ) -> ModelPrice | None:
        """Returns the price by the rules for names in answers; None if they say nothing.

        A hold says nothing of another service tier. The model may have left the price file since
        the hold was placed.
        """
        if held is None or held.service_tier != asked.service_tier:
            return None
        return price_by_hold(self._table, held, asked, current)

    def _cost(self, price: ModelPrice, usage: gate_pb2.Usage) -> Cost:
        quantities = quantities_of(usage)
        if usage.reported_json:
            quantities = self._reported_quantities(quantities, usage, price.model)
        try:
            amount_nanos, lines = price.cost(quantities)
        except UnpricedUnit as error:
            raise InvalidField("usage", str(error), "UNPRICED_UNIT") from None
        if amount_nanos > INT64_MAX:
            raise OutOfRange(
                "AMOUNT_OUT_OF_RANGE",
                "usage: costs more than int64 nanos can hold",
                "usage",
            )
        brought = ""
        if price.version in self._unrecorded:
            brought = price.to_json()
        pricing = Pricing(price.model, price.version, lines, brought)
        return Cost(amount_nanos, price, pricing.to_json(), quantities, lines, price.model)

    def _reported_quantities(
        self,
        given: dict[str, int],
        usage: gate_pb2.Usage,
        model: str,
    ) -> dict[str, int]:
        """Returns the quantities of the provider's usage object, and those given beside it."""
        reported = quantities_reported(given, usage.reported_json, model)
        if not reported.is_consistent:
            self._metrics.usage_inconsistent.inc()
        return {**reported.quantities, **given}

    async def _recall(self, version: str, account_id: str) -> ModelPrice | None:
        """Returns a price that the ledger has, or gets with the entry that has pinned the price.

        That entry may be another gate's, and a moment old: no other price will do meanwhile.
        """
        price = await asyncio.to_thread(self._prices.version, version)
        if price is None:
            await self._wait_until_flushed(account_id)
            price = await asyncio.to_thread(self._prices.version, version)
        if price is not None:
            self._remember(price)
        return price

    def _known(self, version: str) -> ModelPrice | None:
        price = self._remembered.get(version)
        if price is not None:
            self._remembered.move_to_end(version)
        return price

    def _remember(self, price: ModelPrice) -> None:
        self._remembered[price.version] = price
        if len(self._remembered) > _MAX_REMEMBERED_VERSIONS:
            self._remembered.popitem(last=False)


def quantities_of(usage: gate_pb2.Usage) -> dict[str, int]:
    """Returns the usage's quantities by the name of the unit.

    Token counts of 0 are left out. A named unit keeps a quantity of 0: `requests: 0` waives a
    price per request.
    """
    token_counts = {
        "input_tokens": usage.input_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "output_tokens": usage.output_tokens,
    }
    quantities = {unit: quantity for unit, quantity in token_counts.items() if quantity}
    if usage.units:
        quantities.update(usage.units)
    return quantities


def reported_lines(
    quantities: dict[str, int],
    cost_nanos: int,
) -> tuple[tuple[str, int, int], ...]:
    """Returns the lines of a reported cost: the usage at no price, and the cost in one line.

    Raises InvalidField for a name that is no unit.
    """
    used = [unit for unit, quantity in quantities.items() if quantity]
    for unit in used:
        if unit not in UNITS:
            raise InvalidField("usage", str(UnpricedUnit("", unit)), "UNPRICED_UNIT")
    used.sort(key=unit_order)
    lines = [(unit, quantities[unit], 0) for unit in used]
    return (*lines, (REPORTED_COST, 1, cost_nanos))


def _refuse(error: UnknownModel | UnpricedServiceTier) -> NoReturn:
    if isinstance(error, UnpricedServiceTier):
        raise InvalidField("usage.service_tier", str(error), "UNPRICED_SERVICE_TIER") from None
    raise InvalidField("usage.model", str(error), "UNKNOWN_MODEL") from None


def _model_of(held: ModelPrice | None) -> str:
    """Returns the model of the hold, for a usage without a model."""
    if held is None:
        raise InvalidField(
            "usage.model", "is required: the hold was of an amount, or is not known; name the model"
        )
    return held.model
