"""Runs the store, the flusher, the gate and billing as children of one small process.

`creditgate up` runs them all; `creditgate serve --workers` runs several gates on one address.
"""

import asyncio
import os
import sys
import sysconfig
from collections.abc import Coroutine, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog
from pydantic import SecretStr

from gate.access.exposure import require_closed_door
from gate.address import Address
from gate.process.child import ChildSpec, StartupError
from gate.process.child_metrics import ChildMetrics
from gate.process.child_specs import (
    GRACE_S,
    child_environment,
    gate_children,
    own_children,
    without_billing_secrets,
)
from gate.process.data_dir import (
    OWN_KEYS,
    DataDirLock,
    kept_secret,
    key_file,
    make_private_dir,
    require_space,
    usable_data_dir,
)
from gate.process.embedded_valkey import open_store
from gate.process.metrics_server import metrics_server
from gate.process.port_reservation import reserve_port
from gate.process.running_notes import noted
from gate.process.supervisor import Supervisor
from gate.setting_forms import sqlite_url
from gate.settings import EMBEDDED, Settings, env_name

_POLL_S = 0.05

_log = structlog.get_logger(__name__)


def up(settings: Settings) -> int:
    """Runs everything until SIGTERM or SIGINT, and returns the exit status.

    The caller has configured logging.
    """
    return _run(_up(settings))


def serve(settings: Settings) -> int:
    """Runs the gate alone, as the workers that the settings ask for; returns the exit status."""
    return _run(_serve(settings))


def _run(running: Coroutine[object, object, int]) -> int:
    try:
        return asyncio.run(running)
    except StartupError as failure:
        print(f"creditgate: {failure}", file=sys.stderr)
        return 1


async def _up(settings: Settings) -> int:
    require_closed_door(settings, "listen")
    require_closed_door(settings, "billing_listen")
    require_closed_door(settings, "http_listen")
    require_closed_door(settings, "billing_http_listen")
    with ExitStack() as opened:
        with usable_data_dir(settings.data_dir):
            make_private_dir(settings.data_dir)
            require_space(settings.data_dir)
            _claim(settings.data_dir, opened)
            settings = _with_own_keys(settings)
            settings = _with_payments(settings)
            children_lock = await _outlive_earlier_children(settings, opened)
            _reserve_gate_port(settings, opened)
            _check_port(settings.billing_listen, "billing_listen")
            metrics = _serve_children_metrics(settings, settings.data_dir, opened)
            settings, specs = await _own_store(settings, opened)
            opened.enter_context(noted("up", settings))
        environment = child_environment(settings, metrics)
        store_names = [spec.name for spec in specs]
        specs += own_children(settings, environment, store_names, children_lock.fd)
        return await _supervise(specs, _announcement(settings), metrics)


async def _own_store(
    settings: Settings,
    opened: ExitStack,
) -> tuple[Settings, list[ChildSpec]]:
    """Returns the embedded store as a child, with the settings that lead to the store.

    No child, and the settings as they are, if the store is somebody else's.
    """
    if settings.redis_url != EMBEDDED:
        return settings, []
    store = await open_store(settings)
    opened.callback(store.close)
    embedded = {"redis_url": store.url, "redis_name": _store_name(settings)}
    return settings.model_copy(update=embedded), [store.child()]


def _store_name(settings: Settings) -> str:
    """Returns what the ledger calls the embedded store.

    A ledger in the data directory has no other store, wherever the directory is moved or restored.
    """
    if settings.redis_name:
        return settings.redis_name
    if settings.ledger_url.startswith(f"{sqlite_url(settings.data_dir)}/"):
        return EMBEDDED
    return f"{EMBEDDED} in {settings.data_dir}"


async def _serve(settings: Settings) -> int:
    settings.shared_redis_url()
    require_closed_door(settings, "listen")
    with ExitStack() as opened:
        folder = Path(opened.enter_context(TemporaryDirectory(prefix="creditgate-")))
        _reserve_gate_port(settings, opened)
        opened.enter_context(noted("serve", settings))
        metrics = _serve_children_metrics(settings, folder, opened)
        environment = without_billing_secrets(child_environment(settings, metrics))
        specs = gate_children(settings, environment)
        announcement = f"creditgate gate ready: grpc {settings.listen}, workers {settings.workers}"
        return await _supervise(specs, announcement, metrics)


async def _supervise(
    specs: Sequence[ChildSpec],
    announcement: str,
    metrics: ChildMetrics | None,
) -> int:
    on_end = None
    if metrics is not None:
        on_end = metrics.count_end
    return await Supervisor(specs, announcement, on_end).run()


def _claim(data_dir: Path, opened: ExitStack) -> None:
    lock = DataDirLock(data_dir / "up.lock")
    opened.callback(lock.close)
    if not lock.acquire():
        raise _already_runs(data_dir, lock.read_note())
    lock.note(str(os.getpid()))


def _already_runs(data_dir: Path, process: str) -> StartupError:
    return StartupError(
        f"`creditgate up` already runs on {data_dir} (process {process}):"
        f" stop it first, or choose another {env_name('data_dir')}"
    )


def _with_own_keys(settings: Settings) -> Settings:
    """Returns the settings with the data directory's own keys, where no key is set.

    The keys must outlive the voucher codes and the secrets of webhooks that were made with them, so
    the data directory keeps them.
    """
    missing = [name for name in OWN_KEYS if getattr(settings, name) is None]
    kept = {name: SecretStr(kept_secret(key_file(settings.data_dir, name))) for name in missing}
    return settings.model_copy(update=kept)


def _with_payments(settings: Settings) -> Settings:
    """Returns the settings with simulated payments, if nobody is said to take money.

    Who tries the product has no account at a payment provider yet.
    """
    if settings.payments is not None:
        return settings
    return settings.model_copy(update={"payments": "test"})


async def _outlive_earlier_children(
    settings: Settings,
    opened: ExitStack,
) -> DataDirLock:
    """Returns the lock that our own children hold, once no child of an earlier run holds the lock.

    A child of an earlier run whose supervisor was killed is still draining. StartupError if such a
    child outlasts the drain timeout.
    """
    lock = DataDirLock(settings.data_dir / "children.lock")
    opened.callback(lock.close)
    if not lock.acquire():
        patience_s = settings.drain_timeout_ms / 1000 + GRACE_S
        await _wait_for_lock(lock, settings.data_dir, patience_s)
    return lock


async def _wait_for_lock(
    lock: DataDirLock,
    data_dir: Path,
    patience_s: float,
) -> None:
    _log.warning(
        "waiting_for_children_of_an_earlier_run",
        data_dir=str(data_dir),
        at_most_s=patience_s,
    )
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_s
    while not lock.acquire():
        if loop.time() > deadline:
            raise StartupError(f"a process of an earlier run on {data_dir} does not end: kill it")
        await asyncio.sleep(_POLL_S)


def _reserve_gate_port(settings: Settings, opened: ExitStack) -> None:
    """Reserves the address that several workers share; checks the address of a single gate."""
    if settings.workers > 1:
        opened.enter_context(reserve_port(settings.listen, "listen"))
    else:
        _check_port(settings.listen, "listen")


def _check_port(address: Address, setting: str) -> None:
    """Raises StartupError if somebody else has the TCP address.

    Without this check a child would die again and again.
    """
    if not address.path:
        with reserve_port(address, setting):
            pass


def _serve_children_metrics(
    settings: Settings,
    directory: Path,
    opened: ExitStack,
) -> ChildMetrics | None:
    """Serves the metrics of all children together; returns None if no metrics are wanted."""
    if settings.metrics_listen is None:
        return None
    metrics = ChildMetrics(directory / "metrics")
    opened.enter_context(metrics_server(settings.metrics_listen, metrics.registry))
    return metrics


def _announcement(settings: Settings) -> str:
    metrics = "none"
    if settings.metrics_listen is not None:
        metrics = settings.metrics_listen.http_url("/metrics")
    http = ""
    if settings.http_listen is not None:
        http = f" http {settings.http_listen.http_url('/v1')},"
    ready = (
        f"creditgate ready: grpc {settings.listen}, billing {settings.billing_listen},{http}"
        f" metrics {metrics}, data {settings.data_dir}"
    )
    return f"{ready}\n{_in_another_terminal()}"


def _in_another_terminal() -> str:
    """Tells how the command is found in a terminal in which no environment is activated."""
    scripts = Path(sysconfig.get_path("scripts"))
    activate = scripts / "activate"
    if activate.is_file():
        return f"in another terminal: . {activate}   # then `creditgate --help`"
    return f"in another terminal: {scripts / 'creditgate'} --help"
