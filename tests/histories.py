"""Writes histories into a ledger as the gate and the flusher would: effect lines by plain Python, posted by the real posting."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from meter.check import RedisView
from meter.effect import MS_PER_DAY, State, date_of, parse
from meter.journal import Method, Pricing
from meter.ledger.engine import Ledger
from meter.ledger.lines import RawEntry, read
from meter.ledger.operations import Operations
from meter.ledger.positions import Positions
from meter.ledger.posting import Batch, post
from meter.operations import AdvanceClock, Create, GrantCredits, Operation, Update
from meter.service import LedgerService
from meter.v1.journal_pb2 import JournaledRequest

SHARDS = 2
JANUARY = 1_767_225_600_000  # 2026-01-01T00:00:00Z
HOUR = 3_600_000
DAY = 24 * HOUR
FEBRUARY = JANUARY + 31 * DAY

GPT = "openai/gpt-4o"


@dataclass(slots=True)
class Hold:
    """An open hold."""

    account_id: str
    amount: int
    day: int
    expires_ms: int


class Scribe:
    """The gate's side of one ledger: accounts' states, and what was journaled and not posted yet."""

    def __init__(self, ledger: Ledger) -> None:
        Positions(ledger).ensure(SHARDS)
        self.ledger, self.now_ms = ledger, JANUARY
        self.states: dict[str, tuple[int, State]] = {}  # day, state
        self.holds: dict[str, Hold] = {}
        self.journals: list[list[RawEntry]] = [[] for _ in range(SHARDS)]
        self.ends = [0] * SHARDS
        self.shards: dict[str, int] = {}
        self.numbers = 0
        self._operations = Operations(ledger)

    def create(
        self, account_id: str = "acme", *, overage: int = 0, limit: int | None = None, clock: int | None = None
    ) -> None:
        self.shards[account_id] = len(self.shards) % SHARDS
        _, operation, _ = self._operations.create_account(
            account_id,
            shard=self.shards[account_id],
            currency="USD",
            overage_protection_nanos=overage,
            daily_limit_nanos=limit,
            test_clock_ms=clock,
            request_id=self._request_id(),
        )
        self.apply(operation)

    def grant(self, amount: int, account_id: str = "acme") -> None:
        change = GrantCredits(f"grant-{self.numbers}", "TOP_UP", amount, 50, None, None, "")
        self.apply(self._operations.grant_credits(account_id, change, request_id=self._request_id()))

    def update(self, account_id: str = "acme", **changes: int | str | None) -> None:
        _, operation = self._operations.update_account(account_id, changes, request_id=self._request_id())
        self.apply(operation)

    def advance_clock(self, time_ms: int, account_id: str = "acme") -> None:
        self.now_ms = time_ms
        _, operation = self._operations.advance_clock(account_id, time_ms, request_id=self._request_id())
        self.apply(operation)

    def apply_pending(self) -> None:
        """Applies what the ledger recorded by itself: refunds of duplicates."""
        for operation in self._operations.pending():
            self.apply(operation)

    def apply(self, operation: Operation) -> None:
        account_id, kind, amount = operation.account_id, "", 0
        match operation.change:
            case Create() as change:
                kind, overage, limit = "C", change.overage_protection_nanos, change.daily_limit_nanos
                state = State(spendable=overage, overage=overage, room=limit or 0, limit=limit)
                self.states[account_id] = (self.now_ms // MS_PER_DAY, state)
            case Update() as change:
                kind = "U"
                day, was = self._rolled(account_id)
                overage, limit = change.overage_protection_nanos, change.daily_limit_nanos
                spendable = was.spendable + overage - was.overage
                room = was.room + (limit or 0) - (was.limit or 0)
                self.states[account_id] = (
                    day,
                    was._replace(spendable=spendable, overage=overage, room=room, limit=limit),
                )
            case GrantCredits() as change:
                kind, amount = "G", change.amount_nanos
            case AdvanceClock():
                kind = "K"
        self._journal(
            account_id, f"{kind} {{at}} {{day}} {amount} 0 - - - -", operation.method, operation.to_json().encode()
        )

    def debit(
        self,
        amount: int,
        *,
        account_id: str = "acme",
        hold: str = "",
        late: bool = False,
        pricing: Pricing | None = None,
        dimensions: Mapping[str, str] | None = None,
        request_id: str = "",
    ) -> str:
        """Incurred, or settling a hold; its request id."""
        request_id = request_id or self._request_id()
        held, facts = self.holds.pop(hold, None), "0 - -"
        if hold:
            ended = held or Hold(account_id, 0, self.now_ms // MS_PER_DAY, self.now_ms)
            facts = f"{ended.amount} {ended.day} {ended.expires_ms}"
        flags = "l" if late else "-" if hold else "i"
        request = JournaledRequest(account_id=account_id, request_id=request_id, dimensions=dimensions, hold_id=hold)
        line = f"D {{at}} {{day}} {amount} {facts} {flags} {hold or '-'}"
        self._journal(account_id, line, Method.DEBIT, request.SerializeToString(), pricing)
        return request_id

    def authorize(self, amount: int, account_id: str = "acme") -> str:
        """The hold's id; it lives for ten minutes."""
        request_id = self._request_id()
        hold_id = f"hold-{request_id}"
        hold = Hold(account_id, amount, self.now_ms // MS_PER_DAY, self.now_ms + 600_000)
        self.holds[hold_id] = hold
        self._call("A", Method.AUTHORIZE, hold_id, amount, hold, request_id)
        return hold_id

    def extend(self, hold_id: str, amount: int) -> None:
        hold = self.holds[hold_id]
        hold.expires_ms = self.now_ms + 600_000
        self._call("E", Method.EXTEND, hold_id, amount, hold, self._request_id())
        hold.amount += amount

    def release(self, hold_id: str) -> None:
        hold = self.holds.pop(hold_id)
        self._call("R", Method.RELEASE, hold_id, hold.amount, hold, self._request_id())

    def expire(self, hold_id: str) -> None:
        hold = self.holds.pop(hold_id)
        self._call("X", Method.EXPIRE, hold_id, hold.amount, hold, "")

    def flush(self) -> None:
        """Posts what was journaled, a transaction for each shard."""
        for shard, raw in enumerate(self.journals):
            if raw:
                with self.ledger.write() as connection:
                    post(connection, [Batch(shard, tuple(read(shard, each) for each in raw))], lambda *_: None)
                raw.clear()

    def _call(self, kind: str, method: Method, hold_id: str, amount: int, hold: Hold, request_id: str) -> None:
        request = JournaledRequest(account_id=hold.account_id, request_id=request_id, hold_id=hold_id)
        line = f"{kind} {{at}} {{day}} {amount} {hold.amount} {hold.day} {hold.expires_ms} - {hold_id}"
        self._journal(hold.account_id, line, method, request.SerializeToString())

    def _journal(
        self, account_id: str, line: str, method: Method, request: bytes, pricing: Pricing | None = None
    ) -> None:
        day, state = self._rolled(account_id)
        text = f"{line.format(at=self.now_ms, day=day)} {state.tokens()}"
        self.states[account_id] = (day, parse(text).after())
        shard = self.shards[account_id]
        self.ends[shard] += 1
        fields = {b"e": text, b"m": method.value, b"q": request, b"p": pricing.to_json() if pricing else ""}
        raw = {name: value.encode() if isinstance(value, str) else value for name, value in fields.items()}
        self.journals[shard].append((f"1-{self.ends[shard]}".encode(), raw))
        self.now_ms += 1

    def _rolled(self, account_id: str) -> tuple[int, State]:
        day, state = self.states[account_id]
        today = self.now_ms // MS_PER_DAY
        if today <= day:
            return day, state
        month_base = state.used if date_of(today)[:7] > date_of(day)[:7] else state.month_base
        return today, state._replace(room=state.limit or 0, day_base=state.used, month_base=month_base)

    def _request_id(self) -> str:
        self.numbers += 1
        return f"request-{self.numbers}"


def usage(*lines: tuple[str, int, int], model: str = GPT, version: str = "v1") -> Pricing:
    """A priced usage of (unit, quantity, nanos) lines."""
    return Pricing(model, version, lines)


class NothingInRedis:
    """A Redis into which no account has been loaded."""

    async def sight(self, *_: object) -> None:
        return None


def service_of(scribe: Scribe, redis: RedisView | None = None) -> LedgerService:
    """The Ledger service over the scribe's ledger, which it flushes when asked to be fresh."""

    async def fresh(_: str | None) -> None:
        await asyncio.to_thread(scribe.flush)

    async def clock() -> int:
        return scribe.now_ms

    return LedgerService(scribe.ledger, fresh, clock, redis or NothingInRedis())
