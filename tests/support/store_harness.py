"""A harness: the gate's store and the ledger's operations, called one by one, for tests of what
becomes of their journal.

Keys, arguments and their order are the product's own (gate/store/calls.py, gate/store/restore.py);
only the wire is another: each script runs at once.
"""

from collections.abc import Coroutine
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import redis
from prometheus_client import CollectorRegistry

from gate.metrics import GateMetrics
from gate.pricing import Cost
from gate.store.calls import Outcome, Store
from gate.store.keys import hold_key, journal_key, replay_key, shard_of
from gate.store.restore import Restorer
from gate.v1.gate_pb2 import AuthorizeRequest, DebitRequest, ExtendRequest, ReleaseRequest
from meter.admin.budgets import BudgetRow, Budgets, BudgetThreshold
from meter.admin.recorder import Operations
from meter.database.engine import Ledger
from meter.journal.effect import Effect
from meter.journal.entry import Method, Pricing
from meter.journal.operations import GrantCredits, Operation
from meter.ledger.positions import Positions
from support.lua_table import run_function

CREDIT = 10**9
REPLAY_MS = 900_000
_numbers = count(1)


@dataclass
class StoreHarness:
    """One gate's worth of calls. `epochs` are the epochs it believes to be in."""

    redis: redis.Redis
    ledger: Ledger
    shards: int = 4
    epochs: dict[int, int] = field(default_factory=dict)
    granted: dict[str, list[Operation]] = field(default_factory=dict)  # by account
    held: dict[str, str] = field(
        default_factory=dict
    )  # the newest hold's id, by the id of the request that placed it

    def __post_init__(self) -> None:
        wire: Any = _Wire(self)
        self.operations = Operations(self.ledger)
        self.budgets = Budgets(self.ledger)
        metrics = GateMetrics(CollectorRegistry())
        self._restorer = Restorer(wire, wire, self.operations, metrics, REPLAY_MS)
        self._store = Store(wire, wire, wire, REPLAY_MS)

    def open(self) -> "StoreHarness":
        Positions(self.ledger).ensure(self.shards)
        for shard in range(self.shards):
            self.open_epoch(shard, 1, "first start")
        return self

    def open_epoch(self, shard: int, epoch: int, reason: str = "test") -> None:
        assert self.run("open_epoch", [journal_key(shard)], epoch, Method.EPOCH, reason)[0] == b"ok"
        self.epochs[shard] = epoch

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
        return _at_once(self._restorer._apply(operation))[0]

    def apply_pending(self, account_id: str | None = None) -> list[Operation]:
        """Puts into effect what the ledger has recorded by itself."""
        pending = self.operations.pending(account_id)
        assert [self.apply(operation) for operation in pending] == [b"ok"] * len(pending)
        return pending

    def load(self, account_id: str) -> None:
        """Puts an account back that is missing in Redis, as the ledger knows it."""
        snapshot = self.operations.load_snapshot(account_id)
        assert snapshot is not None
        _at_once(self._restorer._load(self.shard(account_id), snapshot))

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
        effect = _effect(_at_once(self._store.authorize(request, _cost(amount, pricing))))
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
        outcome = _at_once(self._store.debit(request, _cost(amount, pricing)))
        return None if outcome.replayed or outcome.denial else outcome.effect

    def release(self, account_id: str, hold_id: str) -> None:
        _effect(_at_once(self._store.release(ReleaseRequest(**_ids(account_id), hold_id=hold_id))))

    def extend(self, account_id: str, hold_id: str, amount: int, ttl_ms: int = 0) -> None:
        request = ExtendRequest(
            **_ids(account_id), hold_id=hold_id, amount_nanos=amount, hold_ttl_ms=ttl_ms
        )
        _effect(_at_once(self._store.extend(request, Cost(amount))))

    def expire(self, account_id: str, hold_id: str) -> None:
        assert _at_once(self._store.expire(account_id, hold_id))

    def process_due_grants(self, account_id: str) -> int:
        """Begins and expires grants whose time has come; how many."""
        return _at_once(self._store.process_due_grants(account_id))

    def inspect_account(self, account_id: str) -> Any:
        """The account as Redis has it (meter.audit.RedisSnapshot)."""
        return _at_once(self._store.inspect_account(self.shard(account_id), account_id))

    def hold(self, account_id: str, hold_id: str) -> bytes | None:
        """An open hold, as Redis has it."""
        return self.redis.get(hold_key(self.shard(account_id), account_id, hold_id))

    def forget(self, account_id: str, request_id: str) -> None:
        """As if the replay window had passed."""
        self.redis.delete(replay_key(self.shard(account_id), account_id, request_id))

    def run(self, name: str, keys: list[str], *arguments: str | bytes | int) -> list[bytes]:
        return run_function(self.redis, name, keys, arguments)


class _Wire:
    """What the gate's store and restorer ask of a runner and of shards.

    Nothing is put right behind a test's back.
    """

    def __init__(self, harness: StoreHarness) -> None:
        self._harness = harness
        self.count = harness.shards

    def epoch(self, shard: int) -> int:
        return self._harness.epochs[shard]

    async def run(
        self, name: str, _shard: int, keys: list[str], *arguments: str | bytes | int
    ) -> list[bytes]:
        return self._harness.run(name, keys, *arguments)

    async def verify(self, shard: int, epoch: int) -> None:
        raise AssertionError(f"stale: shard {shard} is no longer in epoch {epoch}")

    async def restore(self, account_id: str) -> None:
        raise AssertionError(f"absent: {account_id}")


def _at_once(call: Coroutine[Any, Any, Any]) -> Any:
    """The result of a call that waits for nothing."""
    try:
        call.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waited")


def _ids(account_id: str, request_id: str = "") -> dict[str, str]:
    return {"account_id": account_id, "request_id": request_id or f"r{next(_numbers)}"}


def _cost(amount: int, pricing: Pricing | None) -> Cost:
    return Cost(amount, pricing=pricing.to_json() if pricing else "")


def _effect(outcome: Outcome) -> Effect:
    assert not outcome.denial, outcome.denial
    return outcome.effect
