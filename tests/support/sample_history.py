"""Three eventful days of one account: every kind of grant, hold, budget and threshold, and what
becomes of them.
"""

from collections.abc import Callable

from meter.journal.operations import Grace, Threshold
from meter.times import MS_PER_DAY
from support.store_harness import CREDIT, StoreHarness

DAY = 20_000  # 2024-10-04
NOON = DAY * MS_PER_DAY + MS_PER_DAY // 2
HOUR = 3_600_000

ADA = {"user": "ada"}
KEY = {"user": "ada", "api_key": "k1", "service": "chat"}


def live_through(harness: StoreHarness, account_id: str, then: Callable[[], object]) -> None:
    """`then` is called after each step.

    A hold stays open at the end, which pins a grant and overage.
    """
    for step in (_open, _first_morning, _first_evening, _second_day, _third_day):
        step(harness, account_id, then)


def _open(harness: StoreHarness, acme: str, then: Callable[[], object]) -> None:
    thresholds = (
        Threshold("busy", "daily_use", 10 * CREDIT),
        Threshold("low", "low_balance", 15 * CREDIT),
    )
    graces = (Grace("interactive", None, 5 * CREDIT),)
    harness.create(
        acme,
        overage=20 * CREDIT,
        limit=100 * CREDIT,
        clock=NOON,
        thresholds=thresholds,
        graces=graces,
    )
    then()
    harness.grant(acme, 20 * CREDIT)  # 2
    then()
    harness.grant(
        acme, 10 * CREDIT, type="PROMOTION", priority=10, expires_at_ms=NOON + 2 * HOUR
    )  # 3
    harness.grant(acme, 6 * CREDIT, type="PROMOTION", priority=5, scope=("service=chat",))  # 4
    then()
    harness.grant(acme, 8 * CREDIT, priority=40, effective_at_ms=NOON + HOUR)  # 5
    harness.set_budget(acme, "team", 30 * CREDIT, "user=ada", half=4 * CREDIT)
    then()
    harness.set_budget(acme, "key", 12 * CREDIT, "api_key=k1", window="day")
    then()


def _first_morning(harness: StoreHarness, acme: str, then: Callable[[], object]) -> None:
    assert harness.debit(acme, 4 * CREDIT)
    then()
    harness.authorize(acme, 9 * CREDIT, "h1", ttl_ms=24 * HOUR, dimensions=KEY)
    harness.authorize(acme, 5 * CREDIT, "h2", ttl_ms=24 * HOUR)
    then()
    harness.extend(acme, harness.held["h2"], CREDIT)
    then()
    harness.authorize(acme, 2 * CREDIT, "h3", ttl_ms=1000)
    assert harness.debit(acme, 3 * CREDIT, dimensions=ADA)
    then()
    harness.void(acme, harness.granted[acme][0], 2 * CREDIT)
    then()


def _first_evening(harness: StoreHarness, acme: str, then: Callable[[], object]) -> None:
    harness.advance(acme, NOON + HOUR)
    harness.process_due_grants(acme)  # 5 begins
    then()
    harness.expire(acme, harness.held["h3"])
    then()
    assert harness.debit(acme, 10 * CREDIT, hold_id=harness.held["h1"])
    then()
    harness.advance(acme, NOON + 2 * HOUR)
    harness.process_due_grants(acme)  # 3 is over, but for what a hold pins of it
    then()
    harness.release(acme, harness.held["h2"])
    then()
    assert harness.debit(acme, 2 * CREDIT, hold_id=harness.held["h3"])
    then()
    harness.authorize(acme, 5 * CREDIT, "h4", ttl_ms=36 * HOUR, dimensions=ADA)
    then()


def _second_day(harness: StoreHarness, acme: str, then: Callable[[], object]) -> None:
    harness.set_budget(acme, "team", 50 * CREDIT, "user=ada", half=30 * CREDIT)
    harness.delete_budget(acme, "key")
    then()
    harness.update(acme, overage_protection_nanos=3 * CREDIT)
    harness.advance(acme, NOON + 24 * HOUR)
    then()
    assert harness.debit(acme, 4 * CREDIT, hold_id=harness.held["h4"])
    then()
    assert harness.debit(acme, 2 * CREDIT, incurred=True, dimensions={"user": "bob"})
    then()
    assert harness.debit(
        acme, 19 * CREDIT, traffic_class="interactive", dimensions=ADA
    )  # two more than there is
    then()


def _third_day(harness: StoreHarness, acme: str, then: Callable[[], object]) -> None:
    harness.advance(acme, NOON + 48 * HOUR)
    then()
    harness.grant(acme, 10 * CREDIT, type="REFUND")
    then()
    harness.grant(acme, 5 * CREDIT, type="PROMOTION")
    harness.void(acme, harness.granted[acme][-1])
    then()
    harness.authorize(acme, 7 * CREDIT, "h5", dimensions=ADA)
    then()
    harness.set_budget(acme, "team", 7 * CREDIT, "user=eve")
    then()
