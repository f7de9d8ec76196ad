"""Webhooks from the event to the receiver: once in the log, at least once at the receiver."""

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from meter.database import notifications_schema as tables
from meter.ledger.events import event_id_of
from meter.notifications.delivery_log import DeliveryLog
from meter.notifications.fan_out import fan_out
from meter.notifications.retries import WEBHOOK_WAITS_MS, asked_wait_ms, wait_ms
from meter.notifications.worker import NotificationWorker
from meter.times import MS_PER_DAY, MS_PER_HOUR, now_ms
from support.receivers import Receiver, dripping, receiver, status
from support.recorded_accounts import NOON, rows
from support.servers import wait_until
from support.webhook_billing import NO_MAILS, Billing, counted, event

pytest_plugins = ("support.webhook_fixtures",)


def test_an_event_arrives_signed_as_the_receivers_library_wants_it(
    billing: Billing, listening: Receiver
) -> None:
    endpoint = billing.endpoint(listening.url())
    billing.clock.ms = now_ms()  # the library compares with its own clock
    billing.tell(event(1))
    assert billing.round() == 1
    [request] = listening.requests
    secret = billing.sender.secrets.shown(endpoint.endpoint_id, 1)
    assert Webhook(secret).verify(request.body, request.headers) == {
        "type": "grant.expired",
        "timestamp": "2026-03-01T12:00:00Z",
        "data": {"grant_id": "g1"},
        "account_id": "acme",
        "sequence": 1,
    }
    assert request.headers["webhook-id"] == event_id_of(event(1))
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    assert billing.states() == ["DELIVERED"]
    assert counted(billing, "delivered") == 1


def test_two_secrets_sign_for_a_day_after_a_rotation(billing: Billing, listening: Receiver) -> None:
    endpoint = billing.endpoint(listening.url())
    rotated = billing.endpoints.rotate(endpoint.endpoint_id)
    assert rotated.old_secret_until_ms is not None
    secrets = [billing.sender.secrets.shown(endpoint.endpoint_id, version) for version in (1, 2)]
    assert secrets[0] != secrets[1]
    for at_ms, valid in ((now_ms(), [True, True]), (rotated.old_secret_until_ms, [False, True])):
        listening.requests.clear()
        billing.clock.ms = at_ms
        billing.sender.test(rotated)
        [request] = listening.requests
        signatures = request.headers["webhook-signature"].split()
        assert [_signs(secret, request) in signatures for secret in secrets] == valid


def test_an_endpoint_is_sent_what_it_wants_of_its_account_and_nothing_of_before(
    billing: Billing, listening: Receiver
) -> None:
    billing.tell(event(0))
    billing.endpoint(listening.url(path="/operator"))
    billing.endpoint(listening.url(path="/acme"), "acme", "grant.*", "top_up.failed")
    billing.endpoint(listening.url(path="/beta"), "beta")
    billing.tell(
        event(1),
        event(2, type_="top_up.failed"),
        event(3, type_="top_up.succeeded"),
        event(4, "beta", "account.suspended"),
        event(5, "", "operator.attention"),
    )
    assert billing.round() == 8
    got: dict[str, list[int]] = {}
    for request in listening.requests:
        got.setdefault(request.path, []).append(json.loads(request.body)["sequence"])
    assert {path: sorted(numbers) for path, numbers in got.items()} == {
        "/operator": [2, 3, 4, 5, 6],
        "/acme": [2, 3],
        "/beta": [5],
    }


def test_a_delivery_is_tried_ten_times_over_three_days_and_given_up(
    billing: Billing, listening: Receiver
) -> None:
    listening.reply = status(500, "broken")
    billing.endpoint(listening.url())
    billing.tell(event(1))
    waits = []
    for _ in range(10):
        assert billing.round() == 1
        [row] = rows(billing.ledger, tables.webhook_deliveries)
        waits.append(row.next_ms - billing.clock.ms)
        billing.clock.ms = row.next_ms - 1
        assert billing.round() == 0
        billing.clock.ms += 1
    assert (row.state, row.attempts, row.last_status) == ("GIVEN_UP", 10, 500)
    assert row.last_error == "broken"
    for wait, usual in zip(waits[:9], WEBHOOK_WAITS_MS, strict=True):
        assert 0.8 * usual <= wait <= 1.2 * usual
    assert {request.headers["webhook-id"] for request in listening.requests} == {
        event_id_of(event(1))
    }
    assert (counted(billing, "failed"), counted(billing, "given_up")) == (9, 1)


@pytest.mark.parametrize(
    ("asked", "waits_ms"),
    [
        ("7200", 2 * MS_PER_HOUR),
        ("1", 5000),
        ("999999999999", MS_PER_DAY),
        ("Sun, 01 Mar 2026 13:00:00 GMT", MS_PER_HOUR),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 5000),
        ("soon", 5000),
        ("", 5000),
    ],
)
def test_a_receiver_may_ask_for_a_longer_wait_of_up_to_a_day(asked: str, waits_ms: int) -> None:
    wait = wait_ms(WEBHOOK_WAITS_MS, 1, asked_wait_ms(asked, NOON))
    assert wait is not None
    assert 0.8 * waits_ms <= wait <= 1.2 * waits_ms


def test_a_receiver_that_asks_for_time_is_given_the_time(
    billing: Billing, listening: Receiver
) -> None:
    listening.reply = status(429, Retry_After="3600")
    billing.endpoint(listening.url())
    billing.tell(event(1))
    billing.round()
    [row] = rows(billing.ledger, tables.webhook_deliveries)
    assert row.next_ms == billing.clock.ms + MS_PER_HOUR


def test_a_receiver_that_is_gone_is_disabled_and_everybody_else_is_told(
    billing: Billing, listening: Receiver
) -> None:
    with receiver() as gone:
        both = replace(billing.sender.post, trust=gone.trust)
        billing.sender = replace(billing.sender, post=both)
        gone.reply = status(410)
        endpoint = billing.endpoint(gone.url(), "acme")
        billing.tell(*(event(number) for number in range(6)))
        billing.round()
        assert len(gone.requests) == 4, "those that were on their way"
    disabled = billing.endpoints.get(endpoint.endpoint_id)
    assert (disabled.status, disabled.disabled_reason) == (
        "DISABLED",
        "the receiver answered 410",
    )
    assert billing.states() == ["GIVEN_UP"] * 6
    assert billing.types()[-1] == "webhook_endpoint.disabled"


def test_an_endpoint_that_fails_for_a_day_is_told_once_and_after_five_days_disabled(
    billing: Billing, listening: Receiver
) -> None:
    listening.reply = status(503)
    endpoint = billing.endpoint(listening.url(), "acme")
    for half_days in range(11):
        billing.clock.ms = NOON + half_days * MS_PER_DAY // 2
        billing.tell(event(half_days))
        billing.round()
    told = [type_ for type_ in billing.types() if type_.startswith("webhook_endpoint.")]
    assert told == ["webhook_endpoint.failing", "webhook_endpoint.disabled"]
    assert not any(b"webhook_endpoint" in request.body for request in listening.requests)
    assert billing.endpoints.get(endpoint.endpoint_id).status == "DISABLED"
    assert set(billing.states()) == {"GIVEN_UP"}


def test_one_success_ends_the_failing(billing: Billing, listening: Receiver) -> None:
    endpoint = billing.endpoint(listening.url())
    for code, failing in ((500, True), (200, False), (302, True)):
        listening.reply = status(code)
        billing.tell(event(code))
        billing.round()
        found = billing.endpoints.get(endpoint.endpoint_id)
        assert (found.failing_since_ms is not None) == failing


def test_an_endpoint_enabled_again_gets_what_it_missed_only_when_asked(
    billing: Billing, listening: Receiver
) -> None:
    log = DeliveryLog(billing.ledger)
    endpoint = billing.endpoint(listening.url(), "acme", "grant.*")
    billing.endpoints.update(endpoint.endpoint_id, "", {"status": "DISABLED"})
    billing.tell(event(1), event(2), event(3, "beta"), event(4, type_="top_up.failed"))
    assert billing.round() == 0
    billing.endpoints.update(endpoint.endpoint_id, "", {"status": "ENABLED"})
    assert billing.round() == 0
    assert log.resend_since(endpoint.endpoint_id, 0, billing.clock()) == (2, False)
    assert billing.round() == 2
    assert log.resend_since(endpoint.endpoint_id, 0, billing.clock()) == (0, False)
    assert log.resend_event(endpoint.endpoint_id, event_id_of(event(1)), NOON) == (1, False)
    assert billing.round() == 1


def test_what_was_sent_and_not_recorded_is_sent_again_under_the_same_id(
    billing: Billing, listening: Receiver
) -> None:
    billing.endpoint(listening.url())
    billing.tell(event(1))
    fan_out(billing.ledger, NO_MAILS, billing.clock())
    [lost] = billing.sender.deliveries.claim(billing.clock(), 10)
    billing.sender._post(lost.endpoint, lost.event.event_id, {})  # and the process is killed
    assert billing.round() == 0, "the lease holds"
    billing.clock.ms += 60_000
    [again] = billing.sender.deliveries.claim(billing.clock(), 10)
    billing.sender.send(lost)
    assert billing.states() == ["WAITING"], "a result counts under its lease alone"
    billing.sender.send(again)
    assert billing.states() == ["DELIVERED"]
    assert counted(billing, "delivered") == 1
    assert len({request.headers["webhook-id"] for request in listening.requests}) == 1


def test_a_slow_receiver_has_one_attempt_at_a_time_and_keeps_no_other_waiting(
    billing: Billing, listening: Receiver
) -> None:
    with receiver() as slow:
        slow.reply = dripping
        slow_one = billing.endpoint(slow.url())
        billing.tell(*(event(number) for number in range(50)))
        fan_out(billing.ledger, NO_MAILS, billing.clock())
        claimed = billing.sender.deliveries.claim(billing.clock(), 100)
        assert len(claimed) == 4
        timing_out = replace(billing.sender.post, trust=slow.trust, timeout_s=0.3)
        replace(billing.sender, post=timing_out).send(claimed[0])
    assert billing.endpoints.get(slow_one.endpoint_id).times_out
    billing.clock.ms += 60_000
    billing.endpoint(listening.url())
    billing.tell(event(50))
    fan_out(billing.ledger, NO_MAILS, billing.clock())
    chosen = [
        each.endpoint.endpoint_id == slow_one.endpoint_id
        for each in billing.sender.deliveries.claim(billing.clock(), 100)
    ]
    assert sorted(chosen) == [False, True]


def test_many_processes_make_and_claim_each_delivery_once(
    billing: Billing, plain: Receiver, is_long: bool
) -> None:
    for number in range(3):
        billing.endpoint(plain.url(path=f"/{number}"))
    count = 10
    if is_long:
        count = 10_000
    stop = threading.Event()

    def work() -> None:
        worker = NotificationWorker(
            billing.ledger, billing.sender, None, NO_MAILS, billing.clock, 30
        )
        worker.start()
        stop.wait()
        worker.stop()

    with ThreadPoolExecutor(3) as processes:
        working = [processes.submit(work) for _ in range(2)]
        try:
            for number in range(count):
                billing.tell(event(number))
            wait_until(lambda: billing.states().count("DELIVERED") == 3 * count, 60 + count)
        finally:
            stop.set()
        for each in working:
            each.result()
    ids = [(each.path, each.headers["webhook-id"]) for each in plain.requests]
    assert len(ids) == len(set(ids)) == 3 * count
    assert plain.most_at_once <= 12


def _signs(secret: str, request: Any) -> str:
    """Returns the signature of the request by the secret, by the receivers' own library."""
    moment = datetime.fromtimestamp(int(request.headers["webhook-timestamp"]), UTC)
    return Webhook(secret).sign(request.headers["webhook-id"], moment, request.body.decode())
