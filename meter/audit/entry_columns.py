"""The rule of an entry's columns: all columns say what the effect line says."""

from collections.abc import Iterator

from meter.audit.entry import LedgerEntry
from meter.journal.effect import Effect
from meter.journal.kinds import Kind
from meter.ledger.entries import burned_parts, overage_of


def check_columns(entry: LedgerEntry) -> Iterator[str]:
    """Yields columns that differ from the effect line, and usage lines that miss the charge."""
    for name, value in _due_columns(entry.effect).items():
        column = getattr(entry, name)
        if column != value:
            yield f"{entry.id}: {name} is {column}, its effect line says {value}"
    yield from _check_burned(entry)
    yield from _check_usage(entry)


def _due_columns(effect: Effect) -> dict[str, object]:
    return {
        "kind": effect.kind.name,
        "occurred_at_ms": effect.at_ms,
        "usage_day": effect.usage_day,
        "amount_nanos": effect.balance_delta,
        "balance_nanos": effect.after().remaining,
        "held_nanos": effect.held_delta,
        "shortfall_nanos": effect.shortfall,
        "grace_nanos": effect.grace,
        "overage_nanos": overage_of(effect),
        "hold_id": effect.hold_id,
        "late": effect.flags.late,
        "incurred": effect.flags.incurred,
    }


def _check_usage(entry: LedgerEntry) -> Iterator[str]:
    """Yields a finding if the usage lines of a debit do not add up to its charge."""
    if entry.kind != Kind.DEBIT.name:
        return
    charged = sum(nanos for _, _, nanos in entry.usage)
    if charged != -entry.amount_nanos:
        yield (
            f"{entry.id}: its usage lines add up to {charged} nanos,"
            f" it charged {-entry.amount_nanos}"
        )


def check_shard(entry: LedgerEntry, shard: int) -> Iterator[str]:
    """Yields a finding if the entry is not in the journal of the account's shard."""
    if entry.shard != shard:
        yield f"{entry.id}: is of another shard than the account, which is in {shard}"


def _check_burned(entry: LedgerEntry) -> Iterator[str]:
    """Compares the parts; a part of 0 nanos only names the grant that the entry is about."""
    parts = burned_parts(entry.effect, subject=None)
    expected = tuple((part.grant, part.amount) for part in parts if part.amount)
    burned = tuple((grant, nanos) for grant, nanos in entry.burned if nanos)
    if burned != expected:
        yield f"{entry.id}: burned is {burned}, its effect line says {expected}"
