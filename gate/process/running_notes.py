"""Notes of running processes: what each goes by, for `creditgate config` and operators' commands.

A note is a file in `<data_dir>/running`, locked as long as the process runs. So a crash leaves no
note that is believed.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import structlog

from gate.process.data_dir import DataDirLock, make_private_dir
from gate.settings import EMBEDDED, Settings, SettingsError, effective, env_name

_log = structlog.get_logger(__name__)


class RunningProcess(NamedTuple):
    """Says by which settings a process runs: values by variable, with secrets masked."""

    command: str
    pid: int
    values: dict[str, str]


@contextmanager
def noted(command: str, settings: Settings) -> Iterator[None]:
    """Keeps a note of this process during the block.

    Where the data directory cannot be written, as in a read-only container, the process runs
    without a note.
    """
    lock = None
    try:
        lock = _write_note(command, settings)
    except OSError as error:
        _log.info("no_note_of_this_process", error=str(error))
    try:
        yield
    finally:
        if lock is not None:
            lock.path.unlink(missing_ok=True)
            lock.close()


def running_processes(data_dir: Path) -> list[RunningProcess]:
    """Returns the processes that run by this data directory, and were noted."""
    found = []
    for path in sorted(_folder(data_dir).glob("*.json")):
        # A note may go away meanwhile, or be somebody else's.
        with suppress(OSError, ValueError):
            if _is_held(path):
                note = json.loads(path.read_text())
                found.append(RunningProcess(**note))
    return found


def with_running_store(settings: Settings) -> Settings:
    """Returns the settings with the store of the `creditgate up` that runs on the data directory.

    Other settings than the embedded store's stay as they are. Raises SettingsError if no
    `creditgate up` runs there.
    """
    if settings.redis_url != EMBEDDED:
        return settings
    for process in running_processes(settings.data_dir):
        if process.command == "up":
            values = process.values
            store = {
                "redis_url": values[env_name("redis_url")],
                "redis_name": values[env_name("redis_name")],
            }
            return settings.model_copy(update=store)
    problem = (
        f"{env_name('redis_url')}={EMBEDDED!r}: no `creditgate up` runs on {settings.data_dir};"
        " start it, or give the URL of a Redis"
    )
    raise SettingsError([problem])


def _folder(data_dir: Path) -> Path:
    return data_dir / "running"


def _write_note(command: str, settings: Settings) -> DataDirLock:
    folder = _folder(settings.data_dir)
    make_private_dir(folder)
    _remove_stale(folder)
    pid = os.getpid()
    lock = DataDirLock(folder / f"{command}-{pid}.json")
    lock.acquire()
    values = {setting.env_name: setting.value for setting in effective(settings)}
    lock.note(json.dumps(RunningProcess(command, pid, values)._asdict()))
    return lock


def _remove_stale(folder: Path) -> None:
    """Removes what killed processes have left."""
    for path in folder.glob("*.json"):
        with suppress(OSError):
            if not _is_held(path):
                path.unlink()


def _is_held(path: Path) -> bool:
    lock = DataDirLock(path)
    try:
        return not lock.acquire()
    finally:
        lock.close()
