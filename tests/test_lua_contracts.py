"""The scripts' headers are their contracts: what they say is what the code does, and what the tables try."""

import random
import re
from datetime import date, timedelta
from importlib.resources import files
from itertools import pairwise
from typing import Any

import pytest
import redis
from lua_table import (
    ACCOUNT_KEY,
    ARGUMENTS,
    DAY,
    EXPIRES,
    EXPIRIES_KEY,
    HOLD,
    HOLD_KEY,
    JOURNAL_KEY,
    KEYS,
    NOON,
    WITH_HOLD,
    Bench,
    Row,
)
from test_lua_tables import FLOOR
from test_lua_tables import TABLES as SPENDING
from test_lua_upkeep_tables import TABLES as UPKEEP

from gate.scripts import all_scripts
from gate.v1.gate_pb2 import Reason
from meter.money import INT64_MAX

LUA = files("gate") / "lua"
TABLES = SPENDING | UPKEEP
NAMES = [each.name for each in all_scripts()]
REASONS = set(Reason.keys()) - {"REASON_UNSPECIFIED"}
EXPIRED = f"1 x 40 {DAY} {EXPIRES}"

# For each call: what to refuse it for, in order of precedence, and how each is put into the row. All of them apply at first; from one
# rung to the next, the first one is cured.
LADDERS: dict[str, tuple[str, dict[str, Any], list[tuple[str, dict[str, Any]]]]] = {
    "authorize": ("authorize", {}, [
        ("REQUEST_ID_REUSED", {"seen": "f2 an effect"}),
        ("absent", {"ep": 0}),
        ("CURRENCY_MISMATCH", {"cur": "EUR"}),
        ("ACCOUNT_SUSPENDED", {"st": "suspended"}),
        ("INSUFFICIENT_CREDITS", {"sp": 9}),
        ("DAILY_LIMIT_EXCEEDED", {"lim": 50, "room": 9}),
        ("stale", {"journal_epoch": 2}),
    ]),
    "debit": ("debit", {}, [
        ("REQUEST_ID_REUSED", {"seen": "f2 an effect"}),
        ("absent", {"ep": 0}),
        ("CURRENCY_MISMATCH", {"cur": "EUR"}),
        ("ACCOUNT_SUSPENDED", {"st": "suspended"}),
        ("INSUFFICIENT_CREDITS", {"sp": 9}),
        ("DAILY_LIMIT_EXCEEDED", {"lim": 50, "room": 9}),
        ("stale", {"journal_epoch": 2}),
    ]),
    "debit of a hold": ("debit", {"hold": HOLD}, [
        ("REQUEST_ID_REUSED", {"seen": "f2 an effect"}),
        ("absent", {"ep": 0}),
        ("HOLD_NOT_FOUND", {"hold": HOLD.replace("1 o", "0 o")}),
        ("CURRENCY_MISMATCH", {"cur": "EUR"}),
        ("AMOUNT_OUT_OF_RANGE", {"sp": FLOOR, "used": INT64_MAX, "st": "suspended"}),
        ("stale", {"journal_epoch": 2}),
    ]),
    "release": ("release", {"hold": HOLD}, [
        ("REQUEST_ID_REUSED", {"seen": "f2 an effect"}),
        ("absent", {"ep": 0}),
        ("HOLD_NOT_FOUND", {"hold": EXPIRED.replace("1 x", "0 x")}),
        ("HOLD_EXPIRED", {"hold": EXPIRED}),
        ("stale", {"journal_epoch": 2}),
    ]),
    "extend": ("extend", {"hold": HOLD}, [
        ("REQUEST_ID_REUSED", {"seen": "f2 an effect"}),
        ("absent", {"ep": 0}),
        ("HOLD_NOT_FOUND", {"hold": EXPIRED.replace("1 x", "0 x")}),
        ("HOLD_EXPIRED", {"hold": EXPIRED}),
        ("CURRENCY_MISMATCH", {"cur": "EUR"}),
        ("ACCOUNT_SUSPENDED", {"st": "suspended"}),
        ("INSUFFICIENT_CREDITS", {"sp": 9}),
        ("DAILY_LIMIT_EXCEEDED", {"lim": 50, "room": 9}),
        ("stale", {"journal_epoch": 2}),
    ]),
    "expire": ("expire", {"hold": HOLD}, [
        ("absent", {"ep": 0}),
        ("gone", {"hold": HOLD.replace("1 o", "0 o")}),
        ("kept", {"clk": NOON}),
        ("stale", {"clk": EXPIRES, "journal_epoch": 2}),
    ]),
    "update_account": ("update_account", {}, [("absent", {"ep": 0}), ("replayed", {"op": 2}), ("stale", {"journal_epoch": 2})]),
    "grant_credits": ("grant_credits", {}, [("absent", {"ep": 0}), ("behind", {"op": 0}), ("stale", {"journal_epoch": 2})]),
    "advance_clock": ("advance_clock", {}, [("absent", {"ep": 0}), ("replayed", {"op": 2}), ("stale", {"journal_epoch": 2})]),
}  # fmt: skip
ROW_FIELDS = ("seen", "hold", "journal_epoch")


def rungs() -> list[Any]:
    return [
        pytest.param(title, step, id=f"{title}: {reason} wins over {following}")
        for title, (_, _, ladder) in LADDERS.items()
        for step, (reason, following) in enumerate(pairwise([*(reason for reason, _ in ladder), "ok"]))
    ]


def rung(title: str, step: int) -> Row:
    """The row to which every reason from `step` on applies."""
    name, usual, ladder = LADDERS[title]
    fields = {"given": WITH_HOLD if usual else {}, **usual}
    for _, cause in reversed(ladder[step:]):  # where two touch the same field, the earlier has it
        fields |= {key: value for key, value in cause.items() if key in ROW_FIELDS}
        fields["given"] = fields["given"] | {key: value for key, value in cause.items() if key not in ROW_FIELDS}
    return Row("", "", call={"currency": "USD"} if name in ("authorize", "debit", "extend") else {}, **fields)


@pytest.mark.parametrize(("title", "step"), rungs())
def test_of_several_reasons_the_first_is_told_and_nothing_written(bench: Bench, title: str, step: int) -> None:
    name, _, ladder = LADDERS[title]
    row = rung(title, step)
    bench.set_up(row)
    before = bench.dump()

    assert ladder[step][0] in bench.run(name, row)

    if ladder[step][0] == "gone":
        before.pop(EXPIRIES_KEY)
    assert bench.dump() == before


@pytest.mark.parametrize("title", LADDERS)
def test_without_any_reason_the_call_goes_through(bench: Bench, title: str) -> None:
    name, _, ladder = LADDERS[title]
    row = rung(title, len(ladder))
    bench.set_up(Row("", "", given=row.given | ({"clk": EXPIRES} if name == "expire" else {}), hold=row.hold))
    assert bench.run(name, row)[0] == "ok"


@pytest.mark.parametrize("name", ["authorize", "debit", "release", "extend"])
def test_the_header_states_the_precedence_that_is_tried(name: str) -> None:
    stated = precedence(name)
    tried = [[reason for reason, _ in ladder] for script_name, _, ladder in LADDERS.values() if script_name == name]
    for ladder in tried:
        assert ladder == [reason for reason in stated if reason in ladder]
    assert set(stated) == {reason for ladder in tried for reason in ladder}


def header(name: str) -> str:
    lines = (LUA / f"{name}.lua").read_text("utf-8").splitlines()[1:]
    return "\n".join(line for line in lines[: next(i for i, line in enumerate(lines) if not line.startswith("--"))])


def body(name: str) -> str:
    lines = (LUA / f"{name}.lua").read_text("utf-8").splitlines()[1:]
    return "\n".join(line for line in lines if not line.startswith("--"))


def precedence(name: str) -> list[str]:
    """The reasons in the order that the header states, or none."""
    stated = re.search(r"Precedence: (.*?)\.", header(name).replace("\n--", ""))
    return re.sub(r"\(.*?\)|\s", "", stated[1]).split(",") if stated else []


def indexes(text: str, kind: str) -> set[int]:
    return {int(number) for number in re.findall(rf"{kind}\[(\d+)\]", text)}


@pytest.mark.parametrize("name", NAMES)
def test_every_script_has_a_table(name: str) -> None:
    assert TABLES[name]
    assert name in KEYS
    assert name in ARGUMENTS


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["KEYS", "ARGV"])
def test_the_header_names_every_key_and_argument(name: str, kind: str) -> None:
    assert indexes(header(name), kind) == indexes(body(name), kind)


@pytest.mark.parametrize("name", NAMES)
def test_keys_and_arguments_are_given_names_at_once_and_never_indexed_again(name: str) -> None:
    bound, *rest = re.split(r"\n\n", body(name).strip(), maxsplit=1)
    assert indexes(bound, "KEYS") == set(range(1, 1 + len(indexes(bound, "KEYS"))))
    assert indexes(bound, "ARGV") == set(range(1, 1 + len(indexes(bound, "ARGV"))))
    assert not indexes("".join(rest), "KEYS")
    assert not indexes("".join(rest), "ARGV")


@pytest.mark.parametrize("name", NAMES)
def test_the_arguments_of_the_tables_are_those_of_the_header(name: str) -> None:
    if name == "load_account":
        return  # has as many as the account has fields and holds
    assert len(ARGUMENTS[name].split()) == max(indexes(header(name), "ARGV"))
    keys = KEYS[name] + ((HOLD_KEY, EXPIRIES_KEY) if name == "debit" else ())
    assert len(keys) == max(indexes(header(name), "KEYS"))


@pytest.mark.parametrize("name", NAMES)
def test_every_reason_that_a_script_can_return_is_reached_by_a_row(name: str) -> None:
    returned = set(re.findall(r"'([A-Z]+(?:_[A-Z]+)+)'", sources(name)))
    assert returned <= REASONS
    assert returned == {row.result for row in TABLES[name] if row.result.isupper()}


@pytest.mark.parametrize("name", NAMES)
def test_every_status_that_the_header_states_is_reached_by_a_row(name: str) -> None:
    stated = set(re.findall(r"\{'(\w+)'", header(name)))
    rows = TABLES[name]
    reached = {"ok" if name == "open_epoch" else rows[0].result}  # opening has a test of its own
    for row in rows:
        denied = row.result in ("ACCOUNT_SUSPENDED", "INSUFFICIENT_CREDITS", "DAILY_LIMIT_EXCEEDED")
        reached.add("denied" if denied else "refused" if row.result.isupper() else row.result)
    assert stated == reached


def test_every_reason_of_the_proto_is_returned_by_a_script_or_is_the_account_s_absence() -> None:
    returned = {reason for name in NAMES for reason in re.findall(r"'([A-Z]+(?:_[A-Z]+)+)'", sources(name))}
    assert returned | {"ACCOUNT_NOT_FOUND"} == REASONS


@pytest.mark.parametrize("name", NAMES)
def test_reasons_keep_the_order_of_the_proto(name: str) -> None:
    numbers = [Reason.Value(reason) for reason in precedence(name) if reason.isupper()]
    assert numbers == sorted(numbers)


def sources(name: str) -> str:
    """The script with what it includes."""
    included = re.findall(r"^-- @include (\w+)$", (LUA / f"{name}.lua").read_text("utf-8"), re.MULTILINE)
    return body(name) + "".join((LUA / "include" / f"{each}.lua").read_text("utf-8") for each in included)


def evaluate(client: redis.Redis, code: str, *arguments: object) -> list[Any]:
    return client.eval((LUA / "include" / "account.lua").read_text("utf-8") + code, 0, *arguments)


def test_months_are_those_of_the_calendar(redis_db: redis.Redis) -> None:
    days = 60_000  # 1970 to 2134: with 2000, a leap year, and 2100, none
    months = evaluate(redis_db, "local m = {} for day = 0, ARGV[1] do m[#m + 1] = month_of(day) end return m", days)
    calendar = [date(1970, 1, 1) + timedelta(day) for day in range(days + 1)]
    begins = [today.month != yesterday.month for yesterday, today in pairwise(calendar)]
    assert [later - earlier for earlier, later in pairwise(months)] == begins


def test_amounts_compare_as_integers_do(redis_db: redis.Redis) -> None:
    chance = random.Random(7)
    edges = [0, 1, 9, 10, 11, 99, 2**53 - 1, 2**53, 2**53 + 1, 2**63 - 2, INT64_MAX]
    sizes = [10 ** chance.randrange(1, 19) for _ in range(60)]
    amounts = [*edges, *(-edge for edge in edges[1:]), *(chance.randrange(-size, size) for size in sizes)]
    code = """
        local answers = {}
        for i = 1, #ARGV do for j = 1, #ARGV do answers[#answers + 1] = less(ARGV[i], ARGV[j]) and 1 or 0 end end
        for i = 1, #ARGV do answers[#answers + 1] = negated(ARGV[i]) end
        return answers"""
    answers = evaluate(redis_db, code, *amounts)
    assert answers == [int(a < b) for a in amounts for b in amounts] + [str(-a).encode() for a in amounts]


@pytest.mark.parametrize("name", ["debit", "release", "expire", "grant_credits", "update_account", "advance_clock"])
def test_out_of_memory_what_frees_or_settles_goes_through(redis_db: redis.Redis, name: str) -> None:
    assert run_without_memory(redis_db, name)[0] == "ok"


@pytest.mark.parametrize("name", ["authorize", "extend"])
def test_out_of_memory_what_takes_more_is_refused_with_nothing_written(redis_db: redis.Redis, name: str) -> None:
    with pytest.raises(redis.OutOfMemoryError):
        run_without_memory(redis_db, name)


def run_without_memory(client: redis.Redis, name: str) -> tuple[str, ...]:
    bench = Bench(client, is_real=True)
    row = Row("", "", given=WITH_HOLD | {"clk": EXPIRES if name == "expire" else NOON}, hold=HOLD)
    bench.set_up(row)
    before = bench.dump()
    client.config_set("maxmemory", "1")
    try:
        return bench.run(name, row)
    except redis.OutOfMemoryError:
        assert bench.dump() == before
        raise
    finally:
        client.config_set("maxmemory", "0")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("get_balance", "sight", "load_account")])
def test_a_journal_that_cannot_be_written_leaves_everything_as_it_was(redis_db: redis.Redis, name: str) -> None:
    bench = Bench(redis_db, is_real=True)
    clock = EXPIRES if name == "expire" else NOON
    row = Row("", "", given=WITH_HOLD | {"clk": clock, "ep": "" if name == "create_account" else 1}, hold=HOLD)
    bench.set_up(row)
    redis_db.delete(JOURNAL_KEY)
    redis_db.set(JOURNAL_KEY, "no stream")
    before = bench.dump()

    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        bench.run(name, row)

    assert bench.dump() == before
    assert (ACCOUNT_KEY in before) == (name != "create_account")
