"""The audit after a fault: what the clients were told, what the ledger says, and what Redis has
must be one and the same.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import grpc
from sqlalchemy import Row, select

from chaos.audit_of_credits import check_budgets, check_events, check_grants
from chaos.calls import ADMINISTRATION, Call
from gate.v1.gate_pb2 import ReleaseRequest
from meter.database import schema
from meter.database.migrate import open_ledger
from meter.journal.effect_codec import decode_effect
from meter.v1.ledger_pb2 import CheckBooksRequest
from support.servers import wait_until
from support.stack import Client

Rows = Sequence[Row[Any]]

_KINDS = {
    "Authorize": "AUTHORIZE", "Debit": "DEBIT", "Release": "RELEASE", "Extend": "EXTEND", "GrantCredits": "GRANT",
    "CreateTopUp": "GRANT", "VoidGrant": "GRANT_VOIDED", "SetBudget": "UPDATE", "UpdateAccount": "UPDATE",
}  # fmt: skip
OPENING = "open-"  # how the request ids begin of what was there before the load
_HOLD_HAS_ENDED = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION)
_COMES_TOO_LATE = (*_HOLD_HAS_ENDED, grpc.StatusCode.INVALID_ARGUMENT)
_BACK_S = 30.0
_CHECK_S = 600.0  # every entry of a long run is read, by the process that comes last


@dataclass(frozen=True, slots=True)
class Books:
    """The ledger's tables, all as of one moment."""

    accounts: Rows
    entries: Rows
    open_holds: Rows
    shards: Rows
    gaps: Rows
    grants: Rows
    budgets: Rows
    budget_windows: Rows
    events: Rows

    @classmethod
    def read(cls, ledger_url: str) -> Self:
        ledger = open_ledger(ledger_url)
        try:
            with ledger.read() as connection:
                tables = (
                    schema.accounts, schema.entries, schema.open_holds, schema.shards, schema.journal_gaps, schema.grants,
                    schema.applied_budgets, schema.budget_windows, schema.events,
                )  # fmt: skip
                return cls(*(connection.execute(select(table)).all() for table in tables))
        finally:
            ledger.close()


class Audit:
    """Compares what the clients were told with the books at `ledger_url`, and with what `client`'s
    gate says now.
    """

    def __init__(self, ledger_url: str, client: Client, calls: Sequence[Call]) -> None:
        self._ledger_url = ledger_url
        self._client = client
        self._calls = list(calls)

    def run(self) -> None:
        """AssertionError names the first difference.

        Afterwards every call has been answered, and no hold is open.
        """
        wait_until(self._is_at_rest, _BACK_S)
        self._repeat_all(self._check_all())
        self._release_all()
        self._check_all()
        for account_id in {call.account_id for call in self._calls}:
            assert self._client.balance(account_id).held_nanos == 0, (
                f"{account_id}: held, without a hold"
            )

    def _is_at_rest(self) -> bool:
        """Nothing ends by itself in the next minute: the books and the gate cannot be read at the
        same moment.
        """
        books = Books.read(self._ledger_url)
        soon_ms = (time.time() + 60) * 1000
        living = (grant for grant in books.grants if grant.state in ("SCHEDULED", "LIVE"))
        return not any((grant.expires_at_ms or soon_ms) < soon_ms for grant in living) and not any(
            hold.expires_ms < soon_ms for hold in books.open_holds
        )

    def _check_all(self) -> Books:
        self._check_books()
        books = Books.read(self._ledger_url)
        self._check_calls(books)
        self._check_sums(books)
        check_grants(books.accounts, books.entries, books.grants, books.open_holds)
        check_budgets(books.entries, books.budgets, books.budget_windows)
        check_events(books.accounts, books.entries, books.events)
        _check_journals(books)
        return books

    def _check_books(self) -> None:
        """The product's own check. It answers once all is flushed that came before it."""
        replies: list[Any] = []

        def answers() -> bool:
            reply, code = _ask(self._client.ledger.CheckBooks, CheckBooksRequest(), _CHECK_S)
            assert code in (None, grpc.StatusCode.UNAVAILABLE), code
            replies.append(reply)
            return reply is not None

        wait_until(answers, _CHECK_S)
        assert not replies[-1].findings, replies[-1]

    def _check_calls(self, books: Books) -> None:
        by_request = defaultdict(list)
        for row in books.entries:
            if row.kind in _KINDS.values():
                by_request[row.account_id, row.request_id].append(row)
        keys = {call.key for call in self._calls}
        strangers = {key for key in by_request.keys() - keys if not key[1].startswith(OPENING)}
        assert not strangers, f"entries that nobody asked for: {strangers}"
        for call in self._calls:
            _check_call(call, by_request.get(call.key, []), books)

    def _check_sums(self, books: Books) -> None:
        """Σ entries = balance, and Σ open holds = held; Redis has the same balance."""
        amounts: dict[str, int] = defaultdict(int)
        for entry in books.entries:
            amounts[entry.account_id] += entry.amount_nanos
        holds: dict[str, int] = defaultdict(int)
        for hold in books.open_holds:
            holds[hold.account_id] += hold.amount_nanos
        for row in books.accounts:
            name = row.account_id
            assert row.remaining_nanos == amounts[name], (
                f"{name}: {row.remaining_nanos}, its entries {amounts[name]}"
            )
            assert row.held_nanos == holds[name], (
                f"{name}: {row.held_nanos} held, its open holds {holds[name]}"
            )
            told = self._client.balance(name).remaining_nanos
            assert told == amounts[name], (
                f"{name}: the gate says {told}, its entries {amounts[name]}"
            )

    def _repeat_all(self, books: Books) -> None:
        """A repeat has the first reply; what was never answered is answered now, by what it did if
        it took effect.
        """
        taken = {(row.account_id, row.request_id) for row in books.entries}
        for call in self._calls:
            if not call.is_denied:  # that writes nothing, and is judged afresh
                self._repeat(call, call.key in taken)

    def _repeat(self, call: Call, took_effect: bool) -> None:
        first = call.reply
        request = call.request
        service = self._client.accounts if call.method in ADMINISTRATION else self._client.gate
        again, code = _ask(getattr(service, call.method), request)
        if first is None and not took_effect and code in _COMES_TOO_LATE:
            # it never took effect: its hold has expired, or was settled, or its credits would have
            # expired
            return
        assert code is None, f"{request}: {code}"
        if call.method in ADMINISTRATION:
            if call.method != "UpdateAccount":  # which tells the account as it is by now
                assert first in (None, again), f"{request}: {first} became {again}"
            call.reply = again
            return
        assert again.replayed == took_effect, (
            f"{request}: replayed {again.replayed}, in the ledger {took_effect}"
        )
        if first is None:
            call.reply = again
            return
        first.replayed = again.replayed
        assert first == again, f"{request}: {first} became {again}"

    def _release_all(self) -> None:
        """Releases what nobody settled, or leaves it to the reaper if it has expired."""
        self._check_books()
        for number, hold in enumerate(Books.read(self._ledger_url).open_holds):
            ids = {
                "account_id": hold.account_id,
                "hold_id": hold.hold_id,
                "request_id": f"release-{number}",
            }
            call = Call("Release", ReleaseRequest(**ids))
            call.reply, code = _ask(self._client.gate.Release, call.request)
            assert code in (None, *_HOLD_HAS_ENDED), code
            self._calls.append(call)
        wait_until(lambda: not Books.read(self._ledger_url).open_holds)


def _ask(
    method: Callable[..., Any], request: Any, timeout_s: float = _BACK_S
) -> tuple[Any, grpc.StatusCode | None]:
    """The reply, or the status that stands for it."""
    try:
        return method(request, timeout=timeout_s), None
    except grpc.RpcError as error:
        return None, error.code()


def _check_journals(books: Books) -> None:
    """Dense from the first entry to the flushed position, in the one epoch that there ever was."""
    numbers: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for row in books.entries:
        numbers[row.shard].append((row.epoch, row.seq))
    for row in books.shards:
        assert row.epoch == 1, f"shard {row.shard} is in epoch {row.epoch}: something was lost"
        dense = [(1, seq) for seq in range(1, row.watermark_seq + 1)]
        assert sorted(numbers[row.shard]) == dense, (
            f"shard {row.shard}: not dense up to {row.watermark_seq}"
        )
    assert not books.gaps, f"lost from a journal: {books.gaps}"


def _check_call(call: Call, rows: list[Row[Any]], books: Books) -> None:
    """Answered: in the ledger as told, once.

    Denied: not at all. Unanswered: once, or not at all.
    """
    if call.is_denied:
        assert not rows, f"{call.request}: denied, {len(rows)} times in the ledger"
    elif call.reply is None:
        assert len(rows) <= 1, f"{call.request}: unanswered, {len(rows)} times in the ledger"
    else:
        assert len(rows) == 1, f"{call.request}: answered, {len(rows)} times in the ledger"
        if call.method in ADMINISTRATION:
            told = _told_administrator(call)
            kept = _kept_of_operation(call, rows[0], books)
        else:
            told = _told(call)
            kept = _kept(rows[0])
        assert told == kept, f"{call.request}: told {told}, kept {kept}"


def _told(call: Call) -> tuple[object, ...]:
    reply = call.reply
    charged = shortfall = held = 0
    match call.method:
        case "Debit":
            charged = reply.charged_nanos
            shortfall = reply.shortfall_nanos
        case "Authorize":
            held = reply.held_nanos
        case "Extend":
            held = call.request.amount_nanos
        case "Release":
            held = -reply.released_nanos
    hold_id = getattr(call.request, "hold_id", "") or getattr(reply, "hold_id", "")
    now = reply.balance
    sums = now.remaining_nanos, now.held_nanos, now.available_nanos, now.daily_used_nanos
    return _KINDS[call.method], -charged, shortfall, held, hold_id, *sums


def _kept(row: Row[Any]) -> tuple[object, ...]:
    held = (
        0 if row.kind == "DEBIT" else row.held_nanos
    )  # a debit's reply does not say what its hold was of
    effect = decode_effect(row.effect)
    left = effect.settled()
    sums = left.remaining, left.held, effect.available_after(left), left.used_today
    return row.kind, row.amount_nanos, row.shortfall_nanos, held, row.hold_id, *sums


def _told_administrator(call: Call) -> tuple[object, ...]:
    match call.method:
        case "GrantCredits" | "CreateTopUp":
            return "GRANT", call.reply.grant_id, call.reply.amount_nanos
        case "VoidGrant":
            return "GRANT_VOIDED", call.request.grant_id, call.reply.voided_nanos
    return (_KINDS[call.method],)


def _kept_of_operation(call: Call, row: Row[Any], books: Books) -> tuple[object, ...]:
    """What a grant's entry is about stands with the grant."""
    match call.method:
        case "GrantCredits" | "CreateTopUp":
            grant = next(
                each for each in books.grants if (each.account_id, each.request_id) == call.key
            )
            return row.kind, grant.grant_id, grant.amount_nanos
        case "VoidGrant":
            grant = next(each for each in books.grants if each.grant_id == call.request.grant_id)
            is_whole = decode_effect(
                row.effect
            ).flags.is_scheduled  # then nothing of it was there yet
            return row.kind, grant.grant_id, grant.amount_nanos if is_whole else -row.amount_nanos
    return (row.kind,)
