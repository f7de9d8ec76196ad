"""Changes an account's settings as recorded, within the bounds that each setting has."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from meter.admin.accounts import AccountRow
from meter.admin.granting import newest_grant_nanos
from meter.database.errors import AmountOutOfRange, TestClockError
from meter.journal.operations import Change, Create, Update, levels_of
from meter.money import INT64_MAX, SETTING_MAX
from meter.times import timestamp


def changed_settings(
    connection: Connection,
    account: AccountRow,
    changes: Mapping[str, Any],
) -> Update:
    """Returns all settings after the changes, with the levels of the thresholds.

    Raises AmountOutOfRange.
    """
    change = replace(_present_settings(account), **changes)
    check_settings(change, account.granted_nanos)
    newest_nanos = None
    if any(threshold.moves_with_grants for threshold in change.thresholds):
        newest_nanos = newest_grant_nanos(connection, account.account_id)
    levels = levels_of(
        change.thresholds,
        change.daily_limit_nanos,
        newest_nanos,
    )
    return replace(change, levels=levels)


def _present_settings(account: AccountRow) -> Update:
    return Update(
        status=account.status,
        overage_protection_nanos=account.overage_protection_nanos,
        daily_limit_nanos=account.daily_limit_nanos,
        spend_management=account.spend_management,
        levels=(),
        graces=account.graces,
        overage_policy=account.overage_policy,
        thresholds=account.thresholds,
        billing_emails=account.billing_emails,
        alert_emails=account.alert_emails,
    )


def is_same_update(changes: Mapping[str, Any], was: Change) -> bool:
    """Returns whether the recorded change `was` left the settings that are now asked for."""
    if not isinstance(was, Update):
        return False
    return all(getattr(was, name) == value for name, value in changes.items())


def check_settings(settings: Create | Update, granted_nanos: int) -> None:
    """Raises AmountOutOfRange for a setting out of bounds, or sums outside of int64."""
    _check_setting("overage_protection_nanos", settings.overage_protection_nanos)
    _check_setting("daily_limit_nanos", settings.daily_limit_nanos or 0)
    if granted_nanos + settings.overage_protection_nanos > INT64_MAX:
        message = "with all credits ever granted, would leave int64"
        raise AmountOutOfRange("overage_protection_nanos", message)


def _check_setting(name: str, nanos: int) -> None:
    if not 0 <= nanos <= SETTING_MAX:
        raise AmountOutOfRange(name, f"must be 0 to {SETTING_MAX} nanos")


def check_clock(account: AccountRow, time_ms: int) -> None:
    """Raises TestClockError if the account's test clock cannot be set to the time."""
    if account.test_clock_ms is None:
        raise TestClockError(f"account {account.account_id} was not created with a test clock")
    if time_ms < account.test_clock_ms:
        shown = timestamp(account.test_clock_ms).ToJsonString()
        raise TestClockError(f"the test clock shows {shown} already, and never goes back")
