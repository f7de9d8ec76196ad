"""Writes histories into a ledger as the gate and the flusher would: accounts of the model's, and
the real posting.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from meter.admin.budgets import BudgetRow, Budgets
from meter.admin.granting import record_grant
from meter.admin.recorder import OperationRecorder
from meter.audit import RedisSnapshot, StoreInspector
from meter.database.engine import Ledger
from meter.errors import FailedPrecondition
from meter.journal.entry import Method, Position, Pricing
from meter.journal.operations import Create, GrantCredits, Operation
from meter.ledger.journal_records import RawEntry, read
from meter.ledger.positions import Positions
from meter.ledger.posting import Batch, post
from meter.service import LedgerService
from meter.times import timestamp
from meter.v1 import ledger_pb2 as pb
from meter.v1.journal_pb2 import JournaledRequest
from model import DAY_MS
from model.facts import Labels
from support.effect_lines import Deed
from support.model_driver import ModelDriver

SHARDS = 2
JANUARY = 1_767_225_600_000  # 2026-01-01T00:00:00Z
HOUR = 3_600_000
DAY = DAY_MS
FEBRUARY = JANUARY + 31 * DAY
MARCH = FEBRUARY + 28 * DAY

GPT = "openai/gpt-4o"

Dimensions = Mapping[str, str] | None


class Scribe:
    """The gate's side of one ledger: its accounts, and what was journaled and not posted yet."""

    def __init__(self, ledger: Ledger) -> None:
        Positions(ledger).ensure(SHARDS)
        self.ledger = ledger
        self.now_ms = JANUARY
        self.accounts: dict[str, ModelDriver] = {}
        self.owners: dict[str, str] = {}  # of holds
        self.journals: list[list[RawEntry]] = [[] for _ in range(SHARDS)]
        self.ends = [0] * SHARDS
        self.numbers = 0
        self._operations = OperationRecorder(ledger)

    def create(
        self,
        account_id: str = "acme",
        *,
        overage: int = 0,
        limit: int | None = None,
        clock: int | None = None,
        **settings: Any,
    ) -> None:
        _, operation, _ = self._operations.create_account(
            account_id,
            shard=len(self.accounts) % SHARDS,
            currency="USD",
            overage_protection_nanos=overage,
            daily_limit_nanos=limit,
            test_clock_ms=clock,
            request_id=self._request_id(),
            **settings,
        )
        self.apply(operation)

    def grant(self, amount: int, account_id: str = "acme", **terms: Any) -> str:
        """The grant's id.

        By the real clock it may have expired: these histories are of the past.
        """
        usual = {
            "type": "TOP_UP",
            "priority": 50,
            "effective_at_ms": None,
            "expires_at_ms": None,
            "description": "",
        }
        change = GrantCredits(
            grant_id=f"grant-{self.numbers}", amount_nanos=amount, **{**usual, **terms}
        )
        with self.ledger.write() as connection:
            operation = record_grant(connection, account_id, change, self._request_id())
        self.apply(operation)
        return change.grant_id

    def void(self, grant_id: str, amount: int | None = None, account_id: str = "acme") -> None:
        """Takes credits back; does nothing if the grant is known to have ended."""
        why = {"kind": "VOID", "reason": "by mistake", "request_id": self._request_id()}
        with suppress(FailedPrecondition):
            self.apply(self._operations.void_grant(account_id, grant_id, amount, **why))

    def update(self, account_id: str = "acme", **changes: Any) -> None:
        _, operation = self._operations.update_account(
            account_id, changes, request_id=self._request_id()
        )
        self.apply(operation)

    def set_budget(self, budget: BudgetRow, account_id: str = "acme") -> None:
        self.apply(Budgets(self.ledger).set(account_id, budget, request_id=self._request_id()))

    def delete_budget(self, budget_id: str, account_id: str = "acme") -> None:
        self.apply(
            Budgets(self.ledger).delete(account_id, budget_id, request_id=self._request_id())
        )

    def advance_clock(self, time_ms: int, account_id: str = "acme") -> None:
        _, operation = self._operations.advance_clock(
            account_id, time_ms, request_id=self._request_id()
        )
        self.apply(operation)
        self.now_ms = time_ms + 1

    def apply_pending(self) -> None:
        """Applies what the ledger recorded by itself: refunds of duplicates."""
        for operation in self._operations.pending():
            self.apply(operation)

    def apply(self, operation: Operation) -> None:
        """In its turn: those recorded before it come first; once."""
        account_id = operation.account_id
        if operation.seq > self._applied(account_id) + 1:
            for each in self._operations.pending(account_id):
                self._apply(each)
        else:
            self._apply(operation)

    def turned(self, account_id: str = "acme") -> ModelDriver:
        """The account in its present, once its grants have begun and expired."""
        gate = self.accounts[account_id]
        flags = gate.process_due_grants(self.now_ms)
        self._write(account_id, Method.CONSEQUENCE, b"", flags=flags)
        return gate

    def debit(
        self,
        amount: int,
        *,
        account_id: str = "acme",
        hold: str = "",
        incurred: bool = True,
        pricing: Pricing | None = None,
        dimensions: Dimensions = None,
        traffic_class: str = "",
        request_id: str = "",
    ) -> str:
        """Without a hold, or settling one; its request id."""
        request = self._request(
            account_id, request_id or self._request_id(), hold, dimensions, traffic_class
        )
        gate = self.turned(account_id)
        labels = _labels(dimensions, pricing)
        deed = gate.debit(hold, amount, labels, traffic_class, incurred)
        self._journal(request, Method.DEBIT, deed, pricing)
        return request.request_id

    def authorize(
        self,
        amount: int,
        account_id: str = "acme",
        *,
        dimensions: Dimensions = None,
        traffic_class: str = "",
    ) -> str:
        """The hold's id; it lives for ten minutes."""
        request = self._request(account_id, self._request_id(), "", dimensions, traffic_class)
        hold_id = f"hold-{request.request_id}"
        deed = self.turned(account_id).authorize(
            hold_id, amount, _labels(dimensions, None), traffic_class
        )
        self.owners[hold_id] = account_id
        self._journal(request, Method.AUTHORIZE, deed)
        return hold_id

    def extend(self, hold_id: str, amount: int) -> None:
        request = self._request(self.owners[hold_id], self._request_id(), hold_id)
        self._journal(
            request, Method.EXTEND, self.turned(request.account_id).extend(hold_id, amount)
        )

    def release(self, hold_id: str) -> None:
        request = self._request(self.owners[hold_id], self._request_id(), hold_id)
        self._journal(request, Method.RELEASE, self.turned(request.account_id).end(hold_id, "R"))

    def expire(self, hold_id: str) -> None:
        request = self._request(self.owners[hold_id], "", hold_id)
        self._journal(request, Method.EXPIRE, self.turned(request.account_id).end(hold_id, "X"))

    def flush(self) -> None:
        """Posts what was journaled, a transaction for each shard."""
        for shard, raw in enumerate(self.journals):
            if raw:
                with self.ledger.write() as connection:
                    post(
                        connection,
                        [Batch(shard, tuple(read(shard, each) for each in raw))],
                        lambda *_: None,
                    )
                raw.clear()

    def _apply(self, operation: Operation) -> None:
        account_id = operation.account_id
        flags = ""
        if operation.seq <= self._applied(account_id):
            return
        if isinstance(operation.change, Create):
            shard = len(self.accounts) % SHARDS
            self.accounts[account_id] = ModelDriver.opened(shard, operation.change, self.now_ms)
        else:
            flags = self.turned(account_id).apply(operation.seq, operation.change)
        self._write(account_id, operation.method, operation.to_json().encode(), flags=flags)
        self.now_ms += 1

    def _applied(self, account_id: str) -> int:
        return self.accounts[account_id].applied if account_id in self.accounts else 0

    def _journal(
        self, request: JournaledRequest, method: Method, deed: Deed, pricing: Pricing | None = None
    ) -> None:
        self._write(request.account_id, method, request.SerializeToString(), deed, pricing=pricing)
        self.now_ms += 1

    def _write(
        self,
        account_id: str,
        method: Method,
        request: bytes,
        deed: Deed | None = None,
        *,
        flags: str = "",
        pricing: Pricing | None = None,
    ) -> None:
        gate = self.accounts[account_id]
        priced = pricing.to_json() if pricing else ""
        for follows, text in gate.tell(deed, flags):
            self.ends[gate.shard] += 1
            fields = {
                b"e": text.encode(),
                b"m": method.encode(),
                b"q": request,
                b"p": priced.encode(),
            }
            if follows:
                fields |= {b"m": Method.CONSEQUENCE.encode(), b"q": account_id.encode(), b"p": b""}
            self.journals[gate.shard].append((f"1-{self.ends[gate.shard]}".encode(), fields))

    def _request(
        self,
        account_id: str,
        request_id: str,
        hold_id: str,
        dimensions: Dimensions = None,
        traffic_class: str = "",
    ) -> JournaledRequest:
        return JournaledRequest(
            account_id=account_id,
            request_id=request_id,
            dimensions=dimensions,
            hold_id=hold_id,
            traffic_class=traffic_class,
        )

    def _request_id(self) -> str:
        self.numbers += 1
        return f"request-{self.numbers}"


class InRedis:
    """What Redis has: the scribe's accounts, as of its journals' ends."""

    def __init__(self, scribe: Scribe) -> None:
        self.scribe = scribe

    async def inspect_account(
        self, shard: int, account_id: str, hold_ids: Sequence[str]
    ) -> RedisSnapshot | None:
        position = Position(1, self.scribe.ends[shard])
        return self.scribe.accounts[account_id].seen(position, hold_ids)


class NothingInRedis:
    """A Redis into which no account has been loaded."""

    async def inspect_account(self, *_: object) -> None:
        return None


def usage(*lines: tuple[str, int, int], model: str = GPT, version: str = "v1") -> Pricing:
    """A priced usage of (unit, quantity, nanos) lines."""
    return Pricing(model, version, lines)


def service_of(scribe: Scribe, redis: StoreInspector | None = None) -> LedgerService:
    """The Ledger service over the scribe's ledger, which it flushes when asked to be
    wait_until_flushed.
    """

    async def wait_until_flushed(_: str | None) -> None:
        await asyncio.to_thread(scribe.flush)

    async def clock() -> int:
        return scribe.now_ms

    return LedgerService(scribe.ledger, wait_until_flushed, clock, redis or NothingInRedis())


def compute_invoice(
    scribe: Scribe, start: int, end: int, account_id: str = "acme", **query: Any
) -> pb.Invoice:
    """The invoice of a period, as CreateInvoice returns it."""
    period = {"period_start": timestamp(start), "period_end": timestamp(end)}
    request = pb.CreateInvoiceRequest(account_id=account_id, **period, **query)
    return asyncio.run(service_of(scribe).CreateInvoice(request))


def _labels(dimensions: Dimensions, pricing: Pricing | None) -> Labels:
    named = {**(dimensions or {}), **({"model": pricing.model} if pricing else {})}
    return frozenset(f"{key}={value}" for key, value in named.items())
