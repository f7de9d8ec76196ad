"""The scripts, row by row: what each answers, and what it leaves behind, on a real Valkey and on a second engine."""

import pytest
import redis
from lua_account import MS_PER_DAY, NOON, TOP_UP, Changes, Grant
from lua_rows import TABLES
from lua_rows.upkeep import ITS_HOLD, LOADED, loading
from lua_table import (
    ACCOUNT_KEY,
    ARGUMENTS,
    DUE_KEY,
    EXPIRES,
    EXPIRIES_KEY,
    HOLD,
    INF,
    JOURNAL_KEY,
    KEYS,
    LOOKS,
    MEMBER,
    REPLAY_KEY,
    WITH_HOLD,
    Bench,
    Row,
    expected_dump,
    expected_reply,
    found_by_the_next,
    strangers,
)

from meter.effect import parse
from meter.replay import recalled
from meter.state import State


def is_in_order(state: State, flags: str) -> bool:
    """Whether its sums add up, as those of a row that looks at something else need not."""
    return (state.scoped == 0 or "s" in flags) and (state.held != 0 or state.held_today == 0)


ROWS = [pytest.param(name, row, id=f"{name} {row.says}") for name, rows in TABLES.items() for row in rows]


@pytest.mark.parametrize(("name", "row"), ROWS)
def test_a_script(bench: Bench, name: str, row: Row) -> None:
    bench.set_up(row)
    before = bench.dump()

    assert bench.run(name, row) == expected_reply(name, row)

    after = bench.dump()
    assert after == expected_dump(name, row, before)
    assert not strangers(bench)
    for left, found in found_by_the_next(row, [entry["e"] for _, entry in after[JOURNAL_KEY][0]]):
        assert left == found


CALLS = [row for name, rows in TABLES.items() if "fingerprint" in ARGUMENTS[name] for row in rows if row.effect]
IN_ORDER = [row for row in CALLS if is_in_order(parse(row.line).before, row.before.flags)]


@pytest.mark.parametrize("row", IN_ORDER)
def test_a_replay_record_keeps_all_that_a_reply_tells(row: Row) -> None:
    effect = parse(row.line)
    assert recalled(row.brief) == effect._replace(at_ms=0, day=effect.day if effect.hold_id else 0)


def test_many_rows_are_of_accounts_whose_sums_add_up() -> None:
    assert len(IN_ORDER) > len(CALLS) / 4


@pytest.mark.parametrize("name", TABLES)
def test_no_two_rows_of_a_script_say_the_same(name: str) -> None:
    sentences = [row.says for row in TABLES[name]]
    assert len(set(sentences)) == len(sentences)


def test_a_store_clock_s_hold_is_due_when_it_expires(bench: Bench) -> None:
    bench.set_up(Row("", "", given={"clk": "-", "day": 20_000}))
    seconds, micros = bench.client.time()

    status, line = bench.call("authorize", {"ttl_ms": 5000})

    at_ms, day, expires_ms = (int(line.split(" ")[i]) for i in (1, 2, 6))
    assert status == "ok"
    assert 0 <= at_ms - (seconds * 1000 + micros // 1000) < 5000
    assert (day, expires_ms) == (at_ms // MS_PER_DAY, at_ms + 5000)
    assert bench.client.zscore(EXPIRIES_KEY, MEMBER) == expires_ms
    assert bench.client.hget(ACCOUNT_KEY, "s").split(b" ")[3] == str(day).encode()

    bench.client.delete(REPLAY_KEY)
    assert bench.call("extend", {"ttl_ms": 60_000, "amount": 0})[0] == "ok"
    assert at_ms + 60_000 <= (bench.client.zscore(EXPIRIES_KEY, MEMBER) or 0) < at_ms + 65_000


def test_open_epoch_begins_the_journal_s_epoch(bench: Bench) -> None:
    entry = {"e": "", "m": "epoch", "q": "why", "p": ""}
    assert bench.call("open_epoch", {"method": "epoch", "request": "why"}) == ("ok",)
    assert bench.dump() == {JOURNAL_KEY: ([("1-0", entry)], None)}

    assert bench.call("open_epoch", {"epoch": 2, "method": "epoch", "request": "why"}) == ("ok",)
    assert bench.dump() == {JOURNAL_KEY: ([("1-0", entry), ("2-0", entry)], None)}


def test_an_account_loaded_by_the_store_s_clock_has_its_holds_due_when_they_expire(bench: Bench) -> None:
    bench.set_up(Row("", "", given={"ep": ""}))
    bench.call("load_account", loading(LOADED | {"clk": "-"}, ITS_HOLD))
    assert bench.client.zscore(EXPIRIES_KEY, MEMBER) == EXPIRES


def test_an_account_created_by_the_store_s_clock_lives_today(bench: Bench) -> None:
    bench.set_up(Row("", "", given={"ep": ""}))
    bench.call("create_account", {"clock": "-"})
    seconds, _ = bench.client.time()
    settings = bench.client.hget(ACCOUNT_KEY, "s").split(b" ")
    assert settings[2] == b"-"
    assert 0 <= seconds - int(settings[3]) * 86_400 < 86_400 + 5


@pytest.mark.parametrize(("name", "call"), [("load_account", loading(LOADED)), ("turn_grants", {})])
def test_what_is_not_asked_for_by_a_request_fails_in_a_shard_without_a_journal(
    bench: Bench, name: str, call: Changes
) -> None:
    given = {"ep": ""} if name == "load_account" else {"grants": {2: Grant(100, expires=NOON)}}
    bench.set_up(Row("", "", given=given))
    bench.client.delete(JOURNAL_KEY)
    before = bench.dump()

    with pytest.raises(redis.ResponseError, match="no such key"):
        bench.call(name, call)

    assert bench.dump() == before


@pytest.mark.parametrize(
    "name", [name for name in KEYS if name not in (*LOOKS, "load_account", "open_epoch", "turn_grants")]
)
def test_nothing_is_written_without_a_journal(bench: Bench, name: str) -> None:
    """Its loss means that acknowledged writes were lost: whoever came by must not begin it anew."""
    clock = EXPIRES if name == "expire" else NOON
    bench.set_up(Row("", "", hold=HOLD, given=WITH_HOLD | {"clk": clock, "ep": "" if name == "create_account" else 1}))
    bench.client.delete(JOURNAL_KEY)
    before = bench.dump()

    assert bench.call(name, {}, with_hold=True) == ("stale",)

    assert bench.dump() == before


def test_a_grant_is_due_by_the_store_s_clock_when_it_expires(bench: Bench) -> None:
    bench.set_up(Row("", "", given={"clk": "-", "day": 20_000}))
    at_ms = 4_102_444_800_000  # 2100
    assert bench.call("grant_credits", {"what": f"0 TOP_UP 50 {at_ms} - -"})[0] == "ok"
    assert bench.client.zscore(DUE_KEY, "acme") == at_ms

    assert bench.call("void_grant", {"op": 4, "number": 3})[0] == "ok"
    assert bench.client.zscore(DUE_KEY, "acme") is None


def test_a_grant_that_is_used_up_before_its_time_is_forgotten_when_its_time_would_have_come(bench: Bench) -> None:
    expiring = {2: Grant(10, expires=NOON + 5), 4: TOP_UP}
    bench.set_up(Row("", "", given={"grants": expiring}))
    assert bench.call("debit", {})[0] == "ok"
    assert bench.client.zscore(DUE_KEY, "acme") == INF

    assert bench.call("turn_grants", {}) == ("ok", "0")
    assert bench.client.zscore(DUE_KEY, "acme") is None


def test_what_waits_for_an_expiry_finds_the_credits_gone(bench: Bench) -> None:
    bench.set_up(Row("", "", given={"grants": {2: Grant(10, expires=NOON)}}))
    assert bench.call("authorize", {}) == ("due",)
    assert bench.call("turn_grants", {}) == ("ok", "1")
    assert bench.call("authorize", {})[:2] == ("denied", "INSUFFICIENT_CREDITS")


def test_what_waits_for_a_grant_s_beginning_finds_the_credits_there(bench: Bench) -> None:
    bench.set_up(Row("", "", given={"g": 0, "grants": {2: Grant(10, 0, "p", effective=NOON)}}))
    assert bench.call("authorize", {}) == ("due",)
    assert bench.call("turn_grants", {}) == ("ok", "1")
    assert bench.call("authorize", {})[0] == "ok"
