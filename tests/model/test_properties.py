"""Whatever is asked in whatever order, the gate answers as the plain-Python model does, and its
books add up.
"""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import count, pairwise
from pathlib import Path

import fakeredis
import pytest
import redis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gate.store.keys import shard_of
from meter.audit import RedisSnapshot
from meter.database.engine import Ledger
from meter.database.migrate import migrate, open_ledger
from meter.journal.effect import Effect
from meter.journal.entry import Position
from meter.journal.kinds import Kind
from meter.v1.journal_pb2 import JournaledRequest
from model import DAY_MS, OVERAGE, Account, Model, month_of, ms_of, window_of
from support.held_today import held_today
from support.in_process import PRICES_YAML, SHARDS, InProcessGate, engine_gate, real_gate
from support.journal_reading import CALLS, Reading, owner_of, rolled
from support.lua_table import LuaEngine, strangers
from support.sequences import Sequence
from support.servers import ValkeyServer

OPERATIONS = 60
PARTS = 2  # so that workers share the sequences
SEEDS = st.integers(0, 2**24 - 1)  # of this width, Hypothesis draws them evenly
LEAP_DAYS = {ms_of(year, 2, 29) // DAY_MS for year in (2000, 2024)}
_NUMBERS = count()  # no two sequences share an account


@pytest.fixture(scope="module")
def prices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prices") / "prices.yaml"
    path.write_text(PRICES_YAML)
    return path


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """On SQLite: what the gate asks of its ledger here, any of them answers alike."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    migrate(url)
    with closing(open_ledger(url)) as ledger:
        yield ledger


def play_many(gate: InProcessGate, sequences: int) -> Counter[str]:
    """Plays so many sequences; what came out, counted."""
    seen: Counter[str] = Counter()

    @settings(
        max_examples=sequences,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.lists(SEEDS, min_size=3, max_size=3),
        st.lists(SEEDS, min_size=OPERATIONS, max_size=OPERATIONS),
    )
    def play(start: list[int], seeds: list[int]) -> None:
        positions = [gate.journal_end(shard) for shard in range(SHARDS)]
        sequence = Sequence(gate, f"s{os.getpid()}-{next(_NUMBERS)}", seen)
        gate.run(sequence.play(start, seeds))
        check_books(gate, sequence.model, positions, seen)

    play()
    return seen


# What two hundred sequences show,
USUAL = {
    "Authorize ok", "Authorize ok in grace", "Authorize denied 20", "Authorize denied 21", "Authorize denied 22",
    "Authorize denied 23", "Authorize INVALID_FIELD", "Debit ok", "Debit ok in grace", "Debit ok late", "Debit ok shortfall",
    "Debit denied 20", "Debit denied 21", "Debit denied 22", "Debit HOLD_NOT_FOUND", "Release ok", "Release HOLD_EXPIRED",
    "Extend ok", "Extend HOLD_NOT_FOUND", "Extend HOLD_EXPIRED", "GetBalance ok", "expire False",
    "line S", "line V", "line Q", "line Z", "daily_use crossed", "low_balance crossed", "budget crossed", "a value crossed", "uncounted", "new day", "new month",
}  # fmt: skip
# and what a thousand do.
WANTED = USUAL | {
    "Authorize replayed", "Authorize REQUEST_ID_REUSED", "Authorize CURRENCY_MISMATCH", "Authorize UNKNOWN_MODEL",
    "Debit replayed", "Debit denied 23", "Debit REQUEST_ID_REUSED", "Debit CURRENCY_MISMATCH",
    "Debit AMOUNT_OUT_OF_RANGE", "Debit ACCOUNT_NOT_FOUND", "Debit ok late shortfall", "Release replayed", "Release HOLD_NOT_FOUND",
    "Extend replayed", "Extend ok in grace", "Extend CURRENCY_MISMATCH", "Extend denied 20", "Extend denied 21",
    "Extend denied 22", "Extend denied 23", "expire True", "line P", "lapsed", "two grants burned", "new week", "new year",
    "leap day",
}  # fmt: skip


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("part", range(PARTS))
def test_every_reply_is_the_model_s(
    valkey: ValkeyServer,
    redis_db: redis.Redis,
    ledger: Ledger,
    prices: Path,
    is_long: bool,
    part: int,
) -> None:
    with real_gate(redis_db, valkey.url, ledger, prices) as gate:
        seen = play_many(gate, 2500 if is_long else 200)
    never = (WANTED if is_long else USUAL) - seen.keys()
    assert not never
    assert not strangers(LuaEngine(redis_db))


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("part", range(PARTS))
def test_every_reply_is_the_model_s_on_a_second_engine(
    ledger: Ledger, prices: Path, is_long: bool, part: int
) -> None:
    with (
        fakeredis.FakeRedis(server_type="valkey") as client,
        engine_gate(client, ledger, prices) as gate,
    ):
        play_many(gate, 250 if is_long else 15)


def check_books(
    gate: InProcessGate, model: Model, positions: list[Position], noted: Counter[str]
) -> None:
    """Invariants 1 to 7, 9 and 10: the journal alone tells what the model knows and what the store
    holds.
    """
    entries = {shard: gate.journal_after(shard, positions[shard]) for shard in range(SHARDS)}
    for shard, found in entries.items():
        places = [positions[shard], *(entry.position for entry in found)]
        assert all(later == Position(1, earlier.seq + 1) for earlier, later in pairwise(places))
    for account_id, account in model.accounts.items():
        own = [
            entry
            for entry in entries[shard_of(account_id, SHARDS)]
            if owner_of(entry) == account_id
        ]
        reading = Reading()
        for entry in own:
            assert entry.effect is not None
            reading.see(entry.effect)
        assert reading.lines == account.lines
        noted.update(
            note for one, other in pairwise(own) for note in notes_of(one.effect, other.effect)
        )
        check_store(gate.seen(account_id), reading, account)
        requests = [
            JournaledRequest.FromString(entry.request).request_id
            for entry in own
            if entry.method in CALLS
        ]
        assert Counter(requests) == Counter(account.replies.keys())


def check_store(seen: RedisSnapshot, reading: Reading, account: Account) -> None:
    """Store, journal and model have the same sums, and the same of each grant and budget."""
    assert (seen.day, seen.state) == (reading.day, reading.state)
    state = rolled(reading.state, reading.day, account.day)
    assert (state.remaining, state.held, state.spendable) == (
        account.remaining,
        account.held,
        account.spendable,
    )
    assert (state.used_today, held_today(state)) == (
        account.used_on(account.day),
        account.held_today,
    )
    left = account.left()
    pinned = account.pinned()
    told = {number: (left[number], pinned.get(number, 0)) for number in left}
    assert all(
        (reading.left[number], reading.held[number]) == sums for number, sums in told.items()
    )
    told |= {number: (amount, 0) for number, amount in account.scheduled().items()}
    assert (
        {number for number, sums in told.items() if any(sums)} <= seen.grants.keys() <= told.keys()
    )
    assert all(told[number] == sums for number, sums in seen.grants.items())
    check_counters(seen, account)


def check_counters(seen: RedisSnapshot, account: Account) -> None:
    """Of each budget; of one for each value, those of the values that have counted in it."""
    assert {name for name in seen.budgets if ":" not in name} == account.budgets.keys()
    for budget_id, budget in account.budgets.items():
        now = budget.now(account.hour)
        if seen.budgets[budget_id][0] != now.start_hour:
            continue  # nobody has matched it since
        values = {window.value for window in account.counted if window.of("") == now} | {""}
        assert {f"{budget_id}{value}" for value in values} == {
            name for name in seen.budgets if name.partition(":")[0] == budget_id
        }
        for value in values:
            of_value = budget.of(value)
            assert seen.budgets[of_value.name] == (
                now.start_hour,
                account.remaining_of(of_value),
                account.held_in(of_value.now(account.hour)),
            )


def notes_of(before: Effect | None, effect: Effect | None) -> Iterator[str]:
    """What an entry shows, and the time since the one before it."""
    assert before is not None
    assert effect is not None
    yield f"line {effect.kind}"
    if effect.flags.uncounts_today:
        yield "uncounted"
    if effect.kind is Kind.THRESHOLD:
        yield f"{effect.crossing.subject} crossed"
        if effect.crossing.value:
            yield "a value crossed"
    if effect.lapsed:
        yield "lapsed"
    if effect.kind is Kind.DEBIT and len({part.grant for part in effect.taken} - {OVERAGE}) > 1:
        yield "two grants burned"
    if effect.day != before.day:
        yield "new day"
    for window in ("week", "month"):
        if window_of(window, effect.day) != window_of(window, before.day):
            yield f"new {window}"
    if month_of(effect.day)[0] != month_of(before.day)[0]:
        yield "new year"
    if effect.day in LEAP_DAYS:
        yield "leap day"
