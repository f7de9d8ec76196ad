"""What is judged of a shard, for every pair of what the ledger knows and what the store holds."""

import pytest

from meter.journal.entry import Position
from meter.journal.owner import FORM, Owner
from meter.ledger.shard_state import (
    LedgerShard,
    ShardState,
    StoredShard,
    StoreName,
    judge,
    refused_store,
)

HERE = "redis:6379/0"
OURS = Owner("ledger-1", "store-1")


def known(position: str, store_id: str = "store-1", name: str = HERE) -> LedgerShard:
    return LedgerShard("ledger-1", Position.from_id(position), StoreName(store_id, name))


def found(
    end: str | None = None, flushed: str | None = None, owner: Owner | None = OURS
) -> StoredShard:
    return StoredShard(
        owner,
        end=Position.from_id(end) if end else None,
        flushed=Position.from_id(flushed) if flushed else None,
    )


EMPTY = found(owner=None)


@pytest.mark.parametrize(
    ("ledger", "store", "state"),
    [
        pytest.param(known("1-0", "", ""), EMPTY, ShardState.NEW, id="nothing anywhere"),
        pytest.param(known("1-0"), EMPTY, ShardState.NEW, id="claimed, and not opened yet"),
        pytest.param(known("2-0"), EMPTY, ShardState.NEW, id="begun anew, and not opened yet"),
        pytest.param(known("1-5"), EMPTY, ShardState.LOST, id="our store was emptied"),
        pytest.param(
            known("1-5", name="other:6379/0"), EMPTY, ShardState.FOREIGN, id="another, empty store"
        ),
        pytest.param(
            known("1-0", name="other:6379/0"), EMPTY, ShardState.FOREIGN, id="another claimed first"
        ),
        pytest.param(
            known("1-0", "", ""),
            found("1-9", "1-3", Owner("ledger-2", "store-2")),
            ShardState.FOREIGN,
            id="another ledger's store, to a fresh ledger",
        ),
        pytest.param(
            known("1-5"),
            found("1-5", None, Owner("ledger-2", "store-1")),
            ShardState.FOREIGN,
            id="another ledger's store",
        ),
        pytest.param(
            known("1-5"), found("1-5", owner=None), ShardState.FOREIGN, id="a journal of nobody"
        ),
        pytest.param(
            known("1-5"),
            found("1-5", None, OURS._replace(form=FORM + 1)),
            ShardState.OTHER_FORM,
            id="our store, written by a newer version",
        ),
        pytest.param(
            known("1-5"),
            found("1-4", None, OURS._replace(form=FORM - 1)),
            ShardState.OTHER_FORM,
            id="our store, written by an older version, behind",
        ),
        pytest.param(
            known("1-5"),
            found("1-5", None, Owner("ledger-2", "store-2", FORM + 1)),
            ShardState.FOREIGN,
            id="another ledger's store of another form",
        ),
        pytest.param(
            known("1-5"),
            found("1-5", None, Owner("ledger-1", "store-2")),
            ShardState.FOREIGN,
            id="the ledger's former store",
        ),
        pytest.param(
            known("1-0", "", ""), found("1-9"), ShardState.LEDGER_OLDER, id="before the first start"
        ),
        pytest.param(known("1-5"), found("1-5", "1-5"), ShardState.OPEN, id="all is flushed"),
        pytest.param(known("1-5"), found("1-9", "1-5"), ShardState.OPEN, id="some is not flushed"),
        pytest.param(
            known("1-5"), found("1-9", "1-3"), ShardState.OPEN, id="committed, and not taken away"
        ),
        pytest.param(known("1-5"), found("1-4", "1-3"), ShardState.LOST, id="the store is behind"),
        pytest.param(known("1-5"), found(), ShardState.LOST, id="the journal is gone"),
        pytest.param(
            known("2-0"), found("1-7", "1-6"), ShardState.LOST, id="an epoch begins in the ledger"
        ),
        pytest.param(
            known("1-5"), found("1-9", "1-6"), ShardState.LEDGER_OLDER, id="more was taken away"
        ),
        pytest.param(
            known("1-5"), found("2-2", "2-2"), ShardState.LEDGER_OLDER, id="a whole epoch ahead"
        ),
        pytest.param(
            known("1-5"),
            found("2-0", "2-0"),
            ShardState.LEDGER_OLDER,
            id="an epoch it has not begun",
        ),
        pytest.param(
            known("1-5"), found("2-0", "1-5"), ShardState.AWAITS_FLUSHER, id="fenced by the flusher"
        ),
    ],
)
def test_a_shard_is_in_one_of_a_closed_list_of_states(
    ledger: LedgerShard, store: StoredShard, state: ShardState
) -> None:
    assert judge(ledger, store, HERE) is state


def test_a_foreign_store_is_told_with_both_names() -> None:
    other = found("1-5", None, Owner("ledger-2", "store-2"))
    told = refused_store(known("1-5"), other, HERE)
    assert "ledger-1" in told
    assert "ledger-2" in told
    assert HERE in told
    told = refused_store(known("1-5", name="there:1/0"), EMPTY, HERE)
    assert "store-1 at there:1/0" in told
    assert f"{HERE} is empty" in told
    assert "creditgate adopt" in told
