"""Purchases by the provider `test`: credits come once, after money, whatever dies in between."""

from dataclasses import replace

import pytest

from meter.database.admin_schema import top_ups
from meter.database.engine import Ledger
from meter.database.payments_schema import payment_attempts, payments
from meter.errors import ServiceError
from meter.payments.payment_rows import payment_of
from meter.payments.provider import Failure, FailureClass, State, Status
from meter.payments.providers.manual import ManualProvider
from support.payment_desk import LEASE_LAPSES_MS, PaymentDesk, killed_at
from support.recorded_accounts import CREDIT, rows

pytest_plugins = ("support.ledgers", "support.payment_fixtures")


def reason(call: object, *given: object, **named: object) -> str:
    with pytest.raises(ServiceError) as refused:
        call(*given, **named)
    return refused.value.reason


def status_of(desk: PaymentDesk) -> list[str]:
    return [row.status for row in desk.rows(top_ups)]


def test_a_purchase_by_a_saved_card_is_paid_and_grants_its_credits_once(desk: PaymentDesk) -> None:
    method = desk.save("test_visa")
    wanted = desk.purchase(25)
    paid = desk.purchases.buy(wanted)
    assert desk.payer.advance(desk.account_id, paid.payment_id).state == "PAID"
    again = desk.purchases.buy(wanted)
    assert (again.payment_id, again.state, again.method_id) == (
        paid.payment_id,
        "PAID",
        method.method_id,
    )
    assert (desk.taken(paid), desk.granted(), status_of(desk)) == (1, [25], ["SUCCEEDED"])
    assert desk.rows(top_ups)[0].origin == "BOUGHT"
    assert reason(desk.purchases.buy, replace(wanted, fingerprint="x")) == "REQUEST_ID_REUSED"


@pytest.mark.parametrize(
    ("method", "state", "kind", "attempts"),
    [
        ("test_insufficient", "CANCELLED", "SOFT", 1),
        ("test_stolen", "CANCELLED", "HARD", 1),
        ("test_declines_twice", "CANCELLED", "SOFT", 1),
        ("test_3ds", "ACTION_REQUIRED", "", 1),
        ("test_slow", "PROCESSING", "", 1),
    ],
)
def test_what_each_card_does(
    desk: PaymentDesk, method: str, state: str, kind: str, attempts: int
) -> None:
    desk.save(method)
    row = desk.buy()
    assert (row.state, row.failure_class, row.attempts) == (state, kind, attempts)
    assert (desk.taken(row), desk.granted()) == (0, [])


def test_a_declined_purchase_fails_its_top_up_and_another_can_be_made(desk: PaymentDesk) -> None:
    desk.save("test_insufficient")
    assert desk.buy().state == "CANCELLED"
    desk.save("test_visa")
    assert desk.buy().state == "PAID"
    assert sorted(status_of(desk)) == ["FAILED", "SUCCEEDED"]
    assert desk.granted() == [25]


def test_a_slow_payment_is_looked_at_until_it_is_paid(desk: PaymentDesk) -> None:
    desk.save("test_slow")
    row = desk.buy()
    desk.work_until_idle()
    assert (desk.payment(row).state, desk.taken(row), desk.granted()) == ("PAID", 1, [25])


def test_a_customer_who_confirms_has_paid_and_one_who_does_not_is_not_charged(
    desk: PaymentDesk,
) -> None:
    desk.save("test_3ds")
    confirmed, refused, forgotten = desk.buy(), desk.buy(), desk.buy()
    assert (
        desk.outcomes.complete(desk.account_id, confirmed.payment_id, succeeds=True).state == "PAID"
    )
    assert (
        desk.outcomes.complete(desk.account_id, refused.payment_id, succeeds=False).state
        == "CANCELLED"
    )
    desk.work_until_idle()
    late = desk.payment(forgotten)
    assert (late.state, late.failure_code) == ("CANCELLED", "not_confirmed_in_time")
    assert desk.granted() == [25]


def test_a_hosted_page_takes_the_money_once(desk: PaymentDesk) -> None:
    row = desk.buy(hosted=True)
    assert row.state == "ACTION_REQUIRED"
    assert desk.payer.look(row).action_url.startswith("test://page/")
    desk.simulated.act(row.payment_ref, succeeds=True)
    for _ in range(2):
        desk.payer.settle(row, desk.payer.look(row))
    assert (desk.payment(row).state, desk.granted()) == ("PAID", [25])


def test_a_cancelled_payment_is_not_tried_and_a_paid_one_cannot_be_cancelled(
    desk: PaymentDesk,
) -> None:
    desk.save("test_visa")
    early = desk.purchases.buy(desk.purchase(25))
    assert desk.outcomes.cancel(desk.account_id, early.payment_id).state == "CANCELLED"
    assert desk.taken(early) == 0
    paid = desk.buy()
    assert reason(desk.outcomes.cancel, desk.account_id, paid.payment_id) == "PAYMENT_FINAL"


def test_a_top_up_with_a_payment_cannot_be_completed_by_hand(desk: PaymentDesk) -> None:
    desk.save("test_3ds")
    row = desk.buy()
    for status in ("SUCCEEDED", "FAILED"):
        call = desk.top_ups.complete
        assert reason(call, desk.account_id, row.subject_id, status) == "TOP_UP_HAS_PAYMENT"
    assert desk.granted() == []


def test_what_cannot_be_bought_is_refused_by_the_field(desk: PaymentDesk) -> None:
    buy = desk.purchases.buy
    assert reason(buy, desk.purchase(25)) == "NO_PAYMENT_METHOD"
    assert reason(buy, desk.purchase(25, method_id="pm1")) == "METHOD_NOT_FOUND"
    removed = desk.save("test_visa")
    desk.methods.remove(desk.account_id, removed.method_id)
    assert reason(buy, desk.purchase(25, method_id=removed.method_id)) == "METHOD_REMOVED"
    desk.save("test_visa")
    assert reason(buy, desk.purchase(1)) == "INVALID_FIELD"
    fraction = replace(desk.purchase(25), amount_nanos=25 * CREDIT + 1)
    assert reason(buy, fraction) == "INVALID_FIELD"
    assert reason(desk.methods.begin_setup, desk.account_id, as_default=True, test_method="x") == (
        "INVALID_FIELD"
    )
    assert desk.purchases.validate(desk.purchase(25)).amount_minor == 2500
    assert desk.rows(top_ups) == []


def test_a_purchase_killed_at_any_begin_or_commit_is_charged_once(ledger: Ledger) -> None:
    points = 0
    for point in range(1, 60):
        desk = PaymentDesk(ledger)
        desk.save("test_visa")
        wanted = desk.purchase()
        with killed_at(ledger, point) as reached:
            row = desk.purchases.buy(wanted)
            desk.payer.advance(desk.account_id, row.payment_id)
        # Another process finds what the killed one left, once the lease has lapsed.
        desk.now_ms += LEASE_LAPSES_MS
        row = desk.purchases.buy(wanted)
        desk.work_until_idle()
        assert (desk.payment(row).state, desk.taken(row)) == ("PAID", 1), point
        assert desk.granted() == [25], point
        if not reached:
            break
        points = point
    assert points > 15, "the search finds them"


def test_the_end_depends_on_the_newest_truth_alone(desk: PaymentDesk) -> None:
    desk.save("test_slow")
    soft = Failure(FailureClass.SOFT, "insufficient_funds", "no funds")
    paid = State(Status.PAID, received_minor=2500, currency="USD", charge="c")
    states = [
        State(Status.OPEN),
        State(Status.PROCESSING, charge="c"),
        State(Status.ACTION, charge="c"),
        State(Status.OPEN, charge="c", failure=soft),
        State(Status.CANCELLED, charge="c"),
    ]
    for state in states:
        row = desk.buy()
        for each in (state, state, paid, state, paid):
            desk.payer.settle(row, each)
        assert desk.payment(row).state == "PAID", state
        assert payment_of_subject(desk, row.subject_id) == "PAID"
    assert desk.granted() == [25] * len(states)


def payment_of_subject(desk: PaymentDesk, top_up_id: str) -> str:
    with desk.ledger.read() as connection:
        found = payment_of(connection, top_up_id)
    assert found is not None
    return found.state


def test_another_amount_or_currency_grants_nothing_and_waits_for_a_person(
    desk: PaymentDesk,
) -> None:
    desk.save("test_slow")
    for received, currency in ((0, "USD"), (2499, "USD"), (250000, "USD"), (2500, "EUR")):
        row = desk.buy()
        desk.payer.settle(row, State(Status.PAID, received_minor=received, currency=currency))
        held = desk.payment(row)
        assert (held.state, held.failure_class, held.due_ms) == ("ACTION_REQUIRED", "AMOUNT", None)
    assert desk.granted() == []


def test_each_attempt_has_a_key_of_its_own_and_no_attempt_is_left_open(desk: PaymentDesk) -> None:
    for method in ("test_visa", "test_stolen", "test_slow"):
        desk.save(method)
        desk.buy()
    desk.work_until_idle()
    own = {row.payment_id for row in desk.rows(payments)}
    attempts = [row for row in rows(desk.ledger, payment_attempts) if row.payment_id in own]
    assert len({row.idempotency_key for row in attempts}) == 3
    assert sorted(row.state for row in attempts) == ["DECLINED", "PAID", "PAID"]


def test_a_manual_payment_waits_until_the_operator_completes_it(shared_ledger: Ledger) -> None:
    desk = PaymentDesk(shared_ledger, ManualProvider("IBAN DE00 1234"))
    assert reason(desk.purchases.buy, desk.purchase(25)) == "NO_PAYMENT_METHOD"
    call = desk.methods.begin_setup
    assert reason(call, desk.account_id, as_default=True, test_method="") == "PROVIDER_REFUSED"
    row = desk.buy(hosted=True)
    assert row.state == "PROCESSING"
    for _ in range(2):
        assert (
            desk.outcomes.complete(desk.account_id, row.payment_id, succeeds=True).state == "PAID"
        )
    assert reason(desk.outcomes.complete, desk.account_id, row.payment_id, succeeds=False) == (
        "PAYMENT_FINAL"
    )
    unpaid = desk.buy(hosted=True)
    assert (
        desk.outcomes.complete(desk.account_id, unpaid.payment_id, succeeds=False).state
        == "CANCELLED"
    )
    # The operator was wrong: money that came in wins.
    assert desk.outcomes.complete(desk.account_id, unpaid.payment_id, succeeds=True).state == "PAID"
    assert desk.granted() == [25, 25]
