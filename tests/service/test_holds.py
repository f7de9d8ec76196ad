"""Release, Extend and expiry: what becomes of a hold that no debit has settled."""

from collections.abc import Callable

from gate.v1.gate_pb2 import (
    ALLOWED,
    DAILY_LIMIT_EXCEEDED,
    DENIED,
    INSUFFICIENT_CREDITS,
    DebitRequest,
    ExtendRequest,
    ExtendResponse,
    ReleaseRequest,
    ReleaseResponse,
)
from meter.v1.accounts_pb2 import SUSPENDED
from meter.v1.ledger_pb2 import AUTHORIZE, EXPIRE, EXTEND, RELEASE
from support.customer import CREDIT, Customer, Refusal, at, new_id, refusal
from support.servers import wait_until

pytest_plugins = ("support.running_stack",)

Open = Callable[..., Customer]
NOON = "2026-03-15T12:00:00Z"
NO_HOLD = ("NOT_FOUND", "HOLD_NOT_FOUND", "hold_id")
EXPIRED = ("FAILED_PRECONDITION", "HOLD_EXPIRED", "hold_id")


def named(refused: Refusal) -> tuple[str, str, str]:
    return refused.code, refused.reason, refused.field


def test_a_release_gives_the_whole_hold_back(open_account: Open) -> None:
    customer = open_account("10", daily_limit_nanos=20 * CREDIT)
    before = customer.balance()
    hold = customer.authorize(4 * CREDIT)
    reply = customer.release(hold.hold_id)
    assert reply == ReleaseResponse(decision=ALLOWED, released_nanos=4 * CREDIT, balance=before)
    [released, held] = customer.entries(RELEASE, AUTHORIZE)
    assert (released.held_nanos, released.amount_nanos, released.hold_id) == (
        -4 * CREDIT,
        0,
        held.hold_id,
    )


def test_a_suspended_account_may_give_its_holds_back(open_account: Open) -> None:
    customer = open_account("10")
    hold = customer.authorize(4 * CREDIT)
    customer.update(status=SUSPENDED)
    assert customer.release(hold.hold_id).released_nanos == 4 * CREDIT


def test_a_hold_ends_once(open_account: Open) -> None:
    customer = open_account("10")
    released = customer.authorize(1).hold_id
    settled = customer.authorize(1).hold_id
    customer.release(released)
    customer.debit(1, hold_id=settled)
    gate = customer.client.gate
    for hold_id in (released, settled):
        assert (
            named(refusal(gate.Release, customer.asks(ReleaseRequest, hold_id=hold_id))) == NO_HOLD
        )
        assert (
            named(refusal(gate.Extend, customer.asks(ExtendRequest, 1, hold_id=hold_id))) == NO_HOLD
        )
        assert (
            named(refusal(gate.Debit, customer.asks(DebitRequest, 1, hold_id=hold_id))) == NO_HOLD
        )
    assert customer.balance().remaining_nanos == 10 * CREDIT - 1


def test_a_release_replays_although_its_hold_is_gone(open_account: Open) -> None:
    customer = open_account("10")
    request_id = new_id()
    hold = customer.authorize(4 * CREDIT)
    first = customer.release(hold.hold_id, request_id=request_id)
    again = customer.release(hold.hold_id, request_id=request_id)
    assert again == ReleaseResponse(
        decision=ALLOWED, released_nanos=4 * CREDIT, balance=first.balance, replayed=True
    )


def test_an_extend_adds_to_amount_and_time(open_account: Open) -> None:
    customer = open_account("10", test_clock_time=at(NOON))
    hold = customer.authorize(4 * CREDIT, hold_ttl_ms=1000)
    customer.advance("2026-03-15T12:00:00.500Z")
    reply = customer.extend(hold.hold_id, 2 * CREDIT, hold_ttl_ms=60_000)
    assert reply == ExtendResponse(
        decision=ALLOWED,
        held_nanos=6 * CREDIT,
        expires_at=at("2026-03-15T12:01:00.500Z"),
        balance=customer.balance(),
    )
    assert (reply.balance.held_nanos, reply.balance.available_nanos) == (6 * CREDIT, 4 * CREDIT)
    [entry] = customer.entries(EXTEND)
    assert (entry.held_nanos, entry.hold_id) == (2 * CREDIT, hold.hold_id)
    assert customer.debit(6 * CREDIT, hold_id=hold.hold_id).shortfall_nanos == 0


def test_an_extend_of_the_time_alone_leaves_the_amount(open_account: Open) -> None:
    customer = open_account("10", test_clock_time=at(NOON))
    hold = customer.authorize(4 * CREDIT, hold_ttl_ms=1000)
    reply = customer.extend(hold.hold_id, hold_ttl_ms=5000)
    assert (reply.held_nanos, reply.expires_at) == (4 * CREDIT, at("2026-03-15T12:00:05Z"))


def test_an_extend_never_shortens_a_hold(open_account: Open) -> None:
    customer = open_account("10", test_clock_time=at(NOON))
    hold = customer.authorize(4 * CREDIT, hold_ttl_ms=60_000)
    assert customer.extend(hold.hold_id, 1, hold_ttl_ms=1000).expires_at == hold.expires_at
    assert customer.extend(hold.hold_id, 1).expires_at == hold.expires_at


def test_a_denied_extend_leaves_the_hold_as_it_was(open_account: Open) -> None:
    customer = open_account("10", test_clock_time=at(NOON))
    hold = customer.authorize(4 * CREDIT, hold_ttl_ms=1000)
    reply = customer.extend(hold.hold_id, 6 * CREDIT + 1, hold_ttl_ms=60_000)
    assert (reply.decision, reply.denial.reason) == (DENIED, INSUFFICIENT_CREDITS)
    assert (reply.denial.shortfall_nanos, reply.denial.affordable_nanos) == (1, 6 * CREDIT)
    assert (reply.held_nanos, reply.balance.held_nanos) == (0, 4 * CREDIT)
    customer.advance("2026-03-15T12:00:01Z")
    assert customer.balance().held_nanos == 0, "neither was its time prolonged"


def test_an_extend_keeps_to_the_daily_limit(open_account: Open) -> None:
    customer = open_account("10", daily_limit_nanos=5 * CREDIT, test_clock_time=at(NOON))
    hold = customer.authorize(4 * CREDIT)
    denial = customer.extend(hold.hold_id, 2 * CREDIT).denial
    assert (denial.reason, denial.affordable_nanos) == (DAILY_LIMIT_EXCEEDED, CREDIT)
    assert denial.resets_at == at("2026-03-16T00:00:00Z")
    assert customer.extend(hold.hold_id, CREDIT).held_nanos == 5 * CREDIT


def test_an_extend_replays(open_account: Open) -> None:
    customer = open_account("10")
    request_id = new_id()
    hold = customer.authorize(4 * CREDIT)
    first = customer.extend(hold.hold_id, CREDIT, request_id=request_id)
    customer.extend(hold.hold_id, CREDIT)
    again = customer.extend(hold.hold_id, CREDIT, request_id=request_id)
    assert again.replayed
    again.replayed = False
    assert again == first
    assert customer.balance().held_nanos == 6 * CREDIT


def test_the_reaper_gives_an_expired_hold_back(open_account: Open) -> None:
    customer = open_account("10", daily_limit_nanos=20 * CREDIT)
    before = customer.balance()
    hold = customer.authorize(4 * CREDIT, hold_ttl_ms=1)
    wait_until(lambda: customer.balance() == before)
    [entry] = customer.entries(EXPIRE)
    assert (entry.hold_id, entry.held_nanos, entry.amount_nanos) == (hold.hold_id, -4 * CREDIT, 0)
    assert entry.request_id == "", "no request caused it"


def test_an_expired_hold_can_be_neither_released_nor_extended_but_debited_once(
    open_account: Open,
) -> None:
    customer = open_account("10")
    hold_id = customer.authorize(4 * CREDIT, hold_ttl_ms=1).hold_id
    wait_until(lambda: not customer.balance().held_nanos)
    gate = customer.client.gate
    assert named(refusal(gate.Release, customer.asks(ReleaseRequest, hold_id=hold_id))) == EXPIRED
    assert named(refusal(gate.Extend, customer.asks(ExtendRequest, 1, hold_id=hold_id))) == EXPIRED
    reply = customer.debit(3 * CREDIT, hold_id=hold_id)
    assert (reply.late, reply.charged_nanos, reply.balance.remaining_nanos) == (
        True,
        3 * CREDIT,
        7 * CREDIT,
    )
    assert named(refusal(gate.Debit, customer.asks(DebitRequest, 1, hold_id=hold_id))) == NO_HOLD


def test_a_hold_prolonged_in_time_outlives_its_first_expiry(open_account: Open) -> None:
    customer = open_account("10", test_clock_time=at(NOON))
    hold = customer.authorize(4 * CREDIT, hold_ttl_ms=1000)
    customer.extend(hold.hold_id, hold_ttl_ms=2000)
    customer.advance("2026-03-15T12:00:01.999Z")
    assert customer.balance().held_nanos == 4 * CREDIT
    customer.advance("2026-03-15T12:00:02Z")
    assert customer.balance().held_nanos == 0
    assert len(customer.entries(EXPIRE)) == 1


def test_a_hold_of_another_account_is_not_found(open_account: Open) -> None:
    owner = open_account("10")
    stranger = open_account("10")
    hold_id = owner.authorize(4 * CREDIT).hold_id
    gate = stranger.client.gate
    for call, request in (
        (gate.Debit, stranger.asks(DebitRequest, 1, hold_id=hold_id)),
        (gate.Release, stranger.asks(ReleaseRequest, hold_id=hold_id)),
        (gate.Extend, stranger.asks(ExtendRequest, 1, hold_id=hold_id)),
    ):
        assert named(refusal(call, request)) == NO_HOLD
    assert owner.balance().held_nanos == 4 * CREDIT
    assert stranger.balance().remaining_nanos == 10 * CREDIT
