"""Many at once, over two gates on one Redis: what there is room for is spent once, and a request
takes effect once.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from typing import Any

import grpc
import pytest

from gate.v1.gate_pb2 import (
    ALLOWED,
    DENIED,
    AuthorizeRequest,
    DebitRequest,
    ExtendRequest,
    ReleaseRequest,
)
from gate.v1.gate_pb2_grpc import GateStub
from meter.v1.accounts_pb2 import (
    Account,
    AdvanceTestClockRequest,
    BudgetThreshold,
    CreateAccountRequest,
    Grant,
    GrantCreditsRequest,
    ListBudgetsRequest,
    Threshold,
)
from meter.v1.accounts_pb2_grpc import AccountsStub
from meter.v1.ledger_pb2 import AUTHORIZE, CLOCK, DEBIT, EXTEND, RELEASE, ListEventsRequest
from support.customer import CREDIT, Customer, at, new_id
from support.servers import wait_until
from support.stack import Stack

pytest_plugins = ("support.running_stack",)

Open = Callable[..., Customer]

CLIENTS = 32
NOON = "2026-03-15T12:00:00Z"
KINDS = {"Authorize": AuthorizeRequest, "Debit": DebitRequest}


@pytest.fixture(scope="module")
def channels(stack: Stack) -> Iterator[list[grpc.Channel]]:
    """As many clients, each with a connection of its own, half of them to either gate."""
    own = [
        ("grpc.use_local_subchannel_pool", 1)
    ]  # else all clients of a process share one connection
    channels = [grpc.insecure_channel(stack.targets[n % 2], options=own) for n in range(CLIENTS)]
    for channel in channels:
        grpc.channel_ready_future(channel).result(10)
    yield channels
    for channel in channels:
        channel.close()


@pytest.fixture
def at_once(channels: list[grpc.Channel]) -> Callable[..., list[Any]]:
    """Sends the requests to a method, all before any is answered, from all clients in turn;
    replies, or errors.
    """
    gates = [GateStub(channel) for channel in channels]
    accounts = [AccountsStub(channel) for channel in channels]

    def send(method: str, requests: Sequence[Any]) -> list[Any]:
        stubs = cycle(gates if hasattr(gates[0], method) else accounts)
        sent = [
            getattr(stub, method).future(request)
            for stub, request in zip(stubs, requests, strict=False)
        ]
        return [call.exception() or call.result() for call in sent]

    return send


@pytest.mark.parametrize(
    ("credits", "settings"),
    [
        ("37", {}),
        ("30", {"overage_protection_nanos": 7 * CREDIT}),
        ("1000", {"daily_limit_nanos": 37 * CREDIT, "test_clock_time": at(NOON)}),
    ],
    ids=["credits", "overage", "daily limit"],
)
def test_of_a_thousand_authorizes_exactly_as_many_pass_as_there_is_room_for(
    open_account: Open,
    at_once: Callable[..., list[Any]],
    is_long: bool,
    credits: str,
    settings: dict[str, Any],
) -> None:
    for _ in range(20 if is_long else 1):
        customer = open_account(credits, **settings)
        replies = at_once(
            "Authorize", [customer.asks(AuthorizeRequest, CREDIT) for _ in range(1000)]
        )
        assert Counter(reply.decision for reply in replies) == {ALLOWED: 37, DENIED: 963}
        assert len({reply.hold_id for reply in replies if reply.decision == ALLOWED}) == 37
        balance = customer.balance()
        assert (balance.held_nanos, balance.available_nanos) == (37 * CREDIT, 0)
        assert len(customer.entries(AUTHORIZE)) == 37


@pytest.mark.parametrize("method", ["Authorize", "Debit"])
def test_of_a_thousand_calls_exactly_as_many_pass_as_a_budget_has_room_for(
    open_account: Open, at_once: Callable[..., list[Any]], is_long: bool, method: str
) -> None:
    for _ in range(20 if is_long else 1):
        customer = open_account("1000", test_clock_time=at(NOON))
        customer.set_budget("all", 37 * CREDIT, {"api_key": "k1"})
        requests = [
            customer.asks(KINDS[method], CREDIT, dimensions={"api_key": "k1"}) for _ in range(1000)
        ]
        replies = at_once(method, requests)
        assert Counter(reply.decision for reply in replies) == {ALLOWED: 37, DENIED: 963}
        assert {reply.denial.budget.budget_id for reply in replies if reply.decision == DENIED} == {
            "all"
        }
        listed = customer.client.accounts.ListBudgets(
            ListBudgetsRequest(account_id=customer.account_id)
        )
        [budget] = listed.budgets
        assert budget.used_nanos + budget.held_nanos == 37 * CREDIT
        assert customer.debit(CREDIT).decision == ALLOWED, "what the budget is not for goes on"


@pytest.mark.parametrize("method", ["Authorize", "Debit"])
def test_of_a_thousand_calls_as_many_pass_as_the_tightest_of_two_budgets_has_room_for(
    open_account: Open, at_once: Callable[..., list[Any]], is_long: bool, method: str
) -> None:
    for _ in range(20 if is_long else 1):
        customer = open_account("1000", test_clock_time=at(NOON))
        customer.set_budget("all", 37 * CREDIT, {"api_key": "k1"})
        customer.set_budget("ada", 20 * CREDIT, {"api_key": "k1", "user": "ada"})
        both = {"api_key": "k1", "user": "ada"}
        one = {"api_key": "k1", "user": "bob"}
        replies = at_once(
            method, [customer.asks(KINDS[method], CREDIT, dimensions=both) for _ in range(1000)]
        )
        assert Counter(reply.decision for reply in replies) == {ALLOWED: 20, DENIED: 980}
        assert {reply.denial.budget.budget_id for reply in replies if reply.decision == DENIED} == {
            "ada"
        }
        replies = at_once(
            method, [customer.asks(KINDS[method], CREDIT, dimensions=one) for _ in range(1000)]
        )
        assert Counter(reply.decision for reply in replies) == {ALLOWED: 17, DENIED: 983}
        assert {reply.denial.budget.budget_id for reply in replies if reply.decision == DENIED} == {
            "all"
        }


@pytest.mark.parametrize("method", ["Authorize", "Debit"])
def test_calls_at_once_on_two_overlapping_budgets_never_pass_either(
    open_account: Open, at_once: Callable[..., list[Any]], is_long: bool, method: str
) -> None:
    for _ in range(20 if is_long else 1):
        customer = open_account("1000", test_clock_time=at(NOON))
        customer.set_budget("all", 37 * CREDIT, {"api_key": "k1"})
        customer.set_budget("ada", 20 * CREDIT, {"user": "ada"})
        kinds = {
            "both": {"api_key": "k1", "user": "ada"},
            "all": {"api_key": "k1"},
            "ada": {"user": "ada"},
        }
        names = ["both", "all", "ada"] * 333
        requests = [customer.asks(KINDS[method], CREDIT, dimensions=kinds[name]) for name in names]
        allowed = Counter(
            name
            for name, reply in zip(names, at_once(method, requests), strict=True)
            if reply.decision == ALLOWED
        )
        assert (allowed["both"] + allowed["all"], allowed["both"] + allowed["ada"]) == (37, 20)


def test_each_crossing_of_a_threshold_is_told_once_and_in_order_however_many_debits_cross_at_once(
    open_account: Open, at_once: Callable[..., list[Any]], is_long: bool
) -> None:
    levels = range(1, 26)  # one debit of a credit for each, and each debit crosses three thresholds
    daily = [
        Threshold(threshold_id=f"{n}", subject=Threshold.DAILY_USE, amount_nanos=n * CREDIT)
        for n in levels
    ]
    low = [
        Threshold(
            threshold_id=f"-{n}", subject=Threshold.LOW_BALANCE, amount_nanos=(99 - n) * CREDIT
        )
        for n in levels
    ]
    customers = []
    for _ in range(134 if is_long else 14):
        customers.append(open_account("99", test_clock_time=at(NOON), thresholds=daily + low))
        for first in (1, 11, 21):
            some = [
                BudgetThreshold(threshold_id=f"{n}", amount_nanos=n * CREDIT)
                for n in range(first, min(first + 10, 26))
            ]
            customers[-1].set_budget(
                f"from-{first}", 99 * CREDIT, {"user": "ada"}, soft=True, thresholds=some
            )
    requests = [
        customer.asks(DebitRequest, CREDIT, dimensions={"user": "ada"})
        for _ in levels
        for customer in customers
    ]
    assert {reply.decision for reply in at_once("Debit", requests)} == {ALLOWED}
    expected = [
        crossing
        for n in levels
        for crossing in (
            ("LOW_BALANCE", "", f"-{n}", str(99 * CREDIT), (99 - n) * CREDIT, (99 - n) * CREDIT),
            ("DAILY_USE", "", f"{n}", "2026-03-15", n * CREDIT, n * CREDIT),
            ("BUDGET", f"from-{(n - 1) // 10 * 10 + 1}", f"{n}", "2026-03-01", n * CREDIT, n * CREDIT),
        )
    ]  # fmt: skip
    names = {customer.account_id for customer in customers}
    of_all = events_of_all(customers[0])
    assert [each.sequence for each in of_all] == list(range(1, len(of_all) + 1))
    listed = [each for each in of_all if each.account_id in names]
    assert len(listed) == len({event.event_id for event in listed}) == 75 * len(customers)
    for customer in customers:
        events = customer.events()
        crossed = [
            (
                each.data["subject"],
                each.data["budget_id"],
                each.data["threshold_id"],
                each.data["window"],
                int(each.data["level_nanos"]),
                int(each.data["value_nanos"]),
            )
            for each in events
        ]
        assert crossed == expected
        assert [event for event in listed if event.account_id == customer.account_id] == events


def events_of_all(customer: Customer) -> list[Any]:
    """The events of all accounts, page by page until there is no more; once the ledger has caught
    up, however long that takes.
    """
    wait_until(lambda: page_of_events(customer, "") is not None, 120)
    events = []
    token = ""
    while (page := page_of_events(customer, token)) and page.events:
        events += page.events
        token = page.next_page_token
    return events


def page_of_events(customer: Customer, token: str) -> Any:
    try:
        return customer.client.ledger.ListEvents(ListEventsRequest(page_size=300, page_token=token))
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise
        return None


def test_debits_at_once_are_all_counted_to_the_nano(
    open_account: Open, at_once: Callable[..., list[Any]]
) -> None:
    customer = open_account("1")
    replies = at_once("Debit", [customer.asks(DebitRequest, nanos) for nanos in range(1, 501)])
    spent = sum(range(1, 501))
    assert sum(reply.charged_nanos for reply in replies) == spent
    assert customer.balance().remaining_nanos == CREDIT - spent
    entries = customer.entries(DEBIT)
    assert entries[0].balance_nanos == CREDIT - spent
    balances = [entry.balance_nanos - entry.amount_nanos for entry in entries]
    assert balances[:-1] == [entry.balance_nanos for entry in entries[1:]], (
        "each line goes on from the one before"
    )


@pytest.mark.parametrize(
    "method", ["Authorize", "Debit", "settling Debit", "late Debit", "Release", "Extend"]
)
def test_a_request_sent_fifty_times_at_once_takes_effect_once(
    open_account: Open, at_once: Callable[..., list[Any]], method: str
) -> None:
    customer = open_account("10", test_clock_time=at(NOON))
    hold_id = customer.authorize(2 * CREDIT, hold_ttl_ms=1000).hold_id
    if method == "late Debit":
        customer.advance("2026-03-15T12:00:01Z")
    request, kind = {
        "Authorize": (customer.asks(AuthorizeRequest, CREDIT), AUTHORIZE),
        "Debit": (customer.asks(DebitRequest, CREDIT), DEBIT),
        "settling Debit": (customer.asks(DebitRequest, CREDIT, hold_id=hold_id), DEBIT),
        "late Debit": (customer.asks(DebitRequest, CREDIT, hold_id=hold_id), DEBIT),
        "Release": (customer.asks(ReleaseRequest, hold_id=hold_id), RELEASE),
        "Extend": (customer.asks(ExtendRequest, CREDIT, hold_id=hold_id), EXTEND),
    }[method]
    replies = at_once(method.split(" ")[-1], [request] * 50)
    assert Counter(reply.replayed for reply in replies) == {False: 1, True: 49}
    for reply in replies:
        reply.replayed = False
    assert all(reply == replies[0] for reply in replies)
    assert (
        len([entry for entry in customer.entries(kind) if entry.request_id == request.request_id])
        == 1
    )
    assert customer.balance() == replies[0].balance


@pytest.mark.parametrize("method", ["Authorize", "Debit"])
def test_of_two_contents_under_one_id_at_once_one_wins_and_the_other_is_refused(
    open_account: Open, at_once: Callable[..., list[Any]], method: str
) -> None:
    customer = open_account("10")
    request_id = new_id()
    contents = [
        customer.asks(KINDS[method], nanos, request_id=request_id) for nanos in (CREDIT, 2 * CREDIT)
    ]
    replies = at_once(method, contents * 25)
    refused = [reply for reply in replies if isinstance(reply, grpc.RpcError)]
    assert {error.code() for error in refused} == {grpc.StatusCode.ALREADY_EXISTS}
    assert len(refused) == 25
    took = {reply.balance.available_nanos for reply in replies if reply not in refused}
    assert took in ({9 * CREDIT}, {8 * CREDIT})
    assert {customer.balance().available_nanos} == took


def test_a_hold_ends_once_however_many_would_end_it(
    open_account: Open, at_once: Callable[..., list[Any]]
) -> None:
    customer = open_account("10")
    hold_id = customer.authorize(2 * CREDIT).hold_id
    replies = at_once(
        "Debit", [customer.asks(DebitRequest, CREDIT, hold_id=hold_id) for _ in range(50)]
    )
    errors = [reply for reply in replies if isinstance(reply, grpc.RpcError)]
    assert (len(errors), {error.code() for error in errors}) == (49, {grpc.StatusCode.NOT_FOUND})
    assert (customer.balance().remaining_nanos, customer.balance().held_nanos) == (9 * CREDIT, 0)


def test_a_grant_sent_fifty_times_at_once_adds_once(
    open_account: Open, at_once: Callable[..., list[Any]]
) -> None:
    customer = open_account()
    grant = Grant(amount_nanos=5, description="once")
    request = GrantCreditsRequest(account_id=customer.account_id, request_id=new_id(), grant=grant)
    replies = at_once("GrantCredits", [request] * 50)
    assert all(reply == replies[0] for reply in replies)
    assert (customer.balance().total_credits_nanos, len(customer.entries())) == (5, 1)


def test_different_grants_at_once_all_add(
    open_account: Open, at_once: Callable[..., list[Any]]
) -> None:
    customer = open_account()
    requests = [
        GrantCreditsRequest(
            account_id=customer.account_id, request_id=new_id(), grant=Grant(amount_nanos=nanos)
        )
        for nanos in range(1, 33)
    ]
    replies = at_once("GrantCredits", requests)
    assert len({reply.grant_id for reply in replies}) == 32
    assert customer.balance().total_credits_nanos == sum(range(1, 33))


@pytest.mark.parametrize("request_id", ["", "create"])
def test_an_account_created_fifty_times_at_once_is_one(
    at_once: Callable[..., list[Any]], request_id: str
) -> None:
    account = Account(
        account_id=f"one-{new_id()}{request_id}", currency="USD", overage_protection_nanos=5
    )
    replies = at_once(
        "CreateAccount", [CreateAccountRequest(account=account, request_id=request_id)] * 50
    )
    assert all(reply == replies[0] for reply in replies)
    assert replies[0].overage_protection_nanos == 5


def test_a_clock_moved_fifty_times_at_once_moves_once(
    open_account: Open, at_once: Callable[..., list[Any]]
) -> None:
    customer = open_account("1", test_clock_time=at(NOON))
    customer.authorize(CREDIT, hold_ttl_ms=1000)
    later = AdvanceTestClockRequest(
        account_id=customer.account_id, request_id=new_id(), time=at("2026-03-15T12:00:01Z")
    )
    replies = at_once("AdvanceTestClock", [later] * 50)
    assert all(reply == replies[0] for reply in replies)
    assert (len(customer.entries(CLOCK)), customer.balance().held_nanos) == (1, 0)
