"""Says how each process of Creditgate is started: its command line, environment and place."""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gate.billing_settings import BILLING_SECRETS
from gate.process.child import ChildSpec
from gate.process.child_metrics import ChildMetrics
from gate.settings import PREFIX, Settings, env_name

GRACE_S = 5.0  # on top of the drain timeout, which a child keeps by itself
_SERVING = "serving"  # gates and billing end at the same time; the flusher outlives both


def own_children(
    settings: Settings,
    environment: dict[str, str],
    store: Sequence[str],
    lock_fd: int,
) -> list[ChildSpec]:
    """Returns the children beside the store, in the order in which they start.

    Billing alone gets the secrets of what it sends. The flusher ends last of those that run,
    since a reader of the ledger waits for the flusher.
    """
    others = without_billing_secrets(environment)
    migrate = _child("migrate", ("migrate",), settings, others)
    flusher = _child(
        "flusher",
        ("flush", "--exit-with-parent"),
        settings,
        others,
    )
    billing = _child(
        "billing",
        ("billing", "--exit-with-parent"),
        settings,
        environment,
    )
    serving = gate_children(settings, others)
    lasting = [flusher, replace(billing, stage=_SERVING), *serving]
    after = (*store, "migrate")
    children = [replace(migrate, once=True)]
    children += [replace(child, after=after) for child in lasting]
    return [replace(child, inherited_fds=(lock_fd,)) for child in children]


def without_billing_secrets(environment: dict[str, str]) -> dict[str, str]:
    """Returns the environment of a child that sends nothing: without what only billing may know."""
    secret = {env_name(field) for field in BILLING_SECRETS}
    return {name: value for name, value in environment.items() if name not in secret}


def gate_children(settings: Settings, environment: dict[str, str]) -> list[ChildSpec]:
    words = ("serve", "--exit-with-parent")
    gates = []
    if settings.workers == 1:
        gates.append(_child("gate", words, settings, environment))
    else:
        for number in range(1, settings.workers + 1):
            gate = _child(
                f"gate-{number}",
                (*words, "--worker", str(number)),
                settings,
                environment,
            )
            gates.append(gate)
    return [replace(gate, stage=_SERVING) for gate in gates]


def _child(
    name: str,
    words: tuple[str, ...],
    settings: Settings,
    environment: dict[str, str],
) -> ChildSpec:
    # -P: not a package named `gate` of the working directory
    return ChildSpec(
        name=name,
        argv=(sys.executable, "-P", "-m", "gate.cli", *words),
        environment=environment,
        grace_s=settings.drain_timeout_ms / 1000 + GRACE_S,
    )


def child_environment(
    settings: Settings,
    metrics: ChildMetrics | None,
) -> dict[str, str]:
    """Returns the children's environment: our settings, but for this process's own business."""
    environment = _foreign_environment()
    not_theirs = {"metrics_listen": None, "workers": 1, "token": None}
    childs_settings = settings.model_copy(update=not_theirs)
    environment |= childs_settings.environment()
    if metrics is not None:
        environment |= metrics.environment
    environment["PYTHONPATH"] = _python_path()
    return environment


def _foreign_environment() -> dict[str, str]:
    """Returns the environment variables that are not of Creditgate."""
    dropped = (PREFIX, "PROMETHEUS_MULTIPROC_DIR")
    return {
        name: value for name, value in os.environ.items() if not name.upper().startswith(dropped)
    }


def _python_path() -> str:
    """Returns a search path on which the children find the same package as this process."""
    package_dir = str(Path(__file__).resolve().parent.parent)
    given = os.environ.get("PYTHONPATH")
    if not given:
        return package_dir
    return os.pathsep.join((package_dir, given))
