"""The scripts, row by row: what each answers, and what it leaves behind, on a real Valkey and on a
second engine.
"""

import pytest
import redis

from gate.store.contracts import ARGUMENTS, KEYS
from lua.rows import TABLES
from lua.rows.upkeep import ITS_HOLD, LOADED, loading
from meter.journal.account_sums import AccountSums
from meter.journal.effect_codec import decode_effect
from meter.journal.replay_record import decode_replay_record
from support.held_today import held_today
from support.lua_account import MS_PER_DAY, NOON, TOP_UP, Changes, Grant
from support.lua_table import (
    ACCOUNT_KEY,
    DUE_KEY,
    EXPIRES,
    EXPIRIES_KEY,
    HOLD,
    INF,
    JOURNAL_KEY,
    LOOKS,
    MEMBER,
    REPLAY_KEY,
    SHARD_KEY,
    WITH_HOLD,
    LuaEngine,
    Row,
    expected_dump,
    expected_reply,
    found_by_the_next,
    strangers,
)


def is_in_order(state: AccountSums, flags: str) -> bool:
    """Whether its sums add up, as those of a row that looks at something else need not."""
    return (state.scoped == 0 or "s" in flags) and (state.held != 0 or held_today(state) == 0)


ROWS = [
    pytest.param(name, row, id=f"{name} {row.says}")
    for name, rows in TABLES.items()
    for row in rows
]


@pytest.mark.parametrize(("name", "row"), ROWS)
def test_a_script(lua_engine: LuaEngine, name: str, row: Row) -> None:
    lua_engine.set_up(row)
    before = lua_engine.dump()

    assert lua_engine.run(name, row) == expected_reply(name, row)

    after = lua_engine.dump()
    assert after == expected_dump(name, row, before)
    assert not strangers(lua_engine)
    for left, found in found_by_the_next(row, [entry["e"] for _, entry in after[JOURNAL_KEY][0]]):
        assert left == found


CALLS = [
    row
    for name, rows in TABLES.items()
    if "fingerprint" in ARGUMENTS[name]
    for row in rows
    if row.effect
]
IN_ORDER = [row for row in CALLS if is_in_order(decode_effect(row.line).before, row.before.flags)]


@pytest.mark.parametrize("row", IN_ORDER)
def test_a_replay_record_keeps_all_that_a_reply_tells(row: Row) -> None:
    effect = decode_effect(row.line)
    assert decode_replay_record(row.brief) == effect._replace(
        at_ms=0, day=effect.day if effect.hold_id else 0
    )


def test_many_rows_are_of_accounts_whose_sums_add_up() -> None:
    assert len(IN_ORDER) > len(CALLS) / 4


@pytest.mark.parametrize("name", TABLES)
def test_no_two_rows_of_a_script_say_the_same(name: str) -> None:
    sentences = [row.says for row in TABLES[name]]
    assert len(set(sentences)) == len(sentences)


def test_a_store_clock_s_hold_is_due_when_it_expires(lua_engine: LuaEngine) -> None:
    lua_engine.set_up(Row("", "", given={"test_clock_ms": "-", "day": 20_000}))
    seconds, micros = lua_engine.client.time()

    status, line, _ = lua_engine.call("authorize", {"hold_ttl_ms": 5000})

    at_ms, day, expires_ms = (int(line.split(" ")[i]) for i in (1, 2, 6))
    assert status == "ok"
    assert 0 <= at_ms - (seconds * 1000 + micros // 1000) < 5000
    assert (day, expires_ms) == (at_ms // MS_PER_DAY, at_ms + 5000)
    assert lua_engine.client.zscore(EXPIRIES_KEY, MEMBER) == expires_ms
    assert lua_engine.client.hget(ACCOUNT_KEY, "s").split(b" ")[3] == str(day).encode()

    lua_engine.client.delete(REPLAY_KEY)
    assert lua_engine.call("extend", {"hold_ttl_ms": 60_000, "amount_nanos": 0})[0] == "ok"
    assert at_ms + 60_000 <= (lua_engine.client.zscore(EXPIRIES_KEY, MEMBER) or 0) < at_ms + 65_000


def test_open_epoch_begins_the_journal_s_epoch(lua_engine: LuaEngine) -> None:
    entry = {"e": "", "m": "epoch", "q": "why", "p": ""}
    assert lua_engine.call("open_epoch", {"method": "epoch", "reason": "why"}) == ("ok",)
    named = {"owner": "ledger store", "flushed": "1-0"}
    assert lua_engine.dump() == {
        JOURNAL_KEY: ([("1-0", entry)], None),
        SHARD_KEY: (named, None),
    }

    second = {"epoch": 2, "method": "epoch", "reason": "why", "flushed": "1-7"}
    assert lua_engine.call("open_epoch", second) == ("ok",)
    assert lua_engine.dump() == {
        JOURNAL_KEY: ([("1-0", entry), ("2-0", entry)], None),
        SHARD_KEY: (named | {"flushed": "1-7"}, None),
    }


def test_an_account_loaded_by_the_store_s_clock_has_its_holds_due_when_they_expire(
    lua_engine: LuaEngine,
) -> None:
    lua_engine.set_up(Row("", "", given={"epoch": ""}))
    lua_engine.call("load_account", loading(LOADED | {"test_clock_ms": "-"}, ITS_HOLD))
    assert lua_engine.client.zscore(EXPIRIES_KEY, MEMBER) == EXPIRES


def test_an_account_created_by_the_store_s_clock_lives_today(lua_engine: LuaEngine) -> None:
    lua_engine.set_up(Row("", "", given={"epoch": ""}))
    lua_engine.call("create_account", {"test_clock_ms": "-"})
    seconds, _ = lua_engine.client.time()
    settings = lua_engine.client.hget(ACCOUNT_KEY, "s").split(b" ")
    assert settings[2] == b"-"
    assert 0 <= seconds - int(settings[3]) * 86_400 < 86_400 + 5


@pytest.mark.parametrize(
    ("name", "call"), [("load_account", loading(LOADED)), ("process_due_grants", {})]
)
def test_what_is_not_asked_for_by_a_request_fails_in_a_shard_without_a_journal(
    lua_engine: LuaEngine, name: str, call: Changes
) -> None:
    given = {"epoch": ""} if name == "load_account" else {"grants": {2: Grant(100, expires=NOON)}}
    lua_engine.set_up(Row("", "", given=given))
    lua_engine.client.delete(JOURNAL_KEY)
    before = lua_engine.dump()

    with pytest.raises(redis.ResponseError, match="no such key"):
        lua_engine.call(name, call)

    assert lua_engine.dump() == before


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in KEYS
        if name not in (*LOOKS, "load_account", "open_epoch", "process_due_grants")
    ],
)
def test_nothing_is_written_without_a_journal(lua_engine: LuaEngine, name: str) -> None:
    """Its loss means that acknowledged writes were lost: whoever came by must not begin it anew."""
    clock = EXPIRES if name == "expire" else NOON
    lua_engine.set_up(
        Row(
            "",
            "",
            hold=HOLD,
            given=WITH_HOLD
            | {"test_clock_ms": clock, "epoch": "" if name == "create_account" else 1},
        )
    )
    lua_engine.client.delete(JOURNAL_KEY)
    before = lua_engine.dump()

    assert lua_engine.call(name, {}, with_hold=True) == ("stale",)

    assert lua_engine.dump() == before


def test_a_grant_is_due_by_the_store_s_clock_when_it_expires(lua_engine: LuaEngine) -> None:
    lua_engine.set_up(Row("", "", given={"test_clock_ms": "-", "day": 20_000}))
    at_ms = 4_102_444_800_000  # 2100
    assert lua_engine.call("grant_credits", {"grant_terms": f"0 TOP_UP 50 {at_ms} - -"})[0] == "ok"
    assert lua_engine.client.zscore(DUE_KEY, "acme") == at_ms

    assert lua_engine.call("void_grant", {"operation_number": 4, "grant_number": 3})[0] == "ok"
    assert lua_engine.client.zscore(DUE_KEY, "acme") is None


def test_a_grant_that_is_used_up_before_its_time_is_forgotten_when_its_time_would_have_come(
    lua_engine: LuaEngine,
) -> None:
    expiring = {2: Grant(10, expires=NOON + 5), 4: TOP_UP}
    lua_engine.set_up(Row("", "", given={"grants": expiring}))
    assert lua_engine.call("debit", {})[0] == "ok"
    assert lua_engine.client.zscore(DUE_KEY, "acme") == INF

    assert lua_engine.call("process_due_grants", {}) == ("ok", "0")
    assert lua_engine.client.zscore(DUE_KEY, "acme") is None


def test_what_waits_for_an_expiry_finds_the_credits_gone(lua_engine: LuaEngine) -> None:
    lua_engine.set_up(Row("", "", given={"grants": {2: Grant(10, expires=NOON)}}))
    assert lua_engine.call("authorize", {}) == ("due",)
    assert lua_engine.call("process_due_grants", {}) == ("ok", "1")
    assert lua_engine.call("authorize", {})[:2] == ("denied", "INSUFFICIENT_CREDITS")


def test_what_waits_for_a_grant_s_beginning_finds_the_credits_there(lua_engine: LuaEngine) -> None:
    lua_engine.set_up(
        Row("", "", given={"current_grant": 0, "grants": {2: Grant(10, 0, "p", effective=NOON)}})
    )
    assert lua_engine.call("authorize", {}) == ("due",)
    assert lua_engine.call("process_due_grants", {}) == ("ok", "1")
    assert lua_engine.call("authorize", {})[0] == "ok"
