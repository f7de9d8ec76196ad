"""A block of code with a hold: settled by the block, or else given back, however the block ends."""

import asyncio
from collections.abc import Callable

import pytest

from gate.client import AsyncClient, CallFailed, Denied, OutcomeUnknown, Usage, connect
from gate.v1.gate_pb2 import DENIED
from meter.v1.ledger_pb2 import AUTHORIZE, DEBIT, RELEASE
from support.client_gates import counting_gate, in_a_loop, some_turns, until
from support.customer import CREDIT, Customer, silent_redis
from support.stack import Stack

pytest_plugins = ("support.running_stack",)

Open = Callable[..., Customer]


def account(customer: Customer) -> tuple[int, int]:
    """Nanos held and remaining."""
    balance = customer.balance()
    return balance.held_nanos, balance.remaining_nanos


@in_a_loop
async def test_a_hold_is_settled_by_what_was_used_under_ids_that_follow_from_one(
    open_account: Open, stack: Stack
) -> None:
    customer = open_account("10")
    async with connect(stack.targets[0]) as client:
        estimate = Usage(model="tiny", input_tokens=1000, output_tokens=1000)
        block = client.authorized(
            account_id=customer.account_id,
            request_id="r-1",
            usage=estimate,
            dimensions={"user": "ada"},
        )
        async with block as hold:
            assert hold.reply.held_nanos == customer.balance().held_nanos == 3_000_000
            used = Usage(model="tiny", input_tokens=1000, output_tokens=10)
            assert (await hold.settle(usage=used)).charged_nanos == 1_020_000
            assert (await hold.settle(usage=used)).replayed
    assert account(customer) == (0, 10 * CREDIT - 1_020_000)
    debit, authorize = customer.entries(DEBIT, AUTHORIZE, RELEASE)
    assert (debit.request_id, authorize.request_id) == ("r-1/debit", "r-1/authorize")
    assert debit.dimensions == {"user": "ada"}


@in_a_loop
async def test_a_block_repeated_with_its_request_id_takes_effect_once(
    open_account: Open, stack: Stack
) -> None:
    customer = open_account("10")
    async with connect(stack.targets[0]) as client:
        for _ in range(2):
            block = client.authorized(
                account_id=customer.account_id, request_id="r-1", amount_nanos=CREDIT
            )
            async with block as hold:
                held = [(await hold.extend(amount_nanos=1)).held_nanos for _ in range(2)]
                assert held == [CREDIT + 1, CREDIT + 2]
                assert (await hold.settle(amount_nanos=5)).charged_nanos == 5
    assert account(customer) == (0, 10 * CREDIT - 5)
    assert len(customer.entries(AUTHORIZE, DEBIT)) == 2


@in_a_loop
async def test_a_hold_settled_again_with_other_content_is_refused_and_stays_settled(
    open_account: Open, stack: Stack
) -> None:
    customer = open_account("10")
    async with (
        connect(stack.targets[0]) as client,
        client.authorized(account_id=customer.account_id, amount_nanos=CREDIT) as hold,
    ):
        await hold.settle(amount_nanos=5)
        with pytest.raises(CallFailed) as refused:
            await hold.settle(amount_nanos=6)
    assert (refused.value.reason, refused.value.field) == ("REQUEST_ID_REUSED", "request_id")
    assert account(customer) == (0, 10 * CREDIT - 5)


@in_a_loop
async def test_a_block_that_settles_nothing_gives_its_hold_back(
    open_account: Open, stack: Stack
) -> None:
    customer = open_account("10")
    async with connect(stack.targets[0]) as client:
        async with client.authorized(account_id=customer.account_id, amount_nanos=CREDIT):
            assert account(customer) == (CREDIT, 10 * CREDIT)
        assert account(customer) == (0, 10 * CREDIT)


@in_a_loop
async def test_a_block_that_fails_gives_its_hold_back(open_account: Open, stack: Stack) -> None:
    customer = open_account("10")
    async with connect(stack.targets[0]) as client:
        with pytest.raises(ZeroDivisionError):
            async with client.authorized(account_id=customer.account_id, amount_nanos=CREDIT):
                raise ZeroDivisionError
        assert account(customer) == (0, 10 * CREDIT)


@in_a_loop
async def test_a_settlement_that_is_refused_leaves_the_hold_to_be_given_back(
    open_account: Open, stack: Stack
) -> None:
    customer = open_account("10")
    async with connect(stack.targets[0]) as client:
        with pytest.raises(CallFailed, match="UNKNOWN_MODEL"):
            async with client.authorized(
                account_id=customer.account_id, amount_nanos=CREDIT
            ) as hold:
                await hold.settle(usage=Usage(model="no-such-model"))
        assert account(customer) == (0, 10 * CREDIT)


@in_a_loop
async def test_a_block_that_is_cancelled_gives_its_hold_back(
    open_account: Open, stack: Stack
) -> None:
    customer = open_account("10")
    inside = asyncio.Event()

    async def block(client: AsyncClient) -> None:
        async with client.authorized(account_id=customer.account_id, amount_nanos=CREDIT):
            inside.set()
            await asyncio.Event().wait()

    async with connect(stack.targets[0], timeout_s=20) as client:
        task = asyncio.create_task(block(client))
        await inside.wait()
        with silent_redis(stack):
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()  # again, while the hold is being given back
            with pytest.raises(asyncio.CancelledError):
                await task
    assert account(customer) == (0, 10 * CREDIT)


@in_a_loop
async def test_a_block_that_is_cancelled_before_it_has_its_hold_gives_that_back(
    open_account: Open, stack: Stack
) -> None:
    customer = open_account("10")

    async def block(client: AsyncClient) -> None:
        async with client.authorized(account_id=customer.account_id, amount_nanos=CREDIT):
            raise AssertionError("never entered")

    with counting_gate(stack) as gate:
        async with connect(gate.target, timeout_s=20) as client:
            with silent_redis(stack):
                task = asyncio.create_task(block(client))
                await until(lambda: gate.in_flight() == 1)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
    assert account(customer) == (0, 10 * CREDIT)
    assert len(customer.entries(AUTHORIZE, RELEASE)) == 2


@in_a_loop
async def test_a_settlement_goes_on_when_its_caller_is_cancelled(
    open_account: Open, stack: Stack
) -> None:
    customer = open_account("10")
    inside = asyncio.Event()
    go_on = asyncio.Event()

    async def block(client: AsyncClient) -> None:
        async with client.authorized(account_id=customer.account_id, amount_nanos=CREDIT) as hold:
            inside.set()
            await go_on.wait()
            await hold.settle(amount_nanos=5)

    with counting_gate(stack) as gate:
        async with connect(gate.target, timeout_s=20) as client:
            task = asyncio.create_task(block(client))
            await inside.wait()
            with silent_redis(stack):
                before = asyncio.create_task(
                    client.debit(account_id=customer.account_id, amount_nanos=1)
                )
                await until(lambda: gate.in_flight() == 1)
                go_on.set()
                await some_turns()  # the settlement waits for the debit before it
                task.cancel()
                await asyncio.sleep(0)
            with pytest.raises(asyncio.CancelledError):
                await task
            await before
    assert account(customer) == (0, 10 * CREDIT - 6)
    assert customer.entries(RELEASE) == []


@in_a_loop
async def test_a_hold_whose_settlement_may_have_taken_effect_is_not_given_back(
    open_account: Open, stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    customer = open_account("10")
    async with connect(stack.targets[0]) as client:
        async with client.authorized(account_id=customer.account_id, amount_nanos=CREDIT) as hold:
            with silent_redis(stack), pytest.raises(OutcomeUnknown) as late:
                await hold.settle(amount_nanos=5, timeout_s=0.2)
        debit = await client.debit(
            account_id=customer.account_id,
            request_id=late.value.request_id,
            hold_id=hold.hold_id,
            amount_nanos=5,
        )
    assert debit.charged_nanos == 5
    assert account(customer) == (0, 10 * CREDIT - 5)
    assert "was not released" not in caplog.text, "nor was it tried"


@in_a_loop
async def test_a_block_whose_hold_is_denied_is_not_entered(
    open_account: Open, stack: Stack
) -> None:
    customer = open_account("1")
    async with connect(stack.targets[0]) as client:
        with pytest.raises(Denied, match="INSUFFICIENT_CREDITS") as denied:
            async with client.authorized(account_id=customer.account_id, amount_nanos=3 * CREDIT):
                raise AssertionError("never entered")
    assert denied.value.reason == "INSUFFICIENT_CREDITS"
    assert (denied.value.denial.shortfall_nanos, denied.value.denial.affordable_nanos) == (
        2 * CREDIT,
        CREDIT,
    )


@in_a_loop
async def test_a_hold_can_be_extended_as_far_as_credits_go(
    open_account: Open, stack: Stack
) -> None:
    customer = open_account("10")
    async with (
        connect(stack.targets[0]) as client,
        client.authorized(account_id=customer.account_id, amount_nanos=CREDIT) as hold,
    ):
        assert (await hold.extend(amount_nanos=CREDIT)).held_nanos == 2 * CREDIT
        assert (await hold.extend(amount_nanos=9 * CREDIT)).decision == DENIED
        assert account(customer) == (2 * CREDIT, 10 * CREDIT)


@in_a_loop
async def test_a_hold_that_cannot_be_given_back_is_told_and_hides_no_error(
    open_account: Open, stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    customer = open_account("10")

    async def block(client: AsyncClient) -> None:
        async with client.authorized(account_id=customer.account_id, amount_nanos=CREDIT) as hold:
            customer.release(hold.hold_id)
            raise ZeroDivisionError

    async with connect(stack.targets[0]) as client:
        with pytest.raises(ZeroDivisionError):
            await block(client)
    assert "was not released" in caplog.text
    assert "HOLD_NOT_FOUND" in caplog.text
