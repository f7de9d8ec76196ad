"""Takes one account over from the store, within the caller's transaction."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, delete, insert, select, update

from meter.admin.accounts import AccountRow, lock_account, settings_columns
from meter.admin.budgets import keep_recorded_budget
from meter.admin.opening import FIRST_SEQ, open_account
from meter.admin.recording import insert_operation
from meter.database.schema import accounts, grants, open_holds, operations
from meter.journal.applied_settings import Settings
from meter.journal.effect_codec import encode_effect
from meter.journal.entry import Position
from meter.journal.operations import (
    AdvanceClock,
    Create,
    DeleteBudget,
    GrantCredits,
    Operation,
    SetBudget,
    Update,
)
from meter.ledger.entries import insert_entries
from meter.ledger.journal_records import JournalRecord
from meter.ledger.projections.projector import Projector
from meter.ledger.projections.snapshot import AccountSnapshot, GrantLeft, snapshot_of
from meter.ledger.projections.usage import UsageProjection
from meter.ledger.reconciliation.difference import (
    FoundAccount,
    Irreconcilable,
    goes_back,
    is_same,
)
from meter.ledger.reconciliation.lost_operations import lost_operations
from meter.ledger.reconciliation.taken_over import (
    GrantSums,
    TakenOver,
    keep_taken_over,
)
from meter.ledger.reconciliation.telling import Telling, Told
from meter.ledger.reconciliation.windows import take_windows

_GRANT_STATES = {"p": "SCHEDULED", "a": "LIVE"}


def take_over(
    connection: Connection,
    shard: int,
    last: Position,
    found: FoundAccount,
    now_ms: int,
) -> Position:
    """Writes what the ledger lacks of the account, behind the position `last` of the shard.

    Returns the position of the last entry written; `last`, if nothing was. Raises Irreconcilable.
    """
    wanted = found.snapshot
    at_ms = now_ms
    if wanted.test_clock_ms is not None:
        at_ms = wanted.test_clock_ms
    known = _known(connection, shard, wanted)
    if is_same(known, wanted) or goes_back(known, wanted):
        return last
    account = lock_account(connection, wanted.account_id)
    pending = _applied_since(connection, account, wanted)
    lost = lost_operations(account, known, pending, wanted, at_ms)
    recorded = lost.operations(wanted.account_id)
    _record(connection, account, recorded)
    told = list(Telling(known, wanted, at_ms).tell([*pending, *recorded], lost.started))
    records = _records(shard, last, wanted.account_id, told)
    _post(connection, records)
    taken_over = _take_state(connection, found, known)
    keep_taken_over(connection, shard, [(records[-1].position, taken_over)])
    return records[-1].position


def _known(connection: Connection, shard: int, wanted: AccountSnapshot) -> AccountSnapshot:
    """Returns the account as the ledger has it; an unknown account is opened."""
    known = snapshot_of(connection, wanted.account_id)
    if known is None:
        change = Create(
            currency=wanted.currency,
            overage_protection_nanos=wanted.state.overage,
            daily_limit_nanos=wanted.state.daily_limit,
            test_clock_ms=wanted.test_clock_ms,
        )
        number = f"reconciled {FIRST_SEQ}"
        operation = Operation(wanted.account_id, FIRST_SEQ, number, change)
        open_account(connection, operation, change, shard)
        known = snapshot_of(connection, wanted.account_id)
        assert known is not None, "the account was opened"
    return known


def _applied_since(
    connection: Connection,
    account: AccountRow,
    wanted: AccountSnapshot,
) -> list[Operation]:
    """Returns the recorded operations that the store has applied, and the ledger not yet."""
    query = (
        select(operations.c.body)
        .where(
            operations.c.account_id == account.account_id,
            operations.c.seq > account.applied_op,
            operations.c.seq <= wanted.applied_op,
        )
        .order_by(operations.c.seq)
    )
    return [Operation.from_json(body) for body in connection.scalars(query)]


def _record(
    connection: Connection,
    account: AccountRow,
    recorded: Iterable[Operation],
) -> None:
    """Records the operations made up, with what follows from each for what is recorded."""
    columns: dict[str, object] = {}
    granted_nanos = account.granted_nanos
    for operation in recorded:
        insert_operation(connection, operation)
        columns["recorded_op"] = operation.seq
        match operation.change:
            case GrantCredits(amount_nanos=nanos):
                granted_nanos += nanos
            case Update() as change:
                columns |= settings_columns(change)
            case AdvanceClock(time_ms=time_ms):
                columns["test_clock_ms"] = time_ms
            case SetBudget() | DeleteBudget() as change:
                keep_recorded_budget(connection, account.account_id, change)
    if columns:
        own = accounts.c.account_id == account.account_id
        columns["granted_nanos"] = granted_nanos
        connection.execute(update(accounts).where(own).values(columns))


def _records(
    shard: int,
    last: Position,
    account_id: str,
    told: Iterable[Told],
) -> list[JournalRecord]:
    records = []
    for seq, (effect, description, operation) in enumerate(told, last.seq + 1):
        request_id = None
        if operation is not None:
            request_id = operation.request_id
        record = JournalRecord(
            shard,
            Position(last.epoch, seq),
            account_id,
            request_id,
            effect,
            encode_effect(effect),
            description=description,
            operation=operation,
        )
        records.append(record)
    return records


def _post(connection: Connection, records: Sequence[JournalRecord]) -> None:
    """Writes the entries, and all projections as far as entries tell them."""
    insert_entries(connection, records)
    projector = Projector(connection, records)
    usage = UsageProjection(connection)
    for record in records[:-1]:
        projector.apply(record)
        usage.apply(record)
    projector.save()
    usage.save()


def _take_state(
    connection: Connection,
    found: FoundAccount,
    known: AccountSnapshot,
) -> TakenOver:
    """Sets the projections to what the store has, and returns that."""
    wanted = found.snapshot
    settings = Settings(
        wanted.spend_management, wanted.levels, wanted.graces, wanted.graces_begun
    ).to_json()
    taken_over = TakenOver(
        sums_before=known.state.encode(),
        grants=_take_grants(connection, wanted),
        overage_left=wanted.overage_left,
        overage_held=wanted.overage_held,
        holds=found.holds,
        windows=take_windows(connection, found),
        settings=settings,
    )
    _replace_holds(connection, found, wanted.account_id)
    own = accounts.c.account_id == wanted.account_id
    values = {
        "applied_op": wanted.applied_op,
        "applied_status": wanted.status,
        "applied_clock_ms": wanted.test_clock_ms,
        "applied_settings": settings,
        "remaining_nanos": wanted.state.remaining,
        "held_nanos": wanted.state.held,
        "day": wanted.day,
        "state": wanted.state.encode(),
    }
    connection.execute(update(accounts).where(own).values(values))
    return taken_over


def _take_grants(connection: Connection, wanted: AccountSnapshot) -> tuple[GrantSums, ...]:
    """Divides what each grant has into left and held, as the store does."""
    in_store = {grant.number: grant for grant in wanted.grants}
    columns = (grants.c.number, grants.c.state, grants.c.left_nanos, grants.c.held_nanos)
    sums = (grants.c.spent_nanos, grants.c.expired_nanos, grants.c.voided_nanos)
    of_account = grants.c.account_id == wanted.account_id
    query = select(*columns, *sums).where(of_account).order_by(grants.c.number)
    taken = []
    for row in connection.execute(query):
        grant = _grant_sums(wanted.account_id, GrantSums(*row), in_store.get(row.number))
        own = of_account & (grants.c.number == grant.number)
        values = {"state": grant.state, "left_nanos": grant.left, "held_nanos": grant.held}
        connection.execute(update(grants).where(own).values(values))
        taken.append(grant)
    return tuple(taken)


def _grant_sums(
    account_id: str,
    stored: GrantSums,
    found: GrantLeft | None,
) -> GrantSums:
    left = held = 0
    if found is not None:
        left, held = found.left, found.held
    if left + held != stored.left + stored.held:
        raise Irreconcilable(account_id, f"grant {stored.number} does not add up")
    return stored._replace(left=left, held=held, state=_grant_state(stored, found))


def _grant_state(stored: GrantSums, found: GrantLeft | None) -> str:
    if found is not None and found.state in _GRANT_STATES:
        return _GRANT_STATES[found.state]
    if stored.state not in ("LIVE", "SCHEDULED"):
        return stored.state
    if found is not None or stored.expired:
        return "EXPIRED"
    return "EXHAUSTED"


def _replace_holds(connection: Connection, found: FoundAccount, account_id: str) -> None:
    own = open_holds.c.account_id == account_id
    times = select(open_holds.c.hold_id, open_holds.c.authorized_at_ms).where(own)
    authorized = {row.hold_id: row.authorized_at_ms for row in connection.execute(times)}
    connection.execute(delete(open_holds).where(own))
    for hold in found.holds:
        row = {name: getattr(hold, name) for name in hold.__dataclass_fields__}
        # The store does not tell when a hold was placed.
        placed_ms = authorized.get(hold.hold_id, hold.expires_ms)
        row |= {"account_id": account_id, "authorized_at_ms": placed_ms}
        connection.execute(insert(open_holds), row)
