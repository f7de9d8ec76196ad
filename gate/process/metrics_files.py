"""Writes the metrics of a process into files that its supervisor reads.

prometheus_client maps such files into memory, and a mapped file kills its process by SIGBUS when
the disk is full or the file is cut. Here the values live in memory, and are copied into the files
several times a second: what cannot be written is lost, and the process goes on.
"""

import json
import os
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import structlog
from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

_SAVE_S = 0.1
_HEAD_BYTES = 8  # how many bytes are in use, and padding
_HEAD = struct.Struct("i4x")
_LENGTH = struct.Struct("i")
_VALUE = struct.Struct("dd")

log = structlog.get_logger()


class TornFile(Exception):
    """Tells that a file of metrics cannot be read."""


class MetricValue(NamedTuple):
    """Holds a value, and when it was set; `set_s` is 0 where that does not matter."""

    value: float
    set_s: float


class ValuesFile(MmapedDict):
    """Holds the values of a file in memory. The file has the form of prometheus_client."""

    def __init__(self, filename: str) -> None:
        self._path = filename
        self._m: bytearray = bytearray(_HEAD.pack(_HEAD_BYTES))  # type: ignore[assignment]
        self._used = _HEAD_BYTES
        self._capacity = sys.maxsize
        self._positions: dict[str, int] = {}
        self._saved = b""

    def save(self) -> None:
        """Copies the values into the file. OSError if that cannot be done; the values stay."""
        content = bytes(self._m)
        if content == self._saved:
            return
        with open(self._path, "wb", opener=_open_whole) as file:
            # The head comes last: it says how far the file can be read.
            file.seek(_HEAD_BYTES)
            file.write(content[_HEAD_BYTES:])
            file.seek(0)
            file.write(content[:_HEAD_BYTES])
        self._saved = content

    def close(self) -> None:
        """Does nothing: no file is open between saves."""


def _open_whole(path: str, _flags: int) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)


class _Files:
    """Saves all files of a process."""

    def __init__(self) -> None:
        self._files: list[ValuesFile] = []
        self._fails = False

    def new_file(self, filename: str) -> ValuesFile:
        file = ValuesFile(filename)
        self._files.append(file)
        return file

    def save(self) -> None:
        """Saves what has changed; logs the first failure of several, and their end."""
        try:
            for file in tuple(self._files):
                file.save()
        except OSError as error:
            if not self._fails:
                log.warning("metrics_not_written", error=str(error))
            self._fails = True
            return
        if self._fails:
            log.info("metrics_written_again")
        self._fails = False


@contextmanager
def written_metrics() -> Iterator[None]:
    """Writes the metrics that are made meanwhile into files, if PROMETHEUS_MULTIPROC_DIR is set.

    Open this before the first metric of the process is made.
    """
    if not values.ValueClass._multiprocess:
        yield
        return
    files = _Files()
    # prometheus_client makes each file by this name; there is no other way to choose.
    values.MmapedDict = files.new_file  # type: ignore[attr-defined, assignment]
    stop = threading.Event()
    saving = threading.Thread(target=_save, args=(files, stop), daemon=True)
    saving.start()
    try:
        yield
    finally:
        stop.set()
        saving.join()


def _save(files: _Files, stop: threading.Event) -> None:
    while not stop.wait(_SAVE_S):
        files.save()
    files.save()


def read_values(path: Path) -> dict[str, MetricValue]:
    """Returns the values of a file by their keys, which are JSON.

    TornFile if the file was cut, or is no file of metrics.
    """
    try:
        return dict(_values(path.read_bytes()))
    except (OSError, ValueError, struct.error) as error:
        raise TornFile(str(error)) from None


def _values(content: bytes) -> Iterator[tuple[str, MetricValue]]:
    used: int = _HEAD.unpack_from(content)[0]
    at = _HEAD_BYTES
    while at < used:
        length: int = _LENGTH.unpack_from(content, at)[0]
        at += _LENGTH.size
        if length <= 0 or at + length > used:
            raise ValueError("a key is cut")
        key = content[at : at + length].decode()
        at += length + 8 - (length + _LENGTH.size) % 8
        _require_key(key)
        yield key, MetricValue(*_VALUE.unpack_from(content, at))
        at += _VALUE.size


def _require_key(key: str) -> None:
    match json.loads(key):
        case [str(), str(), dict(), str()]:
            return
    raise ValueError(f"{key} names no metric")
