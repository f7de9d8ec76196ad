"""Holds that are settled by what the provider reported: in a response, or in a stream."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from gate.client import Client, Usage, connect
from gate.client.reported import usage_in, usage_of
from meter.v1.ledger_pb2 import DEBIT
from support.client_gates import in_a_loop
from support.customer import CREDIT, Customer
from support.stack import Stack

pytest_plugins = ("support.running_stack",)
# A stream is followed before any transport matters.
ONE_TRANSPORT = pytest.mark.parametrize("stack", ["native"], indirect=True)

Open = Callable[..., Customer]

USAGE = {"prompt_tokens": 100, "completion_tokens": 20}
ESTIMATE = Usage(model="tiny", input_tokens=100, output_tokens=50)
TINY_INPUT = 100 * 1_000  # nanos
TINY_OUTPUT = 2_000  # a token


@dataclass
class Counts:
    """Stands for an SDK's object without a method of its own."""

    prompt_tokens: int
    completion_tokens: int


class Dumped:
    """Stands for an SDK's model."""

    def model_dump(self) -> dict[str, Any]:
        return {**USAGE, "prompt_tokens_details": Counts(1, 2)}


@pytest.mark.parametrize(
    "response",
    [
        {"usage": USAGE, "choices": []},
        json.dumps({"usage": USAGE}),
        {"type": "message_start", "message": {"usage": USAGE}},
        {"type": "response.completed", "response": {"usage": USAGE}},
        {"usageMetadata": USAGE},
        SimpleNamespace(usage_metadata=USAGE, text="said"),
        SimpleNamespace(usage=Counts(100, 20)),
        SimpleNamespace(usage=None, message=SimpleNamespace(usage=SimpleNamespace(**USAGE))),
    ],
)
def test_the_usage_object_is_found_in_responses_of_any_form(response: object) -> None:
    assert usage_in(response) == USAGE
    assert usage_of(response) == USAGE


def test_a_usage_object_alone_is_taken_as_it_is() -> None:
    assert usage_of(USAGE) == USAGE
    assert usage_of(Counts(100, 20)) == USAGE
    assert usage_of(Dumped())["completion_tokens"] == 20
    assert usage_in({"choices": []}) is None
    for wrong in (7, "no JSON", "[]"):
        with pytest.raises(TypeError, match="reported: a mapping, JSON text"):
            usage_of(wrong)


def anthropic() -> list[dict[str, Any]]:
    """A stream whose input is counted at the beginning, and whose output at the end."""
    first = {"input_tokens": 60, "cache_read_input_tokens": 40, "output_tokens": 1}
    deltas = [{"type": "content_block_delta"} for _ in range(3)]
    start = {"type": "message_start", "message": {"usage": first}}
    end = {"type": "message_delta", "usage": {"input_tokens": None, "output_tokens": 20}}
    return [start, *deltas, end, {"type": "message_stop"}]


def openai(usage: dict[str, int] | None = None) -> list[dict[str, Any]]:
    """A stream with the usage, if any, in its last chunk."""
    return [*({"choices": ["a"], "usage": None} for _ in range(4)), {"choices": [], "usage": usage}]


async def arriving(chunks: list[Any]) -> AsyncIterator[Any]:
    for chunk in chunks:
        yield chunk


def breaking(chunks: list[Any]) -> Iterator[Any]:
    yield from chunks
    raise ConnectionResetError("the provider is gone")


def last_debit(customer: Customer) -> tuple[int, str]:
    """Nanos charged and the description; nothing may be held any more."""
    assert customer.balance().held_nanos == 0
    [entry] = customer.entries(DEBIT)
    return -entry.amount_nanos, entry.description


@ONE_TRANSPORT
@in_a_loop
async def test_a_hold_is_settled_by_a_response(open_account: Open, stack: Stack) -> None:
    customer = open_account("1")
    async with (
        connect(stack.targets[0]) as client,
        client.authorized(account_id=customer.account_id, usage=ESTIMATE) as hold,
    ):
        reply = await hold.settle(
            reported=SimpleNamespace(usage=Dumped()), usage=Usage(service_tier="batch")
        )
    assert reply.charged_nanos == (TINY_INPUT + 20 * TINY_OUTPUT) // 2
    assert last_debit(customer) == (reply.charged_nanos, "")


@ONE_TRANSPORT
@pytest.mark.parametrize(
    ("stream", "left_after", "output_tokens", "description"),
    [
        (openai(USAGE), None, 20, ""),
        (anthropic(), None, 20, ""),
        (anthropic(), 4, 4, ""),  # one token of output was counted, and four chunks came
        (openai(), None, 5, "usage not reported: estimated"),
        (openai(USAGE), 2, 2, "usage not reported: estimated"),
        (openai() * 20, None, 50, "usage not reported: estimated"),  # no more than authorized
    ],
)
@in_a_loop
async def test_a_stream_settles_its_hold_when_it_ends_or_is_left(
    open_account: Open,
    stack: Stack,
    stream: list[Any],
    left_after: int | None,
    output_tokens: int,
    description: str,
) -> None:
    customer = open_account("1")
    passed = []
    async with (
        connect(stack.targets[0]) as client,
        client.authorized(account_id=customer.account_id, usage=ESTIMATE) as hold,
    ):
        async for chunk in hold.metered(arriving(stream)):
            passed.append(chunk)
            if len(passed) == left_after:
                break
    assert passed == stream[:left_after]
    input_nanos = TINY_INPUT
    charged, told = last_debit(customer)
    assert (charged, told) == (input_nanos + output_tokens * TINY_OUTPUT, description)


@ONE_TRANSPORT
def test_a_stream_without_a_loop_settles_its_hold_too(open_account: Open, stack: Stack) -> None:
    with Client(stack.targets[0]) as client:
        whole = open_account("1")
        with client.authorized(account_id=whole.account_id, usage=ESTIMATE) as hold:
            assert list(hold.metered(openai(USAGE))) == openai(USAGE)
        assert last_debit(whole) == (TINY_INPUT + 20 * TINY_OUTPUT, "")
        broken = open_account("1")
        with (
            suppress(ConnectionResetError),
            client.authorized(account_id=broken.account_id, usage=ESTIMATE) as hold,
        ):
            list(hold.metered(breaking(openai()[:3])))
        assert last_debit(broken)[0] == TINY_INPUT + 3 * TINY_OUTPUT


@ONE_TRANSPORT
def test_a_hold_of_an_amount_is_charged_whole_for_a_stream_without_a_report(
    open_account: Open, stack: Stack
) -> None:
    customer = open_account("1")
    with Client(stack.targets[0]) as client:
        with client.authorized(account_id=customer.account_id, amount_nanos=7) as hold:
            list(hold.metered(openai()))
        assert last_debit(customer)[0] == 7


@ONE_TRANSPORT
def test_a_stream_that_never_began_costs_nothing(open_account: Open, stack: Stack) -> None:
    customer = open_account("1")
    with (
        Client(stack.targets[0]) as client,
        client.authorized(account_id=customer.account_id, usage=ESTIMATE) as hold,
    ):
        assert list(hold.metered([])) == []
    balance = customer.balance()
    assert (balance.held_nanos, balance.remaining_nanos) == (0, CREDIT)


@ONE_TRANSPORT
def test_a_settlement_of_the_blocks_own_goes_before_the_stream(
    open_account: Open, stack: Stack
) -> None:
    customer = open_account("1")
    with (
        Client(stack.targets[0]) as client,
        client.authorized(account_id=customer.account_id, usage=ESTIMATE) as hold,
    ):
        for _ in hold.metered(openai()):
            hold.settle(amount_nanos=3)
            break
    assert last_debit(customer)[0] == 3
