"""The scripts' headers are their contracts: what they say is what the code does, and what the tables
try.
"""

import random
import re
from datetime import date, timedelta
from importlib.resources import files
from itertools import pairwise
from typing import Any

import pytest
import redis

from gate.store.script_library import all_scripts, script_files
from gate.v1.gate_pb2 import Reason
from lua.rows import TABLES
from lua.rows.budgets import COUNTED, K1
from meter.money import INT64_MAX
from support.lua_account import NOON, Budget, Changes, Grant
from support.lua_table import (
    ACCOUNT_KEY,
    ARGUMENTS,
    DENIALS,
    EXPIRED,
    EXPIRES,
    EXPIRIES_KEY,
    FLOOR,
    HOLD,
    HOLD_KEY,
    JOURNAL_KEY,
    KEYS,
    LOOKS,
    WITH_HOLD,
    LuaEngine,
    Row,
)

LUA = files("gate") / "lua"
NAMES = [each.name for each in all_scripts()]
REASONS = set(Reason.keys()) - {"REASON_UNSPECIFIED"}

Cause = tuple[str, Changes]
DUE: Cause = ("due", {"grants": {2: Grant(100, expires=NOON)}})
STALE: Cause = ("stale", {"journal_epoch": 2})
SPENDING: list[Cause] = [
    ("CURRENCY_MISMATCH", {"cur": "EUR"}),
    ("ACCOUNT_SUSPENDED", {"st": "suspended"}),
    ("INSUFFICIENT_CREDITS", {"left": 9}),
    ("DAILY_LIMIT_EXCEEDED", {"lim": 50, "room": 9}),
    ("BUDGET_EXCEEDED", {"budgets": {"b1": Budget(9, 40)}}),
    STALE,
]


def of_a_request(*causes: Cause) -> list[Cause]:
    return [("REQUEST_ID_REUSED", {"seen": "f2 an effect"}), ("absent", {"ep": 0}), DUE, *causes]


def of_an_operation(turn: Cause) -> list[Cause]:
    return [("absent", {"ep": 0}), turn, DUE, STALE]


# For each call: what to refuse it for, in order of precedence, and how each is put into the row.
# All of them apply at first; from one rung to the next, the first one is cured.
LADDERS: dict[str, tuple[str, Changes, list[Cause]]] = {
    "authorize": ("authorize", {}, of_a_request(*SPENDING)),
    "debit": ("debit", {}, of_a_request(*SPENDING)),
    "debit of a hold": ("debit", {"hold": HOLD}, of_a_request(
        ("HOLD_NOT_FOUND", {"hold": HOLD.replace("1 o", "0 o")}),
        ("CURRENCY_MISMATCH", {"cur": "EUR"}),
        ("AMOUNT_OUT_OF_RANGE", {"g": 0, "grants": {}, "left": FLOOR, "used": INT64_MAX, "st": "suspended"}),
        STALE,
    )),
    "release": ("release", {"hold": HOLD}, of_a_request(
        ("HOLD_NOT_FOUND", {"hold": EXPIRED.replace("1 x", "0 x")}), ("HOLD_EXPIRED", {"hold": EXPIRED}), STALE,
    )),
    "extend": ("extend", {"hold": COUNTED}, of_a_request(
        ("HOLD_NOT_FOUND", {"hold": EXPIRED.replace("1 x", "0 x")}), ("HOLD_EXPIRED", {"hold": EXPIRED}), *SPENDING,
    )),
    "expire": ("expire", {"hold": HOLD}, [
        ("absent", {"ep": 0}),
        ("gone", {"hold": HOLD.replace("1 o", "0 o")}),
        ("kept", {"clk": NOON}),
        ("due", {"clk": EXPIRES, "grants": {2: Grant(100, expires=EXPIRES)}}),
        ("stale", {"clk": EXPIRES, "journal_epoch": 2}),
    ]),
    "get_balance": ("get_balance", {}, [("absent", {"ep": 0}), DUE]),
    "process_due_grants": ("process_due_grants", {}, [("absent", {"ep": 0}), STALE]),
    "update_account": ("update_account", {}, of_an_operation(("replayed", {"op": 3}))),
    "grant_credits": ("grant_credits", {}, of_an_operation(("behind", {"op": 1}))),
    "void_grant": ("void_grant", {}, of_an_operation(("replayed", {"op": 4}))),
    "set_budget": ("set_budget", {}, of_an_operation(("behind", {"op": 1}))),
    "delete_budget": ("delete_budget", {}, of_an_operation(("replayed", {"op": 3}))),
    "advance_clock": ("advance_clock", {}, of_an_operation(("replayed", {"op": 3}))),
}  # fmt: skip
ROW_FIELDS = ("seen", "hold", "journal_epoch")


def rungs() -> list[Any]:
    return [
        pytest.param(title, step, id=f"{title}: {reason} wins over {following}")
        for title, (_, _, ladder) in LADDERS.items()
        for step, (reason, following) in enumerate(
            pairwise([*(reason for reason, _ in ladder), "ok"])
        )
    ]


def rung(title: str, step: int) -> Row:
    """The row to which every reason from `step` on applies."""
    name, usual, ladder = LADDERS[title]
    fields = {"given": WITH_HOLD if usual else {}, **usual}
    for _, cause in reversed(ladder[step:]):  # where two touch the same field, the earlier has it
        fields |= {key: value for key, value in cause.items() if key in ROW_FIELDS}
        fields["given"] = fields["given"] | {
            key: value for key, value in cause.items() if key not in ROW_FIELDS
        }
    spends = name in ("authorize", "debit", "extend")
    return Row("", "", call={"currency": "USD", "labels": K1} if spends else {}, **fields)


@pytest.mark.parametrize(("title", "step"), rungs())
def test_of_several_reasons_the_first_is_told_and_nothing_written(
    lua_engine: LuaEngine, title: str, step: int
) -> None:
    name, _, ladder = LADDERS[title]
    row = rung(title, step)
    lua_engine.set_up(row)
    before = lua_engine.dump()

    assert ladder[step][0] in lua_engine.run(name, row)

    if ladder[step][0] == "gone":
        before.pop(EXPIRIES_KEY)
    assert lua_engine.dump() == before


@pytest.mark.parametrize("title", LADDERS)
def test_without_any_reason_the_call_goes_through(lua_engine: LuaEngine, title: str) -> None:
    name, _, ladder = LADDERS[title]
    row = rung(title, len(ladder))
    lua_engine.set_up(
        Row("", "", given=row.given | ({"clk": EXPIRES} if name == "expire" else {}), hold=row.hold)
    )
    assert lua_engine.run(name, row)[0] == "ok"


@pytest.mark.parametrize("name", ["authorize", "debit", "release", "extend"])
def test_the_header_states_the_precedence_that_is_tried(name: str) -> None:
    reasons = precedence(name)
    tried = [
        [reason for reason, _ in ladder]
        for script_name, _, ladder in LADDERS.values()
        if script_name == name
    ]
    for ladder in tried:
        assert ladder == [reason for reason in reasons if reason in ladder]
    assert set(reasons) == {reason for ladder in tried for reason in ladder}


def header(name: str) -> str:
    lines = script_files()[name].read_text("utf-8").splitlines()[1:]
    return "\n".join(
        line
        for line in lines[: next(i for i, line in enumerate(lines) if not line.startswith("--"))]
    )


def body(name: str) -> str:
    lines = script_files()[name].read_text("utf-8").splitlines()[1:]
    return "\n".join(line for line in lines if not line.startswith("--"))


def precedence(name: str) -> list[str]:
    """The reasons in the order that the header states, or none."""
    sentence = re.search(r"Precedence: (.*?)\.", header(name).replace("\n--", ""))
    return re.sub(r"\(.*?\)|\s", "", sentence[1]).split(",") if sentence else []


def stated(name: str, kind: str) -> set[int]:
    """The KEYS, or ARGV, that the header names."""
    ranges = re.findall(rf"{kind}\[(\d+)(?:\.\.(\d+))?\]", header(name))
    return {index for first, last in ranges for index in range(int(first), int(last or first) + 1)}


def bound(name: str, kind: str) -> set[int]:
    """Those that the first lines give names."""
    indexes: set[int] = set()
    for names, values in re.findall(r"^local (.+?) = (.+)$", opening(name), re.MULTILINE):
        single = [int(index) for index in re.findall(rf"{kind}\[(\d+)\]", values)]
        rest = re.search(rf"unpack\({kind}(?:, (\d+))?", values)
        if rest:
            first = int(rest[1] or 1)
            single += range(first, first + len(names.split(", ")) - len(single))
        indexes |= set(single)
    return indexes


def opening(name: str) -> str:
    return re.split(r"\n\n", body(name).strip(), maxsplit=1)[0]


@pytest.mark.parametrize("name", NAMES)
def test_every_script_has_a_table(name: str) -> None:
    assert TABLES[name]
    assert name in KEYS
    assert name in ARGUMENTS


# Loading has as many keys and arguments as the account has grants, budgets and holds.
FIXED = [name for name in NAMES if name != "load_account"]


@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("kind", ["KEYS", "ARGV"])
def test_the_header_names_every_key_and_argument_and_the_first_lines_give_each_a_name(
    name: str, kind: str
) -> None:
    assert stated(name, kind) == set(range(1, 1 + len(stated(name, kind))))
    assert bound(name, kind) == stated(name, kind)
    assert kind not in body(name).strip().removeprefix(opening(name))


@pytest.mark.parametrize("name", FIXED)
def test_the_arguments_of_the_tables_are_those_of_the_header(name: str) -> None:
    assert len(ARGUMENTS[name].split()) == len(stated(name, "ARGV"))
    keys = KEYS[name] + ((HOLD_KEY, EXPIRIES_KEY) if name == "debit" else ())
    assert len(keys) == len(stated(name, "KEYS"))


@pytest.mark.parametrize("name", NAMES)
def test_every_reason_that_a_script_can_return_is_reached_by_a_row(name: str) -> None:
    returned = set(re.findall(r"'([A-Z]+(?:_[A-Z]+)+)'", sources(name)))
    assert returned <= REASONS
    assert returned == {row.result for row in TABLES[name] if row.result.isupper()}


@pytest.mark.parametrize("name", NAMES)
def test_every_status_that_the_header_states_is_reached_by_a_row(name: str) -> None:
    reached = {"ok"} if name == "open_epoch" else set()  # opening has a test of its own
    for row in TABLES[name]:
        denied = row.result in DENIALS
        reached.add("denied" if denied else "refused" if row.result.isupper() else row.result)
    assert set(re.findall(r"\{'(\w+)'", header(name))) == reached


def test_every_reason_of_the_proto_is_returned_by_a_script_or_is_the_account_s_absence() -> None:
    returned = {
        reason for name in NAMES for reason in re.findall(r"'([A-Z]+(?:_[A-Z]+)+)'", sources(name))
    }
    assert returned | {"ACCOUNT_NOT_FOUND"} == REASONS


@pytest.mark.parametrize("name", NAMES)
def test_reasons_keep_the_order_of_the_proto(name: str) -> None:
    numbers = [Reason.Value(reason) for reason in precedence(name) if reason.isupper()]
    assert numbers == sorted(numbers)


def sources(name: str) -> str:
    """The script with what it includes."""
    included = re.findall(
        r"^-- @include (\w+)$", script_files()[name].read_text("utf-8"), re.MULTILINE
    )
    return body(name) + "".join(
        (LUA / "lib" / f"{each}.lua").read_text("utf-8") for each in included
    )


def evaluate(
    client: redis.Redis, code: str, *arguments: object, includes: tuple[str, ...] = ("account",)
) -> list[Any]:
    included = "\n".join((LUA / "lib" / f"{name}.lua").read_text("utf-8") for name in includes)
    return client.eval(f"{included}\n{code}", 0, *arguments)


DAYS = 60_000  # 1970 to 2134: with 2000, a leap year, and 2100, none
CALENDAR = [date(1970, 1, 1) + timedelta(day) for day in range(DAYS + 1)]


def test_months_are_those_of_the_calendar(redis_db: redis.Redis) -> None:
    months = evaluate(
        redis_db,
        "local m = {} for day = 0, ARGV[1] do m[#m + 1] = month_of(day) end return m",
        DAYS,
    )
    begins = [today.month != yesterday.month for yesterday, today in pairwise(CALENDAR)]
    assert [later - earlier for earlier, later in pairwise(months)] == begins


@pytest.mark.parametrize("kind", ["day", "week", "month"])
def test_windows_of_budgets_are_those_of_the_calendar(redis_db: redis.Redis, kind: str) -> None:
    code = """
        local days = {}
        for day = 0, ARGV[1] do
          local first, behind = window_of(ARGV[2], day)
          days[#days + 1], days[#days + 2] = tonumber(first), tonumber(behind)
        end
        return days"""
    days = evaluate(redis_db, code, DAYS, kind, includes=("account", "journal", "budgets"))
    assert days == [
        (edge - CALENDAR[0]).days for today in CALENDAR for edge in window_of(kind, today)
    ]


def window_of(kind: str, today: date) -> tuple[date, date]:
    if kind == "day":
        return today, today + timedelta(1)
    if kind == "week":
        monday = today - timedelta(today.weekday())
        return monday, monday + timedelta(7)
    first = today.replace(day=1)
    return first, (first + timedelta(31)).replace(day=1)


def test_amounts_compare_as_integers_do(redis_db: redis.Redis) -> None:
    chance = random.Random(7)
    edges = [0, 1, 9, 10, 11, 99, 2**53 - 1, 2**53, 2**53 + 1, 2**63 - 2, INT64_MAX]
    sizes = [10 ** chance.randrange(1, 19) for _ in range(60)]
    amounts = [
        *edges,
        *(-edge for edge in edges[1:]),
        *(chance.randrange(-size, size) for size in sizes),
    ]
    code = """
        local answers = {}
        for i = 1, #ARGV do for j = 1, #ARGV do answers[#answers + 1] = less(ARGV[i], ARGV[j]) and 1 or 0 end end
        for i = 1, #ARGV do answers[#answers + 1] = negated(ARGV[i]) end
        return answers"""
    answers = evaluate(redis_db, code, *amounts)
    assert answers == [int(a < b) for a in amounts for b in amounts] + [
        str(-a).encode() for a in amounts
    ]


WRITING = [name for name in NAMES if name not in LOOKS]
TAKING = ["authorize", "extend", "create_account"]
OF_A_JOURNAL = [
    name for name in WRITING if name not in ("load_account", "open_epoch", "process_due_grants")
]


@pytest.mark.parametrize(
    "name", [name for name in OF_A_JOURNAL if name not in TAKING] + ["process_due_grants"]
)
def test_out_of_memory_what_frees_or_settles_goes_through(redis_db: redis.Redis, name: str) -> None:
    assert run_without_memory(redis_db, name)[0] == "ok"


@pytest.mark.parametrize("name", TAKING)
def test_out_of_memory_what_takes_more_is_refused_with_nothing_written(
    redis_db: redis.Redis, name: str
) -> None:
    with pytest.raises(redis.OutOfMemoryError):
        run_without_memory(redis_db, name)


def to_be_done(name: str) -> Row:
    """What leaves each script something to write."""
    given = WITH_HOLD | {
        "clk": EXPIRES if name == "expire" else NOON,
        "ep": "" if name == "create_account" else 1,
    }
    if name == "process_due_grants":
        given = {"grants": {2: Grant(100, expires=NOON)}}
    return Row("", "", given=given, hold=HOLD)


def run_without_memory(client: redis.Redis, name: str) -> tuple[str, ...]:
    lua_engine = LuaEngine(client, is_real=True)
    lua_engine.set_up(row := to_be_done(name))
    before = lua_engine.dump()
    client.config_set("maxmemory", "1")
    try:
        return lua_engine.run(name, row)
    except redis.OutOfMemoryError:
        assert lua_engine.dump() == before
        raise
    finally:
        client.config_set("maxmemory", "0")


@pytest.mark.parametrize("name", [*OF_A_JOURNAL, "open_epoch", "process_due_grants"])
def test_a_journal_that_cannot_be_written_leaves_everything_as_it_was(
    redis_db: redis.Redis, name: str
) -> None:
    lua_engine = LuaEngine(redis_db, is_real=True)
    lua_engine.set_up(row := to_be_done(name))
    redis_db.delete(JOURNAL_KEY)
    redis_db.set(JOURNAL_KEY, "no stream")
    before = lua_engine.dump()

    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        lua_engine.run(name, row)

    assert lua_engine.dump() == before
    assert (ACCOUNT_KEY in before) == (name != "create_account")
