"""Keeps the data directory, with the locks by which a directory has at most one owner."""

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gate.process.child import StartupError
from gate.settings import env_name

OWN_KEYS = ("voucher_key", "webhook_key")  # settings that `creditgate up` makes values for
_LEAST_FREE_BYTES = 1 << 20  # an empty ledger and a store's first files


class DataDirLock:
    """Locks a file exclusively, until the last process that inherited `fd` has ended.

    The kernel keeps the lock, so a crash leaves nothing stale, and a survivor of a crash cannot be
    overlooked.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def acquire(self) -> bool:
        """Returns whether the lock is now ours; never waits."""
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def note(self, text: str) -> None:
        """Leaves a text for others who find the lock taken. Call with the lock held."""
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, text.encode(), 0)

    def read_note(self) -> str:
        """Returns the text that the holder left, or an empty text."""
        return os.pread(self.fd, 4096, 0).decode()

    def close(self) -> None:
        """Lets the lock go, unless a child still holds the lock."""
        os.close(self.fd)


def make_private_dir(path: Path) -> None:
    """Creates a directory, with parents, for our user only; an existing one keeps its mode."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def key_file(data_dir: Path, setting: str) -> Path:
    """Returns where `creditgate up` keeps a key that it makes if none is set: `voucher.key`."""
    return data_dir / setting.replace("_", ".")


def require_space(path: Path) -> None:
    """Raises OSError if what is always written at a start has no room at the path."""
    found = os.statvfs(path)
    if found.f_bavail * found.f_frsize < _LEAST_FREE_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


@contextmanager
def usable_data_dir(path: Path) -> Iterator[None]:
    """Raises StartupError, which tells what to do, where the block cannot use the directory."""
    try:
        yield
    except OSError as error:
        at = error.filename or path
        raise StartupError(
            f"cannot use the data directory {path}: {error.strerror or error} ({at})"
            f"{_owner_of(path)}; mend that, or choose another {env_name('data_dir')}"
        ) from None


def _owner_of(path: Path) -> str:
    """Tells to whom the directory belongs, if it is somebody else's."""
    try:
        owner = path.stat().st_uid
    except OSError:
        return ""
    if owner == os.geteuid():
        return ""
    return f"; it belongs to user {owner}, and this is user {os.geteuid()}"


def kept_secret(path: Path) -> str:
    """Returns the secret in a file, made when first asked for and readable by our user only.

    Call with the directory's lock held.
    """
    if not path.exists():
        _make_secret(path)
    return path.read_text()


def _make_secret(path: Path) -> None:
    made = path.with_suffix(".new")
    _write_synced(made, secrets.token_hex(32))
    made.replace(path)
    _sync_dir(path.parent)


def _write_synced(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)  # a file that a crash has left would keep its mode
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(fd)


def _sync_dir(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
