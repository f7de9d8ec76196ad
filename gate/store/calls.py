"""The store's calls: one method for each call of the gate, from a checked request to its outcome.

A method prepares the KEYS and ARGV of the script of the same name (gate/store/contracts.py), runs
the script, and returns an Outcome.
"""

from binascii import b2a_base64
from collections.abc import Mapping
from hashlib import blake2b
from typing import NamedTuple

from gate.errors import refusal
from gate.hold_ids import new_hold_id
from gate.pricing import Cost
from gate.store.account_reader import AccountView, read_account_view
from gate.store.account_scripts import AccountScripts
from gate.store.contracts import (
    AuthorizeArguments,
    DebitArguments,
    ExtendArguments,
    GetBalanceArguments,
    ReleaseArguments,
    UndeniableDebitArguments,
)
from gate.store.keys import call_keys, hold_member
from gate.store.script_runner import Arguments
from gate.v1.gate_pb2 import AuthorizeRequest, DebitRequest, ExtendRequest, ReleaseRequest
from meter.journal.account_sums import ABSENT
from meter.journal.effect import Effect
from meter.journal.effect_codec import decode_effect
from meter.journal.entry import Method
from meter.journal.replay_record import decode_replay_record
from meter.money import INT64_MAX, INT64_MIN, SETTING_MAX

LOST = "lost"  # in place of `incurred`: the store has lost the hold
DEFAULT_HOLD_TTL_MS = 600_000
_FINGERPRINT_BYTES = 9
# One for each method, so that methods differ; a copy costs less than a new one.
_DIGESTS = {
    method: blake2b(digest_size=_FINGERPRINT_BYTES, person=method.encode()) for method in Method
}


class Outcome(NamedTuple):
    """Holds the decision of a script.

    For a denial, `effect` is a look at the account and `denial` the reason.
    """

    effect: Effect
    replayed: bool = False
    denial: str = ""
    budget_id: str = ""  # for BUDGET_EXCEEDED: the budget,
    labels: str = ""  # and the dimension values that the budget is for, a line each


class Store:
    """Runs the gate's calls as scripts.

    Each method may raise a ServiceError; RedisUnavailable leaves the outcome unknown.
    """

    def __init__(self, scripts: AccountScripts, replay_window_ms: int) -> None:
        self._scripts = scripts
        self._replay_window_ms = replay_window_ms

    async def authorize(self, request: AuthorizeRequest, cost: Cost) -> Outcome:
        """Places a hold (gate/lua/authorize.lua)."""
        account_id = request.account_id
        shard = self._scripts.shard_of(account_id)
        body = request.SerializeToString(deterministic=True)
        price_version = ""
        if cost.price is not None:
            price_version = cost.price.version
        hold_id = new_hold_id(price_version)
        arguments = AuthorizeArguments(
            epoch=self._scripts.epoch(shard),
            fingerprint=fingerprint(Method.AUTHORIZE, body),
            replay_ttl_ms=self._replay_window_ms,
            amount_nanos=cost.amount_nanos,
            min_amount_nanos=request.min_amount_nanos,
            currency=cost.currency,
            labels=labels(request.dimensions, cost),
            traffic_class=request.traffic_class,
            hold_id=hold_id,
            hold_ttl_ms=request.hold_ttl_ms or DEFAULT_HOLD_TTL_MS,
            hold_member=hold_member(account_id, hold_id),
            method=Method.AUTHORIZE,
            request=body,
            pricing=cost.pricing,
        )
        keys = call_keys(
            "authorize",
            shard,
            account_id,
            request.request_id,
            hold_id,
        )
        return await self._decide(
            "authorize",
            shard,
            account_id,
            keys,
            arguments,
        )

    async def debit(self, request: DebitRequest, cost: Cost) -> Outcome:
        """Charges usage, and settles a hold if the request names one (gate/lua/debit.lua)."""
        account_id = request.account_id
        hold_id = request.hold_id
        shard = self._scripts.shard_of(account_id)
        arguments: Arguments = self._debit_arguments(shard, request, cost)
        if hold_id or request.incurred:
            arguments = (*arguments, *_undeniable(request, cost.amount_nanos))
        keys = call_keys("debit", shard, account_id, request.request_id, hold_id)
        return await self._decide("debit", shard, account_id, keys, arguments)

    async def debit_of_lost_hold(self, request: DebitRequest, cost: Cost) -> Outcome:
        """Charges usage whose hold the store has lost: as incurred, and late."""
        account_id = request.account_id
        shard = self._scripts.shard_of(account_id)
        undeniable = _undeniable(request, cost.amount_nanos)
        arguments = (
            *self._debit_arguments(shard, request, cost),
            *undeniable._replace(hold_id=ABSENT, hold_member=ABSENT, incurred=LOST),
        )
        keys = call_keys("debit", shard, account_id, request.request_id)
        return await self._decide("debit", shard, account_id, keys, arguments)

    def _debit_arguments(
        self,
        shard: int,
        request: DebitRequest,
        cost: Cost,
    ) -> DebitArguments:
        body = request.SerializeToString(deterministic=True)
        return DebitArguments(
            epoch=self._scripts.epoch(shard),
            fingerprint=fingerprint(Method.DEBIT, body),
            replay_ttl_ms=self._replay_window_ms,
            amount_nanos=cost.amount_nanos,
            currency=cost.currency,
            labels=labels(request.dimensions, cost),
            traffic_class=request.traffic_class,
            method=Method.DEBIT,
            request=body,
            pricing=cost.pricing,
        )

    async def release(self, request: ReleaseRequest) -> Outcome:
        """Gives a hold back (gate/lua/release.lua)."""
        account_id = request.account_id
        hold_id = request.hold_id
        shard = self._scripts.shard_of(account_id)
        body = request.SerializeToString(deterministic=True)
        arguments = ReleaseArguments(
            epoch=self._scripts.epoch(shard),
            fingerprint=fingerprint(Method.RELEASE, body),
            replay_ttl_ms=self._replay_window_ms,
            hold_id=hold_id,
            hold_member=hold_member(account_id, hold_id),
            method=Method.RELEASE,
            request=body,
        )
        keys = call_keys(
            "release",
            shard,
            account_id,
            request.request_id,
            hold_id,
        )
        return await self._decide("release", shard, account_id, keys, arguments)

    async def extend(self, request: ExtendRequest, cost: Cost) -> Outcome:
        """Adds to a hold's amount or time (gate/lua/extend.lua)."""
        account_id = request.account_id
        hold_id = request.hold_id
        shard = self._scripts.shard_of(account_id)
        body = request.SerializeToString(deterministic=True)
        arguments = ExtendArguments(
            epoch=self._scripts.epoch(shard),
            fingerprint=fingerprint(Method.EXTEND, body),
            replay_ttl_ms=self._replay_window_ms,
            amount_nanos=cost.amount_nanos,
            currency=cost.currency,
            labels=labels({}, cost),
            traffic_class=request.traffic_class,
            hold_ttl_ms=request.hold_ttl_ms,
            hold_id=hold_id,
            hold_member=hold_member(account_id, hold_id),
            method=Method.EXTEND,
            request=body,
            pricing=cost.pricing,
        )
        keys = call_keys(
            "extend",
            shard,
            account_id,
            request.request_id,
            hold_id,
        )
        return await self._decide("extend", shard, account_id, keys, arguments)

    async def get_balance(self, account_id: str) -> AccountView:
        """Returns a look at the account (gate/lua/get_balance.lua)."""
        name = "get_balance"
        shard = self._scripts.shard_of(account_id)
        arguments = GetBalanceArguments(self._scripts.epoch(shard))
        keys = call_keys(name, shard, account_id)
        _, *look = await self._scripts.run(
            name,
            shard,
            account_id,
            keys,
            arguments,
        )
        return read_account_view(*look)

    async def _decide(
        self,
        name: str,
        shard: int,
        account_id: str,
        keys: list[str],
        arguments: Arguments,
    ) -> Outcome:
        """Runs a script that decides. Raises the ServiceError of a refusal."""
        status, *reply = await self._scripts.run(
            name,
            shard,
            account_id,
            keys,
            arguments,
        )
        match status:
            case b"ok":
                line, entry_id = reply
                self._scripts.acknowledged[shard] = entry_id
                return Outcome(decode_effect(line.decode()))
            case b"replayed":
                return Outcome(decode_replay_record(reply[0].decode()), replayed=True)
            case b"denied":
                reason, look, budget_id, budget_labels = (part.decode() for part in reply)
                return Outcome(
                    decode_effect(look),
                    denial=reason,
                    budget_id=budget_id,
                    labels=budget_labels,
                )
            case _:
                raise refusal(reply[0].decode())


def labels(dimensions: Mapping[str, str], cost: Cost) -> str:
    """Returns the labels of a request, for budgets and scopes of grants to match.

    Each label is "key=value" between newlines, in order; empty if there are no labels. The priced
    model takes the place of a dimension named model.
    """
    if not cost.model:
        if not dimensions:
            return ""
        lines = [f"{key}={value}" for key, value in dimensions.items()]
    else:
        lines = [f"{key}={value}" for key, value in dimensions.items() if key != "model"]
        lines.append(f"model={cost.model}")
    lines.sort()
    return "\n" + "\n".join(lines) + "\n"


def fingerprint(method: Method, body: bytes) -> bytes:
    """Returns a digest, by which a repeat differs from another request under the same id."""
    digest = _DIGESTS[method].copy()
    digest.update(body)
    return b2a_base64(digest.digest(), newline=False)


def _undeniable(request: DebitRequest, amount_nanos: int) -> UndeniableDebitArguments:
    """Returns the further arguments of a debit with a hold, or of incurred usage."""
    hold_id = request.hold_id
    member = ABSENT
    if hold_id:
        member = hold_member(request.account_id, hold_id)
    return UndeniableDebitArguments(
        hold_id=hold_id or ABSENT,
        hold_member=member,
        incurred=int(request.incurred),
        # Within these bounds the sums stay in int64, whatever settings may follow.
        spendable_floor_nanos=INT64_MIN + SETTING_MAX + amount_nanos,
        used_ceiling_nanos=INT64_MAX - amount_nanos,
    )
