"""A till: the gate's scripts and the ledger's operations, called one by one, for tests of what becomes of their journal."""

from dataclasses import dataclass, field
from itertools import count

import redis

from gate.keys import account_key, expiries_key, hold_key, hold_member, journal_key, replay_key, shard_of
from gate.scripts import script
from gate.v1.gate_pb2 import AuthorizeRequest, DebitRequest, ExtendRequest, ReleaseRequest
from meter.effect import Effect, parse
from meter.journal import Method, Pricing
from meter.ledger.engine import Ledger
from meter.ledger.operations import Operations
from meter.ledger.positions import Positions
from meter.money import INT64_MAX, INT64_MIN
from meter.operations import AdvanceClock, Create, GrantCredits, Operation, Update

CREDIT = 10**9
_numbers = count(1)


@dataclass
class Till:
    """One gate's worth of calls. `epochs` are the epochs it believes to be in."""

    redis: redis.Redis
    ledger: Ledger
    shards: int = 4
    epochs: dict[int, int] = field(default_factory=dict)

    def open(self) -> "Till":
        Positions(self.ledger).ensure(self.shards)
        for shard in range(self.shards):
            self.open_epoch(shard, 1, "first start")
        return self

    def open_epoch(self, shard: int, epoch: int, reason: str = "test") -> None:
        assert self._run("open_epoch", [journal_key(shard)], epoch, Method.EPOCH, reason)[0] == b"ok"
        self.epochs[shard] = epoch

    def shard(self, account_id: str) -> int:
        return shard_of(account_id, self.shards)

    def account_in(self, shard: int, prefix: str = "acme") -> str:
        """Some account id of the shard."""
        return next(name for name in (f"{prefix}-{n}" for n in count()) if self.shard(name) == shard)

    def create(
        self, account_id: str, credits: int = 0, overage: int = 0, limit: int | None = None, clock: int | None = None
    ) -> None:
        """An account, with credits."""
        _, operation, _ = Operations(self.ledger).create_account(
            account_id,
            shard=self.shard(account_id),
            currency="USD",
            overage_protection_nanos=overage,
            daily_limit_nanos=limit,
            test_clock_ms=clock,
        )
        self.apply(operation)
        if credits:
            self.grant(account_id, credits)

    def grant(self, account_id: str, amount: int, request_id: str = "") -> Operation:
        number = next(_numbers)
        change = GrantCredits(f"g{number}", "TOP_UP", amount, 50, None, None, "top up")
        operation = Operations(self.ledger).grant_credits(
            account_id, change, request_id=request_id or f"grant-{number}"
        )
        self.apply(operation)
        return operation

    def update(self, account_id: str, **changes: str | int | None) -> None:
        _, operation = Operations(self.ledger).update_account(
            account_id, changes, request_id=f"update-{next(_numbers)}"
        )
        self.apply(operation)

    def advance(self, account_id: str, time_ms: int) -> None:
        _, operation = Operations(self.ledger).advance_clock(account_id, time_ms, request_id=f"clock-{next(_numbers)}")
        self.apply(operation)

    def apply(self, operation: Operation) -> bytes:
        """Puts a recorded operation into effect."""
        account_id, body, change = operation.account_id, operation.to_json(), operation.change
        shard = self.shard(account_id)
        keys, epoch = [account_key(shard, account_id), journal_key(shard)], self.epochs[shard]
        keys.append(replay_key(shard, account_id, operation.request_id))
        match change:
            case Create():
                limit, clock = _or_dash(change.daily_limit_nanos), _or_dash(change.test_clock_ms)
                arguments = (
                    operation.method,
                    body,
                    change.currency,
                    change.overage_protection_nanos,
                    limit,
                    clock,
                    900_000,
                )
                reply = self._run("create_account", keys, epoch, *arguments)
            case Update():
                limit = _or_dash(change.daily_limit_nanos)
                settings = (change.status, change.overage_protection_nanos, limit, 900_000)
                reply = self._run("update_account", keys, epoch, operation.seq, operation.method, body, *settings)
            case GrantCredits():
                reply = self._run(
                    "grant_credits", keys, epoch, operation.seq, operation.method, body, change.amount_nanos, 900_000
                )
            case AdvanceClock():
                reply = self._run(
                    "advance_clock", keys, epoch, operation.seq, operation.method, body, change.time_ms, 900_000
                )
        return reply[0]

    def authorize(self, account_id: str, amount: int, request_id: str = "", ttl_ms: int = 600_000) -> str:
        """The new hold's id."""
        request_id = request_id or f"r{next(_numbers)}"
        hold_id = f"h{next(_numbers)}"
        shard = self.shard(account_id)
        body = AuthorizeRequest(account_id=account_id, request_id=request_id, amount_nanos=amount).SerializeToString()
        keys = [*self._call_keys(account_id, request_id), hold_key(shard, account_id, hold_id), expiries_key(shard)]
        member = hold_member(account_id, hold_id)
        arguments = (body.hex(), 900_000, amount, 0, "-", hold_id, ttl_ms, member, Method.AUTHORIZE, body, "")
        assert self._run("authorize", keys, self.epochs[shard], *arguments)[0] == b"ok"
        return hold_id

    def debit(
        self,
        account_id: str,
        amount: int,
        request_id: str = "",
        hold_id: str = "",
        pricing: Pricing | None = None,
        dimensions: dict[str, str] | None = None,
        incurred: bool = False,
        description: str = "",
    ) -> Effect | None:
        """The effect; None if it was a replay or a denial."""
        request_id = request_id or f"r{next(_numbers)}"
        shard = self.shard(account_id)
        request = DebitRequest(
            account_id=account_id,
            request_id=request_id,
            amount_nanos=amount,
            hold_id=hold_id,
            dimensions=dimensions,
            description=description,
        )
        keys, body = self._call_keys(account_id, request_id), request.SerializeToString()
        if hold_id:
            keys += [hold_key(shard, account_id, hold_id), expiries_key(shard)]
        arguments = (
            body.hex(), 900_000, amount, "-", "1" if incurred else "0", INT64_MIN + amount, INT64_MAX - amount,
            hold_id or "-", hold_member(account_id, hold_id) if hold_id else "-", Method.DEBIT, body,
            pricing.to_json() if pricing else "",
        )  # fmt: skip
        reply = self._run("debit", keys, self.epochs[shard], *arguments)
        return parse(reply[1].decode()) if reply[0] == b"ok" else None

    def release(self, account_id: str, hold_id: str) -> None:
        request_id, shard = f"r{next(_numbers)}", self.shard(account_id)
        body = ReleaseRequest(account_id=account_id, request_id=request_id, hold_id=hold_id).SerializeToString()
        keys = [*self._call_keys(account_id, request_id), hold_key(shard, account_id, hold_id), expiries_key(shard)]
        arguments = (body.hex(), 900_000, hold_id, hold_member(account_id, hold_id), Method.RELEASE, body)
        assert self._run("release", keys, self.epochs[shard], *arguments)[0] == b"ok"

    def extend(self, account_id: str, hold_id: str, amount: int, ttl_ms: int = 0) -> None:
        request_id, shard = f"r{next(_numbers)}", self.shard(account_id)
        request = ExtendRequest(account_id=account_id, request_id=request_id, hold_id=hold_id, amount_nanos=amount)
        body = request.SerializeToString()
        keys = [*self._call_keys(account_id, request_id), hold_key(shard, account_id, hold_id), expiries_key(shard)]
        member = hold_member(account_id, hold_id)
        arguments = (body.hex(), 900_000, amount, "-", ttl_ms, hold_id, member, Method.EXTEND, body, "")
        assert self._run("extend", keys, self.epochs[shard], *arguments)[0] == b"ok"

    def expire(self, account_id: str, hold_id: str) -> None:
        shard = self.shard(account_id)
        body = ReleaseRequest(account_id=account_id, hold_id=hold_id).SerializeToString()
        keys = [
            account_key(shard, account_id),
            journal_key(shard),
            hold_key(shard, account_id, hold_id),
            expiries_key(shard),
        ]
        member = hold_member(account_id, hold_id)
        reply = self._run("expire", keys, self.epochs[shard], hold_id, member, 86_400_000, Method.EXPIRE, body)
        assert reply[0] == b"ok"

    def forget(self, account_id: str, request_id: str) -> None:
        """As if the replay window had passed."""
        self.redis.delete(replay_key(self.shard(account_id), account_id, request_id))

    def _call_keys(self, account_id: str, request_id: str) -> list[str]:
        shard = self.shard(account_id)
        return [account_key(shard, account_id), replay_key(shard, account_id, request_id), journal_key(shard)]

    def _run(self, name: str, keys: list[str], *arguments: str | bytes | int) -> list[bytes]:
        return self.redis.eval(script(name).source, len(keys), *keys, *arguments)


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)
