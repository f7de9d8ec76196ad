"""Whatever is asked in whatever order, the gate answers as the plain-Python model does, and its books add up."""

import os
from collections import Counter
from itertools import count, pairwise
from pathlib import Path

import fakeredis
import pytest
import redis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from in_process import PRICES_YAML, SHARDS, InProcessGate, engine_gate, real_gate
from lua_table import Bench, strangers
from model import DAY_MS, Account, Model
from sequences import Sequence
from servers import ValkeyServer

from gate.keys import shard_of
from meter.effect import Kind, State
from meter.journal import JournalEntry, Method, Position
from meter.operations import Operation
from meter.v1.journal_pb2 import JournaledRequest

OPERATIONS = 50
SEEDS = st.integers(0, 2**24 - 1)  # of this width, Hypothesis draws them evenly
_NUMBERS = count()  # no two sequences share an account


@pytest.fixture(scope="module")
def prices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prices") / "prices.yaml"
    path.write_text(PRICES_YAML)
    return path


def play_many(gate: InProcessGate, sequences: int) -> Counter[str]:
    """Plays so many sequences; what came out, counted."""
    seen: Counter[str] = Counter()

    @settings(
        max_examples=sequences,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(SEEDS, min_size=3, max_size=3), st.lists(SEEDS, min_size=OPERATIONS, max_size=OPERATIONS))
    def play(start: list[int], seeds: list[int]) -> None:
        positions = [gate.journal_end(shard) for shard in range(SHARDS)]
        sequence = Sequence(gate, f"s{os.getpid()}-{next(_NUMBERS)}", seen)
        gate.run(sequence.play(start, seeds))
        check_books(gate, sequence.model, positions)

    play()
    return seen


WANTED = {
    "Authorize ok", "Authorize replayed", "Authorize denied 20", "Authorize denied 21", "Authorize denied 22",
    "Authorize REQUEST_ID_REUSED", "Authorize CURRENCY_MISMATCH", "Authorize UNKNOWN_MODEL", "Authorize INVALID_FIELD",
    "Debit ok", "Debit ok late", "Debit ok shortfall", "Debit replayed", "Debit denied 20",
    "Debit denied 21", "Debit denied 22", "Debit REQUEST_ID_REUSED", "Debit HOLD_NOT_FOUND", "Debit CURRENCY_MISMATCH",
    "Debit AMOUNT_OUT_OF_RANGE", "Debit ACCOUNT_NOT_FOUND",
    "Release ok", "Release replayed", "Release HOLD_NOT_FOUND", "Release HOLD_EXPIRED",
    "Extend ok", "Extend replayed", "Extend denied 20", "Extend denied 21", "Extend denied 22", "Extend HOLD_NOT_FOUND",
    "Extend HOLD_EXPIRED", "Extend CURRENCY_MISMATCH",
    "GetBalance ok", "expire True", "expire False",
}  # fmt: skip


@pytest.mark.parametrize("part", range(2))
def test_every_reply_is_the_model_s(
    valkey: ValkeyServer, redis_db: redis.Redis, prices: Path, is_long: bool, part: int
) -> None:
    with real_gate(redis_db, valkey.url, prices) as gate:
        seen = play_many(gate, 1000 if is_long else 250)
    assert not WANTED - set(seen), f"never seen: {WANTED - set(seen)}"
    assert not strangers(Bench(redis_db, is_real=True))


def test_every_reply_is_the_model_s_on_a_second_engine(prices: Path, is_long: bool) -> None:
    with fakeredis.FakeRedis(server_type="valkey") as client, engine_gate(client, prices) as gate:
        play_many(gate, 200 if is_long else 50)


def check_books(gate: InProcessGate, model: Model, positions: list[Position]) -> None:
    """Invariants 1, 2, 5, 7 and 9: the journal alone tells what the model knows and what the store holds."""
    entries = {shard: gate.journal_after(shard, positions[shard]) for shard in range(SHARDS)}
    for shard, found in entries.items():
        places = [positions[shard], *(entry.position for entry in found)]
        assert all(later == Position(1, earlier.seq + 1) for earlier, later in pairwise(places))
    for account_id, account in model.accounts.items():
        own = [entry for entry in entries[shard_of(account_id, SHARDS)] if owner_of(entry) == account_id]
        assert [(str(entry.effect.kind), entry.effect.amount) for entry in own if entry.effect] == account.effects
        day, state = replayed(own)
        assert (day, state) == gate.state_of(account_id)
        state = rolled(state, day, account.day)
        assert state.remaining == sum(account.grants) - account.used == account.remaining
        assert state.held == account.held
        assert (state.used_today, state.held_today) == (account.used_today, account.held_today)
        requests = [
            JournaledRequest.FromString(e.request).request_id for e in own if e.method in ("authorize", "debit")
        ]
        assert len(requests) == len(set(requests))


def replayed(entries: list[JournalEntry]) -> tuple[int, State]:
    """Day and sums after an account's entries; each must begin where the one before it ended."""
    day, state = 0, State()
    for entry in entries:
        effect = entry.effect
        assert effect is not None
        if effect.kind is Kind.UPDATE:
            moved = rolled(state, day, effect.day)._replace(
                overage=effect.before.overage,
                spendable=rolled(state, day, effect.day).spendable + effect.before.overage - state.overage,
                limit=effect.before.limit,
                room=rolled(state, day, effect.day).room + (effect.before.limit or 0) - (state.limit or 0),
            )
            assert effect.before == moved
        elif effect.kind is not Kind.CREATE:
            assert effect.before == rolled(state, day, effect.day)
        day, state = effect.day, effect.after()
    return day, state


def rolled(state: State, day: int, today: int) -> State:
    """The same account on a later day."""
    if today == day:
        return state
    month_base = state.used if month_of(today) != month_of(day) else state.month_base
    return state._replace(room=state.limit or 0, day_base=state.used, month_base=month_base)


def month_of(day: int) -> tuple[int, int]:
    return Account("", day * DAY_MS).month


def owner_of(entry: JournalEntry) -> str:
    if entry.method in (Method.CREATE, Method.UPDATE, Method.GRANT, Method.CLOCK):
        return Operation.from_json(entry.request).account_id
    return JournaledRequest.FromString(entry.request).account_id
