"""The store: one method for each script of the gate, from a checked request to what it came to.

A method prepares the script's keys and arguments, runs it, and returns an Outcome. Two things it
puts right by itself, because nothing had been written: an account that is missing in Redis is
restored from the ledger, and a shard whose epoch has moved on is verified again. A third comes
first wherever it is due: grants whose time has come begin or expire, by entries of their own.
"""

import os
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import b2a_base64
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import NamedTuple

from gate.errors import refusal
from gate.pricing import Cost
from gate.store.account_reader import AccountView, decode_budget_balances, decode_grant_balances
from gate.store.connections import Reply
from gate.store.keys import (
    account_key,
    budgets_key,
    due_key,
    expiries_key,
    grants_key,
    hold_key,
    hold_member,
    journal_key,
    replay_key,
    shard_of,
)
from gate.store.restore import Restorer
from gate.store.script_runner import Runner
from gate.store.shards import Shards
from gate.v1.gate_pb2 import AuthorizeRequest, DebitRequest, ExtendRequest, ReleaseRequest
from meter.audit import RedisSnapshot
from meter.errors import Unavailable
from meter.journal.effect import Effect
from meter.journal.effect_codec import decode_effect
from meter.journal.entry import Method, Position
from meter.journal.replay_record import decode_replay_record
from meter.money import INT64_MAX, INT64_MIN, SETTING_MAX
from meter.v1.journal_pb2 import JournaledRequest

DEFAULT_HOLD_TTL_MS = 600_000
LATE_WINDOW_MS = (
    86_400_000  # how long an expired hold is still known, so that its debit is charged as late
)
_ATTEMPTS = 4
_PERSONS = {method: method.encode() for method in Method}

Keys = list[str]
Arguments = list[str | bytes | int]


class Outcome(NamedTuple):
    """What a script decided.

    For a denial, `effect` is a look at the account and `denial` the reason.
    """

    effect: Effect
    replayed: bool = False
    denial: str = ""
    budget_id: str = ""  # for BUDGET_EXCEEDED: the budget,
    labels: str = ""  # and the dimension values that it is for, a line each


class Store:
    """The gate's scripts as methods.

    Any of them may raise a ServiceError; RedisUnavailable leaves the outcome unknown.
    """

    def __init__(
        self, runner: Runner, shards: Shards, restorer: Restorer, replay_window_ms: int
    ) -> None:
        self._runner = runner
        self._shards = shards
        self._restorer = restorer
        self._replay_window_ms = replay_window_ms

    async def authorize(self, request: AuthorizeRequest, cost: Cost) -> Outcome:
        """Places a hold (gate/lua/authorize.lua)."""
        shard = self._shard(request.account_id)
        body = request.SerializeToString(deterministic=True)
        hold_id = new_hold_id("" if cost.price is None else cost.price.version)
        keys = self._hold_keys(shard, request.account_id, request.request_id, hold_id)
        arguments: Arguments = [
            fingerprint(Method.AUTHORIZE, body),
            self._replay_window_ms,
            cost.amount_nanos,
            request.min_amount_nanos,
            cost.currency,
            labels(request.dimensions, cost),
            request.traffic_class,
            hold_id,
            request.hold_ttl_ms or DEFAULT_HOLD_TTL_MS,
            hold_member(request.account_id, hold_id),
            Method.AUTHORIZE,
            body,
            cost.pricing,
        ]
        return await self._decide("authorize", shard, request.account_id, keys, arguments)

    async def debit(self, request: DebitRequest, cost: Cost) -> Outcome:
        """Charges usage, settling a hold if one is named (gate/lua/debit.lua)."""
        shard = self._shard(request.account_id)
        body = request.SerializeToString(deterministic=True)
        account_id = request.account_id
        amount = cost.amount_nanos
        hold_id = request.hold_id
        arguments: Arguments = [
            fingerprint(Method.DEBIT, body),
            self._replay_window_ms,
            amount,
            cost.currency,
            labels(request.dimensions, cost),
            request.traffic_class,
            Method.DEBIT,
            body,
            cost.pricing,
        ]
        if hold_id:
            keys = self._hold_keys(shard, account_id, request.request_id, hold_id)
        else:
            keys = self._keys(shard, account_id, request.request_id)
        if hold_id or request.incurred:
            arguments += [
                hold_id or "-",
                hold_member(account_id, hold_id) if hold_id else "-",
                int(request.incurred),
                INT64_MIN + SETTING_MAX + amount,
                INT64_MAX - amount,
            ]
        return await self._decide("debit", shard, account_id, keys, arguments)

    async def release(self, request: ReleaseRequest) -> Outcome:
        """Gives a hold back (gate/lua/release.lua)."""
        shard = self._shard(request.account_id)
        body = request.SerializeToString(deterministic=True)
        keys = self._hold_keys(shard, request.account_id, request.request_id, request.hold_id)
        arguments: Arguments = [
            fingerprint(Method.RELEASE, body),
            self._replay_window_ms,
            request.hold_id,
            hold_member(request.account_id, request.hold_id),
            Method.RELEASE,
            body,
        ]
        return await self._decide("release", shard, request.account_id, keys, arguments)

    async def extend(self, request: ExtendRequest, cost: Cost) -> Outcome:
        """Adds to a hold's amount or time (gate/lua/extend.lua)."""
        shard = self._shard(request.account_id)
        body = request.SerializeToString(deterministic=True)
        keys = self._hold_keys(shard, request.account_id, request.request_id, request.hold_id)
        arguments: Arguments = [
            fingerprint(Method.EXTEND, body),
            self._replay_window_ms,
            cost.amount_nanos,
            cost.currency,
            labels({}, cost),
            request.traffic_class,
            request.hold_ttl_ms,
            request.hold_id,
            hold_member(request.account_id, request.hold_id),
            Method.EXTEND,
            body,
            cost.pricing,
        ]
        return await self._decide("extend", shard, request.account_id, keys, arguments)

    async def expire(self, account_id: str, hold_id: str) -> bool:
        """Gives a hold back if its time is over (gate/lua/upkeep/expire.lua); whether it did."""
        shard = self._shard(account_id)
        member = hold_member(account_id, hold_id)
        keys = [
            account_key(shard, account_id),
            journal_key(shard),
            grants_key(shard, account_id),
            budgets_key(shard, account_id),
            hold_key(shard, account_id, hold_id),
            expiries_key(shard),
        ]
        body = JournaledRequest(account_id=account_id, hold_id=hold_id).SerializeToString()
        arguments: Arguments = [hold_id, member, LATE_WINDOW_MS, Method.EXPIRE, body]
        status, *_ = await self._run("expire", shard, account_id, keys, arguments)
        return bool(status == b"ok")

    async def process_due_grants(self, account_id: str) -> int:
        """Begins and expires the account's grants whose time has come
        (gate/lua/upkeep/process_due_grants.lua); how many.
        """
        shard = self._shard(account_id)
        _, turned = await self._run(
            "process_due_grants",
            shard,
            account_id,
            _due_grants_keys(shard, account_id),
            [account_id],
        )
        return int(turned)

    async def get_balance(self, account_id: str) -> AccountView:
        """A look at the account (gate/lua/get_balance.lua)."""
        shard = self._shard(account_id)
        keys = [account_key(shard, account_id), grants_key(shard, account_id)]
        _, line, currency, graces, grants = await self._run(
            "get_balance", shard, account_id, keys, []
        )
        return AccountView.of(line, currency, graces, grants)

    async def now_ms(self) -> int:
        """The store's clock."""
        seconds, micros = await self._runner.wire.command(0, "TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    async def inspect_account(self, shard: int, account_id: str) -> RedisSnapshot | None:
        """The account and its journal's end at one instant, for the check of the books
        (gate/lua/upkeep/inspect_account.lua).
        """
        keys = [
            account_key(shard, account_id),
            journal_key(shard),
            grants_key(shard, account_id),
            budgets_key(shard, account_id),
        ]
        status, *rest = await self._runner.run(
            "inspect_account", shard, keys, self._shards.epoch(shard)
        )
        if status == b"absent":
            return None
        newest, line, grants, budgets = rest
        look = decode_effect(line.decode())
        return RedisSnapshot(
            Position.from_id(newest.decode()),
            look.day,
            look.before,
            decode_grant_balances(line, grants),
            decode_budget_balances(budgets),
        )

    def _shard(self, account_id: str) -> int:
        return shard_of(account_id, self._shards.count)

    def _keys(self, shard: int, account_id: str, request_id: str) -> Keys:
        return [
            account_key(shard, account_id),
            replay_key(shard, account_id, request_id),
            journal_key(shard),
            grants_key(shard, account_id),
            budgets_key(shard, account_id),
        ]

    def _hold_keys(self, shard: int, account_id: str, request_id: str, hold_id: str) -> Keys:
        return [
            *self._keys(shard, account_id, request_id),
            hold_key(shard, account_id, hold_id),
            expiries_key(shard),
        ]

    async def _decide(
        self, name: str, shard: int, account_id: str, keys: Keys, arguments: Arguments
    ) -> Outcome:
        status, *rest = await self._run(name, shard, account_id, keys, arguments)
        match status:
            case b"ok":
                return Outcome(decode_effect(rest[0].decode()))
            case b"replayed":
                return Outcome(decode_replay_record(rest[0].decode()), replayed=True)
            case b"denied":
                reason, look, budget_id, budget_labels = (each.decode() for each in rest)
                return Outcome(
                    decode_effect(look), denial=reason, budget_id=budget_id, labels=budget_labels
                )
            case _:
                raise refusal(rest[0].decode())

    async def _run(
        self, name: str, shard: int, account_id: str, keys: Keys, arguments: Arguments
    ) -> list[Reply]:
        """Runs a script under the shard's epoch; what was absent or stale is put right first, and it
        is run again.
        """
        for _ in range(_ATTEMPTS):
            epoch = self._shards.epoch(shard)
            reply = await self._runner.run(name, shard, keys, epoch, *arguments)
            if reply[0] == b"absent":
                await self._restorer.restore(account_id)
            elif reply[0] == b"stale":
                await self._shards.verify(shard, epoch)
            elif reply[0] == b"due":
                await self._runner.run(
                    "process_due_grants",
                    shard,
                    _due_grants_keys(shard, account_id),
                    epoch,
                    account_id,
                )
            else:
                return reply
        raise Unavailable(
            "ACCOUNT_RESTORING",
            "the account is being restored from the ledger; repeat the call shortly",
        )


def labels(dimensions: Mapping[str, str], cost: Cost) -> str:
    """What budgets and the scopes of grants go by: "key=value" lines, sorted, between newlines; empty
    if there is none.
    """
    if cost.price is None:
        if not dimensions:
            return ""
        lines = [f"{key}={value}" for key, value in dimensions.items()]
    else:
        lines = [f"{key}={value}" for key, value in dimensions.items() if key != "model"]
        lines.append(f"model={cost.price.model}")
    lines.sort()
    return "\n" + "\n".join(lines) + "\n"


def _due_grants_keys(shard: int, account_id: str) -> Keys:
    return [
        account_key(shard, account_id),
        journal_key(shard),
        grants_key(shard, account_id),
        due_key(shard),
    ]


def fingerprint(method: Method, body: bytes) -> bytes:
    """Tells a repeat from another request under the same id."""
    return b2a_base64(blake2b(body, digest_size=9, person=_PERSONS[method]).digest(), newline=False)


def new_hold_id(price_version: str, clock: Callable[[], float] = time.time) -> str:
    """A hold id that nobody can guess; it tells when it was made (`made_at_s`), and the price version
    that it pins.
    """
    made = int(clock() * 1000).to_bytes(6, "big") + os.urandom(9)
    hold_id = "h" + urlsafe_b64encode(made).decode()
    return f"{hold_id}.{price_version}" if price_version else hold_id


def made_at_s(hold_id: str) -> float:
    """When the hold was authorized, by the gate's clock."""
    return int.from_bytes(urlsafe_b64decode(hold_id[1:9]), "big") / 1000
