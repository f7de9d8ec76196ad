"""What a row of the Lua tables says, and the bench it is tried on: an account, perhaps a hold, and one call of a script.

A row names only what differs from the usual: the account of ACCOUNT, the hold of HOLD, the arguments of `_usual`. What the script must
return and every key as it must stand afterwards follow from the row; nothing else may have changed.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import redis

import gate.keys
from gate.scripts import script
from meter.money import INT64_MAX, INT64_MIN, SETTING_MAX

MS_PER_DAY = 86_400_000
DAY = 19_781  # 2024-02-28
NOON = DAY * MS_PER_DAY + MS_PER_DAY // 2
EXPIRES = NOON + 600_000
REPLAY_MS, LATE_MS = 900_000, 86_400_000

ACCOUNT_KEY, REPLAY_KEY, JOURNAL_KEY = "cg:{00}:a:acme", "cg:{00}:r:acme r1", "cg:{00}:journal"
HOLD_KEY, EXPIRIES_KEY, MEMBER = "cg:{00}:h:acme h1", "cg:{00}:holds", "acme h1"

ACCOUNT = {
    "ep": "1", "op": "1", "st": "active", "cur": "USD", "clk": NOON, "day": DAY, "sp": 100, "held": 0, "ovr": 0, "tot": 100,
    "used": 0, "room": 0, "lim": "-", "dbase": 0, "mbase": 0,
}  # fmt: skip
SUMS = ("sp", "held", "ovr", "tot", "used", "room", "lim", "dbase", "mbase")
HOLD = f"1 o 40 {DAY} {EXPIRES}"
WITH_HOLD = {"sp": 60, "held": 40, "room": -40}  # the account that has HOLD

KEYS = {
    "authorize": (ACCOUNT_KEY, REPLAY_KEY, JOURNAL_KEY, HOLD_KEY, EXPIRIES_KEY),
    "debit": (ACCOUNT_KEY, REPLAY_KEY, JOURNAL_KEY),  # and the two below, with a hold
    "release": (ACCOUNT_KEY, REPLAY_KEY, JOURNAL_KEY, HOLD_KEY, EXPIRIES_KEY),
    "extend": (ACCOUNT_KEY, REPLAY_KEY, JOURNAL_KEY, HOLD_KEY, EXPIRIES_KEY),
    "expire": (ACCOUNT_KEY, JOURNAL_KEY, HOLD_KEY, EXPIRIES_KEY),
    "get_balance": (ACCOUNT_KEY,),
    "sight": (ACCOUNT_KEY, JOURNAL_KEY),
    "create_account": (ACCOUNT_KEY, JOURNAL_KEY, REPLAY_KEY),
    "update_account": (ACCOUNT_KEY, JOURNAL_KEY, REPLAY_KEY),
    "grant_credits": (ACCOUNT_KEY, JOURNAL_KEY, REPLAY_KEY),
    "advance_clock": (ACCOUNT_KEY, JOURNAL_KEY, REPLAY_KEY),
    "load_account": (ACCOUNT_KEY, JOURNAL_KEY, EXPIRIES_KEY),
    "open_epoch": (JOURNAL_KEY,),
}
ARGUMENTS = {
    "authorize": "epoch fingerprint replay_ms amount least currency hold_id ttl_ms member method request pricing",
    "debit": "epoch fingerprint replay_ms amount currency incurred lowest most_used hold_id member method request pricing",
    "release": "epoch fingerprint replay_ms hold_id member method request",
    "extend": "epoch fingerprint replay_ms amount currency ttl_ms hold_id member method request pricing",
    "expire": "epoch hold_id member late_ms method request",
    "get_balance": "epoch",
    "sight": "epoch",
    "create_account": "epoch method request currency overage limit clock replay_ms",
    "update_account": "epoch op method request status overage limit replay_ms",
    "grant_credits": "epoch op method request amount replay_ms",
    "advance_clock": "epoch op method request clock replay_ms",
    "load_account": "epoch",  # and the account and its holds, as `call` gives them
    "open_epoch": "epoch method request",
}


def _usual(name: str, call: dict[str, Any]) -> dict[str, Any]:
    amount = call.get("amount", 10)
    return {
        "epoch": 1, "fingerprint": "f1", "replay_ms": REPLAY_MS, "amount": amount, "least": 0, "hold_id": "h1",
        "currency": "USD" if name == "create_account" else "-",
        "ttl_ms": 0 if name == "extend" else 1000, "member": MEMBER, "method": name, "request": f"the {name}",
        "pricing": "priced" if name in ("authorize", "debit", "extend") else "",
        "incurred": 0, "lowest": INT64_MIN + SETTING_MAX + amount, "most_used": INT64_MAX - amount, "late_ms": LATE_MS,
        "op": 2, "status": "active", "overage": 0, "limit": "-", "clock": NOON,
    } | call  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One sentence about a script: what it finds, what it is asked, what it answers, what it leaves behind."""

    says: str
    result: str  # ok, replayed, absent, ..., or a reason
    given: dict[str, Any] = field(default_factory=dict)  # fields of the account
    hold: str = ""  # the hold's record; an open one is in the holds by expiry too
    seen: str = ""  # the replay record
    journal_epoch: int = 1
    call: dict[str, Any] = field(default_factory=dict)
    effect: str = ""  # what the effect line says before the sums: kind, time, day, ... hold id
    sums: dict[str, Any] = field(default_factory=dict)  # sums of the effect line that are not the given ones
    after: dict[str, Any] = field(default_factory=dict)  # fields that changed
    hold_after: str | None = None  # "" removed; None as it was
    due_after: float | None = None  # its score in the holds by expiry
    reply: tuple[str, ...] | None = None  # where it is not the usual one of `result`

    @property
    def account(self) -> dict[str, str]:
        return {name: str(value) for name, value in (ACCOUNT | self.given).items()}

    @property
    def line(self) -> str:
        sums = self.account | {name: str(value) for name, value in self.sums.items()}
        return " ".join((self.effect, *(sums[name] for name in SUMS)))


def look(at: int = NOON, day: int = DAY) -> str:
    return f"B {at} {day} 0 0 - - - -"


class Bench:
    """A store (a real one, or a second engine) on which a row is set up and tried."""

    def __init__(self, client: redis.Redis, is_real: bool) -> None:
        self.client, self.is_real = client, is_real

    def source(self, name: str) -> str:
        if self.is_real:
            return script(name).source
        # fakeredis takes no line of flags, and its error texts are no Lua strings.
        return script(name).source.partition("\n")[2].replace("id.err:find", "tostring(id.err):find")

    def set_up(self, row: Row) -> None:
        self.client.flushall()
        self.client.xadd(JOURNAL_KEY, {"e": "", "m": "epoch", "q": "why", "p": ""}, id=f"{row.journal_epoch}-0")
        if row.given.get("ep") != "":
            self.client.hset(ACCOUNT_KEY, mapping=row.account)
        if row.hold:
            self.client.set(HOLD_KEY, row.hold, px=LATE_MS if " x " in row.hold else None)
            if " o " in row.hold:
                self.client.zadd(EXPIRIES_KEY, {MEMBER: "+inf"})
        if row.seen:
            self.client.set(REPLAY_KEY, row.seen, px=REPLAY_MS)

    def run(self, name: str, row: Row) -> tuple[str, ...]:
        return self.call(name, row.call, with_hold=bool(row.hold) or "hold_id" in row.call)

    def call(self, name: str, call: dict[str, Any], with_hold: bool = False) -> tuple[str, ...]:
        keys, values = KEYS[name], _usual(name, call)
        if name == "debit":
            values |= {} if with_hold else {"hold_id": "-", "member": "-"}
            keys += (HOLD_KEY, EXPIRIES_KEY) if with_hold else ()
        arguments = [values[argument] for argument in ARGUMENTS[name].split()]
        keys, arguments = (*keys, *call.get("more_keys", ())), [*arguments, *call.get("more", ())]
        reply = self.client.eval(self.source(name), len(keys), *keys, *arguments)
        return tuple(_text(part) for part in reply)

    def dump(self) -> dict[str, tuple[Any, int | None]]:
        """Every key: its value, and its time to live rounded up to 10 s."""
        return {key.decode(): (self._value(key), self._ttl_ms(key)) for key in self.client.scan_iter()}

    def _value(self, key: bytes) -> Any:
        match self.client.type(key):
            case b"hash":
                return {name.decode(): value.decode() for name, value in self.client.hgetall(key).items()}
            case b"zset":
                return {member.decode(): score for member, score in self.client.zrange(key, 0, -1, withscores=True)}
            case b"stream":
                return [(entry_id.decode(), _texts(fields)) for entry_id, fields in self.client.xrange(key)]
            case _:
                return self.client.get(key).decode()

    def _ttl_ms(self, key: bytes) -> int | None:
        ttl_ms = self.client.pttl(key)
        return None if ttl_ms < 0 else -(-ttl_ms // 10_000) * 10_000


def expected_reply(name: str, row: Row) -> tuple[str, ...]:
    """What the script returns, by the row's result."""
    if row.reply is not None:
        return row.reply
    match row.result:
        case "ok" if name == "get_balance":
            return ("ok", row.line, row.account["cur"])
        case "ok" if name == "sight":
            return ("ok", "1-0", row.line)
        case "ok":
            return ("ok", row.line) if row.effect else ("ok",)
        case "replayed" if row.seen:
            return ("replayed", row.seen.partition(" ")[2])
        case "behind":
            return ("behind", row.account["op"])
        case "ACCOUNT_SUSPENDED" | "INSUFFICIENT_CREDITS" | "DAILY_LIMIT_EXCEEDED":
            return ("denied", row.result, row.line)
        case reason if reason.isupper():
            return ("refused", reason)
        case status:
            return (status,)


def expected_dump(name: str, row: Row, before: dict[str, Any]) -> dict[str, Any]:
    """Every key as the script must leave it."""
    dump = dict(before)
    if row.after:
        fields = before.get(ACCOUNT_KEY, ({}, None))[0]
        dump[ACCOUNT_KEY] = (fields | {name: str(value) for name, value in row.after.items()}, None)
    if row.hold_after is not None:
        dump.pop(HOLD_KEY, None)
        dump.pop(EXPIRIES_KEY, None)
        if row.hold_after:
            dump[HOLD_KEY] = (row.hold_after, LATE_MS if " x " in row.hold_after else None)
        if row.due_after is not None:
            dump[EXPIRIES_KEY] = ({MEMBER: row.due_after}, None)
    if row.result == "ok" and row.effect and name not in ("get_balance", "sight"):
        values = _usual(name, row.call)
        entry = {"e": row.line, "m": values["method"], "q": values["request"], "p": values["pricing"]}
        dump[JOURNAL_KEY] = ([*before[JOURNAL_KEY][0], ("1-1", entry)], None)
        if REPLAY_KEY in KEYS[name]:
            dump[REPLAY_KEY] = (f"{'f1' if 'fingerprint' in ARGUMENTS[name] else 'operation'} {row.line}", REPLAY_MS)
    return dump


def strangers(bench: Bench) -> list[str]:
    """Keys that the glossary of gate/keys.py does not know, and keys without a time to live that ought to have one."""
    kinds = re.findall(r"^\| `(cg:\S+(?: \S+)?)` ", gate.keys.__doc__ or "", re.MULTILINE)
    known = [re.sub("[A-Z]+", r"\\S+", re.escape(kind)).replace("07", r"\d\d") for kind in kinds]
    wrong = []
    for name in bench.client.scan_iter():
        key, ttl_ms = name.decode(), bench.client.pttl(name)
        if not any(re.fullmatch(pattern, key) for pattern in known):
            wrong.append(f"{key}: not in the glossary")
        ends = ":r:" in key or (":h:" in key and bench.client.get(name).split(b" ")[1] == b"x")
        if ends != (ttl_ms >= 0):
            wrong.append(f"{key}: time to live {ttl_ms} ms")
    return wrong


def _texts(fields: dict[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in fields.items()}


def _text(part: Any) -> str:
    return part.decode() if isinstance(part, bytes) else str(part)
