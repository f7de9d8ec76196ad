"""Grants that are about to expire are told of once, a week before."""

import json

import pytest

from meter.database import schema
from meter.database.engine import Ledger
from meter.notifications.expiring_grants import tell_expiring
from support.histories import DAY, JANUARY, Scribe
from support.recorded_accounts import rows

pytest_plugins = ("support.ledgers",)


@pytest.fixture
def scribe(ledger: Ledger) -> Scribe:
    scribe = Scribe(ledger)
    scribe.create()
    return scribe


def told(scribe: Scribe, now_ms: int) -> list[str]:
    """Returns the amounts left in the grants that are told of now."""
    before = len(rows(scribe.ledger, schema.events))
    tell_expiring(scribe.ledger, now_ms)
    new = rows(scribe.ledger, schema.events)[before:]
    assert {row.type for row in new} <= {"grant.expiring"}
    return [json.loads(row.data)["left_nanos"] for row in new]


def test_a_grant_is_told_of_once_in_its_last_week(scribe: Scribe) -> None:
    scribe.grant(10, expires_at_ms=JANUARY + 10 * DAY)
    scribe.grant(20, expires_at_ms=JANUARY + 30 * DAY)
    scribe.grant(30)
    scribe.flush()
    assert told(scribe, JANUARY + 3 * DAY - 1) == []
    assert told(scribe, JANUARY + 3 * DAY) == ["10"]
    assert told(scribe, JANUARY + 4 * DAY) == []
    assert told(scribe, JANUARY + 29 * DAY) == ["20"]


def test_nothing_is_told_of_a_grant_that_is_used_up_or_has_expired(scribe: Scribe) -> None:
    scribe.grant(10, expires_at_ms=JANUARY + 10 * DAY)
    scribe.debit(10)
    scribe.grant(10, expires_at_ms=JANUARY + 2 * DAY)
    scribe.flush()
    assert told(scribe, JANUARY + 2 * DAY) == []


def test_a_test_clock_tells_how_near_expiry_is(ledger: Ledger) -> None:
    scribe = Scribe(ledger)
    scribe.create(clock=JANUARY)
    scribe.grant(10, expires_at_ms=JANUARY + 10 * DAY)
    scribe.flush()
    assert told(scribe, JANUARY + 9 * DAY) == []
    scribe.advance_clock(JANUARY + 3 * DAY)
    scribe.flush()
    assert told(scribe, JANUARY) == ["10"]
