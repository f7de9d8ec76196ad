"""Auto-recharge: charges once for each time that credits run low, and never after it is off."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meter.database.engine import Ledger
from meter.database.payments_schema import payment_attempts, recharge_wants, recharges
from meter.errors import ServiceError
from meter.payments.recharge_outcomes import suspend_for_dispute
from meter.payments.recharge_rows import RuleRow, store_rule
from meter.payments.recharges import level_of
from support.histories import Scribe
from support.payment_desk import HOUR, LEASE_LAPSES_MS, PER_HOUR, PaymentDesk, killed_at
from support.recorded_accounts import CREDIT, DAY, rows

pytest_plugins = ("support.ledgers", "support.payment_fixtures")

LOW = 3


def low_account(desk: PaymentDesk, method: str = "test_visa", **rule: Any) -> None:
    """An account with 3 credits left, a card, and an armed rule that has not looked yet."""
    desk.save("test_visa")
    desk.buy(100)
    desk.flush()
    if method != "test_visa":
        desk.save(method)
    desk.set_rule(**rule)
    desk.flush(spent_credits=100 - LOW)


def attempts_of(desk: PaymentDesk) -> int:
    own = {row.payment_id for row in desk.rows(recharges)}
    return sum(row.payment_id in own for row in rows(desk.ledger, payment_attempts))


def states_of(desk: PaymentDesk) -> list[str]:
    return sorted(row.state for row in desk.rows(recharges))


def test_credits_that_run_low_are_bought_once_and_the_rule_is_armed_again(
    desk: PaymentDesk,
) -> None:
    low_account(desk)
    for _ in range(3):
        desk.recharge()  # the credits are recorded, and not flushed: nothing more is wanted
    assert (desk.granted()[-1:], desk.rule().state) == ([25], "ARMED")
    desk.flush()
    desk.recharge()
    assert states_of(desk) == ["SUCCEEDED"]
    desk.flush(spent_credits=20)
    desk.recharge()
    assert states_of(desk) == ["SUCCEEDED", "SUCCEEDED"]


def test_a_rule_that_is_set_below_its_threshold_charges_at_once_and_says_so(
    desk: PaymentDesk,
) -> None:
    desk.save("test_visa")
    rule, payment = desk.set_rule()
    assert payment is not None
    assert (rule.version, rule.state, payment.state) == (1, "ARMED", "PAID")
    desk.flush()
    assert desk.set_rule()[1] is None


def test_a_charge_is_as_large_as_it_takes_to_come_above_the_threshold(desk: PaymentDesk) -> None:
    low_account(desk, amount_nanos=5 * CREDIT)
    desk.recharge()
    assert desk.granted()[-1] == 10
    other = PaymentDesk(desk.ledger)
    low_account(other, amount_nanos=None, target_nanos=50 * CREDIT)
    other.recharge()
    assert other.granted()[-1] == 50 - LOW


def test_a_card_that_declines_for_thirty_days_is_tried_four_times_and_another_card_once(
    desk: PaymentDesk,
) -> None:
    low_account(desk, "test_insufficient")
    desk.pass_time(30 * DAY)
    rule = desk.rule()
    assert (attempts_of(desk), rule.state, rule.reason) == (4, "SUSPENDED", "SOFT")
    counted = desk.metrics.payments.labels("RECHARGE", "CANCELLED")._value.get()
    assert counted == 1
    assert states_of(desk) == ["FAILED"]
    desk.save("test_insufficient")  # the same card, saved anew
    desk.pass_time(2 * DAY)
    assert attempts_of(desk) == 4
    desk.save("test_mastercard")
    desk.pass_time(2 * DAY)
    assert (attempts_of(desk), desk.rule().state) == (5, "ARMED")
    assert states_of(desk) == ["FAILED", "SUCCEEDED"]


@pytest.mark.parametrize(
    ("method", "attempts", "state"),
    [("test_stolen", 1, "SUSPENDED"), ("test_declines_twice", 3, "ARMED")],
)
def test_what_follows_from_a_decline(
    desk: PaymentDesk, method: str, attempts: int, state: str
) -> None:
    low_account(desk, method)
    desk.pass_time(5 * DAY)
    assert (attempts_of(desk), desk.rule().state) == (attempts, state)


def test_a_customer_confirms_a_recharge_in_time_or_the_rule_is_suspended(
    desk: PaymentDesk,
) -> None:
    low_account(desk, "test_3ds")
    desk.recharge()
    assert (desk.rule().state, attempts_of(desk)) == ("CONFIRMING", 2)
    [recharge] = desk.rows(recharges)
    desk.outcomes.complete(desk.account_id, recharge.payment_id, succeeds=True)
    assert desk.rule().state == "ARMED"
    desk.flush(spent_credits=25)
    desk.pass_time(2 * DAY)
    rule = desk.rule()
    assert (rule.state, rule.reason, states_of(desk)) == (
        "SUSPENDED",
        "AUTH",
        ["FAILED", "SUCCEEDED"],
    )


@pytest.mark.parametrize("method", ["test_visa", "test_insufficient", "test_3ds"])
def test_off_means_off(desk: PaymentDesk, method: str) -> None:
    low_account(desk, method)
    if method != "test_visa":
        desk.recharge()
    before = attempts_of(desk)
    desk.recharges.turn_off(desk.account_id, "ada")
    desk.save("test_mastercard")
    desk.flush(spent_credits=50)
    desk.pass_time(10 * DAY)
    assert (attempts_of(desk), desk.rule().state) == (before, "OFF")
    assert "OPEN" not in states_of(desk)


def test_a_recharge_that_is_wanted_when_the_rule_is_turned_off_is_not_sent(
    desk: PaymentDesk,
) -> None:
    low_account(desk)
    row = desk.recharges.charge_if_low(desk.account_id)
    assert row is not None
    desk.recharges.turn_off(desk.account_id, "ada")
    assert (desk.payment(row).state, attempts_of(desk)) == ("CANCELLED", 0)


def test_the_month_s_limit_holds_until_the_month_turns(desk: PaymentDesk) -> None:
    low_account(desk, monthly_limit_nanos=60 * CREDIT)
    for _ in range(4):
        desk.pass_time(2 * HOUR)
        desk.flush(spent_credits=25)
    rule = desk.rule()
    assert (rule.state, rule.reason, len(states_of(desk))) == ("CAPPED", "MONTHLY_LIMIT", 2)
    desk.pass_time(32 * DAY)
    assert len(states_of(desk)) > 2


def test_charges_in_an_hour_are_braked(desk: PaymentDesk) -> None:
    low_account(desk)
    for _ in range(PER_HOUR + 4):
        desk.recharge()
        desk.flush(spent_credits=25)
    rule = desk.rule()
    assert (rule.state, rule.reason) == ("CAPPED", "HOURLY_LIMIT")
    assert len(states_of(desk)) == PER_HOUR


def test_a_purchase_by_hand_lifts_a_suspension_and_cancels_a_recharge_that_waits(
    desk: PaymentDesk,
) -> None:
    low_account(desk, "test_insufficient")
    desk.recharge()
    assert desk.rule().state == "WAITING"
    good = desk.save("test_visa", default=False)
    desk.buy(50, method_id=good.method_id)
    desk.flush()
    desk.recharge()
    assert (desk.rule().state, states_of(desk)) == ("ARMED", ["FAILED"])
    other = PaymentDesk(desk.ledger)
    low_account(other, "test_stolen")
    other.recharge()
    assert other.rule().state == "SUSPENDED"
    good = other.save("test_visa", default=False)
    other.buy(50, method_id=good.method_id)
    assert other.rule().state == "ARMED"


def test_removing_the_card_suspends_and_resuming_by_hand_needs_a_card(desk: PaymentDesk) -> None:
    low_account(desk)
    method = desk.methods.list_all(desk.account_id)[0]
    desk.methods.remove(desk.account_id, method.method_id)
    assert desk.rule().reason == "NO_PAYMENT_METHOD"
    rule, payment = desk.recharges.resume(desk.account_id)
    assert (rule.state, rule.reason, payment) == ("SUSPENDED", "NO_PAYMENT_METHOD", None)
    desk.save("test_mastercard")
    rule, payment = desk.recharges.resume(desk.account_id)
    assert payment is not None
    assert payment.state == "PAID"
    desk.recharges.turn_off(desk.account_id, "ada")
    with pytest.raises(ServiceError) as refused:
        desk.recharges.resume(desk.account_id)
    assert refused.value.reason == "RECHARGE_OFF"


def test_a_recharge_that_a_person_cancels_does_not_come_back(desk: PaymentDesk) -> None:
    low_account(desk, "test_insufficient")
    desk.recharge()
    [recharge] = desk.rows(recharges)
    desk.outcomes.cancel(desk.account_id, recharge.payment_id)
    desk.pass_time(3 * DAY)
    rule = desk.rule()
    assert (rule.state, rule.reason, states_of(desk)) == ("SUSPENDED", "STOPPED", ["FAILED"])


def test_a_recharge_killed_at_any_begin_or_commit_is_charged_once(shared_ledger: Ledger) -> None:
    for point in range(1, 60):
        desk = PaymentDesk(shared_ledger)
        low_account(desk)
        with killed_at(shared_ledger, point) as reached:
            desk.recharge()
        desk.now_ms += LEASE_LAPSES_MS
        desk.recharge()
        desk.flush()
        desk.recharge()
        assert (attempts_of(desk), states_of(desk)) == (1, ["SUCCEEDED"]), point
        assert (desk.granted(), desk.rule().state) == ([], "ARMED"), point
        if not reached:
            return
    raise AssertionError("the search for points does not end")


STEPS = st.lists(
    st.sampled_from(
        (
            *("spend 1", "spend 8", "spend 40"),
            *("recharge", "flush", "hour", "days"),
            *("good card", "poor card", "bad card", "slow card"),
            *("buy", "off", "set", "resume"),
        )
    ),
    max_size=25,
)


def take_step(desk: PaymentDesk, step: str) -> None:
    cards = {"good": "test_visa", "poor": "test_insufficient", "bad": "test_stolen"}
    word, _, rest = step.partition(" ")
    with suppress_refusals():
        if word == "spend":
            desk.flush(spent_credits=int(rest))
        elif rest == "card":
            desk.save(cards.get(word, "test_slow"))
        elif word in ("hour", "days"):
            desk.pass_time({"hour": HOUR, "days": 3 * DAY}[word])
        elif word == "off":
            desk.recharges.turn_off(desk.account_id, "ada")
        else:
            calls = {"buy": desk.buy, "set": desk.set_rule, "resume": resume_of(desk)}
            {**calls, "recharge": desk.recharge, "flush": desk.flush}[word]()


@contextmanager
def suppress_refusals() -> Iterator[None]:
    """Lets a step be refused that is not possible now."""
    try:
        yield
    except ServiceError as refused:
        if refused.reason not in ("NO_PAYMENT_METHOD", "RECHARGE_OFF"):
            raise


def resume_of(desk: PaymentDesk) -> Any:
    return lambda: desk.recharges.resume(desk.account_id)


def check_invariants(desk: PaymentDesk) -> None:
    opened = desk.rows(recharges)
    assert sum(row.state == "OPEN" for row in opened) <= 1
    for row in opened:
        paid = desk.simulated.charges().get(payment_ref(desk, row), 0)
        assert paid == (row.state == "SUCCEEDED"), row


def payment_ref(desk: PaymentDesk, row: Any) -> str:
    return f"payment {row.payment_id}"


def test_whatever_happens_an_account_at_rest_is_above_its_threshold_or_says_why(
    shared_ledger: Ledger, is_long: bool
) -> None:
    @settings(
        max_examples=200 if is_long else 12,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=not is_long,
    )
    @given(STEPS)
    def run(steps: list[str]) -> None:
        desk = PaymentDesk(shared_ledger)
        desk.save("test_visa")
        desk.set_rule()
        for step in steps:
            take_step(desk, step)
            check_invariants(desk)
        for _ in range(3):
            desk.flush()
            desk.recharge()
        rule = desk.rule()
        with desk.ledger.read() as connection:
            level = level_of(connection, desk.account_id)
        if rule.state == "ARMED" and level.is_settled:
            assert level.remaining_nanos > rule.threshold_nanos
        if rule.state in ("SUSPENDED", "CAPPED"):
            assert rule.reason
        if rule.state == "OFF":
            before = attempts_of(desk)
            desk.pass_time(4 * DAY)
            assert attempts_of(desk) == before

    run()


def test_posting_tells_of_an_account_only_while_its_rule_is_armed_and_its_level_is_reached(
    shared_ledger: Ledger,
) -> None:
    scribe = Scribe(shared_ledger)
    for account_id in ("watched", "unwatched"):
        scribe.create(account_id)
        scribe.grant(100, account_id)
    watched = RuleRow("watched", True, 40, 25, None, None, "", 1, "ada", 0)
    for rule, amount, expected in (
        (watched, 50, []),
        (watched.suspended("HARD"), 20, []),
        (watched.armed(), 1, ["watched"]),
        (watched.armed(), 1, ["watched"]),
    ):
        with shared_ledger.write() as connection:
            store_rule(connection, rule)
        for account_id in ("watched", "unwatched"):
            scribe.debit(amount, account_id=account_id)
        scribe.flush()
        told = {row.account_id for row in rows(shared_ledger, recharge_wants)}
        assert told & {"watched", "unwatched"} == set(expected)


def test_a_dispute_stops_a_recharge_that_waits_for_its_next_attempt(desk: PaymentDesk) -> None:
    low_account(desk, "test_insufficient")
    desk.recharge()
    assert (desk.rule().state, attempts_of(desk)) == ("WAITING", 1)
    with desk.ledger.write() as connection:
        suspend_for_dispute(connection, desk.account_id)
    desk.pass_time(5 * DAY)
    rule = desk.rule()
    assert (attempts_of(desk), rule.state, rule.reason) == (1, "SUSPENDED", "DISPUTED")
    assert states_of(desk) == ["FAILED"]
