"""Reads and writes the rules of auto-recharge, and the recharges that the rules opened."""

from dataclasses import asdict, dataclass, replace

from sqlalchemy import Connection, select, tuple_, update

from meter.database.engine import upsert
from meter.database.payments_schema import auto_recharges, recharges
from meter.database.schema import accounts

OFF = "OFF"
ARMED = "ARMED"
CHARGING = "CHARGING"
WAITING = "WAITING"
CONFIRMING = "CONFIRMING"
CAPPED = "CAPPED"
SUSPENDED = "SUSPENDED"
IN_FLIGHT = (CHARGING, WAITING, CONFIRMING)

OPEN = "OPEN"
SUCCEEDED = "SUCCEEDED"
FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class RuleRow:
    """Holds a row of `auto_recharges` (meter/database/payments_schema.py)."""

    account_id: str
    enabled: bool
    threshold_nanos: int
    amount_nanos: int | None
    target_nanos: int | None
    monthly_limit_nanos: int | None
    method_id: str
    version: int
    set_by: str
    set_at_ms: int
    state: str = ARMED
    reason: str = ""
    suspended_fingerprint: str = ""
    retry_at_ms: int | None = None

    def armed(self) -> "RuleRow":
        """Returns the rule ready for the next recharge."""
        return replace(self, state=ARMED, reason="", suspended_fingerprint="", retry_at_ms=None)

    def suspended(self, reason: str, fingerprint: str = "") -> "RuleRow":
        """Returns the rule suspended; `fingerprint` is that of the method that failed."""
        return replace(
            self,
            state=SUSPENDED,
            reason=reason,
            suspended_fingerprint=fingerprint,
            retry_at_ms=None,
        )


@dataclass(frozen=True, slots=True)
class RechargeRow:
    """Holds a row of `recharges` (meter/database/payments_schema.py)."""

    recharge_id: str
    account_id: str
    version: int
    remaining_nanos: int
    amount_nanos: int
    top_up_id: str
    payment_id: str
    opened_at_ms: int
    state: str = OPEN
    closed_at_ms: int = 0


def find_rule(connection: Connection, account_id: str) -> RuleRow | None:
    """Returns the account's rule, or None."""
    query = select(auto_recharges).where(auto_recharges.c.account_id == account_id)
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    return RuleRow(**row)


def store_rule(connection: Connection, rule: RuleRow) -> RuleRow:
    """Writes the rule, and tells the flusher by the account's row which level it watches."""
    values = asdict(rule)
    statement = upsert(connection.dialect.name, auto_recharges).values(values)
    keys = [auto_recharges.c.account_id]
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=values))
    level = None
    if rule.state == ARMED:
        level = rule.threshold_nanos
    watched = update(accounts).where(accounts.c.account_id == rule.account_id)
    connection.execute(watched.values(recharge_below_nanos=level))
    return rule


def open_recharge(connection: Connection, account_id: str) -> RechargeRow | None:
    """Returns the account's recharge that has not ended, or None."""
    query = select(recharges).where(
        recharges.c.account_id == account_id,
        recharges.c.state == OPEN,
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    return RechargeRow(**row)


def close_recharge(connection: Connection, payment_id: str, state: str, now_ms: int) -> None:
    """Records how the payment's recharge ended."""
    statement = update(recharges).where(
        recharges.c.payment_id == payment_id,
        recharges.c.state == OPEN,
    )
    connection.execute(statement.values(state=state, closed_at_ms=now_ms))


def newest_recharges(
    connection: Connection,
    account_id: str,
    limit: int,
    before: tuple[int, str] | None,
) -> list[RechargeRow]:
    """Returns up to `limit` recharges, newest first, older than the place `before`."""
    query = select(recharges).where(recharges.c.account_id == account_id)
    place = (recharges.c.opened_at_ms, recharges.c.recharge_id)
    if before is not None:
        query = query.where(tuple_(*place) < tuple_(*before))
    query = query.order_by(*[column.desc() for column in place]).limit(limit)
    return [RechargeRow(**row) for row in connection.execute(query).mappings()]
