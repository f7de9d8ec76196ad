"""Requests to flush: whoever waits for the ledger does not wait for the flusher's interval."""

from threading import Event

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from structlog.testing import capture_logs

from meter.flush_requests import FLUSH_CHANNEL, FlushRequests
from support.ledger_state import entries, make_flusher, running
from support.servers import wait_until
from support.store_harness import CREDIT, StoreHarness

pytest_plugins = ("support.harness_fixtures",)

NEVER_MS = 60_000


def flushers_that_hear(harness: StoreHarness) -> int:
    [(_, count)] = harness.redis.pubsub_numsub(FLUSH_CHANNEL)
    return int(count)


def test_a_reader_does_not_wait_for_the_interval_of_any_flusher(harness: StoreHarness) -> None:
    accounts = [harness.account_in(shard) for shard in range(2)]
    for account_id in accounts:
        harness.create(account_id, 25 * CREDIT)
    flushers = [make_flusher(harness, interval_ms=NEVER_MS) for _ in range(2)]
    assert flushers[0].drain(10)
    made = 0
    with running(*flushers):
        wait_until(lambda: flushers_that_hear(harness) == 2)
        for _ in range(2):
            for account_id in accounts:
                harness.debit(account_id, CREDIT)
            harness.wait_until_flushed()
            made += len(accounts)
            assert [entry["kind"] for entry in entries(harness)].count("DEBIT") == made


def test_a_flusher_hears_requests_again_after_its_connection_was_cut(harness: StoreHarness) -> None:
    harness.create("acme", 25 * CREDIT)
    flusher = make_flusher(harness, interval_ms=NEVER_MS)
    assert flusher.drain(10)
    with capture_logs() as logs, running(flusher):
        wait_until(lambda: flushers_that_hear(harness) == 1)
        harness.redis.client_kill_filter(_type="pubsub")
        harness.debit("acme", CREDIT)
        harness.wait_until_flushed()
    events = [log["event"] for log in logs]
    assert events[:2] == ["flush_requests_not_heard", "flush_requests_heard_again"]


def test_a_flusher_without_leave_for_the_channel_says_so_and_waits_its_interval(
    harness: StoreHarness,
) -> None:
    harness.redis.execute_command(
        "ACL", "SETUSER", "deaf", "on", ">pw", "~*", "+@all", "resetchannels"
    )
    socket = harness.redis.connection_pool.connection_kwargs["path"]
    user = {"username": "deaf", "password": "pw", "retry": Retry(NoBackoff(), 0)}
    with capture_logs() as logs, redis.Redis(unix_socket_path=socket, **user) as client:
        FlushRequests(client).wait(0.01, Event())
    assert [log["event"] for log in logs] == ["flush_requests_not_heard"]
    assert "permission" in logs[0]["error"]
