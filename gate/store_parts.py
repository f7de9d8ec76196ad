"""Builds what a process needs to use the store, for the gate and for billing alike."""

from contextlib import AsyncExitStack
from functools import partial
from typing import NamedTuple

from gate.metrics import GateMetrics
from gate.setting_texts import masked
from gate.settings import Settings
from gate.store.account_scripts import AccountScripts
from gate.store.calls import Store
from gate.store.connections import Connection, Connections, Endpoint, NewConnection
from gate.store.errors import CommandFailed, NoRedis, RedisUnavailable
from gate.store.expiry import Expiry
from gate.store.flush_barrier import FlushBarrier
from gate.store.inspection import Inspection
from gate.store.redis_server import prepare_server
from gate.store.replicated_connection import ReplicatedConnection
from gate.store.restore import Restorer
from gate.store.script_runner import ScriptRunner
from gate.store.shards import Shards
from meter.admin.recorder import OperationRecorder
from meter.database.engine import Ledger
from meter.ledger.positions import Positions


class StoreParts(NamedTuple):
    """Holds the connected parts of the store in a process."""

    connections: Connections
    shards: Shards
    operations: OperationRecorder
    restorer: Restorer
    store: Store
    expiry: Expiry
    inspection: Inspection
    barrier: FlushBarrier


async def open_store_parts(
    settings: Settings,
    ledger: Ledger,
    metrics: GateMetrics,
    opened: AsyncExitStack,
    *,
    begins_epochs: bool,
) -> StoreParts:
    """Connects to the store and opens every shard that may be opened now.

    LedgerError if the store is not the ledger's own.
    """
    connections = _new_connections(settings, decides=begins_epochs)
    runner = ScriptRunner(connections, metrics)
    shards = Shards(
        settings.shards,
        connections,
        runner,
        Positions(ledger),
        metrics,
        settings.store_name(),
        begins_epochs=begins_epochs,
    )
    await _open(connections, settings)
    opened.push_async_callback(connections.close)
    await shards.verify_all()
    shards.require_own_store()
    operations = OperationRecorder(ledger)
    restorer = Restorer(
        connections,
        runner,
        shards,
        ledger,
        operations,
        metrics,
        settings.replay_window_ms,
    )
    scripts = AccountScripts(runner, shards, restorer)
    store = Store(scripts, settings.replay_window_ms)
    return StoreParts(
        connections,
        shards,
        operations,
        restorer,
        store,
        Expiry(scripts),
        Inspection(connections, runner, shards),
        FlushBarrier(store, shards),
    )


async def _open(connections: Connections, settings: Settings) -> None:
    try:
        await connections.open()
    except (OSError, RedisUnavailable, CommandFailed) as error:
        raise NoRedis(masked(settings.redis_url), error) from None


def _new_connections(settings: Settings, *, decides: bool) -> Connections:
    new_connection: NewConnection = Connection
    if decides and settings.redis_replicas:
        new_connection = partial(ReplicatedConnection, replicas=settings.redis_replicas)
    return Connections(
        Endpoint(settings.shared_redis_url()),
        count=settings.redis_connections,
        timeout_s=settings.redis_timeout_ms / 1000,
        prepare=prepare_server,
        new_connection=new_connection,
    )
