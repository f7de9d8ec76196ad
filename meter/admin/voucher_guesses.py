"""Counts the voucher codes that an account tried in vain; too many make the account wait."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from meter.database.admin_schema import voucher_guesses
from meter.database.engine import upsert
from meter.errors import ResourceExhausted
from meter.times import now_ms

FREE_FAILURES = 5  # codes that may be tried in vain before the account has to wait
FIRST_PAUSE_MS = 60_000  # doubled by each failure that follows
LONGEST_PAUSE_MS = 3_600_000
QUIET_MS = 600_000  # after the end of the last pause: without a failure, all failures are forgotten

_MAX_DOUBLINGS = 16  # by then the pause is the longest; more would make a needlessly large number


@dataclass(frozen=True, slots=True)
class Guesses:
    """Holds the failures of an account in a row, and until when the account has to wait."""

    failures: int
    paused_until_ms: int

    def check(self) -> None:
        """Raises ResourceExhausted during a pause, whatever the code."""
        left_ms = self.paused_until_ms - now_ms()
        if self.failures < FREE_FAILURES or left_ms <= 0:
            return
        seconds = -(-left_ms // 1000)
        raise ResourceExhausted(
            "VOUCHER_GUESSES",
            f"code: too many that were not valid; try again in {seconds} seconds",
            "code",
            retry_after_ms=left_ms,
        )

    def failed(self) -> "Guesses":
        """Returns the guesses after another failure."""
        now = now_ms()
        failures = self.failures + 1
        if now - self.paused_until_ms > QUIET_MS:
            failures = 1
        return Guesses(failures, now + _pause_ms(failures))


def find_guesses(connection: Connection, account_id: str) -> Guesses:
    """Returns the account's guesses; an account that never failed has none."""
    query = select(voucher_guesses).where(voucher_guesses.c.account_id == account_id)
    row = connection.execute(query).first()
    if row is None:
        return Guesses(failures=0, paused_until_ms=0)
    return Guesses(row.failures, row.paused_until_ms)


def store_guesses(
    connection: Connection,
    account_id: str,
    guesses: Guesses,
) -> None:
    """Stores the account's guesses in place of the guesses before."""
    values = {
        "failures": guesses.failures,
        "paused_until_ms": guesses.paused_until_ms,
    }
    statement = upsert(connection.dialect.name, voucher_guesses).values(
        account_id=account_id, **values
    )
    connection.execute(
        statement.on_conflict_do_update(index_elements=["account_id"], set_=values),
    )


def _pause_ms(failures: int) -> int:
    doublings = failures - FREE_FAILURES
    if doublings < 0:
        return 0
    pause_ms = FIRST_PAUSE_MS << min(doublings, _MAX_DOUBLINGS)
    return min(LONGEST_PAUSE_MS, pause_ms)
