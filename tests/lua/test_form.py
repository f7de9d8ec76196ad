"""What stands in Redis is of the form that every shard's owner names."""

import json
from pathlib import Path

from meter.journal.owner import FORM
from support.lua_account import NOON
from support.lua_table import REPLAY_KEY, LuaEngine, Row

GOLDEN = Path(__file__).parent / f"form_{FORM}.json"
CALLS = [
    (
        "create_account",
        {
            "overage_protection_nanos": 7,
            "daily_limit_nanos": 500,
            "flags": "tg",
            "thresholds": "t1,daily_use,50;t2,low_balance,20",
            "graces": "- 9 - inbound\n5000 - - batch jobs",
        },
    ),
    (
        "grant_credits",
        {
            "operation_number": 2,
            "amount_nanos": 100,
            "grant_terms": f"0 TOP_UP 50 {NOON + 9} - -",
        },
    ),
    (
        "grant_credits",
        {
            "operation_number": 3,
            "amount_nanos": 50,
            "grant_terms": "0 VOUCHER 50 - - model=openai/gpt",
        },
    ),
    ("set_budget", {"operation_number": 4, "limit_nanos": 400}),
    ("set_budget", {"operation_number": 5, "budget_id": "b2", "labels": "user", "window": "hour"}),
    ("authorize", {"amount_nanos": 140, "labels": "\napi_key=k1\nmodel=openai/gpt\n"}),
    ("debit", {"amount_nanos": 5, "labels": "\napi_key=k1\nuser=a b\n"}),
]


def written(lua_engine: LuaEngine) -> dict[str, object]:
    """Every key after the calls; each call's replay record under the call's place."""
    lua_engine.set_up(Row("", "", given={"epoch": ""}))
    replays = {}
    for place, (name, call) in enumerate(CALLS):
        status, *_ = lua_engine.call(name, call)
        assert status == "ok", name
        replays[f"{place} {name}"] = lua_engine.client.getdel(REPLAY_KEY).decode()
    dump: dict[str, object] = json.loads(json.dumps(lua_engine.dump() | {"replays": replays}))
    return dump


def test_what_the_scripts_write_is_of_the_form_that_owners_name(lua_engine: LuaEngine) -> None:
    """If this fails, the records have another form: count FORM up, and keep the new form's file."""
    assert written(lua_engine) == json.loads(GOLDEN.read_text())
