"""Vouchers through the running service: codes shown once, redeemed once by whichever gate, and
guessed in vain.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import create_engine, text

from meter.v1 import accounts_pb2 as pb
from support.customer import CREDIT, Customer, another_gate, at, new_customer, new_id, refusal
from support.stack import Client, Stack

pytest_plugins = ("support.running_stack",)


Open = Callable[..., Customer]


def make(client: Client, **fields: Any) -> pb.CreateVouchersResponse:
    given = {
        "batch_id": f"batch-{new_id()}-{id(client)}",
        "amount_nanos": 5 * CREDIT,
        "currency": "USD",
        "codes": 1,
        **fields,
    }
    return client.accounts.CreateVouchers(pb.CreateVouchersRequest(batch=pb.VoucherBatch(**given)))


def redeeming(customer: Customer, code: str, request_id: str = "") -> pb.RedeemVoucherRequest:
    return pb.RedeemVoucherRequest(
        account_id=customer.account_id, request_id=request_id or new_id(), code=code
    )


def redeem(customer: Customer, code: str, request_id: str = "") -> pb.Grant:
    return customer.client.accounts.RedeemVoucher(redeeming(customer, code, request_id))


def test_a_code_is_redeemed_however_it_is_typed(client: Client, open_account: Open) -> None:
    customer = open_account(test_clock_time=at("2026-03-01T00:00:00Z"))
    [code] = make(
        client, credits_live_ms=86_400_000, priority=3, scope=pb.Scope(models=["gpt-4o"])
    ).codes
    granted = redeem(customer, code.lower().replace("-", " "), "r")
    assert (granted.type, granted.amount_nanos, granted.priority) == (pb.VOUCHER, 5 * CREDIT, 3)
    assert (granted.expires_at, list(granted.scope.models)) == (
        at("2026-03-02T00:00:00Z"),
        ["openai/gpt-4o"],
    )
    assert redeem(customer, code, "r") == granted
    assert customer.balance().total_credits_nanos == 5 * CREDIT


def test_200_attempts_at_once_through_two_gates_redeem_a_code_once(
    client: Client, other_client: Client
) -> None:
    [code] = make(client).codes
    customers = [new_customer((client, other_client)[number % 2]) for number in range(50)]

    def attempt(number: int) -> str:
        customer = customers[number % len(customers)].at((client, other_client)[number // 50 % 2])
        try:
            redeem(customer, code)
        except Exception as error:
            return str(error.code())
        return "redeemed"

    with ThreadPoolExecutor(32) as threads:
        outcomes = list(threads.map(attempt, range(200)))
    assert outcomes.count("redeemed") == 1
    assert set(outcomes) == {"redeemed", "StatusCode.FAILED_PRECONDITION"}
    assert sum(customer.balance().total_credits_nanos for customer in customers) == 5 * CREDIT


def test_unknown_spent_expired_and_foreign_codes_are_told_alike(
    client: Client, open_account: Open
) -> None:
    customer = open_account()
    other = open_account()
    [spent] = make(client).codes
    redeem(other, spent)
    [expired] = make(client, expires_at=at("2026-01-01T00:00:00Z")).codes
    [foreign] = make(client, currency="EUR").codes
    unknown = "0000-0000-0000-0000-0000-0000-0000"
    told = {
        refusal(client.accounts.RedeemVoucher, redeeming(customer, code))
        for code in (spent, expired, foreign, unknown)
    }
    [refused] = told
    assert (refused.code, refused.reason, refused.field) == (
        "FAILED_PRECONDITION",
        "VOUCHER_INVALID",
        "code",
    )


def test_a_mistyped_code_is_told_as_such_and_is_no_guess(
    client: Client, open_account: Open
) -> None:
    customer = open_account()
    [code] = make(client).codes
    for typed in ("", code[:-1], code[:-1] + ("0" if code[-1] != "0" else "1"), "x" * 5000):
        for _ in range(3):
            refused = refusal(client.accounts.RedeemVoucher, redeeming(customer, typed))
            assert (refused.code, refused.reason, refused.field) == (
                "INVALID_ARGUMENT",
                "INVALID_FIELD",
                "code",
            )
            assert "mistyped" in refused.message
    redeem(customer, code)


def test_guessing_has_to_wait_longer_and_longer(
    client: Client, other_client: Client, open_account: Open
) -> None:
    customer = open_account()
    [code] = make(client).codes
    unknown = "0000-0000-0000-0000-0000-0000-0000"
    for _ in range(5):
        assert (
            refusal(client.accounts.RedeemVoucher, redeeming(customer, unknown)).reason
            == "VOUCHER_INVALID"
        )
    for face in (client, other_client):
        refused = refusal(face.accounts.RedeemVoucher, redeeming(customer, code))
        assert (refused.code, refused.reason) == ("RESOURCE_EXHAUSTED", "VOUCHER_GUESSES")
        assert 0 < refused.retry_ms <= 60_000
    assert customer.balance().total_credits_nanos == 0


def test_codes_are_in_no_table(client: Client, stack: Stack) -> None:
    codes = make(client, codes=3).codes
    engine = create_engine(stack.ledger_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        for table in ("voucher_batches", "voucher_codes", "voucher_redemptions", "operations"):
            kept = str(connection.execute(text(f"SELECT * FROM {table}")).all()).upper()
            assert not any(code in kept or code.replace("-", "") in kept for code in codes)
    engine.dispose()


def test_a_batch_is_listed_with_its_uses_and_made_once(client: Client, open_account: Open) -> None:
    name = f"listed-{new_id()}-{id(client)}"
    request = pb.CreateVouchersRequest(
        request_id=f"make-{name}",
        batch=pb.VoucherBatch(
            batch_id=name,
            amount_nanos=1,
            currency="USD",
            codes=2,
            uses_per_code=9,
            uses_per_account=2,
        ),
    )
    made = client.accounts.CreateVouchers(request)
    assert len(set(made.codes)) == 2
    refused = refusal(client.accounts.CreateVouchers, request)
    assert (refused.code, refused.reason, refused.field) == (
        "ALREADY_EXISTS",
        "BATCH_EXISTS",
        "request_id",
    )
    customer = open_account()
    (
        redeem(customer, made.codes[0]),
        redeem(customer, made.codes[0]),
        redeem(customer, made.codes[1]),
    )
    token = ""
    found = []
    while not found or token:
        page = client.accounts.ListVoucherBatches(
            pb.ListVoucherBatchesRequest(page_size=2, page_token=token)
        )
        found = [*found, *page.batches]
        token = page.next_page_token
    [listed] = [each for each in found if each.batch_id == name]
    assert listed.redeemed == 3
    listed.ClearField("redeemed")
    assert listed == made.batch


def test_without_a_key_there_are_no_vouchers(stack: Stack, open_account: Open) -> None:
    with another_gate(stack, voucher_key="") as (_, client):
        batch = pb.VoucherBatch(batch_id="none", amount_nanos=1, currency="USD", codes=1)
        for call, request in (
            (client.accounts.CreateVouchers, pb.CreateVouchersRequest(batch=batch)),
            (
                client.accounts.RedeemVoucher,
                redeeming(open_account(), "0000-0000-0000-0000-0000-0000-0000"),
            ),
        ):
            refused = refusal(call, request)
            assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "VOUCHERS_OFF")
            assert "CREDITGATE_VOUCHER_KEY" in refused.message
