"""Three eventful days of one account: every kind of grant, hold, budget and threshold, and what becomes of them."""

from collections.abc import Callable

from till import CREDIT, Till

from meter.operations import Grace, Threshold
from meter.times import MS_PER_DAY

DAY = 20_000  # 2024-10-04
NOON = DAY * MS_PER_DAY + MS_PER_DAY // 2
HOUR = 3_600_000

ADA, KEY = {"user": "ada"}, {"user": "ada", "api_key": "k1", "service": "chat"}


def live_through(till: Till, account_id: str, then: Callable[[], object]) -> None:
    """`then` is called after each step. A hold stays open at the end, which pins a grant and overage."""
    for step in (_open, _first_morning, _first_evening, _second_day, _third_day):
        step(till, account_id, then)


def _open(till: Till, acme: str, then: Callable[[], object]) -> None:
    thresholds = (Threshold("busy", "daily_use", 10 * CREDIT), Threshold("low", "low_balance", 15 * CREDIT))
    graces = (Grace("interactive", None, 5 * CREDIT),)
    till.create(acme, overage=20 * CREDIT, limit=100 * CREDIT, clock=NOON, thresholds=thresholds, graces=graces)
    then()
    till.grant(acme, 20 * CREDIT)  # 2
    then()
    till.grant(acme, 10 * CREDIT, type="PROMOTION", priority=10, expires_at_ms=NOON + 2 * HOUR)  # 3
    till.grant(acme, 6 * CREDIT, type="PROMOTION", priority=5, scope=("service=chat",))  # 4
    then()
    till.grant(acme, 8 * CREDIT, priority=40, effective_at_ms=NOON + HOUR)  # 5
    till.set_budget(acme, "team", 30 * CREDIT, "user=ada", half=4 * CREDIT)
    then()
    till.set_budget(acme, "key", 12 * CREDIT, "api_key=k1", window="day")
    then()


def _first_morning(till: Till, acme: str, then: Callable[[], object]) -> None:
    assert till.debit(acme, 4 * CREDIT)
    then()
    till.authorize(acme, 9 * CREDIT, "h1", ttl_ms=24 * HOUR, dimensions=KEY)
    till.authorize(acme, 5 * CREDIT, "h2", ttl_ms=24 * HOUR)
    then()
    till.extend(acme, till.held["h2"], CREDIT)
    then()
    till.authorize(acme, 2 * CREDIT, "h3", ttl_ms=1000)
    assert till.debit(acme, 3 * CREDIT, dimensions=ADA)
    then()
    till.void(acme, till.granted[acme][0], 2 * CREDIT)
    then()


def _first_evening(till: Till, acme: str, then: Callable[[], object]) -> None:
    till.advance(acme, NOON + HOUR)
    till.turn(acme)  # 5 begins
    then()
    till.expire(acme, till.held["h3"])
    then()
    assert till.debit(acme, 10 * CREDIT, hold_id=till.held["h1"])
    then()
    till.advance(acme, NOON + 2 * HOUR)
    till.turn(acme)  # 3 is over, but for what a hold pins of it
    then()
    till.release(acme, till.held["h2"])
    then()
    assert till.debit(acme, 2 * CREDIT, hold_id=till.held["h3"])
    then()
    till.authorize(acme, 5 * CREDIT, "h4", ttl_ms=36 * HOUR, dimensions=ADA)
    then()


def _second_day(till: Till, acme: str, then: Callable[[], object]) -> None:
    till.set_budget(acme, "team", 50 * CREDIT, "user=ada", half=30 * CREDIT)
    till.delete_budget(acme, "key")
    then()
    till.update(acme, overage_protection_nanos=3 * CREDIT)
    till.advance(acme, NOON + 24 * HOUR)
    then()
    assert till.debit(acme, 4 * CREDIT, hold_id=till.held["h4"])
    then()
    assert till.debit(acme, 2 * CREDIT, incurred=True, dimensions={"user": "bob"})
    then()
    assert till.debit(acme, 19 * CREDIT, traffic_class="interactive", dimensions=ADA)  # two more than there is
    then()


def _third_day(till: Till, acme: str, then: Callable[[], object]) -> None:
    till.advance(acme, NOON + 48 * HOUR)
    then()
    till.grant(acme, 10 * CREDIT, type="REFUND")
    then()
    till.grant(acme, 5 * CREDIT, type="PROMOTION")
    till.void(acme, till.granted[acme][-1])
    then()
    till.authorize(acme, 7 * CREDIT, "h5", dimensions=ADA)
    then()
    till.set_budget(acme, "team", 7 * CREDIT, "user=eve")
    then()
