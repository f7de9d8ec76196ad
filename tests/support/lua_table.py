"""What a row of the Lua tables says, and the lua_engine it is tried on: an account, perhaps a hold,
and one call of a script.

A row names only what differs from the usual: the account of `lua_account.USUAL`, the hold of HOLD,
the arguments of `_usual`. What the script must return and every key as it must stand afterwards
follow from the row; nothing else may have changed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis

import gate.store.keys
from gate.store.contracts import ARGUMENTS, DEBIT_HOLD_KEYS, KEYS
from gate.store.script_library import library
from gate.v1.gate_pb2 import Reason
from meter.journal.account_sums import AccountSums
from meter.journal.effect_codec import decode_effect
from meter.money import INT64_MAX, INT64_MIN, SETTING_MAX
from support.lua_account import DAY, MS_PER_DAY, NOON, Account, Changes, canonical

EXPIRES = NOON + 600_000
REPLAY_MS = 900_000
LATE_MS = 86_400_000
TOMORROW = NOON + MS_PER_DAY
INF = float("inf")
P53 = 2**53
FLOOR = INT64_MIN + SETTING_MAX  # what debt may reach

ACCOUNT_KEY = "cg:{00}:a:acme"
GRANTS_KEY = "cg:{00}:g:acme"
BUDGETS_KEY = "cg:{00}:b:acme"
REPLAY_KEY = "cg:{00}:r:acme r1"
JOURNAL_KEY = "cg:{00}:journal"
DUE_KEY = "cg:{00}:due"
SHARD_KEY = "cg:{00}:shard"
HOLD_KEY = "cg:{00}:h:acme h1"
EXPIRIES_KEY = "cg:{00}:holds"
MEMBER = "acme h1"

HOLD = f"1 o 40 {DAY} {EXPIRES} 2:40 -"
EXPIRED = HOLD.replace("1 o", "1 x")
WITH_HOLD: Changes = {"left": 60, "held": 40, "day_remaining": -40}  # the account that has HOLD

_KEYS = {
    "account": ACCOUNT_KEY,
    "replay": REPLAY_KEY,
    "journal": JOURNAL_KEY,
    "grants": GRANTS_KEY,
    "budgets": BUDGETS_KEY,
    "hold": HOLD_KEY,
    "holds_by_expiry": EXPIRIES_KEY,
    "accounts_by_due": DUE_KEY,
    "shard": SHARD_KEY,
}
_ALSO_USUAL: dict[str, dict[str, Any]] = {
    "extend": {"hold_ttl_ms": 0},
    "create_account": {"operation_number": 1, "currency": "USD", "flags": "-"},
    "grant_credits": {
        "thresholds": "=",
        "used_day": "-",
        "charged_day": "-",
        "counted_in": "-",
    },
    "void_grant": {"amount_nanos": "-"},
    "set_budget": {"thresholds": "-", "labels": "api_key=k1"},
    "delete_budget": {"labels": "api_key=k1"},
}
DENIALS = tuple(name for name, number in Reason.items() if number >= 20)
CALLS = ("authorize", "debit", "release", "extend")
LOOKS = ("get_balance", "inspect_account")


def _usual(name: str, call: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments of a script by the names of gate.store.contracts."""
    amount = call.get("amount_nanos", 10)
    arguments = {
        "epoch": 1,
        "fingerprint": "f1",
        "replay_ttl_ms": REPLAY_MS,
        "amount_nanos": amount,
        "min_amount_nanos": 0,
        "currency": "-",
        "labels": "",
        "traffic_class": "",
        "hold_id": "h1",
        "hold_ttl_ms": 1000,
        "hold_member": MEMBER,
        "method": name,
        "request": f"the {name}",
        "operation": f"the {name}",
        "reason": f"the {name}",
        "pricing": "priced" if name in ("authorize", "debit", "extend") else "",
        "incurred": 0,
        "late_ttl_ms": LATE_MS,
        "operation_number": 3,
        "due_member": "acme",
        "status": "active",
        "overage_protection_nanos": 0,
        "daily_limit_nanos": "-",
        "test_clock_ms": NOON,
        "time_ms": NOON,
        "flags": "",
        "thresholds": "",
        "graces": "",
        "grant_terms": "0 TOP_UP 50 - - -",
        "grant_number": 2,
        "budget_id": "b1",
        "hard": 1,
        "window": "month",
        "limit_nanos": 100,
        "anew": 1,
        "replaced_labels": "",
        "owner": "ledger store",
        "flushed": "1-0",
    }
    if name == "debit":
        arguments["spendable_floor_nanos"] = INT64_MIN + SETTING_MAX + amount
        arguments["used_ceiling_nanos"] = INT64_MAX - amount
    return arguments | _ALSO_USUAL.get(name, {}) | dict(call)


@dataclass(frozen=True)
class Then:
    """An entry that follows from another, or from time alone."""

    kind: str
    amount: int
    allocation: str
    sums: Changes = field(
        default_factory=dict
    )  # sums of its line that are not those left in the end
    flags: str = "-"


@dataclass(frozen=True)
class Row:
    """One sentence about a script: what it finds, what it is asked, what it answers, what it leaves
    behind.
    """

    says: str
    result: str  # ok, replayed, absent, ..., or a reason
    given: Changes = field(default_factory=dict)  # of the account, by name (lua_account.Account)
    hold: str = ""  # the hold's record; an open one is in the holds by expiry too
    is_listed: bool = False  # without a record, the hold is in the holds by expiry all the same
    seen: str = ""  # the replay record
    journal_epoch: int = 1
    owner: str = ""  # of the shard
    call: Changes = field(default_factory=dict)
    effect: str = ""  # what the effect line says first: kind, time, day, ... hold id
    allocation: str = "-"
    sums: Changes = field(
        default_factory=dict
    )  # sums of the effect line that are not the given ones
    then: Sequence[Then] = ()  # entries that follow
    after: Changes = field(default_factory=dict)  # what changed
    holds_seen: Changes = field(default_factory=dict)
    hold_after: str | None = None  # "" removed; None as it was
    reaped_at: float | None = None  # its score in the holds by expiry
    exceeded: tuple[str, str] = ("", "")  # the budget, and its labels
    reply: tuple[Any, ...] | None = None  # where it is not the usual one of `result`

    @property
    def before(self) -> Account:
        return Account(self.given)

    @property
    def left(self) -> Account:
        return Account(self.given, self.after)

    @property
    def line(self) -> str:
        account = Account(self.given, self.sums)
        return f"{self.effect} {account['current_grant']} {self.allocation} {account.line}"

    @property
    def brief(self) -> str:
        """The same as a replay record keeps it."""
        account = Account(self.given, self.sums)
        kind, _, day, amount, *hold, flags, hold_id = self.effect.split(" ")
        deed = (
            f"{kind}{amount}",
            flags.strip("-"),
            account["current_grant"],
            "" if self.allocation == "-" else self.allocation,
        )
        sums = account.sums | {"total": account["total"]}
        left_out = {name for name in ("gh", "ol", "oh") if not sums[name]}
        left_out |= set() if sums["gh"] or sums["oh"] else {"room"}
        left_out |= set() if "s" in account.flags else {"total"}
        rest = (
            account[name]
            for name in (
                "daily_limit",
                "overage",
                "expired",
                "day_base",
                "month_base",
                "yesterday_base",
            )
        )
        ends = () if hold_id == "-" else (",".join((day, *hold, hold_id)),)
        return " ".join(
            map(
                str,
                (*deed, *("" if name in left_out else sums[name] for name in sums), *rest, *ends),
            )
        )

    @property
    def consequences(self) -> list[str]:
        lines = []
        left = self.left
        for then in self.then:
            account = Account(
                self.given, self.after, {"current_grant": self.before["current_grant"]}, then.sums
            )
            head = f"{then.kind} {left['test_clock_ms']} {left['day']} {then.amount} 0 - - {then.flags} -"
            lines.append(f"{head} {account['current_grant']} {then.allocation} {account.line}")
        return lines


def look(at: int = NOON, day: int = DAY, flags: str = "-") -> str:
    return f"B {at} {day} 0 0 - - {flags} -"


def run_function(
    client: redis.Redis, name: str, keys: Sequence[str], arguments: Sequence[str | bytes | int]
) -> list[Any]:
    """Runs a script of the library as it ships; loads the library where the store has none.

    The same on a real store and on fakeredis.
    """
    function = library().function(name)
    try:
        return client.fcall(function, len(keys), *keys, *arguments)  # type: ignore[return-value]
    except redis.ResponseError as error:
        if "Function not found" not in str(error):
            raise
    client.function_load(library().code, replace=True)
    return client.fcall(function, len(keys), *keys, *arguments)  # type: ignore[return-value]


class LuaEngine:
    """A store (a real one, or a second engine) on which a row is set up and tried."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client

    def set_up(self, row: Row) -> None:
        self.client.flushall()
        self.client.xadd(
            JOURNAL_KEY, {"e": "", "m": "epoch", "q": "why", "p": ""}, id=f"{row.journal_epoch}-0"
        )
        if row.owner:
            self.client.hset(SHARD_KEY, "owner", row.owner)
        if row.given.get("epoch") != "":
            self._put(row.before)
        if row.hold:
            self.client.set(
                HOLD_KEY, hold_in_redis(row.hold), px=LATE_MS if " x " in row.hold else None
            )
            if " o " in row.hold:
                self.client.zadd(EXPIRIES_KEY, {MEMBER: "+inf"})
        if row.is_listed:
            self.client.zadd(EXPIRIES_KEY, {MEMBER: "+inf"})
        if row.seen:
            self.client.set(REPLAY_KEY, row.seen, px=REPLAY_MS)

    def _put(self, account: Account) -> None:
        self.client.hset(ACCOUNT_KEY, mapping=account.in_redis)
        for key, fields in (
            (GRANTS_KEY, account.grants_in_redis),
            (BUDGETS_KEY, account.budgets_in_redis),
            *_counters(account).items(),
        ):
            if fields:
                self.client.hset(key, mapping=fields)
        if account.due != "-":
            self.client.zadd(DUE_KEY, {"acme": due_score(account)})

    def run(self, name: str, row: Row) -> tuple[Any, ...]:
        return self.call(name, row.call, with_hold=bool(row.hold) or "hold_id" in row.call)

    def call(self, name: str, call: Changes, with_hold: bool = False) -> tuple[Any, ...]:
        names = KEYS[name]
        values = _usual(name, call)
        if name == "debit" and with_hold:
            names += DEBIT_HOLD_KEYS
        elif name == "debit":
            values |= {"hold_id": "-", "hold_member": "-"}
        keys = [_KEYS[key] for key in names]
        # The arguments of load_account depend on how much there is to load: the call has them.
        argument_names = ARGUMENTS[name][:1] if name == "load_account" else ARGUMENTS[name]
        arguments = [values[argument] for argument in argument_names]
        reply = run_function(
            self.client,
            name,
            [*keys, *call.get("more_keys", ())],
            [*arguments, *call.get("more", ())],
        )
        return tuple(_part(part) for part in reply)

    def dump(self) -> dict[str, tuple[Any, int | None]]:
        """Every key: its value, and its time to live rounded up to 10 s.

        A hash in which only 0 stands is as if absent.
        """
        values = {key: self._value(key) for key in self.client.scan_iter()}
        return {
            key.decode(): (value, self._ttl_ms(key)) for key, value in values.items() if value != {}
        }

    def _value(self, key: bytes) -> Any:
        match self.client.type(key):
            case b"hash":
                return canonical(_texts(self.client.hgetall(key)))
            case b"zset":
                return {
                    member.decode(): score
                    for member, score in self.client.zrange(key, 0, -1, withscores=True)
                }
            case b"stream":
                return [
                    (entry_id.decode(), _texts(fields))
                    for entry_id, fields in self.client.xrange(key)
                ]
            case _:
                return self.client.get(key).decode()

    def _ttl_ms(self, key: bytes) -> int | None:
        ttl_ms = self.client.pttl(key)
        return None if ttl_ms < 0 else -(-ttl_ms // 10_000) * 10_000


def hold_in_redis(told: str) -> str:
    """A hold as it is stored, from "epoch state amount day expiry pins budgets"."""
    epoch, state, amount, day, expires, pins, budgets = told.split(" ")
    days = int(expires) // MS_PER_DAY - int(day)
    pinned = pins if "," in pins else pins.removesuffix(f":{amount}")
    return f"{epoch}{state} {amount} {days} {expires} {pinned} {budgets}".replace(
        "o", "", 1
    ).removesuffix(" -")


def found_by_the_next(row: Row, lines: Sequence[str]) -> list[tuple[AccountSums, AccountSums]]:
    """What each line says that it leaves, and how the next one finds the account; the last one: how
    the row leaves it.
    """
    effects = [decode_effect(line) for line in lines if line]
    found = [effect.before for effect in effects[1:]] + [
        decode_effect(f"{look()} 0 - {row.left.line}").before
    ]
    return [(effect.after(), state) for effect, state in zip(effects, found, strict=False)]


def expected_reply(name: str, row: Row) -> tuple[Any, ...]:
    """What the script returns, by the row's result."""
    if row.reply is not None:
        return row.reply
    account = row.before
    match row.result:
        case "ok" if name == "get_balance":
            return ("ok", row.line, account["currency"], account["graces"], account.grant_fields)
        case "ok" if name == "inspect_account":
            found = (
                account.grant_fields, account.budgets_in_redis, account.counters_in_redis, row.holds_seen,
            )  # fmt: skip
            due = "-" if account.due == "-" else f"{due_score(account):.0f}"
            return ("ok", "1-0", row.line, *found, {due: due})
        case "ok" if name == "process_due_grants":
            return ("ok", str(sum(then.kind in "SV" for then in row.then)))
        case "ok" if name in CALLS:
            return ("ok", row.line, "1-1")
        case "ok":
            return ("ok", row.line) if row.effect else ("ok",)
        case "replayed" if row.seen:
            return ("replayed", row.seen.partition(" ")[2])
        case "behind":
            return ("behind", str(account["operation_number"]))
        case denial if denial in DENIALS:
            return ("denied", row.result, row.line, *row.exceeded)
        case reason if reason.isupper():
            return ("refused", reason)
        case status:
            return (status,)


def expected_dump(name: str, row: Row, before: dict[str, Any]) -> dict[str, Any]:
    """Every key as the script must leave it."""
    dump = dict(before)
    if row.after:
        _put_into(dump, name, row.left)
    if row.hold_after is not None:
        dump.pop(HOLD_KEY, None)
        dump.pop(EXPIRIES_KEY, None)
        if row.hold_after:
            dump[HOLD_KEY] = (
                hold_in_redis(row.hold_after),
                LATE_MS if " x " in row.hold_after else None,
            )
        if row.reaped_at is not None:
            dump[EXPIRIES_KEY] = ({MEMBER: row.reaped_at}, None)
    if row.result == "ok" and name not in LOOKS:
        dump[JOURNAL_KEY] = (before[JOURNAL_KEY][0] + _entries(name, row), None)
        if row.effect and "replay" in KEYS[name]:
            is_call = "fingerprint" in ARGUMENTS[name]
            dump[REPLAY_KEY] = (f"f1 {row.brief}" if is_call else "operation", REPLAY_MS)
    return dump


def _counters(account: Account) -> dict[str, dict[str, str]]:
    return {
        f"{BUDGETS_KEY} {budget_id}": fields
        for budget_id, fields in account.counters_in_redis.items()
    }


def _put_into(dump: dict[str, Any], name: str, account: Account) -> None:
    values: dict[str, Any] = {
        ACCOUNT_KEY: canonical(account.in_redis), GRANTS_KEY: account.grants_in_redis, BUDGETS_KEY: account.budgets_in_redis,
    }  # fmt: skip
    values |= {key: {} for key in dump if key.startswith(f"{BUDGETS_KEY} ")} | _counters(account)
    if "accounts_by_due" in KEYS[name]:
        values[DUE_KEY] = {} if account.due == "-" else {"acme": due_score(account)}
    for key, value in values.items():
        dump.pop(key, None)
        if value:
            dump[key] = (value, None)


def _entries(name: str, row: Row) -> list[tuple[str, dict[str, str]]]:
    values = _usual(name, row.call)
    main = (
        [{"e": row.line, "m": values["method"], "q": values["request"], "p": values["pricing"]}]
        if row.effect
        else []
    )
    others = [{"e": line, "m": "consequence", "q": "acme", "p": ""} for line in row.consequences]
    return [(f"1-{seq}", entry) for seq, entry in enumerate([*main, *others], 1)]


def due_score(account: Account) -> float:
    """When the reaper is to look at the account; never, by a test clock."""
    return float(account.due) if account["test_clock_ms"] == "-" else INF


def strangers(lua_engine: LuaEngine) -> list[str]:
    """Keys that the table in gate/store/keys.py does not know, and keys without a time to live
    that ought to have one.
    """
    kinds = re.findall(r"^\| `(cg:\S+(?: \S+)?)` ", gate.store.keys.__doc__ or "", re.MULTILINE)
    known = [re.sub("[A-Z]+", r"\\S+", re.escape(kind)).replace("07", r"\d\d") for kind in kinds]
    wrong = []
    for name in lua_engine.client.scan_iter():
        key = name.decode()
        ttl_ms = lua_engine.client.pttl(name)
        if not any(re.fullmatch(pattern, key) for pattern in known):
            wrong.append(f"{key}: not in the table of keys")
        ends = ":r:" in key or (
            ":h:" in key and lua_engine.client.get(name).split(b" ")[0].endswith(b"x")
        )
        if ends != (ttl_ms >= 0):
            wrong.append(f"{key}: time to live {ttl_ms} ms")
    return wrong


def _texts(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in fields.items()}


def _part(part: Any) -> Any:
    if isinstance(part, list):
        fields = zip(part[::2], part[1::2], strict=True)
        return canonical({name.decode(): _part(value) for name, value in fields})
    return part.decode() if isinstance(part, bytes) else str(part)
