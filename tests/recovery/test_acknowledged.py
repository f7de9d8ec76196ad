"""A store that has lost what it had acknowledged, before the ledger had it: told, and no usage of
lost holds is given away.
"""

from collections.abc import Iterator

import pytest

from gate.hold_ids import new_hold_id
from gate.store.keys import shard_of
from gate.v1.gate_pb2 import ALLOWED
from support.fault_stack import CREDIT, SHARDS, FaultStack, code_of, open_fault_stack


@pytest.fixture(scope="module")
def fault_stack() -> Iterator[FaultStack]:
    """With a Valkey that comes back as of its last SAVE, as a replica with a lag does."""
    with open_fault_stack(gates=1, durable=False) as fault_stack:
        yield fault_stack


def test_acknowledged_entries_that_are_lost_are_counted_and_lost_holds_are_charged_late(
    fault_stack: FaultStack,
) -> None:
    account = fault_stack.open("100")
    shard = shard_of(account, SHARDS)
    neighbour = fault_stack.open("10", shard=shard)
    fault_stack.debit(account, 5 * CREDIT)
    settled = fault_stack.authorize(account, CREDIT).hold_id
    fault_stack.debit(account, CREDIT, hold_id=settled)
    assert fault_stack.entries(account)
    before = fault_stack.position(account)
    fault_stack.stack.flushers[0].kill()
    kept = fault_stack.authorize(account, CREDIT).hold_id
    fault_stack.redis.save()
    fault_stack.debit(account, 10 * CREDIT)
    lost = fault_stack.authorize(account, 3 * CREDIT).hold_id
    fault_stack.stack.valkey.kill()
    fault_stack.stack.valkey.start()
    fault_stack.stack.flushers[0].start()

    balance, _ = fault_stack.until_answered(lambda: fault_stack.balance(account))
    assert (balance.remaining_nanos, balance.held_nanos) == (94 * CREDIT, CREDIT)
    assert fault_stack.metric("creditgate_acknowledged_lost_total") == 2
    assert fault_stack.position(account).epoch == before.epoch + 1

    reply = fault_stack.debit(account, 2 * CREDIT, hold_id=lost, request_id="of-lost")
    assert (reply.decision, reply.charged_nanos, reply.late) == (ALLOWED, 2 * CREDIT, True)
    again = fault_stack.debit(account, 2 * CREDIT, hold_id=lost, request_id="of-lost")
    assert (again.replayed, again.charged_nanos) == (True, 2 * CREDIT)
    reply = fault_stack.debit(account, CREDIT, hold_id=kept)
    assert (reply.charged_nanos, reply.late) == (CREDIT, False)
    for unknown in (settled, new_hold_id("", lambda: 4e9), "no-hold"):
        code, _ = code_of(lambda hold=unknown: fault_stack.debit(account, CREDIT, hold_id=hold))  # type: ignore[misc]
        assert code == "NOT_FOUND"
    assert fault_stack.balance(account).remaining_nanos == 91 * CREDIT
    assert fault_stack.balance(neighbour).remaining_nanos == 10 * CREDIT
    late = fault_stack.entries(account)[1]
    assert (late.late, late.incurred) == (True, True)
    assert not fault_stack.findings(account)
