"""The scripts' headers are their contracts: what they say is what the code does, and what the
tables try.
"""

import random
import re
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any

import pytest
import redis

from gate.store.contracts import ARGUMENTS, DEBIT_HOLD_KEYS, KEY_ORDER, KEYS
from gate.store.script_library import (
    LIBRARY_ORDER,
    SCRIPT_ORDER,
    library,
    lua_source,
    script_names,
)
from gate.v1.gate_pb2 import Reason
from lua.rows import TABLES
from lua.rows.budgets import COUNTED, K1
from meter.money import INT64_MAX
from support.lua_account import NOON, Budget, Changes, Grant
from support.lua_table import (
    ACCOUNT_KEY,
    DENIALS,
    EXPIRED,
    EXPIRES,
    EXPIRIES_KEY,
    FLOOR,
    HOLD,
    JOURNAL_KEY,
    LOOKS,
    WITH_HOLD,
    LuaEngine,
    Row,
)

LUA = files("gate") / "lua"
NAMES = script_names()
PATHS = {path.rpartition("/")[2]: path for path in SCRIPT_ORDER}
LIBRARY = "\n".join(lua_source(path) for path in LIBRARY_ORDER)
REASONS = set(Reason.keys()) - {"REASON_UNSPECIFIED"}

Cause = tuple[str, Changes]
DUE: Cause = ("due", {"grants": {2: Grant(100, expires=NOON)}})
STALE: Cause = ("stale", {"journal_epoch": 2})
SPENDING: list[Cause] = [
    ("CURRENCY_MISMATCH", {"currency": "EUR"}),
    ("ACCOUNT_SUSPENDED", {"status": "suspended"}),
    ("INSUFFICIENT_CREDITS", {"left": 9}),
    ("DAILY_LIMIT_EXCEEDED", {"daily_limit": 50, "day_remaining": 9}),
    ("BUDGET_EXCEEDED", {"budgets": {"b1": Budget(9, 40)}}),
    STALE,
]


def of_a_request(*causes: Cause) -> list[Cause]:
    return [("REQUEST_ID_REUSED", {"seen": "f2 an effect"}), ("absent", {"epoch": 0}), DUE, *causes]


def of_an_operation(turn: Cause) -> list[Cause]:
    return [("absent", {"epoch": 0}), turn, DUE, STALE]


# For each call: what to refuse it for, in order of precedence, and how each is put into the row.
# All of them apply at first; from one rung to the next, the first one is cured.
LADDERS: dict[str, tuple[str, Changes, list[Cause]]] = {
    "authorize": ("authorize", {}, of_a_request(*SPENDING)),
    "debit": ("debit", {}, of_a_request(*SPENDING)),
    "debit of a hold": ("debit", {"hold": HOLD}, of_a_request(
        ("HOLD_NOT_FOUND", {"hold": HOLD.replace("1 o", "0 o")}),
        ("CURRENCY_MISMATCH", {"currency": "EUR"}),
        ("AMOUNT_OUT_OF_RANGE", {"current_grant": 0, "grants": {}, "left": FLOOR, "used": INT64_MAX, "status": "suspended"}),
        STALE,
    )),
    "release": ("release", {"hold": HOLD}, of_a_request(
        ("HOLD_NOT_FOUND", {"hold": EXPIRED.replace("1 x", "0 x")}), ("HOLD_EXPIRED", {"hold": EXPIRED}), STALE,
    )),
    "extend": ("extend", {"hold": COUNTED}, of_a_request(
        ("HOLD_NOT_FOUND", {"hold": EXPIRED.replace("1 x", "0 x")}), ("HOLD_EXPIRED", {"hold": EXPIRED}), *SPENDING,
    )),
    "expire": ("expire", {"hold": HOLD}, [
        ("absent", {"epoch": 0}),
        ("gone", {"hold": HOLD.replace("1 o", "0 o")}),
        ("kept", {"test_clock_ms": NOON}),
        ("due", {"test_clock_ms": EXPIRES, "grants": {2: Grant(100, expires=EXPIRES)}}),
        ("stale", {"test_clock_ms": EXPIRES, "journal_epoch": 2}),
    ]),
    "get_balance": ("get_balance", {}, [("absent", {"epoch": 0}), DUE]),
    "process_due_grants": ("process_due_grants", {}, [("absent", {"epoch": 0}), STALE]),
    "update_account": ("update_account", {}, of_an_operation(("replayed", {"operation_number": 3}))),
    "grant_credits": ("grant_credits", {}, of_an_operation(("behind", {"operation_number": 1}))),
    "void_grant": ("void_grant", {}, of_an_operation(("replayed", {"operation_number": 4}))),
    "set_budget": ("set_budget", {}, of_an_operation(("behind", {"operation_number": 1}))),
    "delete_budget": ("delete_budget", {}, of_an_operation(("replayed", {"operation_number": 3}))),
    "advance_clock": ("advance_clock", {}, of_an_operation(("replayed", {"operation_number": 3}))),
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
        Row(
            "",
            "",
            given=row.given | ({"test_clock_ms": EXPIRES} if name == "expire" else {}),
            hold=row.hold,
        )
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
    return re.match(r"(--.*\n)+", lua_source(PATHS[name]))[0]  # type: ignore[index]


def body(name: str) -> str:
    return lua_source(PATHS[name]).removeprefix(header(name))


def precedence(name: str) -> list[str]:
    """The reasons in the order that the header states, or none."""
    sentence = re.search(r"Precedence: (.*?)\.", header(name).replace("\n--", ""))
    return re.sub(r"\(.*?\)|\s", "", sentence[1]).split(",") if sentence else []


def stated(name: str, kind: str) -> list[str]:
    """Returns the names of the KEYS, or ARGV, that the header lists, a line each."""
    lines = re.findall(rf"^-- {kind}\[(\d+)\] (\w+)", header(name), re.MULTILINE)
    assert [int(index) for index, _ in lines] == list(range(1, 1 + len(lines)))
    return [each for _, each in lines]


def opening(name: str) -> str:
    """Returns the first lines of the script's function, up to the first empty line."""
    _, start, function = body(name).partition(f"local function {name}(keys, arguments)\n")
    assert start
    return function.partition("\n\n")[0]


def bound(name: str, table: str) -> list[str]:
    """Returns the names that the first lines give to the function's keys, or arguments."""
    binding = re.search(
        rf"^  local ([^=]+?)\s*=\s*unpack\({table}[^)]*\)$", opening(name), re.MULTILINE
    )
    assert binding is not None
    return re.split(r",\s+", binding[1])


def keys_of(name: str) -> tuple[str, ...]:
    return KEYS[name] + (DEBIT_HOLD_KEYS if name == "debit" else ())


@pytest.mark.parametrize("name", NAMES)
def test_every_script_has_a_table(name: str) -> None:
    assert TABLES[name]
    assert name in KEYS
    assert name in ARGUMENTS


def test_the_library_has_every_file_once_and_every_script_under_its_name() -> None:
    paths = [path.relative_to(LUA) for path in LUA.rglob("*.lua")]
    assert sorted([*LIBRARY_ORDER, *SCRIPT_ORDER]) == sorted(
        str(path).removesuffix(".lua") for path in paths
    )
    assert set(NAMES) == set(PATHS) == set(ARGUMENTS)
    for name in NAMES:
        assert re.findall(r"^register\('(\w+)', (\w+)", body(name), re.MULTILINE) == [(name, name)]


# These have as many keys and arguments as the account has grants, budgets and holds.
FIXED = [name for name in NAMES if name not in ("inspect_account", "load_account")]


@pytest.mark.parametrize("name", NAMES)
def test_the_keys_of_the_header_and_of_the_first_lines_are_those_of_the_contract(name: str) -> None:
    assert stated(name, "KEYS") == list(keys_of(name))
    assert bound(name, "keys") == [f"{key}_key" for key in keys_of(name)]
    assert list(keys_of(name)) == [key for key in KEY_ORDER if key in keys_of(name)]


@pytest.mark.parametrize("name", NAMES)
def test_the_arguments_of_the_header_and_of_the_first_lines_are_those_of_the_contract(
    name: str,
) -> None:
    assert stated(name, "ARGV") == list(ARGUMENTS[name])
    assert bound(name, "arguments") == list(ARGUMENTS[name])


@pytest.mark.parametrize("name", FIXED)
def test_after_the_first_lines_no_key_and_no_argument_goes_by_its_index(name: str) -> None:
    rest = body(name).partition(opening(name))[2]
    assert not re.search(r"\b(keys|arguments)\b", rest)


@pytest.mark.parametrize("name", NAMES)
def test_the_arguments_that_rows_name_are_those_of_the_contract(name: str) -> None:
    named = {argument for row in TABLES[name] for argument in row.call}
    assert named - {"more", "more_keys"} <= set(ARGUMENTS[name])


@pytest.mark.parametrize("path", [*LIBRARY_ORDER, *SCRIPT_ORDER])
def test_lua_reads_in_short_functions_and_lines(path: str) -> None:
    assert max(len(line) for line in lua_source(path).splitlines()) <= 100
    for function in functions_of(lua_source(path)).values():
        assert function.count("\n") <= 40


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


def functions_of(text: str) -> dict[str, str]:
    """Returns the functions of a Lua file, by the last word of the name."""
    functions = re.findall(
        r"^(?:local )?function [\w:]*?(\w+)(\(.*?^end)$", text, re.MULTILINE | re.DOTALL
    )
    return dict(functions)


@cache
def library_functions() -> dict[str, str]:
    return functions_of(LIBRARY)


def sources(name: str) -> str:
    """Returns the script with every function of the library that it may call."""
    reached = {name: body(name)}
    waiting = [body(name)]
    while waiting:
        words = set(re.findall(r"\w+", waiting.pop()))
        found = {word: library_functions()[word] for word in words & library_functions().keys()}
        waiting += [text for word, text in found.items() if word not in reached]
        reached |= found
    return "\n".join(reached.values())


def evaluate(client: redis.Redis, code: str, *arguments: object) -> list[Any]:
    return client.eval(f"{LIBRARY}\n{code}", 0, *arguments)


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
          local first, behind = window_of(ARGV[2], day * 24 + day % 24)
          days[#days + 1], days[#days + 2] = first / 24, behind / 24
        end
        return days"""
    days = evaluate(redis_db, code, DAYS, kind)
    assert days == [
        (edge - CALENDAR[0]).days for today in CALENDAR for edge in window_of(kind, today)
    ]


def test_a_window_of_an_hour_ends_with_it(redis_db: redis.Redis) -> None:
    assert evaluate(redis_db, "return {window_of('hour', 474096 + 23)}") == [b"474119", b"474120"]


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
        "test_clock_ms": EXPIRES if name == "expire" else NOON,
        "epoch": "" if name == "create_account" else 1,
    }
    if name == "process_due_grants":
        given = {"grants": {2: Grant(100, expires=NOON)}}
    return Row("", "", given=given, hold=HOLD)


def run_without_memory(client: redis.Redis, name: str) -> tuple[str, ...]:
    lua_engine = LuaEngine(client)
    lua_engine.set_up(row := to_be_done(name))
    before = lua_engine.dump()
    # What is refused is to be the script, not the loading of the library.
    client.function_load(library().code, replace=True)
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
    lua_engine = LuaEngine(redis_db)
    lua_engine.set_up(row := to_be_done(name))
    redis_db.delete(JOURNAL_KEY)
    redis_db.set(JOURNAL_KEY, "no stream")
    before = lua_engine.dump()

    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        lua_engine.run(name, row)

    assert lua_engine.dump() == before
    assert (ACCOUNT_KEY in before) == (name != "create_account")
