"""A harness: the gate's store and the ledger's operations, called one by one, for tests of what
becomes of their journal.

All objects are the product's own. Each call waits for its end, so that a test reads as a sequence.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import redis
import uvloop

from gate.pricing import Cost
from gate.store.calls import Outcome
from gate.store.connections import Endpoint
from gate.store.contracts import DebitArguments, OpenEpochArguments
from gate.store.keys import call_keys, hold_key, replay_key, shard_of
from gate.v1.gate_pb2 import AuthorizeRequest, DebitRequest, ExtendRequest, ReleaseRequest
from meter.admin.budgets import BudgetRow, Budgets, BudgetThreshold
from meter.database.engine import Ledger
from meter.journal.effect import Effect
from meter.journal.entry import Method, Pricing
from meter.journal.operations import GrantCredits, Operation
from meter.journal.redis_snapshot import StoreInspector
from meter.ledger.positions import Positions
from meter.ledger.projections.snapshot import load_snapshot
from support.gate_store import REPLAY_MS, GateStore

CREDIT = 10**9
_numbers = count(1)


@dataclass
class StoreHarness:
    """One gate's worth of calls, with all shards open."""

    redis: redis.Redis
    ledger: Ledger
    shards: int = 4
    granted: dict[str, list[Operation]] = field(default_factory=dict)  # by account
    held: dict[str, str] = field(
        default_factory=dict
    )  # the newest hold's id, by the id of the request that placed it

    def __post_init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._store: GateStore = self._run(self._open_store())
        self.operations = self._store.recorded
        self.budgets = Budgets(self.ledger)

    async def _open_store(self) -> GateStore:
        socket = self.redis.connection_pool.connection_kwargs["path"]
        store = GateStore(Endpoint(f"unix://{socket}"), self.ledger, self.shards)
        await store.open()
        return store

    def close(self) -> None:
        self._run(self._store.close())
        self._loop.close()

    def wait_until_flushed(self) -> None:
        """Returns when the ledger has all that is journaled."""
        self._run(self._store.shards.flushed(range(self.shards)))

    def open_again(self) -> None:
        """Returns once the gate has found a Redis again that was away."""
        self._run(self._store.open_again())

    def epoch(self, account_id: str) -> int:
        """The epoch that the gate believes the account's shard to be in."""
        return self._store.shards.epoch(self.shard(account_id))

    def is_fenced(self, account_id: str) -> bool:
        """Whether the account's shard refuses writes in the epoch that the gate believes in."""
        shard = self.shard(account_id)
        arguments = DebitArguments(
            epoch=self.epoch(account_id),
            fingerprint=b"fingerprint",
            replay_ttl_ms=REPLAY_MS,
            amount_nanos=1,
            currency="-",
            labels="",
            traffic_class="",
            method=Method.DEBIT,
            request=b"",
            pricing="",
        )
        keys = call_keys("debit", shard, account_id, f"fenced-{next(_numbers)}")
        reply = self._run(self._store.runner.run("debit", shard, keys, arguments))
        return bool(reply[0] == b"stale")

    def hear_of_epoch(self, account_id: str) -> None:
        """The gate finds that the account's shard is in another epoch."""
        shard = self.shard(account_id)
        self._run(self._store.shards.verify(shard, self._store.shards.epoch(shard)))

    def open_epoch(self, shard: int, epoch: int, reason: str = "test") -> None:
        """Another gate begins an epoch of the shard's journal."""
        owner = Positions(self.ledger).shards()[shard].owner
        arguments = OpenEpochArguments(epoch, Method.EPOCH, reason, owner.encode(), f"{epoch}-0")
        keys = call_keys("open_epoch", shard)
        reply = self._run(self._store.runner.run("open_epoch", shard, keys, arguments))
        assert reply[0] == b"ok"

    def shard(self, account_id: str) -> int:
        return shard_of(account_id, self.shards)

    def account_in(self, shard: int, prefix: str = "acme") -> str:
        """Some account id of the shard."""
        return next(
            name for name in (f"{prefix}-{n}" for n in count()) if self.shard(name) == shard
        )

    # What administrators do

    def create(
        self,
        account_id: str,
        credits: int = 0,
        overage: int = 0,
        limit: int | None = None,
        clock: int | None = None,
        **settings: Any,
    ) -> None:
        """An account, with credits."""
        _, operation, _ = self.operations.create_account(
            account_id,
            shard=self.shard(account_id),
            currency="USD",
            overage_protection_nanos=overage,
            daily_limit_nanos=limit,
            test_clock_ms=clock,
            **settings,
        )
        self.apply(operation)
        if credits:
            self.grant(account_id, credits)

    def grant(self, account_id: str, amount: int, request_id: str = "", **grant: Any) -> Operation:
        """A top-up, unless told otherwise."""
        number = next(_numbers)
        fields = {
            "grant_id": f"g{number}", "type": "TOP_UP", "priority": 50, "effective_at_ms": None, "expires_at_ms": None,
            "description": "top up",
        }  # fmt: skip
        change = GrantCredits(amount_nanos=amount, **{**fields, **grant})
        operation = self.operations.grant_credits(
            account_id, change, request_id=request_id or f"grant-{number}"
        )
        self.apply(operation)
        self.granted.setdefault(account_id, []).append(operation)
        return operation

    def void(self, account_id: str, grant: Operation, amount: int | None = None) -> None:
        assert isinstance(grant.change, GrantCredits)
        operation = self.operations.void_grant(
            account_id,
            grant.change.grant_id,
            amount,
            kind="VOID",
            reason="why",
            request_id=f"void-{next(_numbers)}",
        )
        self.apply(operation)

    def set_budget(
        self,
        account_id: str,
        budget_id: str,
        limit: int,
        *labels: str,
        window: str = "month",
        hard: bool = True,
        **levels: int,
    ) -> None:
        """Levels: thresholds in nanos, by their ids."""
        thresholds = tuple(
            BudgetThreshold(threshold_id, nanos, None) for threshold_id, nanos in levels.items()
        )
        budget = BudgetRow(budget_id, labels, window, hard, limit, thresholds)
        self.apply(self.budgets.set(account_id, budget, request_id=f"budget-{next(_numbers)}"))

    def delete_budget(self, account_id: str, budget_id: str) -> None:
        self.apply(
            self.budgets.delete(account_id, budget_id, request_id=f"budget-{next(_numbers)}")
        )

    def update(self, account_id: str, **changes: Any) -> None:
        """Settings, by the fields of meter.journal.operations.Update: thresholds and graces too."""
        _, operation = self.operations.update_account(
            account_id, changes, request_id=f"update-{next(_numbers)}"
        )
        self.apply(operation)

    def advance(self, account_id: str, time_ms: int) -> None:
        _, operation = self.operations.advance_clock(
            account_id, time_ms, request_id=f"clock-{next(_numbers)}"
        )
        self.apply(operation)

    def apply(self, operation: Operation) -> bytes:
        """Puts a recorded operation into effect; what the script says."""
        reply: list[bytes] = self._run(self._store.operations.run(operation))
        assert reply[0] != b"stale", "a test whose gate should have heard of a new epoch"
        return reply[0]

    def apply_pending(self, account_id: str | None = None) -> list[Operation]:
        """Puts into effect what the ledger has recorded by itself."""
        pending = self.operations.pending(account_id)
        assert [self.apply(operation) for operation in pending] == [b"ok"] * len(pending)
        return pending

    def restore(self, account_id: str) -> None:
        """Brings the account in Redis up to what the ledger says."""
        self._run(self._store.restorer.restore(account_id))

    def load(self, account_id: str) -> None:
        """Puts an account back that is missing in Redis, as the ledger knows it."""
        snapshot = load_snapshot(self.ledger, account_id)
        assert snapshot is not None
        self._run(self._store.restorer.load(snapshot))

    # What gateways do, and time

    def authorize(
        self,
        account_id: str,
        amount: int,
        request_id: str = "",
        ttl_ms: int = 600_000,
        pricing: Pricing | None = None,
        **fields: Any,
    ) -> str:
        """The new hold's id."""
        request = AuthorizeRequest(
            **_ids(account_id, request_id), amount_nanos=amount, hold_ttl_ms=ttl_ms, **fields
        )
        effect = _effect(self._run(self._store.calls.authorize(request, _cost(amount, pricing))))
        self.held[request.request_id] = effect.hold_id
        return effect.hold_id

    def debit(
        self,
        account_id: str,
        amount: int,
        request_id: str = "",
        pricing: Pricing | None = None,
        **fields: Any,
    ) -> Effect | None:
        """The effect; None if it was a replay or a denial."""
        request = DebitRequest(**_ids(account_id, request_id), amount_nanos=amount, **fields)
        outcome = self._run(self._store.calls.debit(request, _cost(amount, pricing)))
        return None if outcome.replayed or outcome.denial else outcome.effect

    def denied(self, account_id: str, amount: int) -> Outcome:
        """The outcome of a debit that must be denied."""
        request = DebitRequest(**_ids(account_id), amount_nanos=amount)
        outcome: Outcome = self._run(self._store.calls.debit(request, Cost(amount)))
        assert outcome.denial
        return outcome

    def release(self, account_id: str, hold_id: str) -> None:
        _effect(
            self._run(
                self._store.calls.release(ReleaseRequest(**_ids(account_id), hold_id=hold_id))
            )
        )

    def extend(self, account_id: str, hold_id: str, amount: int, ttl_ms: int = 0) -> None:
        request = ExtendRequest(
            **_ids(account_id), hold_id=hold_id, amount_nanos=amount, hold_ttl_ms=ttl_ms
        )
        _effect(self._run(self._store.calls.extend(request, Cost(amount))))

    def expire(self, account_id: str, hold_id: str) -> None:
        assert self._run(self._store.expiry.expire(account_id, hold_id))

    def process_due_grants(self, account_id: str) -> int:
        """Begins and expires grants whose time has come; how many."""
        return self._run(self._store.expiry.process_due_grants(account_id))

    def reap(self, rounds: int) -> None:
        """Has the reaper work for some rounds."""
        self._run(self._store.reap(rounds))

    def inspect_account(self, account_id: str) -> Any:
        """The account as Redis has it (meter.audit.RedisSnapshot)."""
        return self._run(self._store.inspection.inspect_account(self.shard(account_id), account_id))

    def check(self, audit: Callable[[StoreInspector], Awaitable[Any]]) -> Any:
        """What an audit finds that compares the ledger with Redis."""
        return self._run(audit(self._store.inspection))

    def hold(self, account_id: str, hold_id: str) -> bytes | None:
        """An open hold, as Redis has it."""
        return self.redis.get(hold_key(self.shard(account_id), account_id, hold_id))

    def forget(self, account_id: str, request_id: str) -> None:
        """As if the replay window had passed."""
        self.redis.delete(replay_key(self.shard(account_id), account_id, request_id))

    def _run(self, call: Awaitable[Any]) -> Any:
        return self._loop.run_until_complete(call)


@contextmanager
def store_harness(client: redis.Redis, ledger: Ledger) -> Iterator[StoreHarness]:
    """A harness, closed with the block."""
    harness = StoreHarness(client, ledger)
    try:
        yield harness
    finally:
        harness.close()


def _ids(account_id: str, request_id: str = "") -> dict[str, str]:
    return {"account_id": account_id, "request_id": request_id or f"r{next(_numbers)}"}


def _cost(amount: int, pricing: Pricing | None) -> Cost:
    return Cost(amount, pricing=pricing.to_json() if pricing else "")


def _effect(outcome: Outcome) -> Effect:
    assert not outcome.denial, outcome.denial
    return outcome.effect
