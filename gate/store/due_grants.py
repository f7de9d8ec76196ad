"""Brings an account's grants into the present, where another script waits for that."""

from typing import Final

from gate.store.connections import Reply
from gate.store.contracts import ProcessDueGrantsArguments
from gate.store.keys import call_keys
from gate.store.script_runner import ScriptRunner

# How often a script is run before a caller is told to come back: once, and once more for each of
# what may have kept the script from running (an absent account, another epoch, due grants).
ATTEMPTS: Final = 4


async def process_due_grants(
    runner: ScriptRunner,
    shard: int,
    account_id: str,
    epoch: int,
) -> list[Reply]:
    """Begins and expires the grants whose time has come (gate/lua/upkeep/process_due_grants.lua).

    Returns the script's reply: `ok` with how many grants, `absent`, or `stale`. Errors of the
    runner are raised.
    """
    name = "process_due_grants"
    return await runner.run(
        name,
        shard,
        call_keys(name, shard, account_id),
        ProcessDueGrantsArguments(epoch, due_member=account_id),
    )
