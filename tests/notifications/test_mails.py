"""Mails: whom they go to, each once, through a real mail server."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from prometheus_client import CollectorRegistry

from meter.admin.recorder import OperationRecorder
from meter.database import notifications_schema as tables
from meter.database.engine import Ledger
from meter.ledger.events import Event, record_events
from meter.notifications.fan_out import fan_out
from meter.notifications.mail_sender import MailSender
from meter.notifications.mail_templates import MailTemplates
from meter.notifications.mails import MailRules, Mails, SmtpReply
from meter.notifications.metrics import NotificationMetrics
from meter.notifications.retries import MAIL_WAITS_MS
from meter.notifications.smtp import SmtpClient
from meter.smtp_server import SmtpServer
from meter.times import MS_PER_DAY
from support.mail_server import PASSWORD, USER, MailServer, mail_server
from support.recorded_accounts import CREDIT, NOON, new_id, open_account, rows
from support.stack import free_port

pytest_plugins = ("support.ledgers",)

RULES = MailRules(enabled=True, operator="ops@example.com")


@dataclass
class Billing:
    """What billing mails with, on a test's own clock."""

    ledger: Ledger
    mails: Mails
    sender: MailSender
    registry: CollectorRegistry
    now_ms: int = NOON

    def tell(self, *events: Event) -> None:
        with self.ledger.write() as connection:
            record_events(connection, events)
        while fan_out(self.ledger, self.mails.rules, self.now_ms):
            pass

    def round(self) -> None:
        """Sends what is due now."""
        while claimed := self.mails.claim(self.now_ms):
            for each in claimed:
                self.sender.send(each)

    def states(self) -> list[str]:
        return sorted(row.state for row in rows(self.ledger, tables.mails))

    def told(self) -> list[tuple[str, str]]:
        return sorted((row.type, row.recipient) for row in rows(self.ledger, tables.mails))


@pytest.fixture(scope="module")
def listening() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture
def billing(ledger: Ledger, listening: MailServer) -> Billing:
    """With acme, which has two alert addresses and a billing address, and beta, which has none."""
    for account_id in ("acme", "beta"):
        open_account(ledger, account_id)
    contacts = {
        "alert_emails": ("a@example.com", "b@example.com"),
        "billing_emails": ("c@example.com",),
    }
    OperationRecorder(ledger).update_account("acme", contacts, request_id=new_id())
    fan_out(ledger, RULES, NOON)
    listening.received.clear()
    listening.replies.clear()
    listening.refused.clear()
    registry = CollectorRegistry()
    mails = Mails(ledger, RULES)
    server = SmtpServer.of(f"smtp://127.0.0.1:{listening.port}")
    found = Billing(ledger, mails, None, registry)  # type: ignore[arg-type]  # it needs the clock
    found.sender = MailSender(
        SmtpClient(server, listening.trust),
        MailTemplates(),
        mails,
        NotificationMetrics(registry),
        "billing@example.com",
        lambda: found.now_ms,
    )
    return found


def crossing(
    window: int = 0, account_id: str = "acme", at_ms: int = NOON, **changed: object
) -> Event:
    data: dict[str, object] = {
        "subject": "LOW_BALANCE",
        "budget_id": "",
        "budget_values": [],
        "threshold_id": "low",
        "window": f"{window}",
        "level_nanos": 5 * CREDIT,
        "value_nanos": 9 * CREDIT // 2,
        "entry_id": "0-1-1",
    }
    return Event(account_id, "threshold.crossed", f"{window}", at_ms, data | changed)


def test_a_threshold_is_mailed_to_the_alert_addresses_in_words(
    billing: Billing, listening: MailServer
) -> None:
    billing.tell(crossing(), crossing(account_id="beta"))
    billing.round()
    assert {message["To"] for message in listening.received} == {"a@example.com", "b@example.com"}
    message = listening.received[0]
    assert message["Subject"] == "Balance low: 4.50 USD left in acme"
    assert message["From"] == "billing@example.com"
    assert message["Auto-Submitted"] == "auto-generated"
    assert "Threshold low is 5.00 USD" in message.get_content()
    assert billing.states() == ["SENT", "SENT"]
    sent = billing.registry.get_sample_value("creditgate_mails_total", {"outcome": "sent"})
    assert sent == 2


def test_a_threshold_crossed_many_times_over_two_processes_is_mailed_once_a_day_and_recipient(
    billing: Billing, is_long: bool
) -> None:
    count = 60
    if is_long:
        count = 10_000

    def work(first: int) -> None:
        for window in range(first, count, 2):
            billing.tell(crossing(window))

    with ThreadPoolExecutor(2) as processes:
        for each in [processes.submit(work, first) for first in range(2)]:
            each.result()
    assert len(rows(billing.ledger, tables.mails)) == 2
    billing.tell(crossing(count, at_ms=NOON + MS_PER_DAY))
    assert len(rows(billing.ledger, tables.mails)) == 4


def test_each_value_of_a_budget_is_mailed_for_itself(
    billing: Billing, listening: MailServer
) -> None:
    for window, user in enumerate(["ada", "bob", "ada"]):
        terms = {"subject": "BUDGET", "budget_id": "each", "budget_values": [user, "x"]}
        billing.tell(crossing(window, **terms))
    billing.round()
    told = sorted((message["To"], message.get_content()[:21]) for message in listening.received)
    assert told == [
        (recipient, f"Budget each for {user}, ")
        for recipient in ("a@example.com", "b@example.com")
        for user in ("ada", "bob")
    ]


FAILED = {"payment_id": "p1", "failure_text": "The card was declined", "failure_class": "card"}


def test_each_type_has_its_readers_and_most_have_none(billing: Billing) -> None:
    failing = {"endpoint_id": "ep_1", "url": "https://x.example/", "reason": "status 500"}
    billing.tell(
        Event("acme", "webhook_endpoint.disabled", "1", NOON, failing),
        Event("", "webhook_endpoint.disabled", "2", NOON, failing),
        Event("", "operator.attention", "3", NOON, {"text": "look here"}),
        Event("acme", "auto_recharge.suspended", "4", NOON, {"top_up_id": "t1"}),
        Event("acme", "payment.failed", "8", NOON, FAILED),
        Event("acme", "payment.failed", "9", NOON, FAILED),
        Event("acme", "top_up.succeeded", "5", NOON, {"top_up_id": "t1"}),
        Event("acme", "request.denied", "6", NOON, {"reason": "BUDGET_EXCEEDED"}),
        Event("beta", "auto_recharge.suspended", "7", NOON, {"top_up_id": "t2"}),
    )
    billing.round()
    assert set(billing.states()) == {"SENT"}
    assert billing.told() == [
        ("auto_recharge.suspended", "c@example.com"),
        ("operator.attention", "ops@example.com"),
        ("payment.failed", "c@example.com"),
        ("webhook_endpoint.disabled", "c@example.com"),
        ("webhook_endpoint.disabled", "ops@example.com"),
    ]


def test_a_mail_that_the_server_puts_off_is_sent_later_as_the_same_message(
    billing: Billing, listening: MailServer
) -> None:
    listening.replies += ["451 later", "452 full"]
    billing.tell(Event("acme", "auto_recharge.suspended", "1", NOON, {"top_up_id": "t1"}))
    for wait in (*MAIL_WAITS_MS[:2], 0):
        billing.round()
        billing.now_ms += 2 * wait
    [row] = rows(billing.ledger, tables.mails)
    assert (row.state, row.attempts, row.reply) == ("SENT", 3, "250 accepted")
    [message] = listening.received
    assert message["Message-ID"] == f"<{row.mail_id}@example.com>"
    assert message["Subject"] == "auto_recharge.suspended: acme"
    assert "top_up_id" in message.get_body(("html",)).get_content()  # type: ignore[union-attr]


def test_a_mailbox_that_is_not_there_is_final_and_can_be_tried_again_by_hand(
    billing: Billing, listening: MailServer
) -> None:
    listening.refused.add("c@example.com")
    billing.tell(Event("acme", "auto_recharge.suspended", "1", NOON, {"top_up_id": "t1"}))
    billing.round()
    [row] = rows(billing.ledger, tables.mails)
    assert (row.state, row.reply) == ("UNDELIVERABLE", "550 no such mailbox")
    listening.refused.clear()
    billing.mails.resend(row.mail_id, NOON)
    billing.round()
    assert billing.states() == ["SENT"]


def test_a_mail_is_given_up_after_seven_attempts(billing: Billing) -> None:
    server = SmtpServer.of(f"smtp://127.0.0.1:{free_port()}")
    dead = SmtpClient(server, billing.sender.client.trust)
    mail = Event("acme", "auto_recharge.suspended", "1", NOON, {"top_up_id": "t1"})
    billing.tell(mail)
    for _ in range(7):
        [claimed] = billing.mails.claim(billing.now_ms)
        reply = dead.send(billing.sender.message(claimed))
        assert reply.code == 0
        billing.mails.record(claimed, reply, billing.now_ms)
        billing.now_ms += 2 * MS_PER_DAY
    assert billing.states() == ["UNDELIVERABLE"]


def test_a_mail_that_was_sent_and_not_recorded_is_sent_again(
    billing: Billing, listening: MailServer
) -> None:
    billing.tell(Event("acme", "auto_recharge.suspended", "1", NOON, {"top_up_id": "t1"}))
    [lost] = billing.mails.claim(NOON)
    billing.sender.client.send(billing.sender.message(lost))
    billing.round()
    assert len(listening.received) == 1, "the lease holds"
    billing.now_ms += 120_000
    billing.round()
    assert billing.mails.record(lost, SmtpReply(550, ""), billing.now_ms) == ""
    first, second = listening.received
    assert first["Message-ID"] == second["Message-ID"]
    assert billing.states() == ["SENT"]


def test_after_fifty_mails_of_a_day_one_says_that_no_others_follow(billing: Billing) -> None:
    billing.tell(
        *(
            Event("acme", "auto_recharge.suspended", f"{n}", NOON, {"top_up_id": f"t{n}"})
            for n in range(55)
        )
    )
    types = [row.type for row in rows(billing.ledger, tables.mails)]
    assert (types.count("auto_recharge.suspended"), types.count("mail.limit")) == (50, 1)


def test_without_a_mail_server_mails_are_kept_and_not_sent(billing: Billing) -> None:
    off = MailRules(enabled=False, operator="")
    billing.mails = Mails(billing.ledger, off)
    billing.tell(crossing())
    assert billing.mails.claim(NOON) == []
    assert billing.states() == ["SUPPRESSED", "SUPPRESSED"]


def test_a_server_that_wants_encryption_and_a_login_gets_both(billing: Billing) -> None:
    billing.tell(Event("acme", "auto_recharge.suspended", "1", NOON, {"top_up_id": "t1"}))
    [claimed] = billing.mails.claim(NOON)
    message = billing.sender.message(claimed)
    with mail_server(starttls=True) as server:
        for scheme, word, trust, code in (
            ("smtp+starttls", PASSWORD, server.trust, 250),
            ("smtp+starttls", "wrong", server.trust, 0),
            ("smtp+starttls", PASSWORD, billing.sender.client.trust, 0),
            ("smtp", PASSWORD, server.trust, 0),
        ):
            url = f"{scheme}://{USER}:{quote(word, safe='')}@localhost:{server.port}"
            reply = SmtpClient(SmtpServer.of(url), trust).send(message)
            assert reply.code == code, reply
        assert len(server.received) == 1


def test_the_operators_template_goes_first_unless_it_fails(
    billing: Billing, tmp_path: Path
) -> None:
    (tmp_path / "threshold.crossed.txt").write_text("{{ account_id }} is low\nCall us.")
    (tmp_path / "threshold.crossed.html").write_text("<b>{{ account_id }}</b>")
    (tmp_path / "credits.exhausted.txt").write_text("{{ nothing_of_this_name }}")
    (tmp_path / "grant.expiring.txt").write_text("{{ ''.__class__.__mro__ }}")
    (tmp_path / "mail.test.txt").write_text("{{ 1 // 0 }}")
    templates = MailTemplates(tmp_path)
    data = {
        **crossing().data,
        "remaining_nanos": "0",
        "overage_protection_nanos": "0",
        "left_nanos": "1",
        "grant_id": "g1",
        "expires_at": "2026-03-08T12:00:00Z",
    }
    values = {"account_id": "<acme>", "currency": "USD", "occurred_at": "now", "data": data}
    own = templates.render("threshold.crossed", {"type": "threshold.crossed", **values})
    assert own == ("<acme> is low", "Call us.\n", "<b>&lt;acme&gt;</b>")
    for type_, subject in (
        ("credits.exhausted", "<acme> has run out of credits"),
        ("grant.expiring", "0.000000001 USD of <acme> expire on 2026-03-08"),
        ("mail.test", "A test mail of Creditgate"),
    ):
        assert templates.render(type_, {"type": type_, **values}).subject == subject


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.com",
        "smtp://mail.example.com",
        "http://x",
        "smtps://",
        "smtps://h:x",
        "smtps://h/p",
    ],
)
def test_a_mail_server_that_cannot_be_spoken_to_safely_is_refused(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  whatever it says, an operator sees it
        SmtpServer.of(url)
