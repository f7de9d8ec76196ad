"""The provider `stripe`, with the real library, against a Stripe of our own over HTTP."""

from collections.abc import Iterator
from typing import Any

import pytest

from meter.database.engine import Ledger
from meter.database.payments_schema import customers, provider_hints
from meter.errors import ServiceError
from meter.payments.hints import HintReader
from meter.payments.payment_rows import PaymentRow
from meter.payments.provider import FailureClass, Forged, ProviderRefused
from meter.payments.provider_check import check_payments
from meter.payments.providers.manual import ManualProvider
from meter.payments.providers.stripe import StripeProvider
from meter.payments.providers.stripe_amounts import minor_of, stripe_amount
from meter.payments.providers.stripe_failures import failure_of
from support.payment_desk import LEASE_LAPSES_MS, PaymentDesk
from support.recorded_accounts import CREDIT, open_account, rows
from support.stripe_fake import SECRET, StripeFake, stripe_fake

pytest_plugins = ("support.payment_fixtures",)


class Shop(PaymentDesk):
    """A desk that takes money through the fake."""

    def __init__(self, ledger: Ledger, fake: StripeFake) -> None:
        self.stripe = StripeProvider("sk_test_1", fake.url, "https://example.com/back")
        super().__init__(ledger, self.stripe)
        self.fake = fake
        self.hints = HintReader(
            ledger,
            self.stripe,
            self.payer,
            self.methods,
            self.reversals,
            self.clock,
            30_000,
            self.metrics,
        )
        self.hints.work()  # from the newest event on

    def customer(self) -> str:
        [row] = self.rows(customers)
        return str(row.customer_ref)

    def add(self, kind: str) -> None:
        """Saves a card on a page, as a customer does."""
        setup = self.methods.begin_setup(self.account_id, as_default=True, test_method="")
        assert setup.page.url.startswith("https://checkout.stripe.com/cs_")
        self.fake.save_card(self.customer(), kind)
        self.methods.list_all(self.account_id)

    def told(self) -> None:
        """Lets the provider's events be read."""
        self.now_ms += 31_000
        self.hints.work()

    def charges_of(self, row: PaymentRow) -> int:
        return self.fake.charges(self.payment(row).payment_ref)


@pytest.fixture(scope="module")
def fake() -> Iterator[StripeFake]:
    with stripe_fake() as fake:
        yield fake
        assert fake.faults == []


@pytest.fixture
def shop(shared_ledger: Ledger, fake: StripeFake) -> Shop:
    return Shop(shared_ledger, fake)


def test_a_card_is_saved_on_a_page_and_charged_once(shop: Shop) -> None:
    shop.add("visa")
    [method] = shop.methods.list_all(shop.account_id)
    assert (method.label, method.holder, method.is_default) == ("visa 4242", "Ada Lovelace", True)
    row = shop.buy(25)
    assert (row.state, row.received_minor, shop.charges_of(row), shop.granted()) == (
        "PAID",
        2500,
        1,
        [25],
    )
    removed = shop.methods.remove(shop.account_id, method.method_id)
    assert removed.is_removed
    shop.methods.remove(shop.account_id, method.method_id)  # Stripe refuses, and that is fine


@pytest.mark.parametrize(
    ("kind", "failure"),
    [
        ("insufficient", ("SOFT", "insufficient_funds")),
        ("stolen", ("HARD", "stolen_card")),
        ("not again", ("HARD", "do_not_honor")),
    ],
)
def test_a_declined_card_cancels_the_purchase_at_stripe_too(
    shop: Shop, kind: str, failure: tuple[str, str]
) -> None:
    shop.add(kind)
    row = shop.buy(25)
    assert (row.state, row.failure_class, row.failure_code) == ("CANCELLED", *failure)
    assert shop.fake.objects[row.payment_ref]["status"] == "canceled"
    assert "stolen" not in row.failure_text


def test_a_recharge_that_the_bank_wants_confirmed_gives_the_customer_a_link(shop: Shop) -> None:
    shop.add("3ds")
    shop.flush()
    _, row = shop.set_rule()
    assert row is not None
    assert (row.state, row.attempts, shop.rule().state) == ("ACTION_REQUIRED", 2, "CONFIRMING")
    assert shop.payer.look(row).action_url == f"https://hooks.stripe.com/{row.payment_ref}"
    shop.fake.finish(row.payment_ref)
    shop.told()
    assert (shop.payment(row).state, shop.rule().state, shop.charges_of(row)) == (
        "PAID",
        "ARMED",
        1,
    )


@pytest.mark.parametrize("lost", ["payment_intents", "confirm"])
@pytest.mark.parametrize("fault", ["lose", "500", "429", "409"])
def test_an_answer_that_is_lost_or_late_charges_once(shop: Shop, lost: str, fault: str) -> None:
    shop.add("visa")
    shop.fake.faults.append((lost, fault))
    row = shop.buy(25)
    shop.now_ms += LEASE_LAPSES_MS
    shop.work_until_idle()
    assert (shop.payment(row).state, shop.charges_of(row), shop.granted()) == ("PAID", 1, [25])


def test_a_decline_whose_answer_is_lost_is_found_and_not_tried_again(shop: Shop) -> None:
    shop.add("stolen")
    shop.fake.faults.append(("confirm", "lose"))
    row = shop.buy(25)
    shop.work_until_idle()
    row = shop.payment(row)
    assert (row.state, row.failure_class, row.attempts) == ("CANCELLED", "HARD", 1)


def test_a_page_takes_money_once_and_another_amount_grants_nothing(shop: Shop) -> None:
    paid, cheap, left = shop.buy(25, hosted=True), shop.buy(25, hosted=True), shop.buy(hosted=True)
    intent = shop.fake.pay_page(paid.payment_ref)
    shop.fake.pay_page(cheap.payment_ref, amount=100)
    shop.told()
    assert (shop.payment(paid).state, shop.payment(paid).payment_ref) == ("PAID", intent)
    held = shop.payment(cheap)
    assert (held.state, held.failure_class) == ("ACTION_REQUIRED", "AMOUNT")
    assert shop.outcomes.cancel(shop.account_id, left.payment_id).state == "CANCELLED"
    assert shop.fake.objects[left.payment_ref]["status"] == "expired"
    assert shop.granted() == [25]


def test_a_page_that_is_paid_while_it_is_cancelled_is_paid(shop: Shop) -> None:
    row = shop.buy(25, hosted=True)
    shop.fake.pay_page(row.payment_ref)
    assert shop.outcomes.cancel(shop.account_id, row.payment_id).state == "PAID"
    assert shop.granted() == [25]


def test_what_stripe_refuses_is_not_the_card_s_fault(shop: Shop) -> None:
    shop.add("visa")
    shop.fake.faults.append(("payment_intents", "400"))
    row = shop.buy(25)
    assert (row.state, row.failure_class, row.attempts) == ("CANCELLED", "OURS", 0)


def test_events_that_come_twice_late_in_another_order_or_forged_change_nothing(
    shop: Shop,
) -> None:
    shop.add("slow")
    row = shop.buy(25)
    shop.fake.finish(row.payment_ref)
    events = shop.fake.events[-3:]
    for event in [*reversed(events), *events]:
        shop.hints.receive(*shop.fake.signed(event), (SECRET,))
        shop.hints.work()
    assert (shop.payment(row).state, shop.charges_of(row), shop.granted()) == ("PAID", 1, [25])
    header, body = shop.fake.signed(events[0], "whsec_another")
    for forged in ((header, body), ("", body), (shop.fake.signed(events[0])[0], b"{}")):
        with pytest.raises(Forged):
            shop.hints.receive(*forged, (SECRET,))
    # While a secret is being changed, the old one counts too.
    shop.hints.receive(header, body, (SECRET, "whsec_another"))
    lie = events[0] | {"id": "evt_lie", "type": "payment_intent.payment_failed"}
    shop.hints.receive(*shop.fake.signed(lie), (SECRET,))
    shop.hints.work()
    assert shop.payment(row).state == "PAID"


def test_a_hint_waits_while_stripe_does_not_answer(shop: Shop) -> None:
    shop.add("slow")
    row = shop.buy(25)
    shop.fake.finish(row.payment_ref)
    event = shop.fake.events[-1]
    shop.hints.receive(*shop.fake.signed(event), (SECRET,))
    shop.fake.faults.append((f"payment_intents/{row.payment_ref}", "500"))
    shop.hints.work()
    assert shop.payment(row).state == "PROCESSING"
    shop.now_ms += 10_000
    shop.hints.work()
    assert shop.payment(row).state == "PAID"
    due = [each for each in rows(shop.ledger, provider_hints) if each.due_ms is not None]
    assert due == []


def test_a_dispute_is_found_by_polling_and_suspends(shop: Shop) -> None:
    shop.add("visa")
    row = shop.buy(25)
    shop.flush()
    shop.set_rule(threshold_nanos=CREDIT)
    shop.fake.dispute(row.payment_ref, "warning_needs_response", 2500)
    shop.told()
    assert shop.rule().state == "ARMED"  # an inquiry
    shop.fake.close_dispute(row.payment_ref, "needs_response")
    shop.told()
    assert shop.rule().reason == "DISPUTED"
    assert shop.payer.look(row).disputed_minor == 2500
    shop.fake.close_dispute(row.payment_ref, "won")
    assert shop.payer.look(row).disputed_minor == 0


def test_a_refund_is_paid_once_for_its_key_and_not_above_the_charge(shop: Shop) -> None:
    shop.add("visa")
    row = shop.buy(25)
    for _ in range(2):
        assert shop.stripe.refund(row.payment_ref, 1000, "same")
    assert shop.payer.look(row).refunded_minor == 1000
    assert not shop.stripe.refund(row.payment_ref, 2000, "more")


def test_payments_are_compared_with_what_stripe_tells(shop: Shop) -> None:
    shop.add("visa")
    row = shop.buy(25)

    def found() -> list[str]:
        given = (shop.ledger, shop.stripe, shop.account_id, shop.now_ms)
        response = check_payments(*given)
        assert response.payments_checked == 1
        return [finding.detail for finding in response.findings]

    assert found() == []
    intent = shop.fake.objects[row.payment_ref]
    for broken, told in (
        ({"status": "processing"}, "is PAID here, and PROCESSING at stripe"),
        ({"amount_received": 1}, "received 2500 USD here, (1, 'USD') at stripe"),
    ):
        kept = dict(intent)
        intent.update(broken)
        assert found() == [told]
        intent.update(kept)
    shop.stripe.refund(row.payment_ref, 500, "on the dashboard")
    assert found() == ["stripe took 500 back, and nobody has looked at it"]
    assert check_payments(shop.ledger, ManualProvider(""), "", 0).payments_checked == 0


AMOUNTS = [
    ("JPY", 3000, 3000),
    ("VND", 500_000, 500_000),
    ("ISK", 1500, 150_000),
    ("MGA", 50_000, 500),
    ("KWD", 1230, 1230),
    ("USD", 2550, 2550),
    ("HUF", 70_000, 70_000),
]


@pytest.mark.parametrize(("currency", "minor", "amount"), AMOUNTS)
def test_amounts_are_what_stripe_calls_them(currency: str, minor: int, amount: int) -> None:
    assert stripe_amount(minor, currency) == amount
    assert minor_of(amount, currency) == minor


@pytest.mark.parametrize(("currency", "minor"), [("UGX", 500), ("KWD", 1234), ("MGA", 150)])
def test_what_stripe_cannot_take_is_refused(currency: str, minor: int) -> None:
    with pytest.raises(ProviderRefused):
        stripe_amount(minor, currency)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (("card_declined", "generic_decline", "", ""), FailureClass.SOFT),
        (("card_declined", "generic_decline", "try_again_later", ""), FailureClass.SOFT),
        (("card_declined", "generic_decline", "do_not_try_again", ""), FailureClass.HARD),
        (("card_declined", "generic_decline", "", "03"), FailureClass.HARD),
        (("card_declined", "lost_card", "", ""), FailureClass.HARD),
        (("card_declined", "revocation_of_authorization", "", ""), FailureClass.HARD),
        (("expired_card", "", "", ""), FailureClass.HARD),
        (("authentication_required", "authentication_required", "", ""), FailureClass.AUTH),
        (("processing_error", "", "", ""), FailureClass.SOFT),
    ],
)
def test_each_decline_has_its_class(given: Any, kind: FailureClass) -> None:
    assert failure_of(*given).kind == kind


def test_an_account_on_a_test_clock_never_reaches_a_live_key(
    shared_ledger: Ledger, fake: StripeFake
) -> None:
    open_account(shared_ledger, "clocked")
    live = StripeProvider("rk_live_1", fake.url, "")
    desk = PaymentDesk(shared_ledger, live, "clocked")
    with pytest.raises(ServiceError) as refused:
        desk.purchases.buy(desk.purchase(25, hosted=True))
    assert refused.value.reason == "TEST_CLOCK"


def test_a_live_key_moves_real_money(fake: StripeFake) -> None:
    keys = {"sk_test_1": False, "rk_test_1": False, "sk_live_1": True, "rk_live_1": True}
    for key, is_live in keys.items():
        assert StripeProvider(key, fake.url, "").is_live == is_live
